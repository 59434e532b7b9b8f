"""Every layout learns what one rank learns: losses and gradient norms of 20 FP32 steps within 1e-4."""

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
    "recompute": {"recompute": True},
}
ALL = {"tensor": 2, "pipeline": 2, "virtual": 2, "data": 2, "sequence": True, "distributed_optimizer": True, "recompute": True}
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
    from modelwright_plugins.engine import model, optimizer
    from modelwright_plugins.engine.batches import Batches
    from modelwright_plugins.engine.loop import Trainer
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.objective.causal_lm import CausalLM
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.optimizer.muon import Muon
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import BF16, FP32
    from modelwright_plugins.schedule.warmup import Cosine

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
            chunks = model.build(
                architecture, parallel=layout, precision=precision, kernel=Torch(), vocab_size=case["vocab_size"], sequence_length=32
            )
            model.initialise(chunks, architecture, seed=3, vocab_size=case["vocab_size"])
            sharded = layout.distributed_optimizer
            wrapped = model.distribute(chunks, precision=precision, sharded_gradients=sharded and component.elementwise)
            updater = optimizer.wrapped(component, wrapped, precision=precision, clip=1.0, sharded=sharded)
            batches = Batches(Path(data) / "train", sequence_length=32, global_batch=16, seed=3)
            trainer = Trainer(wrapped, updater, CausalLM(), Cosine(), batches, micro_batch=2, steps=STEPS, seed=3)
            found.append(list(trainer.updates(0)))
    return found


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
                assert worst(reference, metrics, "loss") < 1e-4, name
                assert worst(reference, metrics, "grad_norm") < 1e-4, name


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_eight_ranks_with_everything(tmp_path: Path, optimizer: str) -> None:
    data = shards(tmp_path / "shards", 211)
    case = {"layout": ALL, "optimizer": optimizer, "architecture": {"qk_norm": True}, "vocab_size": 211}
    cases = [case, {**case, "precision": "bf16"}, {**case, "layout": {}}]
    ranks = on_ranks(train, 8, tmp_path / "out", groups=len(cases), cases=cases, data=str(data))
    everything, bf16, reference = ranks[0]
    assert worst(reference, everything, "loss") < 1e-4
    assert worst(reference, everything, "grad_norm") < 1e-4
    assert worst(reference, bf16, "loss") < 0.02  # bfloat16 has 8 bits of mantissa
    assert bf16[-1]["loss"] < bf16[0]["loss"]
