"""The optimizer's state in a checkpoint: tensors by name, the same whether and how data ranks share it out.

For each parameter, `optimizer.state.<what>.<the parameter's name>`: the optimizer's own tensors of the parameter's shape, and
`param`, the FP32 weights; what it keeps of the whole matrix that the parameter is or is a part of; and for all together the number of
updates and the loss scale. Settings (learning rate, betas …) are not kept: they come from the config.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.dist_checkpointing.mapping import ShardedBase, ShardedTensor
from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer
from megatron.core.transformer.module import MegatronModule

from modelwright_plugins.engine.cut import Cut, of_distributed_optimizer
from modelwright_plugins.engine.fully_sharded import sharded_rows
from modelwright_plugins.engine.optimizer import SharedOutOptimizer, TrainingOptimizer, allocate_state


def sharded_state(
    optimizer: TrainingOptimizer, chunks: list[MegatronModule], named: dict[str, Any], *, loading: bool, begun: bool = True
) -> dict[str, Any]:
    """What Megatron saves or loads of the optimizer; `named` holds the sharded state of `chunks`.

    `begun`: what is loaded has a state. Where FP16 has let each update pass so far there is none, and a zero one is not the same:
    some optimizers do something else at their first step.
    """
    for single in optimizer.chained_optimizers if loading else ():
        if begun:
            allocate_state(single.optimizer)
        else:
            single.optimizer.state.clear()
    parts = {id(part.data): part for part in _flat(named)}
    parts |= {id(parameter): part for rows in sharded_rows(chunks) for parameter, part in rows.parts.items()}
    tensors: dict[str, Any] = {}
    for number, place in enumerate(_places(optimizer, chunks)):
        whole = {what: place.whole(tensor, loading) for what, tensor in place.tensors(loading).items()}
        kept = {what: tensor for what, tensor in whole.items() if tensor is not None}
        if kept:
            tensors[str(number)] = {what: _like(parts[id(place.parameter)], what, tensor, place.alone) for what, tensor in kept.items()}
        for what, tensor in place.of_matrix().items():
            tensors.setdefault(str(number), {})[what] = _of_matrix(parts[id(place.parameter)], what, tensor, place)
    if loading:
        return {"tensors": tensors}
    scale = optimizer.scaler.numbers() if optimizer.scaler else None
    begun = any(state for single in optimizer.chained_optimizers for state in single.optimizer.state.values())
    numbers = {"step": _most(_steps(optimizer)), "begun": bool(_most(begun)), "loss_scale": scale}
    return {"tensors": tensors, "kind": kind(optimizer), **numbers}


def kind(optimizer: TrainingOptimizer) -> str:
    """Whose state it is: others may have tensors of the same names that mean something else."""
    return type(optimizer.chained_optimizers[0].optimizer).__name__


@torch.no_grad()
def load_state(optimizer: TrainingOptimizer, chunks: list[MegatronModule], loaded: dict[str, Any], *, step: int) -> None:
    """Set the state that `sharded_state` named from what was loaded for it; `step` is how many batches there were so far."""
    for number, place in enumerate(_places(optimizer, chunks)):
        found = loaded.get("tensors", {}).get(str(number), {})  # no tensors: an optimizer without state
        for what, tensor in place.tensors(True).items():
            run = place.cut.parted(found.get(what), tensor) if place.cut else found[what]
            tensor.copy_(run.view_as(tensor))
        for what, tensor in place.of_matrix().items():
            tensor.copy_(found[what])
        if "step" in place.state:
            place.state["step"].fill_(loaded.get("step", step))
    if optimizer.scaler and loaded.get("loss_scale"):
        optimizer.scaler.set(loaded["loss_scale"])


def named_metadata() -> dict[str, Any]:
    """What Megatron's modules and optimizers want to know to name their tensors."""
    from megatron.core import parallel_state

    return {"chained_optim_avoid_prefix": True, "dp_cp_group": parallel_state.get_data_parallel_group(with_context_parallel=True)}


