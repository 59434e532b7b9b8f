"""A module whose weights are frozen but for those of an adapter, and whose checkpoints hold only these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from megatron.core import parallel_state
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.utils import make_sharded_tensors_for_checkpoint

from modelwright_plugins.engine import model

RATE = "thawed_bias_update_rate"  # where a config keeps what `thaw` gives back
Draw = Callable[[str, tuple[int, ...], torch.Generator], torch.Tensor | None]


class New(torch.nn.Module):
    """New weights of an adapter. `split`: the dimension of each, by name, that tensor ranks share out; the others each rank has whole.

    `halves`: the names of those that are two matrices one above the other, whose rows are shared out each for themselves (SwiGLU's).
    `scattered`: each tensor rank uses what it has whole on its part of the sequence, so that gradients are summed over them.
    """

    split: Mapping[str, int]
    halves: tuple[str, ...] = ()

    def mark(self, group: torch.distributed.ProcessGroup, *, scattered: bool) -> None:
        """Tell Megatron how each weight is shared out."""
        self.tp_group = group
        for name, parameter in self.named_parameters():
            dimension = self.split.get(name)
            parameter.tensor_model_parallel = dimension is not None  # type: ignore[attr-defined]
            parameter.sequence_parallel = dimension is None and scattered  # type: ignore[attr-defined]
            if dimension is not None:
                parameter.partition_dim = dimension  # type: ignore[attr-defined]
                parameter.partition_stride = 2 if name in self.halves else 1  # type: ignore[attr-defined]

    def sharded_state_dict(self, prefix: str = "", sharded_offsets: Any = (), metadata: Any = None) -> dict[str, Any]:
        from megatron.core.transformer.mlp import apply_swiglu_sharded_factory

        state = make_sharded_tensors_for_checkpoint(
            self.state_dict(prefix="", keep_vars=True),
            prefix,
            dict(self.split),
            sharded_offsets,
            tp_group=self.tp_group,
            dp_cp_group=parallel_state.get_data_parallel_group(with_context_parallel=True),
        )
        for name in self.halves:
            state[prefix + name] = apply_swiglu_sharded_factory(state[prefix + name], sharded_offsets)
        return state


class Adapted:
    """Goes before a chunk's own class: its state is what is new in it."""

    def sharded_state_dict(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        names = new_names(cast(MegatronModule, self))
        state = super().sharded_state_dict(*arguments, **options)  # type: ignore[misc]
        return {name: part for name, part in state.items() if name in names}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        if strict and (odd := new_names(cast(MegatronModule, self)) ^ {*state}):
            raise RuntimeError(f"of the adapter's weights these are missing, or not its own: {', '.join(sorted(odd)[:5])}")
        return super().load_state_dict(state, strict=False, assign=assign)  # type: ignore[misc]


def new_names(chunk: torch.nn.Module) -> set[str]:
    return {f"{at}.{name}" for at, module in chunk.named_modules() if isinstance(module, New) for name, _ in module.named_parameters()}


def freeze(chunk: MegatronModule) -> None:
    """Before what is new is put in."""
    chunk.requires_grad_(False)
    # a router's bias is no parameter: Megatron moves it after each backward pass, by this rate, of the config that all chunks may share
    vars(chunk.config).setdefault(RATE, chunk.config.moe_router_bias_update_rate)
    chunk.config.moe_router_bias_update_rate = 0.0
    chunk.__class__ = type(f"Adapted{type(chunk).__name__}", (Adapted, type(chunk)), {})
    if chunk.config.recompute_granularity == "full" and (embedding := getattr(chunk, "embedding", None)) is not None:
        # a layer that is computed again has a gradient only where its input wants one, and nothing before the first layer is trained
        embedding.register_forward_hook(_wanting)


def _wanting(module: torch.nn.Module, inputs: Any, out: torch.Tensor) -> torch.Tensor:
    return out.requires_grad_() if torch.is_grad_enabled() and not out.requires_grad else out


def thaw(chunk: MegatronModule) -> None:
    """After what is new was merged and taken out."""
    chunk.__class__ = type(chunk).__mro__[2]
    chunk.requires_grad_(True)
    chunk.config.moe_router_bias_update_rate = vars(chunk.config).pop(RATE, chunk.config.moe_router_bias_update_rate)


def draw(chunks: list[MegatronModule], seed: int, drawn: Draw) -> None:
    """Set the new weights: each whole matrix by `drawn`, whatever the layout; None: as it was made."""

    class Initial:
        initial_weights = staticmethod(drawn)

        def initial_std(self, name: str) -> None: ...

    model.initialise(chunks, cast(Any, Initial()), seed=seed, vocab_size=0)
