"""Blends: Megatron-Core's order, proportions in every prefix, phases, windows, and nothing that depends on what was asked before."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blended import STRIDE, blend, shard

from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import TokenShards
from modelwright_plugins.artifacts.blend import Blend
from modelwright_plugins.engine import blend as engine_blend
from modelwright_plugins.engine.batches import Batches
from modelwright_plugins.engine.blend import BlendTexts, Leg, opened
from modelwright_plugins.engine.texts import ShardTexts
from modelwright_plugins.evaluator.shards import Seen, seen_spans
from modelwright_plugins.mixture import Phase
from modelwright_plugins.objective.causal_lm import CausalLM
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

SIZES = {"a": 100, "b": 60, "c": 30}  # 12, 7 and 3 sequences of 8
LENGTH = 8


@pytest.fixture
def shards(tmp_path: Path) -> dict[str, Path]:
    return {name: shard(tmp_path / name, STRIDE * number, size) for number, (name, size) in enumerate(SIZES.items())}


def texts(shards: dict[str, Path], *legs: Leg, **more: Any) -> BlendTexts:
    return BlendTexts(shards, legs, (LENGTH + 1,), seed=3, **more)


def drawn(data: BlendTexts, numbers: range) -> list[str]:
    """The domain of each sequence, as its tokens tell it."""
    return [[*SIZES][int(data.spans(number)[0][0]) // STRIDE] for number in numbers]


def test_one_leg_is_megatrons_blended_dataset(tmp_path: Path, shards: dict[str, Path]) -> None:
    """Built by Megatron's own builder from the words of its command line."""
    from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.utils import get_blend_from_list

    class Ends:
        eod, pad, vocab_size, unique_identifiers = 0, None, 30_000, {"class": "Ends"}

    weights = {"a": 0.55, "b": 0.3, "c": 0.15}
    words = " ".join(f"{weight} {shards[name]}" for name, weight in weights.items()).split()
    config = GPTDatasetConfig(
        random_seed=1, sequence_length=LENGTH, blend=get_blend_from_list(words), split="100,0,0", tokenizer=Ends(),
        reset_position_ids=False, reset_attention_mask=False, eod_mask_loss=False, create_attention_mask=False,
    )  # fmt: skip
    theirs, _, _ = BlendedMegatronDatasetBuilder(GPTDataset, [300, 0, 0], lambda: True, config).build()
    which, number = texts(shards, Leg(300, weights)).places(np.arange(300))
    assert np.array_equal(which, theirs.dataset_index) and np.array_equal(number, theirs.dataset_sample_index)
    assert drawn(texts(shards, Leg(300, weights)), range(40)) == [
        [*SIZES][int(theirs[n]["tokens"][0]) // STRIDE]
        for n in range(40)  # the same domains' text comes out
    ]


@pytest.mark.parametrize("weights", [(0.5, 0.3, 0.2), (1, 1, 1), (0.97, 0.02, 0.01), (0.9, 0.1, 0), (0, 1, 0)])
def test_every_prefix_has_its_proportions(shards: dict[str, Path], weights: tuple[float, ...]) -> None:
    data = texts(shards, Leg(1, dict(zip(SIZES, weights, strict=True))))
    which, _ = data.places(np.arange(3000))
    for name, share in zip(SIZES, np.array(weights) / sum(weights), strict=True):
        mine = which == data.names.index(name) if name in data.names else np.zeros(3000, bool)
        ahead = np.cumsum(mine) - share * np.arange(1, 3001)
        assert ahead.max() < 1 and ahead.min() > -2  # never a whole sequence too many
        assert share or not mine.any()


def test_two_domains_are_never_a_sequence_off(shards: dict[str, Path]) -> None:
    for share in (0.5, 0.3, 0.017, 2**0.5 - 1):
        which, _ = texts(shards, Leg(1, {"a": share, "b": 1 - share})).places(np.arange(5000))
        assert np.abs(np.cumsum(which == 0) - share * np.arange(1, 5001)).max() <= 1


def test_phases_change_at_their_sequence_and_go_on_where_the_one_before_was(shards: dict[str, Path]) -> None:
    data = texts(shards, Leg(10, {"a": 1.0}), Leg(20, {"a": 0.5, "c": 0.5}), Leg(1, {"b": 1.0}))
    found = drawn(data, range(40))
    assert found[:10] == ["a"] * 10 and {*found[10:30]} == {"a", "c"} and found[30:] == ["b"] * 10
    assert found[10:30].count("a") == 10
    own = [data.place(number) for number in range(40)]
    for name in SIZES:
        assert [number for domain, number in own if domain == name] == list(range(found.count(name)))  # none twice, none left out
    first = [tuple(data.spans(number)[0]) for number in range(40) if found[number] == "a"]
    assert len({*first[:12]}) == 12  # all of the domain, over both phases, before anything comes again
    assert drawn(data, range(1000, 1010)) == ["b"] * 10  # the last phase goes on


def test_what_is_drawn_depends_on_its_number_alone(shards: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    legs = (Leg(10, {"a": 0.7, "b": 0.3}), Leg(7, {"b": 0.5, "c": 0.5}))
    whole = [texts(shards, *legs).spans(number)[0] for number in range(300)]
    monkeypatch.setattr(engine_blend, "LEAST", 5)  # plans are made longer on the way
    data = texts(shards, *legs)
    for number in (3, 200, 0, 12, 299, 150):
        assert np.array_equal(data.spans(number)[0], whole[number])
    longer = texts(shards, legs[0], Leg(900, legs[1].weights), Leg(5, {"a": 1.0}))
    assert all(np.array_equal(longer.spans(number)[0], whole[number]) for number in range(300))


def test_one_domain_is_the_shard_itself(shards: dict[str, Path]) -> None:
    alone, data = ShardTexts(shards["a"], (9, 5), seed=3), BlendTexts({"a": shards["a"]}, [Leg(5, {"a": 1.0})], (9, 5), seed=3)
    for number in range(3 * alone.count):
        assert all(np.array_equal(one, other) for one, other in zip(alone.spans(number), data.spans(number), strict=True))
    others = [BlendTexts({"x": shards["b"], "a": shards["a"]}, [Leg(1, {"a": 1.0})], (9,), seed=3).spans(n)[0][0] for n in range(12)]
    assert others != [alone.spans(number)[0][0] for number in range(12)]  # a second shard has an order of its own


@pytest.mark.parametrize("window", [1, 4, 100])
def test_a_window_keeps_the_order_but_for_chance_within(shards: dict[str, Path], window: int) -> None:
    data = ShardTexts(shards["a"], (9,), seed=3, window=window)
    for epoch in range(3):
        places = [int(data.spans(epoch * 12 + number)[0][0]) // 8 for number in range(12)]
        assert [place // window for place in places] == [place // window for place in range(12)]
        assert sorted(places) == list(range(12))
        assert (places == list(range(12))) == (window == 1)


@pytest.mark.parametrize("window", [1, 4, 100])
def test_a_pair_of_stretches_is_never_one_twice_in_order(shards: dict[str, Path], window: int) -> None:
    data = ShardTexts(shards["a"], (9, 9), seed=3, window=window)
    assert all(data.spans(number)[0][0] != data.spans(number)[1][0] for number in range(24))


def test_what_is_shorter_than_a_sequence_is_left_out(tmp_path: Path, shards: dict[str, Path]) -> None:
    given = shards | {"tiny": shard(tmp_path / "tiny", 9000, 8)}
    data = texts(given, Leg(10, {"a": 0.4, "b": 0.4, "tiny": 0.2}), planned=10)
    assert [*data.left_out] == ["tiny"] and data.count == 12 + 7
    assert drawn(data, range(20)).count("a") == 10
    assert data.warnings(10, 8) == ["domain tiny is left out: it has less than one sequence"]
    with pytest.raises(ModelwrightError, match="phase 2 of the blend has no text as long as one sequence, 9 tokens: tiny of 8 tokens"):
        texts(given, Leg(10, {"a": 1.0}), Leg(10, {"tiny": 1.0}))


def test_a_training_that_was_not_planned_is_told(shards: dict[str, Path]) -> None:
    data = texts(shards, Leg(10, {"a": 1.0}), planned=1000)
    assert data.warnings(1009, 8) == data.warnings(991, 8) == []
    for sequences, said in ((1100, "8,800 tokens, 110%"), (500, "4,000 tokens, 50%")):
        assert said in data.warnings(sequences, 8)[0] and f"set mix.tokens={8 * sequences}" in data.warnings(sequences, 8)[0]


PHASES = [Phase("first", 0.25, {"a": 1.0, "b": 0.0, "c": 0.0}), Phase("rest", 0.75, {"a": 0.0, "b": 0.75, "c": 0.25})]


def test_training_reads_a_folders_blend(tmp_path: Path) -> None:
    train = blend(tmp_path, SIZES, PHASES, tokens=40 * LENGTH)
    data = Batches.of(train, CausalLM(), Vocabulary(30_000, 0), length=LENGTH, global_batch=20, seed=3)
    found = [int(token) // STRIDE for token in data.batch(0, 40)["input_ids"][:, 0]]
    assert found[:10] == [0] * 10 and (found.count(1), found.count(2)) == (22, 8)  # of 30, 22.5 and 7.5
    assert isinstance(data.texts, BlendTexts) and data.texts.planned == 40
    with pytest.raises(ModelwrightError, match=r"train\.bin: 190 tokens make 22 sequences of 8, fewer than train\.global_batch=23"):
        Batches.of(train, CausalLM(), Vocabulary(30_000, 0), length=LENGTH, global_batch=23, seed=3)
    other = Batches.of(tmp_path / "train_a", CausalLM(), Vocabulary(30_000, 0), length=LENGTH, global_batch=4, seed=3)
    assert isinstance(other.texts, ShardTexts)  # a domain by itself


def test_a_file_survives_and_a_broken_one_is_told(tmp_path: Path) -> None:
    blend(tmp_path, SIZES, PHASES, tokens=320, window=4)
    found = Blend.read(tmp_path)
    assert found is not None and found.phases == PHASES and (found.tokens, found.window) == (320, 4)
    assert found.begins(LENGTH) == [0, 10] and found.drawn() == [{"a": 80, "b": 0, "c": 0}, {"a": 0, "b": 180, "c": 60}]
    assert [(row["domain"], row["epochs"]) for row in found.totals()] == [("a", 0.8), ("b", 3.0), ("c", 2.0)]
    told = json.loads((tmp_path / "blend.json").read_text())
    assert told["phases"][1]["epochs"] == {"a": 0, "b": 3, "c": 2} and told["domains"]["c"]["epochs"] == 2
    for broken in ("", "[]", '{"tokens": 1}', json.dumps(told | {"phases": []}), json.dumps(told).replace("train_a", "../train_a")):
        (tmp_path / "blend.json").write_text(broken)
        with pytest.raises(ModelwrightError, match=r"blend\.json: expected what stage mix writes"):
            opened(tmp_path / "train", (9,), seed=3, length=8)


@pytest.mark.parametrize("skipped", [(), ((5, 30),)])
def test_evaluation_knows_what_was_seen(tmp_path: Path, skipped: tuple[tuple[int, int], ...]) -> None:
    train = blend(tmp_path, SIZES, PHASES, tokens=40 * LENGTH, window=2)
    data, covered = opened(train, (9,), seed=3, length=LENGTH), set[int]()
    for number in range(60):
        if not any(first <= number < first + count for first, count in skipped):
            covered |= {*data.spans(number)[0].tolist()}
    found = [span.tolist() for span in seen_spans(TokenShards(tmp_path), Seen(3, (9,), 60, skipped, LENGTH), trained=0)]
    assert sorted(itertools.chain(*found)) == sorted(covered)  # each token once
    assert all(span == list(range(span[0], span[-1] + 1)) for span in found)
    assert len(found) == sum(token - 1 not in covered for token in covered)
