"""Ranking responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.aligner import Aligner

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class RRHF(Aligner):
    """Rank responses to align human feedback (Yuan et al. 2023, arXiv:2304.05302), the mean over examples.

    With p a reply's log-probability a token, an example's loss is the sum of max(0, p_worse - p_better) over all pairs of its replies
    and the cross-entropy of the best reply, summed over its tokens (section 3.1). Replies are ordered by their scores, or if
    they have none as they come, best first; of equal scores neither is the better.
    """

    examples: ClassVar[tuple[str, ...]] = ("ranking", "preference")

    best_weight: float = 1.0  # weight of the best reply's cross-entropy; the paper's sum has 1

    def __post_init__(self) -> None:
        if self.best_weight < 0:
            raise ValueError(f"best_weight is {self.best_weight}; it is 0 or more")

    def rows(self, replies: int) -> int:
        return max(2, replies)

    @property
    def measures(self) -> tuple[str, ...]:
        from modelwright_plugins.aligner._measures import RANKED

        return RANKED

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from modelwright_plugins.aligner._ranked import ranked
        from modelwright_plugins.aligner._rows import examples

        found = ranked(output, inputs)
        ranking = ((found.means[:, None, :] - found.means[:, :, None]).clamp(min=0) * found.better).sum((1, 2))
        return examples(ranking - self.best_weight * found.best)

    def metrics(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        from modelwright_plugins.aligner._ranked import ranked

        found = ranked(output, inputs)
        right = (found.means[:, :, None] > found.means[:, None, :]) & found.better
        return {"rankings/accuracies": (right.sum(), found.better.sum())}
