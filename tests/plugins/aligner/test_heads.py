"""A value head, beside the tokens or in their place, learns the same in every layout and beside an adapter; training goes on with it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from aligned import Case
from test_aligned_layouts import run, same
from valued import TokensAndValues

from modelwright_plugins.adapter.lora import LoRA
from modelwright_plugins.aligner import Aligner
from modelwright_plugins.aligner.process_reward import ProcessReward
from modelwright_plugins.aligner.reward_model import RewardModel

pytestmark = pytest.mark.slow


def test_both(tmp_path: Path) -> None:
    both, kind = TokensAndValues(), "conversation"
    layouts = [{}, {"tensor": 2, "pipeline": 2}, {"tensor": 2, "context": 2, "sequence": True}]
    cases = [Case(both, kind, layout) for layout in layouts]
    cases += [Case(both, kind, first_steps=2), Case(both, kind, {"data": 2, "distributed_optimizer": True}, first_steps=2)]
    one, *others = run(cases, tmp_path)
    assert one[0][0]["values"] == 0 and one[0][-1]["values"] > 0.01 and one[0][-1]["loss"] < one[0][0]["loss"]
    for other in others:
        for rank in other:
            same(one[0], rank)


def test_both_with_an_adapter(tmp_path: Path) -> None:
    """The head is trained, and saved with the adapter alone."""
    both, kind, lora = TokensAndValues(), "conversation", LoRA(rank=4)
    layouts: list[dict[str, Any]] = [{}, {"tensor": 2, "pipeline": 2, "sequence": True}]
    one, other, stopped = run([Case(both, kind, each, adapter=lora, first_steps=2 * n) for n, each in enumerate([*layouts, {}])], tmp_path)
    assert one[0][0]["values"] == 0 and one[0][-1]["values"] > 0.01
    for rank in [*other, *stopped]:
        same(one[0], rank)
    names = saved(tmp_path / "out0" / "checkpoint")
    assert {name for name in names if ".adapter." not in name} == {"value_head.weight", "value_head.offset"}


@pytest.mark.parametrize(("aligner", "kind"), [(RewardModel(), "preference"), (ProcessReward(), "steps")])
def test_values_in_the_place_of_tokens(aligner: Aligner, kind: str, tmp_path: Path) -> None:
    """Also of a model whose output matrix, which goes, is not the embedding's."""
    own = {"model": {"tied_embeddings": False}}
    cases = [Case(aligner, kind, **own), Case(aligner, kind, {"tensor": 2, "context": 2, "sequence": True}, **own)]
    cases += [Case(aligner, kind, {"data": 2, "fully_sharded": True}, first_steps=2, **own)]
    one, *others = run(cases, tmp_path)
    assert one[0][0]["loss"] == pytest.approx(math.log(2)) and one[0][-1]["loss"] < math.log(2) - 0.005
    for rank in (rank for each in others for rank in each):
        same(one[0], rank)
    assert not any("output_layer" in name for name in saved(tmp_path / "out0" / "checkpoint"))


def test_values_of_a_model_whose_output_matrix_is_the_embeddings(tmp_path: Path) -> None:
    ranking = RewardModel(margin=0.5, centering=0.01)
    one, other = run(
        [Case(ranking, "ranking"), Case(ranking, "ranking", {"tensor": 2, "pipeline": 2, "virtual": 2}, first_steps=2)], tmp_path
    )
    for rank in other:
        same(one[0], rank)


def saved(folder: Path) -> set[str]:
    """Names of the tensors that the newest checkpoint holds."""
    from torch.distributed.checkpoint import FileSystemReader

    newest = max(folder.glob("step_*"), key=lambda step: int(step.name.removeprefix("step_")))
    names = FileSystemReader(newest).read_metadata().state_dict_metadata
    return {name for name in names if not name.startswith(("optimizer", "progress")) and "_extra_state" not in name}
