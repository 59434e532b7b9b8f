"""Odds ratio preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.aligner import Aligner

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class ORPO(Aligner):
    """Odds ratio preference optimisation: needs no first weights (Hong et al. 2024, arXiv:2403.07691), the mean over pairs.

    Of a pair: the chosen reply's cross-entropy a token + beta x -log S(log odds(chosen) - log odds(rejected)) (equations 6 and 7), where
    odds(y) = p / (1 - p) of p = exp(log-probability a token), and S is the logistic function.
    """

    examples: ClassVar[tuple[str, ...]] = ("preference",)

    beta: float = 0.1  # weight of the odds ratio; the paper's lambda

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise ValueError(f"beta is {self.beta}; it is above 0")

    def rows(self, replies: int) -> int:
        return 2

    @property
    def measures(self) -> tuple[str, ...]:
        from modelwright_plugins.aligner._measures import PAIRS

        return PAIRS

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from torch.nn.functional import logsigmoid

        from modelwright_plugins.aligner._pairs import log_odds
        from modelwright_plugins.aligner._rows import examples, mean, summed

        logps = mean(*summed(output, inputs))
        odds = log_odds(logps)
        return examples(-logps[0::2] - self.beta * logsigmoid(odds[0::2] - odds[1::2]))

    def metrics(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        from modelwright_plugins.aligner._rows import mean, rewards, summed

        logps = self.beta * mean(*summed(output, inputs))
        return rewards(logps[0::2], logps[1::2])
