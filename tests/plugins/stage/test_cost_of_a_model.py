"""What a judged model costs: bytes of its weights, and how fast it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.distributed import checkpoint as torch_checkpoint

from modelwright_plugins.conformance.judge import Chances
from modelwright_plugins.engine import checkpoint
from modelwright_plugins.engine.weight_bytes import weight_bytes, weight_count
from modelwright_plugins.generator import Generated
from modelwright_plugins.stage._speed import tokens_per_second


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
    assert weight_bytes(tmp_path) == 15 * 2 + 7 * 4 and weight_count(tmp_path) == 15 + 7
    for name, size in (("quantized-00001", 11), ("quantized-00002", 2), ("other", 100)):
        save_file({"a": torch.zeros(size, dtype=torch.uint8), "b": torch.zeros(3)}, tmp_path / f"{name}.safetensors")
    assert weight_bytes(tmp_path) == 15 * 2 + 7 * 4 + 13 + 2 * 3 * 4
    for card in ("quantizer.json", "adapter.json"):  # most of the model's numbers are elsewhere
        (tmp_path / card).touch()
        assert weight_count(tmp_path) is None
        (tmp_path / card).unlink()


def test_every_model_writes_as_many_tokens_and_is_measured_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: 8 texts of 32 tokens go on by 32 each, once before the clock counts; 0.5 s is the fastest of three rounds."""
    clock = iter([0.0, 9.0, 10.0, 12.0, 20.0, 20.5, 30.0, 31.0])
    monkeypatch.setattr("modelwright_plugins.stage._speed.time.perf_counter", lambda: next(clock))
    asked = list[Any]()

    class Trained(Chances):
        def generate(self, prompts: Any, generator: Any, *, seed: int, end: Any, **_: Any) -> list[Generated]:  # type: ignore[override]
            found = super().generate(prompts, generator, seed=seed, end=end)
            asked.append((prompts, [len(one.tokens) for one in found]))
            return found

    model: Any = Trained(50, 0)
    model.table[:, 0] = 99.0  # the end of a document is what it always says
    assert tokens_per_second(model) == 8 * 32 / 0.5
    assert len(asked) == 4 and all(sizes == [32] * 8 for _, sizes in asked)
    assert all(prompts == asked[0][0] for prompts, _ in asked) and [len(prompt) for prompt in asked[0][0]] == [32] * 8
    model.sequence_length, clock = 24, iter([0.0, 1.0] * 4)
    assert tokens_per_second(model) == 8 * 12 and len(asked[-1][0][0]) == 12  # what it sees at once, and no more
