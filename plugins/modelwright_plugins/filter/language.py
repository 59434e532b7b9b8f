"""The language of a text: by CLD2, by py3langid, by a fastText model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.errors import nearest
from modelwright_plugins.filter import Filter

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter


@dataclass(frozen=True, kw_only=True)
class Language(Filter):
    """Keeps texts that are mostly in the named languages (CLD2)."""

    languages: tuple[str, ...] = ("en",)  # ISO 639 codes, as CLD2 names them: en, de, zh, zh-Hant
    min_share: float = 0.65  # of the text's bytes that CLD2 gives to these languages together; FineWeb's threshold for fastText
    keep_unknown: bool = False  # also a text in which CLD2 finds no language: code without comments, tables

    def __post_init__(self) -> None:
        _some(self.languages)

    def problems(self) -> list[str]:
        import pycld2  # 20 ms

        return super().problems() + _unknown(self.languages, {code for _, code in pycld2.LANGUAGES}, "CLD2")

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._language import CLD2

        return CLD2(self.languages, self.min_share, self.keep_unknown)


@dataclass(frozen=True, kw_only=True)
class LangId(Filter):
    """Keeps texts in the named languages (py3langid), one language for a text; a tenth of CLD2's speed.

    A naive Bayes over bytes (Lui & Baldwin 2012, "langid.py"), with one language for a whole text.
    """

    languages: tuple[str, ...] = ("en",)  # ISO 639-1 codes
    min_confidence: float = 0.5  # of the first language, from 0 to 1; py3langid's own probability
    max_characters: int | None = 5_000  # looked at, from the beginning of the text; null: all

    def __post_init__(self) -> None:
        _some(self.languages)
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence is {self.min_confidence}; it is a probability from 0 to 1")
        if self.max_characters is not None and self.max_characters < 1:
            raise ValueError(f"max_characters is {self.max_characters}; it is at least 1, or null")

    def problems(self) -> list[str]:
        return super().problems() + _unknown(self.languages, LANGID, "py3langid")

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._language import Py3LangId

        return Py3LangId(self.languages, self.min_confidence, self.max_characters)


@dataclass(frozen=True, kw_only=True)
class FastTextLanguage(Filter):
    """Keeps texts in the named languages, by a fastText model: lid.176, GlotLID, or one of your own.

    The model is not shipped and not fetched. Its labels are languages: `__label__en`, GlotLID's `__label__eng_Latn`. CCNet's and FineWeb's
    way (Wenzek et al. 2020, arXiv:1911.00359; Penedo et al. 2024, arXiv:2406.17557, section 3.1, whose threshold is the default).
    """

    model: Path  # a .bin or .ftz file, such as lid.176.bin
    languages: tuple[str, ...] = ("en",)  # as the model labels them, without __label__
    min_score: float = 0.65  # of one of them; a text must have more

    def __post_init__(self) -> None:
        _some(self.languages)
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"min_score is {self.min_score}; it is a probability from 0 to 1")

    def reads(self) -> Mapping[str, Sequence[Path]]:
        return {"model": [self.model]}

    def problems(self) -> list[str]:
        if found := super().problems():
            return found
        if self.model.is_dir():
            return [f"model: {self.model} is a folder; it is a fastText model, a .bin or .ftz file"]
        with self.model.open("rb") as file:
            if int.from_bytes(file.read(4), "little") != FASTTEXT:
                return [f"model: {self.model} is no fastText model"]
        return []

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._language import FastText

        return FastText(self.model, self.languages, self.min_score)


FASTTEXT = 793712314  # with which its files begin
LANGID_CODES = (
    "ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu ext fa fi fo fr fuv fy ga gcf gcr "
    "gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja jv ka kab kik kk km kn ko ku ky la lb lg lij ln lo lt ltg lv "
    "mg mk ml mn mr ms mt my ne nl nn no nso oc om or pa pcm pl ps pt qu ro ru rw sa sdh se si sk sl sn so sq sr st sv sw ta te tg "
    "th tk tl tr tt ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu zxx"
)
LANGID = frozenset(LANGID_CODES.split())
"""The languages of py3langid 0.4's own model, which takes a second to load."""


def _some(languages: tuple[str, ...]) -> None:
    if not languages:
        raise ValueError("languages: expected at least one, for example [en]")


def _unknown(languages: tuple[str, ...], known: Collection[str], whose: str) -> list[str]:
    return [f"languages: {whose} knows no language {code!r}{nearest(code, known)}" for code in languages if code not in known]
