"""Training on a blend: the same numbers in other layouts, and where it goes on from a checkpoint inside a phase."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from layouts import BATCH, LENGTH, MODEL, STEPS, Case, shards, train, worst
from ranks import joined, on_ranks

from modelwright_plugins.artifacts.blend import Blend, BlendedDomain
from modelwright_plugins.mixture import Phase

pytestmark = pytest.mark.slow


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two domains, and a blend whose second phase begins at sequence 100, inside the seventh batch."""
    folder, domains = shards(tmp_path / "token_shards"), {}
    for name in ("one", "two"):
        made = shards(tmp_path / name)  # the same documents twice; one of them is read in order
        for end in (".bin", ".idx"):
            (made / f"train{end}").rename(folder / f"train_{name}{end}")
        domains[name] = BlendedDomain(f"train_{name}", 200, (folder / f"train_{name}.bin").stat().st_size // 2, 1)
    phases = [
        Phase("first", 100 / (STEPS * BATCH), {"one": 0.9, "two": 0.1}),
        Phase("rest", 1 - 100 / (STEPS * BATCH), {"one": 0.2, "two": 0.8}),
    ]
    Blend(STEPS * BATCH * LENGTH, 5, domains, phases).write(folder)
    (tmp_path / "tokenizer").mkdir()
    return folder


def test_layouts_learn_what_one_rank_learns(data: Path, tmp_path: Path) -> None:
    cases = [Case({}, MODEL), Case({"tensor": 2}, MODEL), Case({"data": 2}, MODEL)]
    (alone, tensor, parallel), _ = on_ranks(train, 2, tmp_path / "ranks", groups=len(cases), cases=cases, data=str(data))
    for other in (tensor, parallel):
        assert worst(alone, other, "loss") < 1e-5
    (data / "blend.json").unlink()
    (without,), *_ = on_ranks(train, 1, tmp_path / "without", groups=1, cases=cases[:1], data=str(data))
    assert abs(without[0]["loss"] - alone[0]["loss"]) > 1e-3  # a blend that nothing reads would be the same


def straight_and_resumed(rank: int, here: str) -> list[list[dict[str, Any]]]:
    """The metrics of 9 steps, and of 5 and then those to 9 from their checkpoint, in another layout of the same batches."""
    from modelwright.component import Job
    from modelwright.hooks import discover
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.artifacts import Tokenizer, TokenShards
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.stage.train import Train

    home = Path(here)
    parts = {**built_in(), "architecture": CausalDecoder(**MODEL), "tracker": {}}
    inputs = {TokenShards: TokenShards(home / "token_shards"), Tokenizer: Tokenizer(home / "tokenizer")}
    found = []
    for number, (steps, start) in enumerate(((9, None), (5, None), (9, 1))):
        joined(rank, 1, number)
        (out := home / f"train{number}").mkdir()
        more = {"resume_from": home / f"train{start}" / "checkpoint"} if start else {}
        settings: dict[str, Any] = {"steps": steps, "sequence_length": LENGTH, "global_batch": BATCH, "micro_batch": 8, **more}
        Train(**settings).run(Job(home, out, 3, parts, inputs, discover()))
        found.append([json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()])
    return found


def test_a_resumed_training_goes_on_as_it_would_have(data: Path) -> None:
    ((straight, first, second),) = on_ranks(straight_and_resumed, 1, data.parent / "ranks", groups=3, here=str(data.parent))
    assert [row["step"] for row in [*first, *second]] == [row["step"] for row in straight] == list(range(1, 10))
    assert [row["loss"] for row in [*first, *second]] == [row["loss"] for row in straight]
