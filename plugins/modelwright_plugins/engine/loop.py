"""The training loop: global batches in, updates and metrics out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.distributed import DistributedDataParallel
from megatron.core.pipeline_parallel.schedules import get_forward_backward_func
from megatron.core.tensor_parallel.random import model_parallel_cuda_manual_seed

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine import context, heads
from modelwright_plugins.engine.data import Data
from modelwright_plugins.engine.optimizer import TrainingOptimizer
from modelwright_plugins.engine.position import Position, Ramp
from modelwright_plugins.engine.reference import Beside
from modelwright_plugins.objective.loss import Loss
from modelwright_plugins.schedule import Schedule
from modelwright_plugins.stability import Stability


class Spike(ModelwrightError):
    """An update whose loss is a spike; the weights are spoilt."""

    def __init__(self, why: str, step: int, drawn: int) -> None:
        super().__init__(f"{why} at step {step}; a lower optimizer.lr or a longer schedule.warmup may help")
        self.why, self.step, self.drawn = why, step, drawn  # sequences drawn, those of this update among them


@dataclass(frozen=True)
class Trainer:
    """All that one update needs, on one rank."""

    chunks: list[DistributedDataParallel]
    optimizer: TrainingOptimizer
    objective: Loss
    schedule: Schedule
    batches: Data
    ramp: Ramp  # sequences an update, or examples of `batches.rows` sequences, over all ranks
    micro_batch: int  # the same of a forward pass, on one rank
    steps: int
    causal: bool  # the model's attention, where an objective does not say what is seen
    stability: Stability
    reference: Beside | None = None  # what the loss is given of another model

    def updates(self, done: int | Position = 0) -> Iterator[dict[str, float]]:
        """The metrics of each update up to `steps`, the same on every rank; `done` is where training stands, and moves on (a number:
        so many updates are done, and nothing was skipped).

        step, tokens (read up to here, without what only fills up a batch), loss (of an objective nats a token), grad_norm (before
        clipping; not of an update that FP16 lets pass), lr, tokens_per_second; what the objective measures; loss_scale under FP16. Raises
        Spike, with `done` as before the update.
        """
        position = Position.after(done, self.ramp) if isinstance(done, int) else done
        device = next(self.chunks[0].parameters()).device
        with ThreadPoolExecutor(1) as ahead:  # the next batch is made while this one is computed
            batch = ahead.submit(self._batch, position.drawn, position.trained)
            while position.updates < self.steps:
                began, step, size = time.perf_counter(), position.updates + 1, self.ramp.size(position.trained)
                before, factor = self.batches.read(position), self.schedule.factor(step, self.steps)
                for group in self.optimizer.param_groups:
                    group["lr"] = group["peak_lr"] * factor
                self._seed(step)
                rows = batch.result()
                if step < self.steps:
                    batch = ahead.submit(self._batch, position.drawn + size, position.trained + size)
                means, targets = self._accumulate(rows, device)
                loss = means["loss"]
                for group in self.optimizer.param_groups:
                    group["targets"] = targets
                scale = self.optimizer.loss_scale
                updated, norm, _ = self.optimizer.step()
                grad_norm = float(norm) if updated else 0.0  # FP16 lets an update pass whose gradient overflows
                if why := self.stability.spike(position.losses, loss, grad_norm):  # before anything is saved
                    raise Spike(why, step, position.drawn + size)
                position.updated(size, loss, self.stability.window)
                self.batches.updated(position)
                now = self.batches.read(position)
                yield {
                    "step": step,
                    "tokens": now,
                    **means,
                    **({"grad_norm": grad_norm} if updated else {}),
                    "lr": self.optimizer.param_groups[0]["peak_lr"] * factor,
                    "tokens_per_second": (now - before) / (time.perf_counter() - began),
                    **({"loss_scale": scale} if scale else {}),
                }

    def _seed(self, step: int) -> None:
        """Dropout depends on the step and this rank's place alone, so resuming is exact; ranks with other tokens have other places."""
        place = [parallel_state.get_pipeline_model_parallel_rank(), parallel_state.get_data_parallel_rank(with_context_parallel=True)]
        model_parallel_cuda_manual_seed(int(np.random.SeedSequence([self.batches.seed, step, *place]).generate_state(1)[0]))

    def _batch(self, drawn: int, trained: int) -> dict[str, torch.Tensor]:
        """This rank's part of the next global batch."""
        data_rank, data_ranks = parallel_state.get_data_parallel_rank(), parallel_state.get_data_parallel_world_size()
        return self.batches.batch(drawn, self.ramp.size(trained), data_rank, data_ranks)

    def _accumulate(self, batch: dict[str, torch.Tensor], device: torch.device) -> tuple[dict[str, float], int]:
        """Gradients of this global batch into the buffers; its mean loss and measures, and its targets, on every rank."""
        size = self.micro_batch * self.batches.rows
        micro = [context.split(placed(rows, device, causal=self.causal)) for rows in split(batch, size)]
        for chunk in self.chunks:
            chunk.zero_grad_buffer()
        self.optimizer.zero_grad()
        rows = micro if self.reference is None else self.reference.beside(micro, size)
        outputs = get_forward_backward_func()(
            forward_step_func=self._forward,
            data_iterator=[iter(rows) for _ in self.chunks],
            model=self.chunks,
            num_microbatches=len(micro),
            seq_length=self.batches.positions(batch),
            micro_batch_size=size,
            forward_only=False,
        )
        return means(outputs, ("loss", *self.objective.measures), device)

    def _forward(self, data: Iterator[dict[str, torch.Tensor]], model: torch.nn.Module) -> tuple[torch.Tensor, Any]:
        inputs = next(data)
        out = model(**{name: value for name, value in inputs.items() if not name.startswith("loss_")})
        if (values := heads.values(model)) is not None:
            inputs = {**inputs, "loss_values": values}

        def loss(output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
            total, count = self.objective.loss(output, inputs)
            # the schedule may scale `total` in place: what is reported must not share its memory
            told = {"loss": torch.stack([total.detach().double(), count.double()])}
            with torch.no_grad():
                for name, (each, of) in self.objective.metrics(output.detach(), inputs).items() if self.objective.measures else ():
                    told[name] = torch.stack([each.double(), of.double()])
            return total, count, told

        return out, loss


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


def placed(inputs: dict[str, torch.Tensor], device: torch.device, *, causal: bool) -> dict[str, torch.Tensor | None]:
    """On the device; what is seen is left out where the model sees it anyway, which is faster. `causal`: the model's attention."""

    def plain(name: str, value: torch.Tensor) -> bool:
        return name.endswith("attention_mask") and torch.equal(value, everything(value, causal=causal))

    return {name: None if plain(name, value) else value.to(device) for name, value in inputs.items()}


def means(outputs: list[dict[str, torch.Tensor]], names: Sequence[str], device: torch.device) -> tuple[dict[str, float], int]:
    """The mean of each (the first is a mean over targets) over the micro-batches of all data ranks, and the targets, on every rank. Only
    a last pipeline stage has outputs. What nothing was counted of is left out."""
    sums = torch.zeros(len(names), 2, dtype=torch.float64, device=device)
    for output in outputs:
        sums += torch.stack([output[name] for name in names])
    dist.all_reduce(sums, group=parallel_state.get_data_parallel_group(with_context_parallel=True))
    dist.broadcast(sums, parallel_state.get_pipeline_model_parallel_last_rank(), parallel_state.get_pipeline_model_parallel_group())
    found = {name: (total / count).item() for name, (total, count) in zip(names, sums, strict=True) if count or name == names[0]}
    return found, int(sums[0, 1])
