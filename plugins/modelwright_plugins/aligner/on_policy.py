"""Aligners that learn from replies of the model itself, which are drawn as it is trained."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.aligner import Aligner

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Round:
    """Replies that were drawn together, `samples` of each prompt after one another. Places are those of labels: the token at place t of a
    row is predicted there. All numbers are of all ranks, and not of a part."""

    samples: int
    mask: torch.Tensor  # float [rows, length] 1 where the label is a token of the reply
    rewards: torch.Tensor  # [rows] the weighted sum of what rewards say of a whole reply
    steps: torch.Tensor  # [rows, length] the same of a reply's parts, where they end; 0 elsewhere
    finished: torch.Tensor  # bool [rows] the reply came to its end
    most: int  # tokens that a reply may have
    old: torch.Tensor | None = None  # [rows, length] log-probabilities under the weights that drew them, 0 outside of replies
    first: torch.Tensor | None = None  # the same under the first weights
    values: torch.Tensor | None = None  # what the value head says, of an aligner that has one
    coefficient: float = 0.0  # of the divergence from the first weights, which PPO may adapt

    @property
    def whole(self) -> torch.Tensor:
        """[rows] the reward of each reply, with that of its parts."""
        return self.rewards + self.steps.sum(-1)

    @property
    def divergence(self) -> torch.Tensor:
        """[rows] nats that each reply is likelier under the weights that drew it than under the first: Schulman's k1, of whole replies."""
        assert self.old is not None and self.first is not None
        return (self.old - self.first).sum(-1)


class OnPolicy(Aligner):
    """An aligner that is given prompts, and learns from rounds: `minibatches` batches of prompts get their replies, and are learned from
    `epochs` times. Its loss is given, beside what every aligner's is, what `prepared` makes of a round."""

    examples: ClassVar[tuple[str, ...]] = ("prompt",)
    untempered: ClassVar[bool] = True  # replies must be drawn from the model's own distribution: its gradient is that of an expectation
    samples: int
    epochs: int = 1
    minibatches: int = 1

    def __post_init__(self) -> None:
        for name, least in (("samples", self.least), ("epochs", 1), ("minibatches", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it is {least} or more")

    @property
    def least(self) -> int:
        """Replies of a prompt that it needs."""
        return 1

    @property
    def updates(self) -> int:
        """Updates of a round."""
        return self.epochs * self.minibatches

    def rows(self, replies: int) -> int:
        return self.samples

    @property
    def compares(self) -> bool:
        """Whether a round has log-probabilities under the first weights."""
        return False

    @property
    def remembers(self) -> bool:
        """Whether a round has those under the weights that drew it; with one update a round they are those that are trained."""
        return self.updates > 1

    @property
    def adapts(self) -> bool:
        """Whether `coefficient` may be another from round to round."""
        return False

    @property
    def begins(self) -> float:
        """`coefficient` of the first round."""
        return 0.0

    def follows(self, drawn: Round) -> float:
        """`coefficient` of the round after this one."""
        return drawn.coefficient

    def kept(self, drawn: Round) -> torch.Tensor | None:
        """int64 [prompts * `rows`] the rows that are learned from; None: all."""
        return None

    @abstractmethod
    def prepared(self, drawn: Round) -> dict[str, torch.Tensor]:
        """Inputs of the loss, named "loss_…": each [rows] or [rows, length]."""
