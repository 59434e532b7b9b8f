"""Rewards of replies, one by one and beside each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from modelwright_plugins.aligner._ranked import ordered
from modelwright_plugins.aligner._rows import Sum, examples, valued

Inputs = dict[str, torch.Tensor]


def single(rewards: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """The loss of each reply, [rows]: the binary cross-entropy of thumbs, else the squared error."""
    scores = inputs["loss_scores"]
    return torch.where(
        inputs["loss_thumbs"],
        binary_cross_entropy_with_logits(rewards, scores.clamp(0, 1), reduction="none"),
        (rewards - scores).square(),
    )


@dataclass(frozen=True)
class Compared:
    """The replies of examples of as many rows each; [first, second] says something of two."""

    rewards: torch.Tensor  # [examples, rows]
    scores: torch.Tensor  # [examples, rows] NaN where there are none
    better: torch.Tensor  # bool [examples, rows, rows] the first is better than the second

    @property
    def margins(self) -> torch.Tensor:
        """[examples, rows, rows]"""
        return self.rewards[:, :, None] - self.rewards[:, None, :]

    def loss(self, margin: float, centering: float) -> torch.Tensor:
        """[examples] the mean over each one's pairs, as `RewardModel` says."""
        apart = margin * (self.scores[:, :, None] - self.scores[:, None, :]).nan_to_num() if margin else 0.0
        each = -logsigmoid(self.margins - apart)
        if centering:
            each = each + centering * (self.rewards[:, :, None] + self.rewards[:, None, :]).square()
        return (each * self.better).sum((1, 2)) / self.better.sum((1, 2)).clamp(min=1)


def compared(rewards: torch.Tensor, there: torch.Tensor, inputs: Inputs, rows: int) -> Compared:
    """Of rewards [rows], and whether each is of a reply."""
    scores = inputs["loss_scores"].view(-1, rows)
    return Compared(rewards.view(-1, rows), scores, ordered(scores, there.view(-1, rows) > 0)[1])


def measured(output: torch.Tensor, inputs: Inputs) -> dict[str, Sum]:
    """Of pairs of which one is better: how often its reward is higher, and by how much; of thumbs, how often the reward says the same."""
    rewards, there = valued(output, inputs)
    rows = int(inputs["loss_rows"][0])
    if rows == 1:
        thumbs = inputs["loss_thumbs"]
        right = ((rewards > 0) == (inputs["loss_scores"] > 0.5))[thumbs]
        return {"rewards/accuracies": examples(right.float()), "rewards/margins": examples(rewards[:0]), "rewards/mean": examples(rewards)}
    found = compared(rewards, there, inputs, rows)
    margins = found.margins[found.better]
    return {
        "rewards/accuracies": examples((margins > 0).float()),
        "rewards/margins": examples(margins),
        "rewards/mean": examples(rewards[there > 0]),
    }
