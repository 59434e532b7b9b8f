"""The stage that aligns, with an adapter: its checkpoint is the adapter alone, gives the model again, goes on, and is merged."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
sys.path.insert(0, str(Path(__file__).parents[1] / "aligner"))
import aligned
from aligned import LENGTH, SEED, VOCABULARY, Case
from ranks import joined, on_ranks

from modelwright_plugins.adapter.bottleneck import Series
from modelwright_plugins.adapter.lora import LoRA
from modelwright_plugins.adapter.qlora import QLoRA

pytestmark = pytest.mark.slow


def bases(rank: int, models: int, out: str) -> None:
    for number in range(models):
        joined(rank, 1, number)
        aligned.base(Path(out) / f"{number}" / "base0")
        aligned.examples(Path(out) / f"{number}" / "examples0", "preference")
        for what in ("base", "examples"):  # the same for the run that nothing interrupts
            (Path(out) / f"{number}" / f"{what}1").symlink_to(f"{what}0")


def stages(rank: int, adapters: list[Any], layouts: list[dict[str, Any]], out: str) -> list[dict[str, Any]]:
    """Of each adapter: what DPO's checkpoint holds, the logits of the model from it, and from what was merged, and the metrics of a run
    that was stopped and of one that was not."""
    import modelwright_plugins.conformance.training as training
    from modelwright.component import Job
    from modelwright.hooks import discover
    from modelwright_plugins.aligner.dpo import DPO
    from modelwright_plugins.artifacts import Checkpoint
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.stage.merge import Merge

    found, group, whole = [], iter(range(100)), training.built_in
    for number, (adapter, layout) in enumerate(zip(adapters, layouts, strict=True)):
        folder = Path(out) / f"{number}"
        training.built_in = lambda adapter=adapter: {**whole(), "adapter": adapter}  # type: ignore[misc]
        for steps in (2, 4):  # it stops, and goes on
            joined(rank, 2, next(group))
            aligned.aligned(Case(DPO(), "preference", layout), steps, folder)
        joined(rank, 2, next(group))
        aligned.aligned(Case(DPO(), "preference", layout), 4, folder, 1)
        one = folder / "out0" / "checkpoint"
        told: dict[str, Any] = {"card": json.loads((one / "adapter.json").read_text()), "saved": _saved(one), "logits": None}
        told["metrics"] = [_metrics(folder / name) for name in ("out0", "out1")]
        (merged := folder / "merged").mkdir(exist_ok=True)
        if rank == 0:
            told["logits"] = [_logits(one, next(group)), _logits(folder / "base0", next(group))]
        else:
            next(group), next(group)
        joined(rank, 2, next(group))
        parts = {**whole(), "parallel": Megatron(**layout)}
        job = Job(folder, merged, SEED, parts, {Checkpoint: Checkpoint(one)}, discover(), {})
        try:
            Merge().run(job)
        except Exception as e:
            told["refused"] = str(e)
        else:
            told["plain"] = _saved(merged / "checkpoint")
            if rank == 0:
                told["logits"].append(_logits(merged / "checkpoint", next(group)))
            else:
                next(group)
        found.append(told)
    training.built_in = whole
    return found


def _metrics(folder: Path) -> list[dict[str, float]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in step.items() if name != "tokens_per_second"} for step in found]


def _saved(folder: Path) -> list[str]:
    from torch.distributed.checkpoint import FileSystemReader

    newest = max(folder.glob("step_*"))
    names = FileSystemReader(newest).read_metadata().state_dict_metadata
    return sorted(name for name in names if not name.startswith(("optimizer", "progress")) and "_extra_state" not in name)


def _logits(folder: Path, group: int) -> Any:
    import torch

    from modelwright_plugins.artifacts import Checkpoint
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine.inference import open_model
    from modelwright_plugins.engine.trainer import how

    joined(0, 1, group)
    with open_model(Checkpoint(folder), **how(built_in()), seed=1) as model:
        return model.next_logits((torch.arange(3 * LENGTH).view(3, LENGTH) * 7) % VOCABULARY).numpy()


def test_a_checkpoint_is_the_adapter_alone(tmp_path: Path) -> None:
    adapters = [LoRA(rank=4, alpha=64), QLoRA(rank=4, block=16, alpha=64), Series(size=8)]
    layouts: list[dict[str, Any]] = [{"tensor": 2, "sequence": True}, {"data": 2}, {"pipeline": 2}]
    on_ranks(bases, 1, tmp_path, groups=len(adapters), models=len(adapters), out=str(tmp_path))
    found = on_ranks(stages, 2, tmp_path, groups=40, adapters=adapters, layouts=layouts, out=str(tmp_path))[0]
    for number, (adapter, told) in enumerate(zip(adapters, found, strict=True)):
        assert told["saved"] and all(".adapter." in name for name in told["saved"])
        assert told["card"]["base"]["path"] == str(tmp_path / f"{number}" / "base0") and told["card"]["base"]["step"] == 7
        stopped, whole = told["metrics"]
        assert [step["step"] for step in stopped] == [1, 2, 3, 4] and whole[2]["loss"] != whole[0]["loss"]
        for one, other in zip(stopped, whole, strict=True):
            assert one == pytest.approx(other, rel=1e-9, abs=1e-12)
        learned, base, *merged = told["logits"]
        assert abs(learned - base).max() > 1e-3  # it has learned something
        if adapter.merges:
            assert abs(merged[0] - learned).max() < 1e-5
            assert "embedding.word_embeddings.weight" in told["plain"] and not [name for name in told["plain"] if "adapter" in name]
        else:
            assert "can't be merged" in told["refused"]
