"""The filters as datatrove steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datatrove.pipeline.filters.base_filter import BaseFilter

from modelwright_math_text.evidence import damage, evidence

if TYPE_CHECKING:
    from datatrove.data import Document


class MathTextFilter(BaseFilter):
    name = "math_text"

    def __init__(self, min_share_with_latex: float, min_share_without: float, min_finds: int) -> None:
        super().__init__()
        self.min_share_with_latex, self.min_share_without, self.min_finds = min_share_with_latex, min_share_without, min_finds

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        found = evidence(doc.text)
        if found.finds < self.min_finds and not (found.latex and found.finds):
            return False, "no_math"
        if found.latex:
            return (True, "") if found.share >= self.min_share_with_latex else (False, "too_little_math_with_latex")
        return (True, "") if found.share >= self.min_share_without else (False, "too_little_math_without_latex")


class WholeLatexFilter(BaseFilter):
    name = "whole_latex"

    def __init__(self, max_damaged: float) -> None:
        super().__init__()
        self.max_damaged = max_damaged

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        damaged, total = damage(doc.text)
        return (True, "") if damaged <= self.max_damaged * total else (False, "damaged_latex")
