"""Fully sharded data parallelism: each data rank keeps a run of rows of each parameter, and of its gradient and optimizer state.

torch's FSDP2 (Zhao et al. 2023, arXiv:2304.11277; ZeRO-3, Rajbhandari et al. 2020) gathers a layer's weights when it is computed and
sums its gradients into the rows of each rank. The rows are FP32, whatever a layer is computed in: they are the main weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from megatron.core import parallel_state, tensor_parallel
from megatron.core.dist_checkpointing.mapping import LocalNonpersistentObject, ShardedBase
from megatron.core.distributed.data_parallel_base import _BaseDataParallel
from megatron.core.distributed.distributed_data_parallel_config import DistributedDataParallelConfig
from megatron.core.ssm.mamba_layer import MambaLayer
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.transformer_layer import TransformerLayer
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.cut import Cut, cuts

UNITS = (TransformerLayer, MambaLayer)
"""What is gathered by itself. The rest, with the embeddings that the last layer may want again, stays gathered from the forward to the
backward pass."""


class FullySharded(_BaseDataParallel):
    """A module whose parameters data ranks share out.

    Megatron-Core 0.16.1's `TorchFullyShardedDataParallel` divides gradients by the ranks, where ours are sums over tokens, doesn't
    divide them by the tokens, accumulates BF16 gradients in BF16, names CUDA, and loads only what the same ranks saved.
    """

    def __init__(self, module: MegatronModule, dtype: torch.dtype) -> None:
        """`dtype`: of the computation."""
        super().__init__(config=module.config, module=module)
        if any(not getattr(parameter, "allreduce", True) for parameter in module.parameters()):
            raise ModelwrightError("experts that ranks share out can't be fully sharded; parallel.expert=1 can")
        if module.config.fp8:
            raise ModelwrightError(
                "parallel.fully_sharded=true saves no FP8 scales; precision=bf16, or parallel.distributed_optimizer=true"
            )
        self.ddp_config = DistributedDataParallelConfig()
        named: dict[str, Any] = module.sharded_state_dict()
        parts = {id(part.data): part for part in named.values()}
        named_parts = {name: dataclasses.replace(parts[id(p)], data=None) for name, p in module.named_parameters()}
        attributes = {name: dict(vars(p)) for name, p in module.named_parameters()}
        others = {name: part for name, part in named.items() if name not in named_parts}

        group = parallel_state.get_data_parallel_group(with_context_parallel=True)
        mesh = DeviceMesh.from_group(group, next(module.parameters()).device.type)
        policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
        module.float()
        units = [each for each in module.modules() if isinstance(each, UNITS)]
        for unit in units:
            fully_shard(unit, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
        fully_shard(module, mesh=mesh, mp_policy=policy)
        for unit in [*units, module]:
            assert isinstance(unit, FSDPModule)
            unit.set_gradient_divide_factor(1.0)
            unit.set_force_sum_reduction_for_comms(True)  # gloo has no other
        for name, parameter in module.named_parameters():
            vars(parameter).update(attributes[name])  # as tensor and sequence parallelism mark them
        self.rows = Rows(module, named_parts, others, dtype)

    def finish_grad_sync(self, force_all_reduce: bool | None = False) -> None:
        """Gradients are summed as they are made."""

    @torch.no_grad()
    def scale_gradients(self, scaling_factor: float | torch.Tensor) -> None:
        for parameter in self.module.parameters():
            if parameter.grad is not None:
                parameter.grad.to_local().mul_(scaling_factor)

    def zero_grad_buffer(self) -> None:
        for parameter in self.module.parameters():
            parameter.grad = None


class Rows:
    """The parameters of a fully sharded module: each one's rows on this rank, and the whole in a checkpoint."""

    def __init__(self, module: MegatronModule, parts: dict[str, ShardedBase], others: dict[str, ShardedBase], dtype: torch.dtype) -> None:
        """`parts`: how a checkpoint names each parameter when it is whole, and `others` what else is kept of the module.
        `dtype`: of the weights in a checkpoint."""
        self.named = dict(module.named_parameters())
        self.parts = {self.named[name]: part for name, part in parts.items()}
        self.names, self.others, self.dtype = {p: name for name, p in self.named.items()}, others, dtype
        group = next(iter(self.named.values())).device_mesh.get_group()
        self.cuts: dict[torch.nn.Parameter, Cut] = dict(zip(self.parts, cuts(group, map(_runs, self.parts)), strict=True))
        self.local = {parameter: _local(parameter) for parameter in self.parts}
        # what loads and saves a module asks it for its state: whole parameters, as any other layout wants them
        module.rows, module.sharded_state_dict, module.load_state_dict = self, self.sharded_state_dict, self.load_state_dict

    def give_gradients(self) -> None:
        """To what the optimizer updates: the rows."""
        for parameter, rows in self.local.items():
            rows.main_grad = None if parameter.grad is None else parameter.grad.to_local()  # type: ignore[attr-defined]

    def sharded_state_dict(self, prefix: str = "", sharded_offsets: tuple[Any, ...] = (), metadata: Any = None) -> dict[str, Any]:
        """As Megatron's modules have it; each parameter on the rank where it is put together. All data ranks call it."""
        found: dict[str, Any] = {"": LocalNonpersistentObject(None), **self.others}  # never empty, which loading would leave out
        for parameter, cut in self.cuts.items():
            whole = cut.joined(self.local[parameter].to(self.dtype))
            if whole is not None:
                data, part = whole.view(parameter.shape), self.parts[parameter]
                # a factory makes its parts of the data, and one rank has all
                found[self.names[parameter]] = dataclasses.replace(part, data=data, replica_id=(*part.replica_id[:2], 0))
        return found

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any], strict: bool = True) -> None:
        for parameter, cut in self.cuts.items():
            rows = self.local[parameter]
            rows.copy_(cut.parted(state.get(self.names[parameter]), rows).view_as(rows))


def sharded_rows(chunks: list[MegatronModule]) -> Iterator[Rows]:
    """Of the modules (not of what wraps them) that are fully sharded."""
    for chunk in chunks:
        if isinstance(rows := getattr(chunk, "rows", None), Rows):
            yield rows


def _runs(parameter: torch.nn.Parameter) -> tuple[tuple[int, int], ...]:
    """FSDP2 gives each rank as many rows as `torch.chunk` would: the same number, but for the last ones."""
    assert isinstance(parameter, DTensor)
    ranks, width = parameter.device_mesh.size(), parameter.numel() // max(len(parameter), 1)
    share = -(-len(parameter) // ranks)
    edges = [min(rank * share, len(parameter)) * width for rank in range(ranks + 1)]
    return tuple(pairwise(edges))


def _local(parameter: torch.nn.Parameter) -> torch.nn.Parameter:
    """This rank's rows, in the same memory."""
    assert isinstance(parameter, DTensor)
    rows = torch.nn.Parameter(parameter.to_local().detach())
    tensor_parallel.copy_tensor_model_parallel_attributes(rows, parameter)
    if hasattr(parameter, "shared"):
        rows.shared = parameter.shared  # type: ignore[attr-defined]
    return rows
