"""Masked language modelling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.objective import Objective
from modelwright_plugins.objective.visible import documents, positions, seen

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from modelwright_plugins.objective import Example, Passage


@dataclass(frozen=True, kw_only=True)
class Masking(Objective):
    """Some tokens are hidden, and are to be told from all others."""

    architectures: ClassVar[tuple[str, ...]] = ("encoder",)

    rate: float = 0.15  # share of tokens that are targets
    masked: float = 0.8  # share of targets that the mask stands for
    replaced: float = 0.1  # share of targets that any other token stands for; the rest is left as it is
    whole_word: bool = False  # all tokens of a word are targets, or none (BERT's later checkpoints); words begin with a space
    mask_token: str = "<mask>"  # its name, should the tokenizer have one

    def __post_init__(self) -> None:
        for name in ("rate", "masked", "replaced"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a share from 0 to 1")
        if self.rate == 0:
            raise ValueError("rate is 0; it is above 0, or there is nothing to learn")
        if self.masked + self.replaced > 1:
            raise ValueError(f"masked is {self.masked} and replaced {self.replaced}; together they are at most 1")

    @property
    def special_tokens(self) -> tuple[str, ...]:
        return (self.mask_token,)

    def spans(self, length: int) -> tuple[int, ...]:
        return (length,)

    def hide(self, text: NDArray[np.int64], passage: Passage) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(input, labels) of `text` [length], whose special tokens and ends of documents are no targets."""
        import numpy as np

        from modelwright_plugins.objective._masking import picked, word_numbers

        vocabulary = passage.vocabulary
        eligible = ~np.isin(text, [vocabulary.end_of_document, *vocabulary.special.values()])
        words = word_numbers(text, vocabulary.pieces) if self.whole_word else None
        targets = picked(eligible, self.rate, passage.random, words)
        return self.hidden(text, targets, passage), np.where(targets, text, -1)

    def hidden(
        self, text: NDArray[np.int64], targets: NDArray[np.bool_], passage: Passage, spans: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """`text` [length] with masks and other tokens for its targets; with `spans` [length], their numbers, alike for all of one."""
        from modelwright_plugins.objective._masking import hidden

        mask = passage.vocabulary.special[self.mask_token]
        return hidden(
            text,
            targets,
            mask,
            masked=self.masked,
            replaced=self.replaced,
            vocabulary=passage.vocabulary,
            random=passage.random,
            spans=spans,
        )


@dataclass(frozen=True, kw_only=True)
class MaskedLM(Masking):
    """Masked LM alone, as RoBERTa (Liu et al. 2019, arXiv:1907.11692; BERT: Devlin et al. 2019, arXiv:1810.04805).

    Of a sequence's tokens 15 % are targets, another set each epoch; 80 % of those are masked, 10 % replaced, 10 % left. Documents of
    one sequence don't see each other. The loss is the mean over targets, in nats.
    """

    def example(self, passage: Passage) -> Example:
        text = passage.tokens
        visible = seen(documents(text, passage.vocabulary.end_of_document), causal=False)
        given, labels = self.hide(text, passage)
        return {"input_ids": given, "position_ids": positions(visible), "attention_mask": visible, "labels": labels}

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from modelwright_plugins.objective._targets import sum_over_targets

        return sum_over_targets(output, inputs["labels"])
