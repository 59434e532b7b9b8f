"""Log-probabilities of rows' targets, under weights that stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.pipeline_parallel.schedules import get_forward_backward_func
from numpy.typing import NDArray

from modelwright_plugins.engine import context
from modelwright_plugins.engine.evaluating import evaluating
from modelwright_plugins.engine.example_batches import MISMATCHED, ExampleBatches
from modelwright_plugins.engine.loop import placed, split
from modelwright_plugins.progress import progress

Inputs = dict[str, Any]


def summed(chunks: list[Any], micro_batches: list[Inputs]) -> list[torch.Tensor]:
    """Of each micro-batch [rows], in nats, this context rank's part; only on a pipeline's last rank, elsewhere nothing. All have as many
    positions."""

    def forward(data: Iterator[Inputs], chunk: torch.nn.Module) -> tuple[torch.Tensor, Any]:
        inputs = next(data)

        def read(nats: torch.Tensor, **_: Any) -> torch.Tensor:
            return -(nats.float() * inputs["loss_mask"]).sum(-1)

        return chunk(**{name: value for name, value in inputs.items() if not name.startswith("loss_")}), read

    with evaluating(chunks):
        found: list[torch.Tensor] = get_forward_backward_func()(
            forward_step_func=forward,
            data_iterator=[iter(micro_batches) for _ in chunks],
            model=chunks,
            num_microbatches=len(micro_batches),
            seq_length=micro_batches[0]["input_ids"].shape[1] * context.ranks(),
            micro_batch_size=len(micro_batches[0]["input_ids"]),
            forward_only=True,
            collect_non_loss_data=True,
        )
    return found


class Divergence:
    """How far the weights that are trained are above the first ones on mismatched replies: KTO's z0 (Ethayarajh et al. 2024,
    arXiv:2402.01306, section 4.1), the mean over the global batch. It stands where a reference model stands."""

    def __init__(self, chunks: list[Any]) -> None:
        self.chunks = chunks

    def beside(self, micro_batches: list[Inputs], size: int) -> list[Inputs]:
        """The micro-batches, each with "loss_divergence" [rows], nats, and not below 0."""
        mismatched = [{n.removeprefix(MISMATCHED): v for n, v in inputs.items() if n.startswith(MISMATCHED)} for inputs in micro_batches]
        device = mismatched[0]["input_ids"].device
        sums = torch.zeros(2, dtype=torch.float64, device=device)
        found = summed(self.chunks, [{n: v for n, v in rows.items() if n != "reference"} for rows in mismatched])
        for each, rows in zip(found, mismatched, strict=False):  # elsewhere than on a last pipeline rank there are none
            first = rows["reference"].double() / context.ranks()  # each context rank has a part of the other
            sums += torch.stack([(each.double() - first).sum(), torch.tensor(len(each) / context.ranks(), device=device).double()])
        dist.all_reduce(sums, group=parallel_state.get_data_parallel_group(with_context_parallel=True))
        dist.broadcast(sums, parallel_state.get_pipeline_model_parallel_last_rank(), parallel_state.get_pipeline_model_parallel_group())
        divergence = (sums[0] / sums[1]).clamp(min=0).float()
        return [
            {
                **{n: v for n, v in inputs.items() if not n.startswith(MISMATCHED)},
                "loss_divergence": divergence.expand(len(rows["input_ids"])),
            }
            for inputs, rows in zip(micro_batches, mismatched, strict=True)
        ]


def of_all(
    chunks: list[Any], batches: ExampleBatches, micro_batch: int, *, causal: bool, mismatched: bool, bar: bool
) -> NDArray[np.float32]:
    """Under these weights, of each stored row, or with `mismatched` of each example's prompt with another's reply: the same on every rank.
    `micro_batch`: rows at a time on each data rank; `causal`: the model's attention; `bar`: show how far it is."""
    count = len(batches.examples) if mismatched else len(batches.examples.scores)
    rank, ranks = parallel_state.get_data_parallel_rank(), parallel_state.get_data_parallel_world_size()
    device = next(chunks[0].parameters()).device
    several = 4 * parallel_state.get_pipeline_model_parallel_world_size()  # micro-batches at a time, which fill a pipeline
    found = torch.zeros(count, dtype=torch.float64, device=device)
    at_once = micro_batch * several * ranks
    order = np.arange(count) if mismatched else np.argsort(batches.examples.lengths, kind="stable")  # as long as their neighbours
    with progress("first weights' log-probabilities", count, "row") if bar else nullcontext() as shown:
        for first in range(0, count, at_once):
            mine = np.arange(first, first + at_once).reshape(ranks, several * micro_batch)[rank]
            numbers = order[np.minimum(mine, count - 1)]  # all ranks do as many, the last one again and again
            rows = batches.laid([[batches.mismatch(int(n))] for n in numbers]) if mismatched else batches.stored(numbers)
            asked = [context.split(placed(each, device, causal=causal)) for each in split(rows, micro_batch)]
            for each, some in zip(summed(chunks, asked), np.split(mine, several), strict=False):
                real = some < count
                found[torch.from_numpy(order[some[real]]).to(device)] = each.double()[torch.from_numpy(real).to(device)]
            if shown is not None:
                shown.update(min(at_once, count - first))
    dist.all_reduce(found, group=parallel_state.get_data_parallel_group(with_context_parallel=True))
    dist.broadcast(found, parallel_state.get_pipeline_model_parallel_last_rank(), parallel_state.get_pipeline_model_parallel_group())
    return found.float().cpu().numpy()
