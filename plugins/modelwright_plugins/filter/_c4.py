"""datatrove's C4 filter, which splits sentences only when their number can still decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datatrove.pipeline.filters import C4QualityFilter

from modelwright_plugins.filter._words import WORDS

if TYPE_CHECKING:
    from datatrove.data import Document


class LazyC4(C4QualityFilter):
    """The same decisions as datatrove's: counting sentences is the last rule, and each line that stays has at least one."""

    def __init__(self, *, edit: bool, sentences: int, **rules: Any) -> None:
        super().__init__(min_num_sentences=-1, **rules)
        self.edit, self.sentences = edit, sentences

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        before = doc.text
        decision: bool | tuple[bool, str] = super().filter(doc)
        if decision is not True:
            return decision
        lines = [line for line in doc.text.split("\n") if line]
        if not self.edit:
            doc.text = before
        if len(lines) < self.sentences and sum(len(WORDS.span_tokenize(line)) for line in lines) < self.sentences:
            doc.text = before
            return False, "too_few_sentences"
        return True
