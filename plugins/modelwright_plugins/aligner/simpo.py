"""Simple preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.aligner.pairs import Pairs

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class SimPO(Pairs):
    """Simple preference optimisation: needs no first weights (Meng et al. 2024, arXiv:2405.14734), the mean over pairs.

    Of a pair: -log S(beta x (log-probability a token of the chosen reply - that of the rejected one) - gamma) (equation 6), S the logistic
    function.
    """

    beta: float = 2.0  # scale of the rewards (section 3: 2.0 to 2.5; with Llama 3 instruct v0.2, 10)
    gamma: float = 1.0  # the margin that the rewards are to have, in their own scale (not divided by beta)

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise ValueError(f"beta is {self.beta}; it is above 0")
        if self.gamma < 0:
            raise ValueError(f"gamma is {self.gamma}; it is 0 or more")

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from torch.nn.functional import logsigmoid

        from modelwright_plugins.aligner._rows import examples, mean, summed

        logps = mean(*summed(output, inputs))
        return examples(-logsigmoid(self.beta * (logps[0::2] - logps[1::2]) - self.gamma))

    def rewards(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        from modelwright_plugins.aligner._rows import mean, summed

        return self.beta * mean(*summed(output, inputs))
