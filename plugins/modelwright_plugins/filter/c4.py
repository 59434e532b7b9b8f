"""The rules of C4 (Raffel et al. 2020, arXiv:1910.10683, section 2.2), as datatrove has them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.filter import Filter
from modelwright_plugins.filter.lists import unreadable

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter

LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9-]+)?")  # what a list of bad words is called


@dataclass(frozen=True, kw_only=True)
class C4Quality(Filter):
    """C4's rules: keeps lines that read like sentences, and texts with enough of them.

    Defaults: C4, section 2.2, and its code in TensorFlow Datasets (c4_utils.py) for word length and policy lines.
    """

    require_terminal_punctuation: bool = True  # a line must end in . ? ! or a quotation mark, and not in an ellipsis
    min_sentences: int = 5  # in the lines that stay; 0: any number
    min_words_per_line: int = 3  # words between blanks; 0: any number
    max_word_length: int = 1000  # characters: a line with a longer word goes
    remove_citations: bool = True  # [1], [edit] and [citation needed]
    drop_lorem_ipsum: bool = True  # the whole text
    drop_javascript_lines: bool = True  # lines that name it
    drop_curly_bracket: bool = True  # the whole text, when a line that would stay has '{'
    drop_policy_lines: bool = True  # lines with 'terms of use', 'cookie policy' and the like
    edit: bool = True  # what stays is the lines that pass, without indentation; false: the text stays as it was, or goes as a whole
    mode: Literal["exact", "fast"] = "exact"  # exact: datatrove's decisions; fast: sentences by a simpler rule, nearly the same decisions

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._c4 import Quality

        return Quality(self)


@dataclass(frozen=True, kw_only=True)
class C4Paragraph(Filter):
    """mC4's rule: enough long lines, which are paragraphs in a web page's text.

    Defaults: mC4 (Xue et al. 2021, arXiv:2010.11934, section 3.1).
    """

    min_paragraphs: int = 3  # lines of at least min_characters
    min_characters: int = 200  # characters of a line that counts

    def __post_init__(self) -> None:
        for name in ("min_paragraphs", "min_characters"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least 1")

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._c4 import Paragraphs

        return Paragraphs(self.min_paragraphs, self.min_characters)


@dataclass(frozen=True, kw_only=True)
class C4BadWords(Filter):
    """C4's rule: a page with a word of the list of its language goes.

    C4 (section 2.2) takes the "List of Dirty, Naughty, Obscene or Otherwise Bad Words" (github.com/LDNOOBW), which is not shipped: clone
    it. A page's language is its `metadata["language"]`, which the language filters write.
    """

    folder: Path  # with a file a language, named en, de, zh, ...: a word or phrase a line; lines that begin with # are left out
    default_language: str = "en"  # of a page that says none
    keep_share: float = 0.0  # of the pages with such words that stay all the same, by a hash of their text
    seed: int = 0  # of that hash
    without_list: Literal["keep", "drop"] = "keep"  # a page in a language that has no list

    def __post_init__(self) -> None:
        if not 0 <= self.keep_share <= 1:
            raise ValueError(f"keep_share is {self.keep_share}; it is a share from 0 to 1")

    def reads(self) -> Mapping[str, Sequence[Path]]:
        return {"folder": [self.folder]}

    def problems(self) -> list[str]:
        if found := super().problems():
            return found
        if not self.folder.is_dir():
            return [f"folder: {self.folder} is a file; it is a folder with a file a language"]
        if not (self.folder / self.default_language).is_file():
            return [f"default_language: {self.folder} has no list {self.default_language!r}"]
        return unreadable({"folder": self.lists()})

    def lists(self) -> list[Path]:
        """The files in the folder that are named like a language."""
        return sorted(file for file in self.folder.iterdir() if LANGUAGE.fullmatch(file.name) and file.is_file())

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._c4 import BadWords

        return BadWords(self.lists(), self.default_language, self.keep_share, self.seed, self.without_list)
