"""Aligning learns the same in every layout and micro-batch, packed or not, and after it was stopped."""

from __future__ import annotations

import math
from pathlib import Path

import aligned
import pytest
from aligned import Case
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from modelwright_plugins.adapter.lora import LoRA
from modelwright_plugins.aligner import Aligner
from modelwright_plugins.aligner.c_rlft import CRLFT
from modelwright_plugins.aligner.dpo import DPO
from modelwright_plugins.aligner.kto import KTO
from modelwright_plugins.aligner.orpo import ORPO
from modelwright_plugins.aligner.rrhf import RRHF
from modelwright_plugins.aligner.sft import SFT
from modelwright_plugins.aligner.simpo import SimPO
from modelwright_plugins.conformance.ranks import on_ranks

pytestmark = pytest.mark.slow
PACKED = 11  # sequences that the 24 conversations fill
LAYOUT = {"tensor": 2, "pipeline": 2}


def run(cases: list[Case], folder: Path) -> list[list[list[dict[str, float]]]]:
    """[case][rank][step]"""
    ranks = on_ranks(aligned.train, max(case.ranks for case in cases), folder, groups=aligned.groups(cases), cases=cases, where=str(folder))
    return [[rank[place] for rank in ranks if rank[place] is not None] for place in range(len(cases))]


def same(one: list[dict[str, float]], other: list[dict[str, float]], within: float = 1e-5) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert {*a} == {*b}
        # at first chosen and rejected are equal but for rounding, which decides which is more
        for name in {*a} - {"tokens_per_second", "rewards/accuracies" if a["step"] == 1 else ""}:
            assert b[name] == pytest.approx(a[name], rel=within, abs=within), (name, a["step"])


@pytest.mark.parametrize("aligner", [SFT(), DPO(), KTO()], ids=lambda aligner: type(aligner).__name__)
def test_layouts(aligner: Aligner, tmp_path: Path) -> None:
    kind = aligner.examples[0]
    one, *others = run([Case(aligner, kind, layout) for layout in ({}, LAYOUT, {"data": 2, "context": 2})], tmp_path)
    assert one[0][-1]["loss"] < one[0][0]["loss"]
    for other in others:
        assert len(other) == 4
        for rank in other:
            same(one[0], rank)


def test_the_others_on_four_ranks(tmp_path: Path) -> None:
    aligners: list[tuple[Aligner, str]] = [(ORPO(), "preference"), (SimPO(), "preference"), (RRHF(), "ranking")]
    aligners.append((CRLFT(better="a", other="b"), "reward"))
    (tmp_path / "tokenizer").mkdir()
    Tokenizer(WordLevel({"a": 7, "b": 9, "?": 0}, unk_token="?")).save(str(tmp_path / "tokenizer" / "tokenizer.json"))
    cases = [Case(aligner, kind, layout, {"steps": 2, "sequence_length": 40}) for aligner, kind in aligners for layout in ({}, LAYOUT)]
    found = run(cases, tmp_path)
    for (one,), four in zip(found[::2], found[1::2], strict=True):
        assert len(four) == 4 and one[0]["grad_norm"] > 0.001
        for rank in four:
            same(one, rank)


def test_micro_batches_and_packing(tmp_path: Path) -> None:
    """Packed sequences are batches of their own, so that only all examples in one batch are the same packed or not."""
    all_in_one = {"steps": 1, "sequence_length": 40, "checkpoint_every": None}
    packed, loosely = all_in_one | {"global_batch": PACKED, "micro_batch": PACKED}, all_in_one | {"global_batch": 24, "pack": False}
    cases = [Case(ORPO(), "preference"), Case(ORPO(), "preference", stage={"micro_batch": 8})]
    cases += [
        Case(SFT(), "conversation", stage=packed),
        Case(SFT(), "conversation", stage=loosely),
    ]
    (one,), (other,), (tight,), (loose,) = run(cases, tmp_path)
    same(one, other)
    assert tight[0]["tokens"] == loose[0]["tokens"] < PACKED * 40  # what only fills up is not counted
    for name in ("loss", "grad_norm"):
        assert tight[0][name] == pytest.approx(loose[0][name], rel=1e-6 if name == "loss" else 1e-5)


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """With the log-probabilities that were kept; if they are lost they are computed again, from the first weights."""
    cases = [Case(DPO(), "preference"), *(Case(DPO(), "preference", first_steps=2, between=what) for what in ("", "deleted", "shifted"))]
    (whole,), (stopped,), (deleted,), (shifted,) = run(cases, tmp_path)
    same(whole, stopped, 1e-9)
    same(whole, deleted, 1e-9)
    assert shifted[1]["rewards/chosen"] == pytest.approx(whole[1]["rewards/chosen"], rel=1e-6)
    assert shifted[2]["rewards/chosen"] == pytest.approx(whole[2]["rewards/chosen"] + 0.1 * 5, rel=1e-5)
    assert shifted[2]["rewards/rejected"] == pytest.approx(whole[2]["rewards/rejected"], rel=1e-5)


def test_the_first_weights_and_the_trained_ones_drop_nothing_out(tmp_path: Path) -> None:
    """With dropout the margins of the first update would not be 0."""
    adapter = LoRA(dropout=0.5)
    ((one,), (other,)) = run([Case(DPO(), "preference", model={"dropout": 0.5}), Case(DPO(), "preference", adapter=adapter)], tmp_path)
    for rank in (one, other):
        assert rank[0]["loss"] == pytest.approx(math.log(2), rel=1e-6) and rank[0]["rewards/margins"] == pytest.approx(0, abs=1e-5)
