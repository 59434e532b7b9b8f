"""The optimizer's state in a checkpoint: tensors by name, the same whether and how data ranks share it out.

For each parameter, `optimizer.state.<what>.<the parameter's name>`: the optimizer's own tensors of the parameter's shape,
and `param`, the FP32 weights. Settings (learning rate, betas …) are not kept: they come from the config.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from megatron.core.dist_checkpointing.mapping import ShardedBase, ShardedTensor
from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer
from megatron.core.optimizer.optimizer import MegatronOptimizer
from megatron.core.transformer.module import MegatronModule

from modelwright_plugins.engine.optimizer import SharedOutOptimizer, allocate_state

FULLY = {"distrib_optim_sharding_type": "fully_reshardable"}  # the one format that loads into other tensor and pipeline sizes


def sharded_state(optimizer: MegatronOptimizer, chunks: list[MegatronModule], named: dict[str, Any], *, loading: bool) -> dict[str, Any]:
    """What Megatron saves or loads of the optimizer; `named` holds the sharded state of `chunks`."""
    if isinstance(optimizer, DistributedOptimizer):
        return {"tensors": optimizer.sharded_state_dict(named, is_loading=loading, metadata={**named_metadata(), **FULLY})["param_state"]}
    inner = _inner(optimizer)
    if loading:
        allocate_state(inner)
    parts = {id(part.data): part for part in _flat(named)}
    tensors: dict[str, Any] = {}
    for number, (parameter, main) in enumerate(_owned(inner, chunks)):
        state = {"param": main, **_tensors_like(main, inner.state[main])}
        if loading and main is parameter:
            del state["param"]  # these are the weights, which are loaded as such
        part, alone = parts[id(parameter)], isinstance(optimizer, SharedOutOptimizer)
        tensors[str(number)] = {what: _like(part, what, tensor, alone) for what, tensor in state.items()}
    return {"tensors": tensors}


@torch.no_grad()
def load_state(optimizer: MegatronOptimizer, chunks: list[MegatronModule], loaded: dict[str, Any], *, step: int) -> None:
    """Set the state that `sharded_state` named from what was loaded for it, and the number of updates so far."""
    if isinstance(optimizer, DistributedOptimizer):
        own = optimizer.state_dict()
        for group in own["optimizer"]["param_groups"]:
            group["step"] = float(step)
        optimizer.load_state_dict({**own, "param_state": loaded["tensors"], "param_state_sharding_type": "fully_reshardable"})
        return
    inner = _inner(optimizer)
    for number, (_, main) in enumerate(_owned(inner, chunks)):
        state = {"param": main, **inner.state[main]}
        for what, tensor in loaded["tensors"][str(number)].items():
            state[what].copy_(tensor)
        if "step" in state:
            state["step"].fill_(step)


def named_metadata() -> dict[str, Any]:
    """What Megatron's modules and optimizers want to know to name their tensors."""
    from megatron.core import parallel_state

    return {"chained_optim_avoid_prefix": True, "dp_cp_group": parallel_state.get_data_parallel_group(with_context_parallel=True)}


def _inner(optimizer: MegatronOptimizer) -> torch.optim.Optimizer:
    single = optimizer.chained_optimizers[0] if isinstance(optimizer, SharedOutOptimizer) else optimizer
    assert isinstance(single.optimizer, torch.optim.Optimizer)
    return single.optimizer


def _owned(inner: torch.optim.Optimizer, chunks: list[MegatronModule]) -> Iterator[tuple[torch.nn.Parameter, torch.Tensor]]:
    """(parameter, what the optimizer updates: itself or its FP32 copy) of those that this rank's optimizer has."""
    updated = {id(p) for group in inner.param_groups for p in group["params"]}
    for chunk in chunks:
        for parameter in chunk.parameters():
            main = getattr(parameter, "main_param", parameter)
            if id(main) in updated:
                yield parameter, main


def _tensors_like(main: torch.Tensor, state: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {what: value for what, value in state.items() if isinstance(value, torch.Tensor) and value.shape == main.shape and value.dim()}


def _like(part: ShardedBase, what: str, tensor: torch.Tensor, alone: bool) -> ShardedBase:
    """The state of a parameter is split and named as the parameter is."""
    changes: dict[str, Any] = {"key": f"optimizer.state.{what}.{part.key}", "data": tensor.detach()}
    if isinstance(part, ShardedTensor):
        changes["dtype"] = tensor.dtype
    if alone:  # no other data rank has a copy to save
        changes["replica_id"] = (*part.replica_id[:2], 0)
    return dataclasses.replace(part, **changes)


def _flat(value: Any) -> Iterator[ShardedBase]:
    if isinstance(value, ShardedBase):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _flat(each)
