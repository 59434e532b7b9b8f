"""The language of a text, by CLD2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
        if not self.languages:
            raise ValueError("languages: expected at least one, for example [en]")

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._language import CLD2

        return CLD2(self.languages, self.min_share, self.keep_unknown)
