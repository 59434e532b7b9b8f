"""Aligners: what a model is trained to do with conversations, preferences and other examples, on the engine that pretrains."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from modelwright_plugins.objective.loss import Loss
from modelwright_plugins.parts import called

if TYPE_CHECKING:
    from modelwright_plugins.architecture import Architecture


class Aligner(Loss):
    """A loss of examples, and what it needs to know of them.

    `loss` and `metrics` are given as `output` [rows, length] the loss of each token in nats, and as inputs, the rows of one example after
    one another: "labels" [rows, length], where below 0 there is none; "loss_mask" [rows, length], float, 1 where the label is a target;
    "loss_scores" [rows], NaN where there is none; "loss_rows" [rows], how many rows each example has; and where `needs_reference`,
    "loss_reference" [rows], the summed log-probability of a row's targets under the first weights. A row without targets fills up an
    example that has fewer rows than others. Where examples are packed there are labels and "loss_mask" alone.

    With the head "both" there is also "loss_values" [rows, length], FP32, with its gradient: a number at each position, from a linear layer
    beside the output matrix, which begins at 0. With the head "value" such numbers are `output`, in the place of the tokens' losses, and a
    row's last token is read too: "loss_mask" is 1 where a value is wanted, of `steps` where a step ends and else at the row's last token;
    "loss_labels" [rows, length] has the steps' labels there, and "loss_thumbs" [rows] is true where the scores are thumbs, 1 or 0.
    """

    examples: ClassVar[tuple[str, ...]]  # kinds of examples that it learns from
    samples: int = 0  # replies that the model itself gives to each prompt while it is trained; 0: the examples have the replies
    head: ClassVar[Literal["tokens", "value", "both"]] = "tokens"  # what the model gives: see the docstring
    packs: ClassVar[bool] = False  # its loss is of single tokens, so that several examples can be in one sequence

    def rows(self, replies: int) -> int:
        """Rows of each example of a batch, where no example has more than so many replies."""
        return 1

    @property
    def needs_reference(self) -> bool:
        """Whether it compares with the first weights' log-probabilities, which are computed once, before training."""
        return False

    @property
    def mismatched(self) -> bool:
        """Whether it is also given each prompt with another example's reply, under the weights that are trained and the first ones, as
        "loss_divergence" [rows]: the mean over the global batch of what the one's log-probabilities are above the other's."""
        return False

    def misfits(self, head: str) -> list[str]:
        """Why it can't train a model that has this head already, one line each."""
        if head != "value" or self.head == "value":
            return []
        return [f"aligner {called('aligner', self)} trains a model of tokens, and the checkpoint is a reward model, which gives none"]

    def condition(self, score: float) -> str:
        """Text that is put before an example of this score, and is no target."""
        return ""

    def problems(self, architecture: Architecture) -> list[str]:
        """Why it can't train this model, one line each. Pure arithmetic."""
        if architecture.family in ("decoder", "prefix_decoder"):
            return []
        return [
            f"aligner {called('aligner', self)} trains decoders, and architecture {called('architecture', architecture)} is of the family "
            f"{architecture.family}"
        ]
