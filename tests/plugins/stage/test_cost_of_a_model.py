"""What a judged model costs: bytes of its weights, and how fast it writes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.distributed import checkpoint as torch_checkpoint

from modelwright_plugins.engine import checkpoint
from modelwright_plugins.engine.weight_bytes import weight_bytes
from modelwright_plugins.evaluator.model import Model
from modelwright_plugins.generator import Generated


def test_bytes_of_weights_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: 15 numbers of 2 bytes, 7 of 4, no optimizer's and no object's, and what quantized layers are written as."""
    assert weight_bytes(tmp_path) == 0
    monkeypatch.setattr(checkpoint, "latest", lambda folder, below=None: 3)
    kept = {
        "decoder.weight": torch.zeros(3, 5, dtype=torch.bfloat16),
        "head.bias": torch.zeros(7),
        "optimizer.state.exp_avg.decoder.weight": torch.zeros(3, 5),
        "decoder._extra_state": {"of": "an object"},
    }
    step = checkpoint.step_folder(tmp_path, 3)
    torch_checkpoint.save(kept, storage_writer=torch_checkpoint.FileSystemWriter(step), no_dist=True)
    assert weight_bytes(tmp_path) == 15 * 2 + 7 * 4
    for name, size in (("quantized-00001", 11), ("quantized-00002", 2), ("other", 100)):
        save_file({"a": torch.zeros(size, dtype=torch.uint8), "b": torch.zeros(3)}, tmp_path / f"{name}.safetensors")
    assert weight_bytes(tmp_path) == 15 * 2 + 7 * 4 + 13 + 2 * 3 * 4


def test_tokens_that_were_written_and_how_long_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all that is asked, by the clock round the drawing alone."""
    clock = iter([1.0, 3.0, 10.0, 10.5])
    monkeypatch.setattr("modelwright_plugins.evaluator.model.time.perf_counter", lambda: next(clock))

    class Trained:
        def generate(self, prompts: Any, generator: Any, **_: Any) -> list[Generated]:
            return [Generated([7] * len(prompt), True, torch.zeros(len(prompt))) for prompt in prompts]

    ending = SimpleNamespace(tokens=frozenset({0}), stop=None, said=lambda one: "x")
    model: Any = SimpleNamespace(trained=Trained(), generator=object(), seed=0, generated=0, seconds=0.0)
    for prompts in ([[1, 2], [1, 2, 3]], [[1]]):
        Model.said(model, prompts, None, ending)  # type: ignore[arg-type]
    assert (model.generated, model.seconds) == (6, 2.5)
