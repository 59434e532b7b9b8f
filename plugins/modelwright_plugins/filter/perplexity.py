"""How surprising a text is to a model of n-grams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright_plugins.filter import Filter

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter

ENDINGS = (".jsonl", ".jsonl.gz", ".txt", ".txt.gz")


@dataclass(frozen=True, kw_only=True)
class Perplexity(Filter):
    """Keeps texts whose perplexity under an n-gram model is within bounds, or within percentiles of a reference.

    CCNet's way (Wenzek et al. 2020, arXiv:1911.00359, section 3.4): the model is of good text, and thirds by perplexity are head, middle
    and tail. It is read from an ARPA file, or estimated from texts with modified Kneser-Ney smoothing when the filter is built. A line is a
    sentence; words stand between blanks. Perplexity is per word and end of line, as KenLM has it.
    """

    arpa: Path | None = None  # the model: an ARPA file, also .gz
    train_on: tuple[Path, ...] = ()  # in its place, good texts to estimate a model from: .jsonl (key text) and .txt files, also .gz
    order: int = 3  # with train_on: words of an n-gram
    vocabulary: int = 65_536  # with train_on: the most frequent words that the model knows
    normalise: bool = True  # lower case, digits as 0, punctuation apart from words: for an ARPA file made of such text
    min_perplexity: float | None = None  # null: any; a boundary itself is allowed
    max_perplexity: float | None = None  # null: any
    reference: tuple[Path, ...] = ()  # texts to take percentiles from, as in train_on
    min_percentile: float = 0.0  # of the reference's perplexities, from 0 to 100; the 30th to the 60th are CCNet's middle
    max_percentile: float = 100.0  # 30 keeps what is like the head

    def __post_init__(self) -> None:
        if not 1 <= self.order <= 8:
            raise ValueError(f"order is {self.order}; it is from 1 to 8")
        if self.vocabulary < 1:
            raise ValueError(f"vocabulary is {self.vocabulary}; it is at least 1")
        if not 0 <= self.min_percentile < self.max_percentile <= 100:
            raise ValueError(
                f"min_percentile is {self.min_percentile}; it is from 0 to below max_percentile={self.max_percentile}, up to 100"
            )

    def reads(self) -> Mapping[str, Sequence[Path]]:
        return {"arpa": [self.arpa] if self.arpa else [], "train_on": self.train_on, "reference": self.reference}

    def problems(self) -> list[str]:
        from modelwright_plugins.filter._arpa import is_arpa

        if (self.arpa is None) == (not self.train_on):
            return ["arpa: give an ARPA file, or texts to estimate a model from (train_on), and not both"]
        if found := super().problems():
            return found
        if self.arpa and not is_arpa(self.arpa):
            return [f"arpa: {self.arpa} is no ARPA file: it has no line \\data\\"]
        for name in ("train_on", "reference"):
            for path in getattr(self, name):
                if not path.name.endswith(ENDINGS):
                    return [f"{name}: {path} is no file of texts; its name ends in {', '.join(ENDINGS)}"]
        if (self.min_percentile, self.max_percentile) != (0, 100) and not self.reference:
            return ["reference: percentiles are of its texts; name some, or set min_perplexity and max_perplexity"]
        if not self.reference and self.min_perplexity is None and self.max_perplexity is None:
            return ["max_perplexity: no bound is set, here, in min_perplexity, or by percentiles of a reference"]
        return []

    def build(self) -> BaseFilter:
        import numpy as np

        from modelwright.errors import ModelwrightError
        from modelwright_plugins.filter._arpa import read
        from modelwright_plugins.filter._evaluation import examples
        from modelwright_plugins.filter._kneser_ney import estimate
        from modelwright_plugins.filter._perplexity import PerplexityBounds, perplexity, sentences

        def texts(paths: Sequence[Path]) -> list[str]:
            return [passage for path in paths for example in examples(path, ("text",)) for passage in example]

        try:
            if self.arpa:
                model = read(self.arpa)
            else:
                lines = [line for text in texts(self.train_on) for line in sentences(text, self.normalise)]
                model = estimate(lines, self.order, self.vocabulary)
            low = -np.inf if self.min_perplexity is None else self.min_perplexity
            high = np.inf if self.max_perplexity is None else self.max_perplexity
            if self.reference:
                found = [p for text in texts(self.reference) if (p := perplexity(model, sentences(text, self.normalise))) is not None]
                if not found:
                    raise ValueError("reference: it has no text")
                between = np.percentile(found, [self.min_percentile, self.max_percentile])
                low = max(low, between[0]) if self.min_percentile > 0 else low
                high = min(high, between[1]) if self.max_percentile < 100 else high
        except (ValueError, OSError, EOFError) as error:
            raise ModelwrightError(f"filter.perplexity: {error}") from error
        return PerplexityBounds(model, self.normalise, float(low), float(high))
