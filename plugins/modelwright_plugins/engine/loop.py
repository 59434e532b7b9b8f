"""The training loop: global batches in, updates and metrics out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.distributed import DistributedDataParallel
from megatron.core.optimizer.optimizer import MegatronOptimizer
from megatron.core.pipeline_parallel.schedules import get_forward_backward_func
from megatron.core.tensor_parallel.random import model_parallel_cuda_manual_seed

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.batches import Batches
from modelwright_plugins.objective import Objective
from modelwright_plugins.schedule import Schedule


@dataclass(frozen=True)
class Trainer:
    """All that one update needs, on one rank."""

    chunks: list[DistributedDataParallel]
    optimizer: MegatronOptimizer
    objective: Objective
    schedule: Schedule
    batches: Batches
    global_batch: int  # sequences an update, over all ranks
    micro_batch: int  # sequences a forward pass, on one rank
    steps: int
    causal: bool  # the model's attention, where an objective does not say what is seen

    def updates(self, done: int) -> Iterator[dict[str, float]]:
        """The metrics of update `done` + 1, `done` + 2, … up to `steps`, the same on every rank.

        step, tokens (seen up to here), loss (nats a token), grad_norm (before clipping), lr, tokens_per_second.
        """
        device = next(self.chunks[0].parameters()).device
        data_rank, data_ranks = parallel_state.get_data_parallel_rank(), parallel_state.get_data_parallel_world_size()
        for step in range(done + 1, self.steps + 1):
            began = time.perf_counter()
            factor = self.schedule.factor(step, self.steps)
            for group in self.optimizer.param_groups:
                group["lr"] = group["peak_lr"] * factor
            # dropout depends on the step and this rank's place alone, so resuming is exact
            place = [parallel_state.get_pipeline_model_parallel_rank(), data_rank]
            model_parallel_cuda_manual_seed(int(np.random.SeedSequence([self.batches.seed, step, *place]).generate_state(1)[0]))
            batch = self.batches.batch((step - 1) * self.global_batch, self.global_batch, data_rank, data_ranks)
            loss = self._accumulate(batch, device)
            _, grad_norm, _ = self.optimizer.step()
            count = self.global_batch * self.batches.length
            if not (math.isfinite(loss) and math.isfinite(grad_norm)):  # before anything is saved
                raise ModelwrightError(
                    f"the loss is {loss} and the gradient's norm {float(grad_norm)} at step {step}; a lower optimizer.lr or a longer "
                    "schedule.warmup may help"
                )
            yield {
                "step": step,
                "tokens": step * count,
                "loss": loss,
                "grad_norm": float(grad_norm),
                "lr": self.optimizer.param_groups[0]["peak_lr"] * factor,
                "tokens_per_second": count / (time.perf_counter() - began),
            }

    def _accumulate(self, batch: dict[str, torch.Tensor], device: torch.device) -> float:
        """Gradients of this global batch into the buffers; its mean loss, on every rank."""
        micro = [self._placed(rows, device) for rows in split(batch, self.micro_batch)]
        for chunk in self.chunks:
            chunk.zero_grad_buffer()
        self.optimizer.zero_grad()
        outputs = get_forward_backward_func()(
            forward_step_func=self._forward,
            data_iterator=[iter(micro) for _ in self.chunks],
            model=self.chunks,
            num_microbatches=len(micro),
            seq_length=self.batches.length,
            micro_batch_size=self.micro_batch,
            forward_only=False,
        )
        return mean_loss(outputs, device)

    def _placed(self, inputs: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor | None]:
        """On the device; what is seen is left out where the model sees it anyway, which is faster."""
        visible = inputs.get("attention_mask")
        plain = visible is not None and torch.equal(visible, everything(visible, causal=self.causal))
        return {name: None if plain and name == "attention_mask" else value.to(device) for name, value in inputs.items()}

    def _forward(self, data: Iterator[dict[str, torch.Tensor]], model: torch.nn.Module) -> tuple[torch.Tensor, Any]:
        inputs = next(data)

        def loss(output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
            total, count = self.objective.loss(output, inputs)
            # the schedule may scale `total` in place: what is reported must not share its memory
            return total, count, {"loss": torch.stack([total.detach().double(), count.double()])}

        return model(**{name: value for name, value in inputs.items() if not name.startswith("loss_")}), loss


def split(batch: dict[str, torch.Tensor], size: int) -> Iterator[dict[str, torch.Tensor]]:
    """Rows [rows, …] of each tensor, `size` at a time."""
    count = len(next(iter(batch.values())))
    for first in range(0, count, size):
        yield {name: value[first : first + size] for name, value in batch.items()}


def everything(visible: torch.Tensor, *, causal: bool) -> torch.Tensor:
    """What positions see if nothing is kept apart, in the form of `visible` [batch, length, 2]."""
    length = visible.shape[1]
    last = torch.arange(1, length + 1) if causal else torch.full((length,), length)
    return torch.stack([torch.zeros_like(last), last], 1).expand_as(visible)


def mean_loss(outputs: list[dict[str, torch.Tensor]], device: torch.device) -> float:
    """Loss a token over the micro-batches of all data ranks, on every rank. Only a last pipeline stage has outputs."""
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    for output in outputs:
        sums += output["loss"]
    dist.all_reduce(sums, group=parallel_state.get_data_parallel_group())
    dist.broadcast(sums, parallel_state.get_pipeline_model_parallel_last_rank(), parallel_state.get_pipeline_model_parallel_group())
    return (sums[0] / sums[1]).item()
