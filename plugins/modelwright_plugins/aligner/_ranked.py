"""Replies of one example beside each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from modelwright_plugins.aligner._rows import mean, summed


@dataclass(frozen=True)
class Ranked:
    """Examples with the same number of rows each; rows without targets are of no pair."""

    means: torch.Tensor  # [examples, rows] log-probability a token
    better: torch.Tensor  # bool [examples, rows, rows] the first is better than the second
    best: torch.Tensor  # [examples] log-probability of the best reply


def ranked(output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> Ranked:
    """Of the rows of a micro-batch."""
    logps, targets = summed(output, inputs)
    shape = (-1, int(inputs["loss_rows"][0]))
    logps, targets = logps.view(shape), targets.view(shape)
    scores, better = ordered(inputs["loss_scores"].view(shape), targets > 0)
    best = scores.argmax(1)
    return Ranked(mean(logps, targets), better, logps.gather(1, best[:, None])[:, 0])


def ordered(scores: torch.Tensor, real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of scores [examples, rows], NaN where there are none, and which rows are replies: the scores that order them, minus infinity of what
    is no reply, and bool [examples, rows, rows], whether the first is better than the second."""
    place = torch.arange(scores.shape[1], device=scores.device)
    scores = torch.where(scores.isnan(), -place.to(scores.dtype), scores)  # without scores the best is first
    scores = scores.masked_fill(~real, -torch.inf)
    return scores, (scores[:, :, None] > scores[:, None, :]) & real[:, :, None] & real[:, None, :]
