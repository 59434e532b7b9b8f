"""Reward models: how good a whole reply is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from modelwright_plugins.aligner import Aligner

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class RewardModel(Aligner):
    """A reward model: a number for a whole reply, read at its last token; the mean over examples.

    The model gives numbers in the place of tokens. Of preferences and rankings, with r a reply's reward and S the logistic function, the
    loss is the mean of -log S(r_better - r_worse) over the pairs of an example's replies (Ouyang et al. 2022, arXiv:2203.02155, equation
    1). Replies are ordered by their scores, or if they have none as they come, best first; equal scores make no pair, and
    an example without any adds 0 to the mean. Of scalar rewards
    the loss is the squared error, of thumbs the binary cross-entropy.
    """

    examples: ClassVar[tuple[str, ...]] = ("preference", "ranking", "reward", "unpaired")
    head: ClassVar[Literal["tokens", "value", "both"]] = "value"

    margin: float = 0.0  # times the difference of two replies' scores, what their rewards are to differ by (arXiv:2307.09288, equation 2)
    centering: float = 0.0  # weight of (r_better + r_worse)², which holds rewards near 0 (Eisenstein et al. 2023, arXiv:2312.09244)

    def __post_init__(self) -> None:
        for name in ("margin", "centering"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 0 or more")

    def rows(self, replies: int) -> int:
        return max(1, replies)

    @property
    def measures(self) -> tuple[str, ...]:
        from modelwright_plugins.aligner._measures import REWARDED

        return REWARDED

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from modelwright_plugins.aligner._rewarded import compared, single
        from modelwright_plugins.aligner._rows import examples, valued

        rewards, there = valued(output, inputs)
        rows = int(inputs["loss_rows"][0])
        if rows == 1:
            return examples(single(rewards, inputs))
        return examples(compared(rewards, there, inputs, rows).loss(self.margin, self.centering))

    def metrics(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        from modelwright_plugins.aligner._rewarded import measured

        return measured(output, inputs)
