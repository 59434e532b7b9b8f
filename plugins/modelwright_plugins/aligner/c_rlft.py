"""Reward-conditioned fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.aligner import Aligner

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class CRLFT(Aligner):
    """Conditioned reinforcement learning fine-tuning on data of mixed quality (Wang et al. 2023, arXiv:2309.11235).

    Each example is of a class by its score, and begins with the class's text, so that after training the better class is asked for by
    its text. A token's cross-entropy is weighted by exp(r / beta) of its class's reward r (section 3), divided by the better class's
    weight, which changes nothing but the loss's scale; the mean over the targets of the global batch.
    """

    examples: ClassVar[tuple[str, ...]] = ("reward", "unpaired")

    threshold: float = 0.5  # examples whose score is at least this are of the better class
    better: str = "Expert: "  # text before the better class's examples (OpenChat's were "GPT4 User: " and "GPT3 User: ")
    other: str = "Novice: "  # text before the other class's
    better_reward: float = 1.0  # the better class's reward
    other_reward: float = 0.1  # the other class's
    beta: float = 1.0  # temperature of the rewards: how much less the other class counts

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise ValueError(f"beta is {self.beta}; it is above 0")
        if self.better == self.other:
            raise ValueError(f"other is {self.other!r}; it is another text than that of the better class")
        if self.other_reward > self.better_reward:
            raise ValueError(f"other_reward is {self.other_reward}; it is at most better_reward={self.better_reward}")

    def condition(self, score: float) -> str:
        return self.better if score >= self.threshold else self.other

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        import math

        import torch

        less = math.exp((self.other_reward - self.better_reward) / self.beta)
        weights = torch.where(inputs["loss_scores"] >= self.threshold, 1.0, less)
        mask = inputs["loss_mask"]
        return (output.float() * mask * weights[:, None]).sum(), mask.sum().to(torch.int)
