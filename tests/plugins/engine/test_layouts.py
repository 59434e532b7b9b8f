"""Every layout learns what one rank learns, over 20 FP32 steps: losses within 1e-5 (they were within 6e-8), gradient norms within 5e-5.

Adam makes whole steps of gradients that are nothing but rounding (those of keys' biases are zero), and rounding is the CPU's own: the
norms were within 3e-7 on one machine, and within 1.1e-5 on another.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ranks import joined, on_ranks

LAYOUTS: dict[str, dict[str, Any]] = {
    "one rank": {},
    "tensor 2": {"tensor": 2},
    "tensor 2, sequence": {"tensor": 2, "sequence": True},
    "pipeline 2": {"pipeline": 2},
    "tensor 2, pipeline 2": {"tensor": 2, "pipeline": 2},
    "pipeline 2, virtual 2": {"pipeline": 2, "virtual": 2},
    "data 2": {"data": 2},
    "data 2, distributed optimizer": {"data": 2, "distributed_optimizer": True},
    "recompute": {"recompute": "full"},
}
ALL = {"tensor": 2, "pipeline": 2, "virtual": 2, "data": 2, "sequence": True, "distributed_optimizer": True, "recompute": "full"}
STEPS = 20


def shards(folder: Path, vocab_size: int) -> Path:
    """Documents that count up in steps of their own: there is something to learn."""
    import numpy as np
    import torch
    from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    builder = IndexedDatasetBuilder(str(folder / "train.bin"), dtype=DType.optimal_dtype(vocab_size))
    for _ in range(200):
        length, start, stride = (int(random.integers(low, high)) for low, high in ((10, 60), (1, vocab_size), (1, 5)))
        document = [(start + stride * i) % (vocab_size - 1) + 1 for i in range(length)] + [0]
        builder.add_document(torch.tensor(document), [len(document)])
    builder.finalize(str(folder / "train.idx"))
    (folder / "shards.json").write_text(json.dumps({"vocab_size": vocab_size, "end_of_document": 0}))
    return folder


def train(rank: int, cases: list[dict[str, Any]], data: str) -> list[list[dict[str, float]] | None]:
    """Metrics of each case's steps on this rank, or None where it has no part."""
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine.batches import Batches
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import assembled
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.objective.causal_lm import CausalLM
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.optimizer.muon import Muon
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import BF16, FP32
    from modelwright_plugins.schedule.warmup import Cosine
    from modelwright_plugins.tokenizer.vocabulary import Vocabulary

    found: list[list[dict[str, float]] | None] = []
    for number, case in enumerate(cases):
        layout = Megatron(**case["layout"])
        if rank >= layout.ranks(None):
            found.append(None)
            continue
        joined(rank, layout.ranks(None), number)
        architecture = CausalDecoder(**{"layers": 4, "width": 32, "heads": 4, "kv_heads": 2, **case.get("architecture", {})})
        component = {"muon": Muon(), "adamw": AdamW()}[case["optimizer"]]
        precision = {"fp32": FP32(), "bf16": BF16()}[case.get("precision", "fp32")]
        with started(layout, seed=3):
            parts = {"architecture": architecture, "parallel": layout, "precision": precision, "optimizer": component}
            parts |= {"kernel": Torch(), "attention": Native(), "objective": CausalLM(), "schedule": Cosine()}
            vocabulary = Vocabulary(case["vocab_size"], 0)
            batches = Batches.of(Path(data) / "train", CausalLM(), vocabulary, length=32, global_batch=16, seed=3)
            found.append(list(assembled(parts, batches, global_batch=16, micro_batch=2, steps=STEPS).updates(0)))
    return found


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


def worst(one: list[dict[str, float]], other: list[dict[str, float]], key: str) -> float:
    assert len(one) == len(other) == STEPS
    return max(abs(a[key] - b[key]) / abs(a[key]) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "architecture"),
    [
        ("muon", {"qk_norm": True}),  # the quickstart's kind of model
        ("adamw", {"tied_embeddings": False}),  # Llama
        ("adamw", {"norm": "layer", "activation": "gelu_tanh", "position": "learned", "bias": True, "kv_heads": None}),  # GPT-2
    ],
)
def test_every_layout_learns_what_one_rank_learns(tmp_path: Path, optimizer: str, architecture: dict[str, Any]) -> None:
    data = shards(tmp_path / "shards", 211)  # odd: padded under tensor parallelism
    cases = [{"layout": layout, "optimizer": optimizer, "architecture": architecture, "vocab_size": 211} for layout in LAYOUTS.values()]
    ranks = on_ranks(train, 4, tmp_path / "out", groups=len(cases), cases=cases, data=str(data))
    reference = ranks[0][0]
    assert reference[-1]["loss"] < reference[0]["loss"]
    for place, name in enumerate(LAYOUTS):
        for rank in ranks:
            if (metrics := rank[place]) is not None:
                assert worst(reference, metrics, "loss") < 1e-5, name
                assert worst(reference, metrics, "grad_norm") < 5e-5, name


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_eight_ranks_with_everything(tmp_path: Path, optimizer: str) -> None:
    data = shards(tmp_path / "shards", 211)
    case = {"layout": ALL, "optimizer": optimizer, "architecture": {"qk_norm": True}, "vocab_size": 211}
    cases = [case, {**case, "precision": "bf16"}, {**case, "layout": {}}]
    ranks = on_ranks(train, 8, tmp_path / "out", groups=len(cases), cases=cases, data=str(data))
    everything, bf16, reference = ranks[0]
    assert worst(reference, everything, "loss") < 1e-5
    assert worst(reference, everything, "grad_norm") < 5e-5
    assert worst(reference, bf16, "loss") < 0.02  # bfloat16 has 8 bits of mantissa
    assert bf16[-1]["loss"] < bf16[0]["loss"]
