"""datatrove's C4 filters: one splits sentences only when their number can still decide, one takes its lists from a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash
from datatrove.pipeline.filters import C4ParagraphFilter, C4QualityFilter
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.filters.c4_filters import _BADWORDS_ALLOWLIST

from modelwright_plugins.filter._keywords import Keywords
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


class Paragraphs(C4ParagraphFilter):
    """datatrove's looks at the three longest lines whatever number is asked for."""

    def __init__(self, paragraphs: int, characters: int) -> None:
        super().__init__()
        self.min_paragraphs, self.min_paragraph_len = paragraphs, characters

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        long = sum(len(line) >= self.min_paragraph_len for line in doc.text.split(self.line_delimiter))
        return True if long >= self.min_paragraphs else (False, "too_few_paragraphs")


LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9-]+)?")  # what a list is called
ANYWHERE = ("ja", "th", "zh")  # datatrove and mC4: written without spaces


class BadWords(BaseFilter):
    """The decisions of datatrove's C4BadWordsFilter, whose lists come from the net, but for words that a list has in capitals: texts are
    compared in lower case, and there it never finds those. Which page stays by chance is a matter of its text."""

    name = "C4 bad words"

    def __init__(self, folder: Path, language: str, keep: float, seed: int, without_list: str) -> None:
        super().__init__()
        self.language, self.keep, self.seed, self.without_list = language, keep, seed, without_list
        harmless = set().union(*_BADWORDS_ALLOWLIST.values())
        self.lists: dict[str, Keywords] = {}
        for file in sorted(folder.iterdir()):
            if LANGUAGE.fullmatch(file.name) and file.is_file():
                words = [word for line in file.read_text(encoding="utf-8").splitlines() if (word := line.strip()) not in harmless]
                self.lists[file.name] = Keywords((), words) if file.name in ANYWHERE else Keywords(words)

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        language = doc.metadata.get("language", self.language)
        words = self.lists.get(language) or self.lists.get(str(language).partition("-")[0])
        if words is None:
            return True if self.without_list == "keep" else (False, "language_without_list")
        if not words.any(doc.text.lower()):
            return True
        if self.keep:
            share = xxhash.xxh3_64_intdigest(doc.text.encode("utf-8", "surrogatepass"), self.seed) / 2**64
            if share < self.keep:
                return True
        return False, "document_removed_with_badwords"
