"""datatrove filters over CLD2, py3langid and fastText."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from math import inf, nextafter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pycld2
from datatrove.pipeline.filters import LanguageFilter
from datatrove.utils.lid import FastTextLID

from modelwright.errors import ModelwrightError, nearest
from modelwright_plugins.filter.measured import Bounds, Measured

if TYPE_CHECKING:
    from datatrove.data import Document

# CLD2 refuses a text with one of these: control characters other than tab and line ends, surrogates, non-characters
REFUSED = re.compile(
    "[\\x00-\\x08\\x0b\\x0e-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\ufdd0-\\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)


class CLD2(Measured):
    """Sums the shares that CLD2 gives to the wanted languages; records the language that it found."""

    name = "CLD2"
    statistic = "share in the wanted languages"

    def __init__(self, languages: tuple[str, ...], min_share: float, keep_unknown: bool) -> None:
        super().__init__()
        self.languages, self.min_share, self.keep_unknown = frozenset(languages), min_share, keep_unknown
        known = {code for _, code in pycld2.LANGUAGES}
        for code in languages:
            if code not in known:
                raise ModelwrightError(f"filter.language.languages: CLD2 knows no language {code!r}{nearest(code, known)}")

    def bounds(self) -> Mapping[str, Bounds]:
        return {self.statistic: Bounds(least=self.min_share)}

    def measure(self, document: Document) -> Mapping[str, float]:
        first, share = self._found(document.text)
        return {} if first == "un" and self.keep_unknown else {self.statistic: share}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        first, share = self._found(doc.text)
        doc.metadata["language"] = first
        if share >= self.min_share or (first == "un" and self.keep_unknown):
            return True
        return False, "language_below_share" if first in self.languages else f"language_{first}"

    def _found(self, text: str) -> tuple[str, float]:
        """The first language, and the share of the wanted ones."""
        _, _, found = pycld2.detect(REFUSED.sub(" ", text), isPlainText=True, bestEffort=True)
        return found[0][1], sum(percent for _, code, percent, _ in found if code in self.languages) / 100


@cache
def langid() -> Any:
    """py3langid's own model, which takes a second to load: one in a process."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


class Py3LangId(Measured):
    """Records the language and its probability."""

    name = "py3langid"
    statistic = "confidence, of texts in the wanted languages"

    def __init__(self, languages: tuple[str, ...], least: float, characters: int | None) -> None:
        super().__init__()
        self.languages, self.least, self.characters = frozenset(languages), least, characters
        known = langid().labels
        for code in languages:
            if code not in known:
                raise ModelwrightError(f"filter.language_langid.languages: py3langid knows no language {code!r}{nearest(code, known)}")

    def bounds(self) -> Mapping[str, Bounds]:
        return {self.statistic: Bounds(least=self.least)}

    def measure(self, document: Document) -> Mapping[str, float]:
        found, confidence = self._found(document.text)
        return {self.statistic: confidence} if found in self.languages else {}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        doc.metadata["language"], doc.metadata["language_score"] = found, confidence = self._found(doc.text)
        if found not in self.languages:
            return False, f"language_{found}"
        return True if confidence >= self.least else (False, "language_below_confidence")

    def _found(self, text: str) -> tuple[str, float]:
        found, confidence = langid().classify(text[: self.characters])
        return found, float(confidence)


class FastText(Measured, LanguageFilter):
    """datatrove's language filter with a model of one's own, and a reason."""

    statistic = "score of a wanted language"

    def __init__(self, model: Path, languages: tuple[str, ...], least: float) -> None:
        super().__init__(list(languages), language_threshold=least)
        self.model = _Model(model, list(languages))
        known = [label.removeprefix("__label__") for label in self.model.model.labels]
        for code in languages:
            if code not in known:
                raise ModelwrightError(f"filter.language_fasttext.languages: {model} has no label {code!r}{nearest(code, known)}")

    def bounds(self) -> Mapping[str, Bounds]:
        return {self.statistic: Bounds(least=nextafter(self.language_threshold, inf))}  # a text must have more

    def measure(self, document: Document) -> Mapping[str, float]:
        if not document.text.strip():
            return {}
        _, scores = self.model.predict(document)
        return {self.statistic: max(scores.values())}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        if not doc.text.strip():
            return False, "language_un"
        if LanguageFilter.filter(self, doc):
            return True
        first = doc.metadata["language"]
        return False, "language_below_score" if first in self.languages else f"language_{first}"


class _Model(FastTextLID):
    """datatrove's class by a path, without what it downloads; the model itself stays in its process."""

    def __init__(self, path: Path, languages: list[str]) -> None:
        super().__init__(languages)
        self.path = path
        self._model: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": None}

    @property
    def model(self) -> Any:
        if self._model is None:
            from fasttext.FastText import _FastText

            self._model = _FastText(str(self.path))
        return self._model
