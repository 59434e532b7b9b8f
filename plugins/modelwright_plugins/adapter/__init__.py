"""Adapters: which weights of a model are trained further, and which new ones beside those that stay as they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

from modelwright.component import Component, Parts

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule


class Adapter(Component, ABC):
    """What is trained of a model whose weights are there: all of it, or a few new weights beside it.

    New weights don't depend on the layout: each whole matrix is drawn by a generator of its own, and each rank keeps its part.
    """

    adapts: ClassVar[bool] = True  # there are new weights, and all others are frozen: checkpoints hold only the new ones
    merges: ClassVar[bool] = True  # what it has learned can be put into the plain weights
    exact_start: ClassVar[bool] = True  # before its first update the model computes exactly what it did without it

    @property
    def saved(self) -> Self:
        """What a checkpoint's card names: this, without where its first numbers came from, which those of the checkpoint replace."""
        return self

    def problems(self, parts: Parts) -> list[str]:
        """Why it can't be trained so, one line each; `parts` are the stage's. Pure arithmetic."""
        return []

    @abstractmethod
    def apply(self, chunks: list[MegatronModule], *, seed: int) -> None:
        """Put the new weights into this rank's modules, in place, and freeze the others. All ranks together, after the weights are
        loaded and before `engine.model.distribute`. From here on `chunk.sharded_state_dict` has the new weights only."""

    @abstractmethod
    def merge(self, chunks: list[MegatronModule]) -> None:
        """Put what was learned into the plain weights, in place, all ranks together: what `apply` added is gone, and
        `sharded_state_dict` has the whole model. ModelwrightError where it can't be."""
