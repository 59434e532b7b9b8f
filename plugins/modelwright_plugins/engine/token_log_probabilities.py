"""Log-probabilities of each target of rows, under weights that stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.pipeline_parallel.schedules import get_forward_backward_func

from modelwright_plugins.engine import context, heads
from modelwright_plugins.engine.evaluating import evaluating

Inputs = dict[str, Any]
Read = Callable[[torch.Tensor, torch.Tensor | None, Inputs], torch.Tensor]


def logps(nats: torch.Tensor, values: torch.Tensor | None, inputs: Inputs) -> torch.Tensor:
    """[1, rows, positions], 0 where there is no target."""
    return (-nats.float() * inputs["loss_mask"])[None]


def logps_and_values(nats: torch.Tensor, values: torch.Tensor | None, inputs: Inputs) -> torch.Tensor:
    """[2, rows, positions]: with what a value head says where each target is predicted."""
    assert values is not None
    return torch.stack([-nats.float(), values]) * inputs["loss_mask"]


def of_tokens(chunks: list[Any], micro_batches: list[Inputs], read: Read = logps, kinds: int = 1) -> torch.Tensor:
    """FP32 [kinds, rows of all micro-batches, positions of whole rows] on the CPU, the same on every rank of a model.

    `micro_batches` have this context rank's part of rows, all of the same size; `read` makes [kinds, rows, part] of it."""

    def forward(data: Iterator[Inputs], chunk: torch.nn.Module) -> tuple[torch.Tensor, Any]:
        inputs = next(data)
        out = chunk(**{name: value for name, value in inputs.items() if not name.startswith("loss_")})
        values = heads.values(chunk)
        return out, lambda nats, **_: read(nats, values, inputs)

    size, part = micro_batches[0]["input_ids"].shape
    with evaluating(chunks):
        answers: list[torch.Tensor] = get_forward_backward_func()(
            forward_step_func=forward,
            data_iterator=[iter(micro_batches) for _ in chunks],
            model=chunks,
            num_microbatches=len(micro_batches),
            seq_length=part * context.ranks(),
            micro_batch_size=size,
            forward_only=True,
            collect_non_loss_data=True,
        )
    device = next(chunks[0].parameters()).device
    found = torch.zeros(kinds, size * len(micro_batches), part * context.ranks(), device=device)
    if answers:
        found[..., context.places(part, device)] = torch.cat(answers, 1)
        if context.ranks() > 1:
            dist.all_reduce(found, group=parallel_state.get_context_parallel_group())
    dist.broadcast(found, parallel_state.get_pipeline_model_parallel_last_rank(), parallel_state.get_pipeline_model_parallel_group())
    return found.cpu()
