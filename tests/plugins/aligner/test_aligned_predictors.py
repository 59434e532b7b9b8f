"""Modules that predict further tokens have no part in an aligner's loss, and stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aligned
import pytest
import torch
import torch.distributed.checkpoint as torch_checkpoint
from aligned import Case

from modelwright_plugins.aligner.sft import SFT
from modelwright_plugins.conformance.ranks import on_ranks
from modelwright_plugins.engine import checkpoint
from modelwright_plugins.engine.safe_load import SafeReader


def weights(folder: Path) -> dict[str, torch.Tensor]:
    step = checkpoint.latest(folder)
    assert step is not None
    reader = SafeReader(checkpoint.step_folder(folder, step))
    names = [name for name in torch_checkpoint.FileSystemReader(reader.path).read_metadata().state_dict_metadata if ".weight" in name]
    told = reader.index.state_dict_metadata
    state: dict[str, Any] = {
        name: torch.empty(told[name].size, dtype=told[name].properties.dtype) for name in names if not name.startswith("optimizer.")
    }
    torch_checkpoint.load(state, storage_reader=reader, no_dist=True)
    return state


@pytest.mark.slow  # 10 s
def test_weight_decay_moves_no_module_that_is_not_trained(tmp_path: Path) -> None:
    cases = [Case(SFT(), "conversation", model={"mtp_layers": 1, "position": "rope"}, stage={"steps": 2})]
    on_ranks(aligned.train, 1, tmp_path, groups=aligned.groups(cases), cases=cases, where=str(tmp_path))
    before, after = weights(tmp_path / "base0"), weights(tmp_path / "out0" / "checkpoint")
    predictors = {name for name in before if name.startswith("mtp.")}
    assert len(predictors) > 5 and before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not moved & predictors and any(name.startswith("decoder.") for name in moved)
