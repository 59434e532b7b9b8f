"""Wrapping a component's torch optimizer for mixed precision, sharding over data ranks, and clipping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.distributed import DistributedDataParallel
from megatron.core.optimizer import distrib_optimizer
from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer
from megatron.core.optimizer.layer_wise_optimizer import LayerWiseDistributedOptimizer
from megatron.core.optimizer.optimizer import ChainedOptimizer, Float16OptimizerWithFloat16Params, FP32Optimizer, MegatronOptimizer
from megatron.core.optimizer.optimizer_config import OptimizerConfig
from megatron.core.process_groups_config import ProcessGroupCollection

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.fully_sharded import FullySharded, Rows, sharded_rows
from modelwright_plugins.engine.loss_scale import LossScaler
from modelwright_plugins.optimizer import Optimizer
from modelwright_plugins.precision import Precision

ROLES = ("matrix", "embedding", "vector")
Chunks = list[DistributedDataParallel] | list[FullySharded]


class TrainingOptimizer(ChainedOptimizer):
    """The optimizers of one training: of the parameters that every data rank has, and of experts that expert ranks share out.

    They have one gradient norm, which is computed also without clipping, and one loss scale.
    """

    def __init__(self, optimizers: list[MegatronOptimizer], scaler: LossScaler | None, rows: Sequence[Rows] = ()) -> None:
        ChainedOptimizer.__init__(self, optimizers)  # not the next class of a subclass, which would wrap and share them out itself
        self.scaler = scaler  # of the loss, under FP16
        self.rows = rows  # what is updated of fully sharded modules

    def prepare_grads(self) -> bool:
        """Whether a gradient has overflowed: then nothing is updated, and `step` returns (False, None, None)."""
        for rows in self.rows:
            rows.give_gradients()
        overflowed = bool(super().prepare_grads())
        if self.scaler:
            self.scaler.settle()  # ModelwrightError where the scale can't be lowered
        return overflowed

    @property
    def loss_scale(self) -> float | None:
        """What the next loss is multiplied with; None where none ever is."""
        return float(self.scaler.scale) if self.scaler else None


def wrapped(component: Optimizer, chunks: Chunks, *, precision: Precision, clip: float, sharded: bool) -> TrainingOptimizer:
    """Megatron's optimizers around the component's. `clip` is the largest norm of the whole gradient; 0 leaves it as it is.

    `sharded`: data ranks share out the optimizer's state: cut anywhere if the optimizer is elementwise, else by whole parameters.
    Under FP16 the loss is multiplied by the loss scale from here on.
    """
    settings = precision.settings()
    config = OptimizerConfig(
        lr=component.lr,
        clip_grad=clip,
        bf16=settings.get("bf16", False),
        fp16=settings.get("fp16", False),
        params_dtype=settings["params_dtype"],
        use_distributed_optimizer=sharded and component.elementwise,
    )
    scaler = precision.loss_scaler()

    def whole(inner: torch.optim.Optimizer, group: Any) -> MegatronOptimizer:
        """`group`: the ranks over which its gradients' norm is summed; None for all."""
        if config.bf16 or config.fp16:
            wrapper: MegatronOptimizer = Float16OptimizerWithFloat16Params(inner, config, scaler, allocate_state)
        else:
            wrapper = FP32Optimizer(inner, config, allocate_state)
        wrapper.grad_stats_parallel_group = group
        return wrapper

    # the gradients of experts that expert ranks share out are summed over other ranks than the rest: a Megatron optimizer of their own
    kinds = (False, True) if chunks[0].config.expert_model_parallel_size > 1 else (False,)
    inners = [component.build(parameter_groups(chunks, expert=expert)) for expert in kinds]
    for group in (group for inner in inners for group in inner.param_groups):
        # Yang et al. 2022, table 8, of Adam; it holds for others that move each element by about the rate
        scaled = group["role"] == "matrix" and component.elementwise
        group["peak_lr"] = group["lr"] * (getattr(chunks[0].config, "matrix_rate", 1.0) if scaled else 1.0)
    if rows := list(sharded_rows([chunk.module for chunk in chunks])):
        if not component.elementwise:
            raise ModelwrightError(
                "parallel.fully_sharded=true cuts matrices into rows, and this optimizer wants them whole; adamw does not"
            )
        found = TrainingOptimizer([whole(inner, None) for inner in inners], scaler, rows)
    elif sharded and component.elementwise:
        cut: list[MegatronOptimizer] = [CutOptimizer(inner, config, scaler, chunks, e) for inner, e in zip(inners, kinds, strict=True)]
        found = TrainingOptimizer(cut, scaler)
    elif sharded:
        found = SharedOutOptimizer(inners, whole, scaler)
    else:
        groups = [parallel_state.get_model_parallel_group(), parallel_state.get_expert_tensor_model_pipeline_parallel_group()]
        found = TrainingOptimizer([whole(inner, group) for inner, group in zip(inners, groups, strict=False)], scaler)
    for single in found.chained_optimizers:
        single.tp_group = parallel_state.get_tensor_model_parallel_group()
    if scaler:
        for chunk in chunks:
            # the schedule multiplies the loss with it. Megatron leaves that to its caller: without it gradients are divided by a scale
            # that they never had, which Adam hides
            chunk.config.grad_scale_func = found.scale_loss
    return found


