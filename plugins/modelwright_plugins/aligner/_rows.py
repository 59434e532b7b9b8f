"""Log-probabilities of rows: what most losses of preferences are made of."""

from __future__ import annotations

import torch
import torch.distributed.nn.functional as across
from megatron.core import parallel_state

from modelwright_plugins.engine import context

Sum = tuple[torch.Tensor, torch.Tensor]
"""(sum, count)"""


def summed(output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> Sum:
    """(log-probability of a row's targets, how many targets), both [rows]. A row is whole: where context ranks have a part each of it,
    every one of them gets the sum, and as each then counts every row, the gradient is that of one of them."""
    return valued(-output, inputs)


def valued(output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> Sum:
    """(sum of a row's wanted values, how many they are), both [rows], as `summed`: of a reply the value at its end, and 1."""
    mask = inputs["loss_mask"]
    both = torch.stack([(output.float() * mask).sum(-1), mask.sum(-1)])
    if context.ranks() > 1:
        both = across.all_reduce(both, group=parallel_state.get_context_parallel_group())
    return both[0], both[1]


def mean(logps: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-probability a target; 0 where there are none."""
    return logps / targets.clamp(min=1)


def examples(values: torch.Tensor) -> Sum:
    """The sum of values [examples], and how many they are."""
    return values.sum(), torch.tensor(len(values), dtype=torch.int, device=values.device)


def rewards(chosen: torch.Tensor, rejected: torch.Tensor) -> dict[str, Sum]:
    """What is logged of pairs of rewards [examples]."""
    return {
        "rewards/chosen": examples(chosen),
        "rewards/rejected": examples(rejected),
        "rewards/accuracies": examples((chosen > rejected).float()),
        "rewards/margins": examples(chosen - rejected),
    }
