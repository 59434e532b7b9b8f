"""Objectives: what the model is trained to do with a text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from modelwright.hooks import discover
from modelwright_plugins.objective.loss import Loss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelwright_plugins.architecture import Architecture
    from modelwright_plugins.tokenizer.vocabulary import Vocabulary

Example: TypeAlias = "dict[str, NDArray[np.generic]]"
"""Named arrays, of one sequence."""


@dataclass(frozen=True)
class Passage:
    """What one training sequence is made of."""

    spans: tuple[NDArray[np.int64], ...]  # stretches of the training text, as long as the objective's `spans` says
    length: int  # positions of the sequence
    vocabulary: Vocabulary  # of the run: the tokenizer's tokens and the special ones
    random: np.random.Generator  # depends on the run's seed and the sequence's number alone: all chance must come from here

    @property
    def tokens(self) -> NDArray[np.int64]:
        """The first stretch, often the only one."""
        return self.spans[0]


class Objective(Loss):
    """What the model is trained to do with a text: its inputs, and the loss of what comes out."""

    architectures: ClassVar[tuple[str, ...]] = ("decoder",)
    """The families of architectures that understand its inputs (`Architecture.family`); the first is what conformance trains."""

    neutral: ClassVar[Mapping[str, int]] = {}
    """What its inputs that other objectives don't have are for a sequence of another one, by name: `multitask` fills them in."""

    @property
    def needs(self) -> dict[str, Any]:
        """Parameters that the architecture must have beside its family's, by name."""
        return {}

    def spans(self, length: int) -> tuple[int, ...]:
        """How long the stretches of text are that a sequence of `length` positions is made of, in tokens. Each is drawn from
        all of the text, independently of the others, and may reach over several documents."""
        return (length + 1,)

    def lengths(self, length: int) -> tuple[int, ...]:
        """Positions of each sequence that the model reads, where the first has `length`: a layout is to divide them all."""
        return (length,)

    @abstractmethod
    def example(self, passage: Passage) -> Example:
        """Named inputs of the model for one sequence, each an array of the same shape for every passage: the engine stacks them.

        `input_ids`, `position_ids` and `labels` [length] are int64; `attention_mask` [length, 2] says which positions each
        one sees (see `visible`); a label below 0 is no target. What begins with `loss_` is for `loss` alone.
        """

    @staticmethod
    def _that_train(architecture: Architecture) -> list[str]:
        """Registered objectives that train models of this family."""
        registry = discover().registry
        named = {name: registry.load("objective", name).architectures for name in registry.names("objective")}
        return [name for name, families in named.items() if not isinstance(families, property) and architecture.family in families]

    def problems(self, architecture: Architecture) -> list[str]:
        """Why it can't train this model, one line each. Pure arithmetic."""
        if architecture.family in self.architectures:
            return [
                f"objective.{type(self).__name__} needs architecture.{name}={value}, and "
                + (
                    f"it is {getattr(architecture, name)}"
                    if hasattr(architecture, name)
                    else f"{type(architecture).__name__} has no {name}"
                )
                for name, value in self.needs.items()
                if getattr(architecture, name, None) != value
            ]
        registry = discover().registry
        known = (name for name in registry.names("architecture") if registry.load("architecture", name).family in self.architectures)
        take = f"; take architecture={' or '.join(known)}"
        if others := self._that_train(architecture):
            take += f", or objective={' or '.join(others)}"
        return [
            f"objective.{type(self).__name__} trains {' or '.join(self.architectures)}, and architecture "
            f"{type(architecture).__name__} is of the family {architecture.family}{take}"
        ]
