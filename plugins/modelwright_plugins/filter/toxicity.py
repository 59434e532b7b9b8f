"""Toxic texts, by the words in them: listed ones, or those of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.filter import Filter
from modelwright_plugins.filter.classifier import Classifier
from modelwright_plugins.filter.lists import unreadable

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter

    from modelwright_plugins.filter._classifier import Model


@dataclass(frozen=True, kw_only=True)
class ToxicWords(Filter):
    """Drops texts with too many listed words, by number or by share; one word in a long text need not be too many.

    A text goes when it has more than `max_matches` of them and they are more than `max_share` of its words. Lists are files with a word
    or phrase a line (such as LDNOOBW's, github.com/LDNOOBW, which are not shipped); case does not count. Words of scripts without spaces
    are found anywhere, others between characters that are not of a word. Two that overlap count once.
    The share is ROOTS' for English (Laurençon et al. 2022, arXiv:2303.03915; flagged_words_max_cutoff in its parameters_filtering.py).
    """

    lists: tuple[Path, ...]  # files: a word or phrase a line
    max_matches: int = 2  # that any text may have
    max_share: float = 0.01  # of the words between blanks, that any text may have
    allowed: tuple[str, ...] = ()  # of the lists, left out

    def __post_init__(self) -> None:
        if not self.lists:
            raise ValueError("lists is empty; it names files with a word a line")
        if self.max_matches < 0:
            raise ValueError(f"max_matches is {self.max_matches}; it is at least 0")
        if not 0 <= self.max_share <= 1:
            raise ValueError(f"max_share is {self.max_share}; it is a share from 0 to 1")

    def reads(self) -> Mapping[str, Sequence[Path]]:
        return {"lists": self.lists}

    def problems(self) -> list[str]:
        return super().problems() + unreadable(self.reads())

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._toxicity import Toxic
        from modelwright_plugins.filter.lists import entries

        allowed = {word.lower() for word in self.allowed}
        return Toxic([word for word in entries(self.lists) if word.lower() not in allowed], self.max_matches, self.max_share)


@dataclass(frozen=True, kw_only=True)
class ToxicityClassifier(Classifier):
    """Drops texts that a classifier, trained on toxic and harmless examples, finds toxic.

    `quality_classifier`'s: logistic regression on hashed words and word n-grams, as fastText's with which Dolma (Soldaini et al. 2024,
    arXiv:2402.00159) finds toxic text. It is trained once, before any task; what is printed, kept and drawn of it is about examples
    that were held out. It sees a text as a whole: examples should be about as long. The probability stays in `metadata["toxicity"]`.
    """

    toxic: tuple[Path, ...] = ()  # examples: .jsonl (key text) and .txt (a text a paragraph), also .gz, .jsonl.zst
    harmless: tuple[Path, ...] = ()  # examples of what may stay, better some about the same matters

    classes: ClassVar[tuple[str, str]] = ("toxic", "harmless")
    component: ClassVar[str] = "toxicity_classifier"

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._toxicity import Toxicity

        return Toxicity(self.trained(), self.threshold)

    def decides(self, model: Model) -> str:
        toxic, harmless = (float((side > self.threshold).mean()) for side in model.held_out)
        return f"threshold {self.threshold:g} drops {toxic:.1%} of the toxic and {harmless:.1%} of the harmless"
