"""Trainings to compare layouts by: the features of a layout, their pairs, and a tiny model trained in each on one batch after another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from ranks import joined

STEPS, LENGTH, BATCH, VOCABULARY = 20, 32, 16, 211  # an odd vocabulary: it is padded under tensor parallelism
MODEL: dict[str, Any] = {"layers": 4, "width": 32, "heads": 4, "kv_heads": 2, "qk_norm": True}
EXPERTS: dict[str, Any] = {"experts": 4, "expert_feed_forward": 64, "aux_loss": 0.05, "z_loss": 0.01}
FEATURES: dict[str, dict[str, Any]] = {
    "tensor": {"tensor": 2},
    "sequence": {"tensor": 2, "sequence": True},
    "pipeline": {"pipeline": 2},
    "interleaved": {"pipeline": 2, "virtual": 2},
    "uneven": {"pipeline": 2, "first_stage_layers": 1},
    "context": {"context": 2},
    "expert": {"expert": 2},
    "data": {"data": 2},
    "distributed optimizer": {"data": 2, "distributed_optimizer": True},
    "fully sharded": {"data": 2, "fully_sharded": True},
    "selective": {"recompute": "selective"},
    "full": {"recompute": "full"},
}
SPECIAL: dict[tuple[str, ...], dict[str, Any]] = {("interleaved", "uneven"): {"first_stage_layers": 2}}  # each of its two groups has one


@dataclass(frozen=True)
class Case:
    """One training of `STEPS` updates."""

    layout: dict[str, Any]
    model: dict[str, Any]
    optimizer: str = "adamw"
    precision: str = "fp32"
    length: int = LENGTH

    @property
    def ranks(self) -> int:
        from modelwright_plugins.parallel.megatron import Megatron

        return Megatron(**self.layout).ranks(None)

    @property
    def micro_batch(self) -> int:
        """Sequences a forward pass: fewer for a pipeline, which wants several, and with experts, whose auxiliary losses are each of one."""
        return 4 if "pipeline" in self.layout or "experts" in self.model else 8


@dataclass(frozen=True)
class Combination:
    """A feature, or two: what they make, or why they make nothing of their own."""

    names: tuple[str, ...]
    case: Case | None
    why: str = ""


def combined(*names: str) -> Combination:
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.parallel.megatron import Megatron

    parts = [FEATURES[name] for name in names]
    layout = {key: value for part in parts for key, value in part.items()}
    if any(part.get(key, value) != value for part in parts for key, value in layout.items()):
        return Combination(names, None, "a layout has one of the two")
    for name, part in zip(names, parts, strict=True):
        if len(names) > 1 and layout == part:
            return Combination(names, None, f"{name} has it in it")
    layout |= SPECIAL.get(names, {})
    model = {**MODEL, **(EXPERTS if "expert" in names else {}), **({"layers": 6} if names in SPECIAL else {})}
    case = Case(layout, model)
    numbers = {"global_batch": BATCH, "micro_batch": case.micro_batch, "sequence_length": LENGTH}
    try:
        problems = Megatron(**layout).problems(CausalDecoder(**model), **numbers, world=None)
    except ValueError as error:
        problems = [str(error)]
    return Combination(names, None, problems[0]) if problems else Combination(names, case)


def every() -> list[Combination]:
    """Each feature, and each pair of them."""
    return [combined(name) for name in FEATURES] + [combined(*pair) for pair in combinations(FEATURES, 2)]


def train(rank: int, cases: list[Case], data: str) -> list[list[dict[str, float]] | None]:
    """Metrics of each case's steps on this rank, or None where it has no part. One process group each."""
    found: list[list[dict[str, float]] | None] = []
    for number, case in enumerate(cases):
        if rank < case.ranks:
            joined(rank, case.ranks, number)
            found.append(list(trained(case, Path(data))))
        else:
            found.append(None)
    return found


def trained(case: Case, data: Path) -> list[dict[str, float]]:
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

    parts: dict[str, Any] = {
        "architecture": CausalDecoder(**case.model),
        "parallel": Megatron(**case.layout),
        "precision": {"fp32": FP32, "bf16": BF16}[case.precision](),
        # with less to divide by Adam makes whole steps of gradients that are nothing but rounding; experts then see other tokens
        "optimizer": {"muon": Muon(), "adamw": AdamW(epsilon=1e-5)}[case.optimizer],
        "kernel": Torch(),
        "attention": Native(),
        "objective": CausalLM(),
        "schedule": Cosine(),
    }
    with started(parts["parallel"], seed=3):
        vocabulary = Vocabulary(VOCABULARY, 0)
        batches = Batches.of(data / "train", parts["objective"], vocabulary, length=case.length, global_batch=BATCH, seed=3)
        trainer = assembled(parts, batches, global_batch=BATCH, micro_batch=case.micro_batch, steps=STEPS)
        _is_so(parts["parallel"], trainer, elementwise=parts["optimizer"].elementwise)
        return list(trainer.updates(0))


def _is_so(layout: Any, trainer: Any, *, elementwise: bool) -> None:
    """A setting that nothing reads would learn what one rank learns."""
    from modelwright_plugins.engine.fully_sharded import FullySharded

    for chunk in trainer.chunks:
        for name, value in layout.settings().items():
            assert getattr(chunk.config, name) == value, name
        assert isinstance(chunk, FullySharded) == layout.fully_sharded
        assert chunk.ddp_config.use_distributed_optimizer == (layout.distributed_optimizer and elementwise)
    assert len(trainer.chunks) == (layout.virtual or 1)


def shards(folder: Path) -> Path:
    """Documents that count up in steps of their own: there is something to learn, and several are in a sequence."""
    import json

    import numpy as np
    import torch
    from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    builder = IndexedDatasetBuilder(str(folder / "train.bin"), dtype=DType.optimal_dtype(VOCABULARY))
    for _ in range(200):
        length, start, stride = (int(random.integers(low, high)) for low, high in ((10, 60), (1, VOCABULARY), (1, 5)))
        document = [(start + stride * i) % (VOCABULARY - 1) + 1 for i in range(length)] + [0]
        builder.add_document(torch.tensor(document), [len(document)])
    builder.finalize(str(folder / "train.idx"))
    (folder / "shards.json").write_text(json.dumps({"vocab_size": VOCABULARY, "end_of_document": 0}))
    return folder


def worst(one: list[dict[str, float]], other: list[dict[str, float]], key: str) -> float:
    """The largest relative difference over the steps."""
    assert len(one) == len(other) == STEPS
    return max(abs(a[key] - b[key]) / abs(a[key]) for a, b in zip(one, other, strict=True))
