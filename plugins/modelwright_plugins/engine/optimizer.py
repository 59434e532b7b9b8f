"""Wrapping a component's torch optimizer for mixed precision, sharding over data ranks, and clipping."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.distributed import DistributedDataParallel
from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer
from megatron.core.optimizer.layer_wise_optimizer import LayerWiseDistributedOptimizer
from megatron.core.optimizer.optimizer import Float16OptimizerWithFloat16Params, FP32Optimizer, MegatronOptimizer
from megatron.core.optimizer.optimizer_config import OptimizerConfig
from megatron.core.process_groups_config import ProcessGroupCollection

from modelwright_plugins.optimizer import Optimizer
from modelwright_plugins.precision import Precision

ROLES = ("matrix", "embedding", "vector")


def wrapped(
    component: Optimizer, chunks: list[DistributedDataParallel], *, precision: Precision, clip: float, sharded: bool
) -> MegatronOptimizer:
    """Megatron's optimizer around the component's. `clip` is the largest norm of the whole gradient; 0 leaves it as it is.

    `sharded`: data ranks share out the optimizer's state: cut anywhere if the optimizer is elementwise, else by whole parameters.
    """
    settings = precision.settings()
    config = OptimizerConfig(
        lr=component.lr,
        clip_grad=clip,
        bf16=settings.get("bf16", False),
        params_dtype=settings["params_dtype"],
        use_distributed_optimizer=sharded and component.elementwise,
    )
    inner = component.build(parameter_groups(chunks))
    for group in inner.param_groups:
        group["peak_lr"] = group["lr"]
    model_parallel = parallel_state.get_model_parallel_group()
    if sharded and component.elementwise:
        whole: MegatronOptimizer = ReloadableDistributedOptimizer(
            inner,
            config,
            None,
            allocate_state,
            model_chunks=chunks,
            per_model_buffers={i: chunk.buffers for i, chunk in enumerate(chunks)},
            data_parallel_group=parallel_state.get_data_parallel_group(with_context_parallel=True),
            data_parallel_group_gloo=None,
            data_parallel_group_idx=dist.get_rank(model_parallel),
            distributed_optimizer_instance_id=0,
        )
        whole.grad_stats_parallel_group = None  # gradients are sharded over every rank  # type: ignore[attr-defined]
    elif sharded:
        single = inner if config.bf16 else FP32Optimizer(inner, config, allocate_state)  # for BF16 it wraps after sharing out
        whole = SharedOutOptimizer([single], config, ProcessGroupCollection.use_mpu_process_groups(), [allocate_state])
    else:
        kind = Float16OptimizerWithFloat16Params if config.bf16 else FP32Optimizer
        arguments = (inner, config, None, allocate_state) if config.bf16 else (inner, config, allocate_state)
        whole = kind(*arguments)
        whole.grad_stats_parallel_group = model_parallel
    for each in getattr(whole, "chained_optimizers", [whole]):
        each.tp_group = parallel_state.get_tensor_model_parallel_group()
    return whole


def parameter_groups(chunks: list[DistributedDataParallel]) -> list[dict[str, Any]]:
    """One group for each role, on every rank, empty or not: checkpoints want the same groups everywhere. The four
    multipliers are how Megatron tells groups apart when it loads; nothing reads them otherwise."""
    parameters: dict[str, list[torch.nn.Parameter]] = {role: [] for role in ROLES}
    for chunk in chunks:
        for parameter in chunk.parameters():
            if parameter.requires_grad:
                parameters[role_of(parameter)].append(parameter)
    identity = {"is_expert_parallel": False, "lr_mult": 1.0}
    return [
        {"params": parameters[role], "role": role, "wd_mult": float(role != "vector"), "is_decoupled_lr": role == "embedding", **identity}
        for role in ROLES
    ]


def role_of(parameter: torch.nn.Parameter) -> str:
    if parameter.dim() < 2:
        return "vector"
    return "embedding" if getattr(parameter, "is_embedding_or_output_parameter", False) else "matrix"


def allocate_state(optimizer: torch.optim.Optimizer, config: OptimizerConfig | None = None) -> None:
    """Make the state that a first step would make, without moving a weight: a checkpoint loads into it."""
    if any(optimizer.state.get(p) for group in optimizer.param_groups for p in group["params"]):
        return
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
        for parameter in group["params"]:
            parameter.grad = None


class ReloadableDistributedOptimizer(DistributedOptimizer):
    """Megatron's distributed optimizer, loading what it saved. With torch's AdamW, 0.16.1 loads wrongly in three ways."""

    def sharded_state_dict(self, model_sharded_state_dict: Any = None, is_loading: bool = False, **options: Any) -> Any:
        if is_loading:
            allocate_state(self.optimizer)  # else its state dict has no `step` to tell, and loading stops
        return super().sharded_state_dict(model_sharded_state_dict, is_loading, **options)

    @torch.no_grad()  # it copies into parameters that want gradients
    def _set_main_param_and_optimizer_states(self, model_param: torch.nn.Parameter, tensors: dict[str, torch.Tensor]) -> None:
        group, place = self.model_param_group_index_map[model_param]
        state = self.optimizer.state[self.optimizer.param_groups[group]["params"][place]]
        kept = {"step": state["step"]} if "step" in state else {}  # it is saved once for all, and asked for here
        super()._set_main_param_and_optimizer_states(model_param, {**kept, **tensors})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for state in self.optimizer.state.values():  # one tensor for all would be counted up once for each parameter
            if "step" in state:
                state["step"] = state["step"].clone()


class SharedOutOptimizer(LayerWiseDistributedOptimizer):
    """Each data rank keeps the state of some whole parameters, updates them, and gives them to the others."""

    def allgather_params(self) -> None:
        if dist.get_backend() == "gloo":  # its all-gather refuses parts of uneven size
            self.broadcast_params()
        else:
            super().allgather_params()
