"""Every layout, and every pair of layouts, learns what one rank learns, from one set of weights: 20 FP32 steps.

Losses are held to 1e-5 (they were within 1e-7), gradient norms, which are taken before clipping, to 5e-5: Adam makes whole steps of
gradients that are nothing but rounding (those of keys' biases are zero), and rounding is the CPU's own. docs/parallelism.md shows what
was found; to write it anew: RECORD=1 pytest tests/plugins/engine/test_layouts.py && python docs/parallelism.py
"""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import layouts
import pytest
from layouts import BATCH, EXPERTS, FEATURES, LENGTH, MODEL, STEPS, Case, every, shards, worst
from ranks import joined, on_ranks

RECORD = Path(__file__).parents[3] / "docs" / "parallelism.json"
LOSS, NORM = 1e-5, 5e-5
MORE = {
    "sequence, expert, each expert whole": Case({"tensor": 2, "sequence": True, "expert": 2, "expert_tensor": 1}, {**MODEL, **EXPERTS}),
    "context 4": Case({"context": 4}, MODEL),
    "pipeline 4": Case({"pipeline": 4}, MODEL),
}
EIGHT = {"tensor": 2, "pipeline": 2, "virtual": 2, "sequence": True, "recompute": "full"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def compare(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(case, …) -> for each the largest differences from one rank over the steps and the ranks: {"loss": …, "grad_norm": …}."""
    alone: dict[str, list[dict[str, float]]] = {}

    def found(*cases: Case) -> list[dict[str, float]]:
        missing = {str(one): one for case in cases if str(one := replace(case, layout={})) not in alone}
        queue = [*missing.values(), *cases]
        folder = tmp_path_factory.mktemp("ranks")
        ranks = on_ranks(layouts.train, max(case.ranks for case in queue), folder, groups=len(queue), cases=queue, data=str(data))
        alone.update(zip(missing, ranks[0], strict=False))
        answers = []
        for place, case in enumerate(cases, len(missing)):
            reference = alone[str(replace(case, layout={}))]
            assert reference[-1]["loss"] < reference[0]["loss"]
            each = [rank[place] for rank in ranks if rank[place] is not None]
            assert len(each) == case.ranks
            answers.append({key: max(worst(reference, metrics, key) for metrics in each) for key in ("loss", "grad_norm")})
        return answers

    return found


@pytest.fixture(scope="module")
def record() -> Iterator[list[dict[str, Any]]]:
    """What was found, for the page; if RECORD is set it is written, with what was found before in the same way."""
    rows: list[dict[str, Any]] = []
    yield rows
    if os.environ.get("RECORD"):
        versions = {name: importlib.metadata.version(name) for name in ("megatron-core", "torch")}
        refused = [{"features": each.names, "why": each.why} for each in every() if each.case is None]
        how = {"versions": versions, "steps": STEPS, "model": MODEL, "experts": EXPERTS, "global_batch": BATCH, "sequence_length": LENGTH}
        told = how | {"features": FEATURES, "not": refused}
        before = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        kept = before.get("found", []) if all(before.get(key) == value for key, value in how.items()) else []
        found = {tuple(row["features"]): row for row in [*kept, *rows]}
        order = [*(each.names for each in every() if each.case is not None), *sorted(set(found) - {each.names for each in every()})]
        told["found"] = [found[names] for names in order if names in found]
        RECORD.write_text(json.dumps(told, indent=1) + "\n")


def held(cases: dict[tuple[str, ...], Case], compare: Any, record: list[dict[str, Any]]) -> None:
    rows: list[dict[str, Any]] = []
    for (names, case), found in zip(cases.items(), compare(*cases.values()), strict=True):
        rows.append({"features": names, "layout": case.layout, "ranks": case.ranks} | {key: float(f"{n:.0e}") for key, n in found.items()})
    record += rows
    wrong = [row for row in rows if row["loss"] > LOSS or row["grad_norm"] > NORM]
    assert not wrong, wrong


@pytest.mark.slow
@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_alone_and_with_each_later_one(feature: str, compare: Any, record: list[dict[str, Any]]) -> None:
    held({each.names: each.case for each in every() if each.names[0] == feature and each.case is not None}, compare, record)


@pytest.mark.slow
def test_more_ranks(compare: Any, record: list[dict[str, Any]]) -> None:
    held({(name,): case for name, case in MORE.items()}, compare, record)


@pytest.mark.slow
def test_eight_ranks_with_everything(compare: Any, record: list[dict[str, Any]]) -> None:
    cut = Case({**EIGHT, "data": 2, "distributed_optimizer": True}, MODEL)
    held({("everything, data 2",): cut, ("everything, context 2",): Case({**EIGHT, "context": 2}, MODEL)}, compare, record)
    shared, bf16 = compare(replace(cut, optimizer="muon"), replace(cut, precision="bf16"))
    assert shared["loss"] < LOSS and shared["grad_norm"] < NORM
    assert bf16["loss"] < 0.02  # bfloat16 has 8 bits of mantissa


CUT = {"pipeline": 2, "virtual": 2, "data": 2, "distributed_optimizer": True}
LONG = {"tensor": 2, "context": 2}
BALANCED = {**EXPERTS, "balance": "sequence", "shared_expert_feed_forward": 32, "first_dense_layers": 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "model", "several"),
    [
        ("muon", {}, [{"tensor": 2, "sequence": True, "pipeline": 2}, CUT]),  # the quickstart's: it sees whole matrices
        ("adamw", {"tied_embeddings": False, "qk_norm": False}, [LONG, CUT]),  # Llama
        (
            "adamw",
            {"norm": "layer", "activation": "gelu_tanh", "position": "learned", "bias": True, "kv_heads": None},
            [LONG, CUT],
        ),  # GPT-2
        ("adamw", {"kv_heads": None, "qk_norm": False, "kv_rank": 16, "rope_head_dim": 4, "position": "rope"}, [LONG]),  # DeepSeek-V2
        ("adamw", {"position": "alibi", "window": 12}, [LONG]),  # queries need to know their places
        ("adamw", {**BALANCED, "position": "learned"}, [{**LONG, "sequence": True, "expert": 2}]),
        ("adamw", {**BALANCED, "router": "sigmoid"}, [{"context": 2, "expert": 2, "pipeline": 2}]),  # DeepSeek-V3's
    ],
)
def test_other_models_and_optimizers(optimizer: str, model: dict[str, Any], several: list[dict[str, Any]], compare: Any) -> None:
    for layout, found in zip(several, compare(*(Case(layout, {**MODEL, **model}, optimizer) for layout in several)), strict=True):
        assert found["loss"] < LOSS and found["grad_norm"] < NORM, (layout, found)


def test_every_pair_is_on_the_page() -> None:
    """What was recorded is all that there is to record: a new feature makes this fail until it is."""
    told = json.loads(RECORD.read_text())
    assert told["features"] == FEATURES and told["steps"] == STEPS
    expected = {each.names for each in every() if each.case is not None} | {(name,) for name in MORE}
    assert expected <= {tuple(row["features"]) for row in told["found"]}
    assert {each.names: each.why for each in every() if each.case is None} == {tuple(row["features"]): row["why"] for row in told["not"]}
    assert all(row["loss"] < LOSS and row["grad_norm"] < NORM for row in told["found"])


def initial(rank: int, layouts: list[dict[str, Any]]) -> list[list[tuple[str, Any, Any]] | None]:
    """(global name, offset, values) of each part of the initial weights that this rank holds."""
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import FP32

    found: list[list[tuple[str, Any, Any]] | None] = []
    architecture = CausalDecoder(layers=4, width=32, heads=4, kv_heads=2, bias=True, position="learned", tied_embeddings=False)
    for number, fields in enumerate(layouts):
        layout = Megatron(**fields)
        if rank >= layout.ranks(None):
            found.append(None)
            continue
        joined(rank, layout.ranks(None), number)
        with started(layout, seed=rank):
            chunks = model.build(
                architecture, parallel=layout, precision=FP32(), kernel=Torch(), attention=Native(), vocab_size=211, sequence_length=32
            )
            model.initialise(chunks, architecture, seed=3, vocab_size=211)
            found.append([(name, offset, data.detach().numpy().copy()) for name, data, _, offset in model.named_parts(chunks)])
    return found


@pytest.mark.slow
def test_initial_weights_do_not_depend_on_the_layout(tmp_path: Path) -> None:
    import numpy as np

    layouts: list[dict[str, Any]] = [{}, {"tensor": 2, "pipeline": 2}, {"pipeline": 2, "virtual": 2}]
    ranks = on_ranks(initial, 4, tmp_path, groups=len(layouts), layouts=layouts)
    whole = {(name, tuple(offset)): data for name, offset, data in ranks[0][0]}
    places = 0
    for name, offset, part in (found for rank in ranks for place in (1, 2) for found in rank[place] or []):
        *layer, first = offset if part.ndim == 1 else (*offset[:-1],)
        column = () if part.ndim == 1 else (offset[-1],)
        # SwiGLU's gate and up are two parts of one rank's, at the rows 0 and half
        starts = [key for key in whole if key[0] == name and list(key[1][: len(layer)]) == layer and key[1][len(layer)] <= first]
        start = max(starts, key=lambda key: key[1][len(layer)])
        row = first - start[1][len(layer)]
        expected = whole[start][row : row + len(part)]
        expected = expected[:, column[0] : column[0] + part.shape[1]] if column else expected
        np.testing.assert_array_equal(part[: len(expected)], expected, err_msg=name)
        assert not part[len(expected) :].any()  # padding of the vocabulary
        places += 1
    assert places > 100
    stds = {name: data.std() for (name, _), data in whole.items() if data.ndim == 2 and "norm" not in name}
    for name, std in stds.items():
        assert std == pytest.approx(0.02 / (8**0.5 if name.endswith(("proj.weight", "fc2.weight")) else 1), rel=0.1), name