def parameter_groups(chunks: Chunks, *, expert: bool = False) -> list[dict[str, Any]]:
    """One group for each role, on every rank, empty or not. `expert`: of the parameters that expert ranks share out, else of the
    others. Megatron shares out whole parameters by `is_expert_parallel`; it tells groups apart by that and the three multipliers when
    it loads, which we don't let it. Of what is fully sharded, the rows of this rank."""
    local = {parameter: own for rows in sharded_rows([chunk.module for chunk in chunks]) for parameter, own in rows.local.items()}
    parameters: dict[str, list[torch.nn.Parameter]] = {role: [] for role in ROLES}
    for chunk in chunks:
        for parameter in chunk.parameters():
            if parameter.requires_grad and getattr(parameter, "allreduce", True) is not expert:
                own = local.get(parameter, parameter)
                if own.numel():
                    parameters[role_of(parameter)].append(own)
    identity = {"is_expert_parallel": expert, "lr_mult": 1.0}
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


class CutOptimizer(DistributedOptimizer):
    """Megatron's distributed optimizer around any elementwise torch optimizer: each data rank has a run of each bucket's elements.

    Megatron-Core 0.16.1 takes only Adam, as what it saves and loads are `exp_avg`, `exp_avg_sq` and a step count, the latter in
    three wrong ways with torch's AdamW. Nothing else in it depends on that, and we never call those methods: `optimizer_state`
    saves and loads whatever tensors there are.
    """

    def __init__(
        self,
        inner: torch.optim.Optimizer,
        config: OptimizerConfig,
        scaler: LossScaler | None,
        chunks: Chunks,
        expert: bool,
    ) -> None:
        if expert:
            group, model = parallel_state.get_expert_data_parallel_group(), parallel_state.get_expert_tensor_model_pipeline_parallel_group()
        else:
            group, model = parallel_state.get_data_parallel_group(with_context_parallel=True), parallel_state.get_model_parallel_group()
        only = distrib_optimizer.Adam
        distrib_optimizer.Adam = torch.optim.Optimizer
        try:
            super().__init__(
                inner,
                config,
                scaler,
                allocate_state,
                model_chunks=chunks,
                per_model_buffers={i: chunk.expert_parallel_buffers if expert else chunk.buffers for i, chunk in enumerate(chunks)},
                data_parallel_group=group,
                data_parallel_group_gloo=None,
                data_parallel_group_idx=dist.get_rank(model),
                distributed_optimizer_instance_id=0,
            )
        finally:
            distrib_optimizer.Adam = only
        self.grad_stats_parallel_group = None  # gradients are cut up over every rank


class SharedOutOptimizer(TrainingOptimizer, LayerWiseDistributedOptimizer):
    """Each data rank keeps the state of some whole parameters, updates them, and gives them to the others."""

    def __init__(self, inners: list[torch.optim.Optimizer], wrap: Any, scaler: LossScaler | None) -> None:
        self.pg_collection = ProcessGroupCollection.use_mpu_process_groups()
        self.shard_params(inners)  # their groups now hold this rank's parameters; main copies are made of these only
        TrainingOptimizer.__init__(self, [wrap(inner, None) for inner in inners], scaler)
