"""Examples of several sources, drawn in a mixture's proportions."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "aligner"))
from aligned import LENGTH, VOCABULARY, examples

from modelwright.errors import ModelwrightError
from modelwright_plugins.aligner import Aligner
from modelwright_plugins.aligner.dpo import DPO
from modelwright_plugins.aligner.sft import SFT
from modelwright_plugins.artifacts.examples import StoredExamples
from modelwright_plugins.engine.example_batches import ExampleBatches
from modelwright_plugins.engine.mixed_examples import mixed
from modelwright_plugins.mixture import Mixture
from modelwright_plugins.mixture.phases import Phases
from modelwright_plugins.mixture.weights import Fixed, Proportional, Temperature, UniMax
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

FEW, MANY = 5, 19  # of the 24 examples


def made(
    folder: Path, mixture: Mixture, aligner: Aligner | None = None, *, draws: int = 96, sources: bool = True, **more: Any
) -> ExampleBatches:
    aligner = aligner or DPO()
    if not folder.exists():
        examples(folder, aligner.examples[0])
        if sources:
            lines = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
            told = [{**line, "source": "few" if number % 5 == 0 else "many"} for number, line in enumerate(lines)]
            (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told))
    sizes = {"length": LENGTH, "global_batch": 4, "seed": 3, **more}
    batches = ExampleBatches.of(StoredExamples(folder), aligner, Vocabulary(VOCABULARY, 0), **sizes)
    return mixed(batches, mixture, draws=draws, tokenizer=folder, work=folder)


def drawn(batches: ExampleBatches, count: int, first: int = 0) -> Counter[str]:
    return Counter("few" if batches.number(n) % 5 == 0 else "many" for n in range(first, first + count))


@pytest.mark.parametrize(
    ("mixture", "few"),
    [
        (Fixed(weights={"few": 3.0, "many": 1.0}), 0.75),
        (Temperature(temperature=2.0), FEW**0.5 / (FEW**0.5 + MANY**0.5)),
        (UniMax(max_epochs=2.0), 10 / 48),  # of 48 draws: two epochs of the few, and the rest
        (Proportional(), FEW / 24),
    ],
    ids=lambda value: type(value).__name__,
)
def test_shares_are_the_mixtures(mixture: Mixture, few: float, tmp_path: Path) -> None:
    batches = made(tmp_path / "e", mixture, draws=48)
    for count in (8, 20, 48):
        assert abs(drawn(batches, count)["few"] - few * count) <= 1
    longer = made(tmp_path / "e", mixture, draws=48)
    assert [longer.number(n) for n in range(9000, 0, -1000)] == [batches.number(n) for n in range(9000, 0, -1000)]


def test_each_source_is_read_in_epochs_of_its_own(tmp_path: Path) -> None:
    batches = made(tmp_path / "e", Fixed(weights={"few": 1.0, "many": 1.0}))
    numbers = [batches.number(n) for n in range(8 * MANY)]
    for source, size in (("few", FEW), ("many", MANY)):
        own = [number for number in numbers if (number % 5 == 0) is (source == "few")]
        epochs = [own[at : at + size] for at in range(0, len(own) - size + 1, size)]
        assert len(epochs) >= 4 and all(len({*epoch}) == size for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) > len(epochs) // 2  # in other orders; of 5 there are but 120
    assert batches.tokens(40) == sum(batches.lengths[[*batches.examples.rows_of(number)]].sum() for number in numbers[:40])


def test_phases_follow_one_another(tmp_path: Path) -> None:
    first, then = {"name": "fixed", "weights": {"few": 0, "many": 1}}, {"name": "fixed", "weights": {"few": 1, "many": 0}}
    batches = made(tmp_path / "e", Phases(phases={"a": {"share": 0.75, **first}, "b": {"share": 0.25, **then}}), draws=80)
    assert drawn(batches, 60) == {"many": 60} and drawn(batches, 20, 60) == {"few": 20}
    assert drawn(batches, 10, 200) == {"few": 10}  # a longer training goes on with the last


def test_packed_sequences_are_of_one_source_each(tmp_path: Path) -> None:
    batches = made(tmp_path / "e", Fixed(weights={"few": 1.0, "many": 1.0}), SFT(), pack=True)
    assert batches.sequences is not None
    assert sorted(row for rows in batches.sequences for row in rows) == [*range(24)]
    kinds = [{row % 5 == 0 for row in batches.sequences[batches.number(n)]} for n in range(40)]
    assert all(len(kind) == 1 for kind in kinds) and sum(kind == {True} for kind in kinds) == 20
    assert batches.batch(0, 4)["input_ids"].shape[0] == 4


def test_one_source_is_read_as_ever(tmp_path: Path) -> None:
    plain = made(tmp_path / "e", Proportional(), sources=False)
    assert plain.draws is None
    with pytest.raises(ModelwrightError, match=r"mixture.weights.fwe: there is no domain of that name; did you mean examples|no domain"):
        made(tmp_path / "e", Fixed(weights={"fwe": 1.0}))


def test_the_table_says_what_is_read(tmp_path: Path) -> None:
    batches = made(tmp_path / "e", Fixed(weights={"few": 3.0, "many": 1.0}))
    assert batches.draws is not None
    assert batches.draws.table(100) == [
        "  few            5 examples   75.0% of draws     15.00 epochs",
        "  many          19 examples   25.0% of draws      1.32 epochs",
    ]
    assert np.array_equal(batches.draws.numbers(10)[:10], [batches.number(n) for n in range(10)])
