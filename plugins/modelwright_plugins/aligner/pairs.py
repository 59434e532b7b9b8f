"""What aligners of pairs have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.aligner import Aligner

if TYPE_CHECKING:
    import torch


class Pairs(Aligner):
    """An aligner of preferences: each pair's chosen reply is a row, and the rejected one the next."""

    examples: ClassVar[tuple[str, ...]] = ("preference",)

    def rows(self, replies: int) -> int:
        return 2

    @property
    def measures(self) -> tuple[str, ...]:
        from modelwright_plugins.aligner._measures import PAIRS

        return PAIRS

    @abstractmethod
    def rewards(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """How good the weights find each reply, [rows], in the scale of the loss."""

    def metrics(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        from modelwright_plugins.aligner._rows import rewards

        found = self.rewards(output, inputs)
        return rewards(found[0::2], found[1::2])
