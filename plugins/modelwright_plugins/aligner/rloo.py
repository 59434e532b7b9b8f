"""RLOO: REINFORCE with the other replies to a prompt as the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.aligner._grouped import Grouped
from modelwright_plugins.aligner.on_policy import Round

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class RLOO(Grouped):
    """REINFORCE leave-one-out (Ahmadian et al. 2024, arXiv:2402.14740, equation 8; Kool et al. 2019).

    A reply as a whole is the action. Its reward, less `beta` times the log-ratio of its probability to that under the first weights, is
    compared with the mean of the other replies' to its prompt. Ratios to the weights that drew the replies are clipped as in TRL, which
    matters from a round's second update on.
    """

    samples: int = 4  # replies to each prompt; the paper has 2 and 4
    beta: float = 0.05  # of the divergence from the first weights, in the reward; 0: none, and no second model in memory. TRL: 0.05
    epsilon_low: float = 0.2  # the ratio of a reply's probabilities counts down to 1 - this
    epsilon_high: float = 0.2  # and up to 1 + this
    epochs: int = 1  # times that a round's replies are learned from
    minibatches: int = 1  # updates that a round's replies are shared out to, each of global_batch prompts

    @property
    def remembers(self) -> bool:
        return self.updates > 1 or self.compares

    @property
    def measures(self) -> tuple[str, ...]:
        return ("entropy", *(("kl", "kl_reply") if self.compares else ()), "clipped")

    def prepared(self, drawn: Round) -> dict[str, torch.Tensor]:
        from modelwright_plugins.aligner._advantages import left_out

        rewards, found = drawn.whole, {} if drawn.old is None else {"loss_old": drawn.old}
        if drawn.first is not None:
            rewards = rewards - self.beta * drawn.divergence
            found |= {"loss_first": drawn.first, "loss_kl_reply": drawn.divergence}
        return found | {"loss_advantages": left_out(rewards, drawn.samples)}

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        from modelwright_plugins.aligner._ratio import clipped

        each = clipped(self._ratio(output, inputs), inputs["loss_advantages"], self.epsilon_low, self.epsilon_high)
        return each.sum(), torch.tensor(len(each), dtype=torch.int, device=each.device)

    def _ratio(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        from modelwright_plugins.aligner._ratio import a_row, log_ratio

        return a_row(log_ratio(output, inputs), inputs)[0].exp()

    def metrics(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> Mapping[str, tuple[torch.Tensor, torch.Tensor]]:
        import torch

        from modelwright_plugins.aligner._ratio import measured, outside

        beyond = outside(self._ratio(output, inputs), inputs["loss_advantages"], self.epsilon_low, self.epsilon_high)
        return {**measured(output, inputs), "clipped": (beyond.sum(), torch.tensor(len(beyond), device=beyond.device))}
