"""Experts that ranks share out: their gradients are summed over the ranks that hold them, and count once in the gradient's norm.

A small mixture of experts of Megatron's own layers; every layout learns what one rank learns, and loads what another saved.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from ranks import joined, on_ranks

from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.precision import Precision
from modelwright_plugins.precision.floats import BF16, FP16, FP32

LAYOUTS: dict[str, dict[str, Any]] = {
    "one": {},
    "data 2": {"data": 2},
    "expert 2": {"data": 2, "expert": 2},
    "expert 2, cut": {"data": 2, "expert": 2, "distributed_optimizer": True},
    "expert 2, data 4": {"data": 4, "expert": 2},
    "expert 2, data 4, cut": {"data": 4, "expert": 2, "distributed_optimizer": True},
    "expert 2, tensor 2, cut": {"data": 2, "expert": 2, "tensor": 2, "sequence": True, "distributed_optimizer": True},
    "expert 2, tensor 2 but not of experts": {"data": 1, "expert": 2, "tensor": 2, "expert_tensor": 1, "sequence": True},
    "expert 2, pipeline 2, cut": {"data": 2, "expert": 2, "pipeline": 2, "distributed_optimizer": True},
}


@dataclass(frozen=True, kw_only=True)
class Mixture(CausalDecoder):
    """Two of four experts for each token."""

    def transformer_config(self, **engine: Any) -> Any:
        mixture = {"num_moe_experts": 4, "moe_router_topk": 2, "moe_token_dispatcher_type": "alltoall", "moe_aux_loss_coeff": 0.0}
        return super().transformer_config(**engine, **mixture, moe_router_load_balancing_type="none", moe_ffn_hidden_size=48)

    def build(self, config: Any, modules: Any, *, vocab_size: int, sequence_length: int, **stage: Any) -> Any:
        from megatron.core.models.gpt.moe_module_specs import get_moe_module_spec

        from modelwright_plugins.architecture._gpt import GPT
        from modelwright_plugins.architecture._layers import block, layer

        each = layer(config, modules)
        each.submodules.mlp = get_moe_module_spec(use_te=False, num_experts=4, moe_grouped_gemm=False)
        layers = block(config, modules, each, **stage)
        return GPT(config, layers, tokens=vocab_size, max_sequence_length=sequence_length, position_embedding_type="rope", **stage)


def trainer(layout: str, optimizer: str, precision: Precision, steps: int) -> Any:
    from modelwright_plugins.conformance.training import Case, _trainer, built_in
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.optimizer.muon import Muon
    from modelwright_plugins.parallel.megatron import Megatron

    component = {"muon": Muon(lr=0.005), "adamw": AdamW()}[optimizer]
    parts = {"parallel": Megatron(**LAYOUTS[layout]), "optimizer": component, "precision": precision}
    parts["architecture"] = Mixture(layers=2, width=32, heads=4, kv_heads=2, tied_embeddings=False)
    return _trainer({**built_in(), **parts}, Case(parts=parts, steps=steps, micro_batch=1))


def learned(rank: int, cases: list[tuple[str, str, Precision]]) -> list[list[tuple[float, float]] | None]:
    """(loss, norm of the gradient) of each of eight updates."""
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    found: list[list[tuple[float, float]] | None] = []
    for number, (name, optimizer, precision) in enumerate(cases):
        layout = Megatron(**LAYOUTS[name])
        if rank >= layout.ranks(None):
            found.append(None)
            continue
        joined(rank, layout.ranks(None), number)
        with started(layout, seed=3):
            found.append([(m["loss"], m["grad_norm"]) for m in trainer(name, optimizer, precision, 8).updates(0)])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_experts_on_ranks_learn_what_they_learn_on_one(tmp_path: Path, optimizer: str) -> None:
    cases: list[tuple[str, str, Precision]] = [(name, optimizer, FP32()) for name in LAYOUTS]
    found = on_ranks(learned, 4, tmp_path, groups=len(cases), cases=cases)[0]
    one = found[0]
    assert one[-1][0] < one[0][0]
    for place, name in enumerate(LAYOUTS):
        for now, then in zip(found[place], one, strict=True):
            assert now[0] == pytest.approx(then[0], rel=1e-5), name
            assert now[1] == pytest.approx(then[1], rel=1e-4), name


@pytest.mark.slow
@pytest.mark.parametrize("precision", [BF16(), FP16()], ids=["bf16", "fp16"])
def test_experts_in_half_precision(tmp_path: Path, precision: Precision) -> None:
    names = ["expert 2, cut", "expert 2, data 4", "expert 2, data 4, cut"]
    cases = [("one", "adamw", FP32())] + [(n, "adamw", precision) for n in names] + [(names[1], "muon", precision)]
    one, *others, muon = on_ranks(learned, 4, tmp_path, groups=len(cases), cases=cases)[0]
    for found in others:
        assert [loss for loss, _ in found] == pytest.approx([loss for loss, _ in one], rel=0.01)
        assert [norm for _, norm in found][:4] == pytest.approx([norm for _, norm in one][:4], rel=0.05)
    assert muon[-1][0] < muon[0][0]


def reloaded(rank: int, ways: list[tuple[str, str]], optimizer: str, out: Path) -> list[list[float] | None]:
    """Losses of the last three of six updates: in the first layout of each way, and in the second from what the first saved."""
    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    found: list[list[float] | None] = []
    for number, way in enumerate(ways):
        for place, name in enumerate(way):
            layout = Megatron(**LAYOUTS[name])
            if rank >= layout.ranks(None):
                found.append(None)
                continue
            joined(rank, layout.ranks(None), 2 * number + place)
            with started(layout, seed=3):
                made = trainer(name, optimizer, FP32(), 6)
                modules = [chunk.module for chunk in made.chunks]
                if place == 0:
                    list(islice(made.updates(0), 3))
                    (out / str(number)).mkdir(exist_ok=True)
                    checkpoint.save(out / str(number), 3, modules, made.optimizer, keep_last=None)
                else:
                    checkpoint.load(out / str(number), 3, modules, made.optimizer)
                found.append([m["loss"] for m in made.updates(3)])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_checkpoint_of_experts_loads_in_any_layout(tmp_path: Path, optimizer: str) -> None:
    ways = [("one", "expert 2, cut"), ("expert 2, cut", "data 2"), ("expert 2, data 4, cut", "expert 2, tensor 2, cut")]
    ways += [("expert 2, tensor 2, cut", "expert 2, pipeline 2, cut")]
    found = on_ranks(reloaded, 4, tmp_path, groups=2 * len(ways), ways=ways, optimizer=optimizer, out=tmp_path)[0]
    for number, way in enumerate(ways):
        assert found[2 * number + 1] == pytest.approx(found[2 * number], rel=1e-5), way