@dataclass(frozen=True)
class Place:
    """A parameter of this rank, and what its optimizer has for it."""

    parameter: torch.nn.Parameter
    main: torch.Tensor  # what is updated: the parameter, or its FP32 copy, or this rank's run of either
    state: dict[str, Any]
    cut: Cut | None  # how data ranks have cut it up, if they have
    alone: bool  # no other data rank has it
    weights: torch.dtype  # of the weights in a checkpoint

    def tensors(self, loading: bool) -> dict[str, torch.Tensor]:
        """By what they are, in the same order on every rank."""
        found = {what: value for what, value in sorted(self.state.items()) if isinstance(value, torch.Tensor) and value.dim()}
        found = {what: value for what, value in found.items() if value.shape == self.main.shape}
        if loading and self.main.dtype == self.weights:  # these are the weights, which are loaded as such
            return found
        return {"param": self.main, **found}

    def of_matrix(self) -> dict[str, torch.Tensor]:
        """What is kept of the whole matrix, by what it is: of any shape, and the same on each tensor rank."""
        kept: dict[str, torch.Tensor] = self.state.get("matrix", {})
        return kept

    def whole(self, tensor: torch.Tensor, loading: bool) -> torch.Tensor | None:
        """Of the parameter's shape; None if another rank has it whole. When loading only the shape counts."""
        if self.cut is None:
            return tensor.detach()
        if loading:
            return torch.empty(self.parameter.shape, dtype=tensor.dtype, device=tensor.device) if self.cut.at_home else None
        joined = self.cut.joined(tensor)
        return None if joined is None else joined.view(self.parameter.shape)


def _places(optimizer: TrainingOptimizer, chunks: list[MegatronModule]) -> Iterator[Place]:
    """Of the parameters that this rank's optimizer has all or some of, in the modules' order: ranks that share one meet at it."""
    found: dict[torch.nn.Parameter, Place] = {}
    for single in optimizer.chained_optimizers:
        inner = single.optimizer
        if isinstance(single, DistributedOptimizer):
            for parameter, cut in of_distributed_optimizer(single).items():
                if parameter in single.model_param_group_index_map:
                    group, number = single.model_param_group_index_map[parameter]
                    main = inner.param_groups[group]["params"][number]
                    found[parameter] = Place(parameter, main, inner.state[main], cut, True, parameter.dtype)
            continue
        for rows in optimizer.rows:
            for parameter, cut in rows.cuts.items():
                if (main := rows.local[parameter]).numel():
                    found[parameter] = Place(parameter, main, inner.state[main], cut, True, rows.dtype)
        updated = {id(p) for group in inner.param_groups for p in group["params"]}
        for parameter in (parameter for chunk in chunks for parameter in chunk.parameters()):
            main = getattr(parameter, "main_param", parameter)
            if id(main) in updated:
                found[parameter] = Place(
                    parameter, main, inner.state[main], None, isinstance(optimizer, SharedOutOptimizer), parameter.dtype
                )
    for chunk in chunks:
        for parameter in chunk.parameters():
            if parameter in found:
                yield found[parameter]


def _steps(optimizer: TrainingOptimizer) -> int:
    """Updates that the optimizer has counted: fewer than batches where an overflow let some pass."""
    states = (state for single in optimizer.chained_optimizers for state in single.optimizer.state.values())
    return max((int(state["step"]) for state in states if "step" in state), default=0)


def _most(number: int) -> int:
    """The largest of all ranks': one may have nothing of the optimizer."""
    most = torch.tensor(number, device=torch.cuda.current_device())
    dist.all_reduce(most, dist.ReduceOp.MAX)
    return int(most)


def _like(part: ShardedBase, what: str, tensor: torch.Tensor, alone: bool) -> ShardedBase:
    """The state of a parameter is split and named as the parameter is."""
    changes: dict[str, Any] = {"key": f"optimizer.state.{what}.{part.key}", "data": tensor}
    if isinstance(part, ShardedTensor):
        changes["dtype"] = tensor.dtype
    if alone:  # no other data rank has a copy to save
        changes["replica_id"] = (*part.replica_id[:2], 0)
    return dataclasses.replace(part, **changes)


def _of_matrix(part: ShardedBase, what: str, tensor: torch.Tensor, place: Place) -> ShardedTensor:
    """Not split, but of the layer and on the data ranks that the parameter is of and on."""
    first = part if isinstance(part, ShardedTensor) else next(iter(part.build()))  # a gated matrix is named as its two halves
    layers, shape = first.prepend_axis_num, tuple(tensor.shape)
    stage, _, data = part.replica_id
    expert = not getattr(place.parameter, "allreduce", True)
    tensor_rank = parallel_state.get_expert_tensor_parallel_rank() if expert else parallel_state.get_tensor_model_parallel_rank()
    return ShardedTensor(
        key=f"optimizer.state.{what}.{part.key}",
        data=tensor,
        dtype=tensor.dtype,
        local_shape=shape,
        global_shape=(*first.global_shape[:layers], *shape),
        global_offset=(*first.global_offset[:layers], *(0 for _ in shape)),
        axis_fragmentations=(*first.axis_fragmentations[:layers], *(1 for _ in shape)),
        replica_id=(stage, tensor_rank, 0 if place.alone else data),
        prepend_axis_num=layers,
        allow_shape_mismatch=first.allow_shape_mismatch,
    )


def _flat(value: Any) -> Iterator[ShardedBase]:
    if isinstance(value, ShardedBase):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _flat(each)
