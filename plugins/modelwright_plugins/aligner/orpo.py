"""Odds ratio preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.aligner.pairs import Pairs

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class ORPO(Pairs):
    """Odds ratio preference optimisation: needs no first weights (Hong et al. 2024, arXiv:2403.07691), the mean over pairs.

    Of a pair: the chosen reply's cross-entropy a token + beta x -log S(log odds(chosen) - log odds(rejected)) (equations 6 and 7), where
    odds(y) = p / (1 - p) of p = exp(log-probability a token), and S is the logistic function.
    """

    beta: float = 0.1  # weight of the odds ratio; the paper's lambda

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise ValueError(f"beta is {self.beta}; it is above 0")

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from torch.nn.functional import logsigmoid

        from modelwright_plugins.aligner._pairs import log_odds
        from modelwright_plugins.aligner._rows import examples, mean, summed

        logps = mean(*summed(output, inputs))
        odds = log_odds(logps)
        return examples(-logps[0::2] - self.beta * logsigmoid(odds[0::2] - odds[1::2]))

    def rewards(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        from modelwright_plugins.aligner._rows import mean, summed

        return self.beta * mean(*summed(output, inputs))
