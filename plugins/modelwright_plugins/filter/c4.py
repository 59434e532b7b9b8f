"""The rules of C4 (Raffel et al. 2020, arXiv:1910.10683, section 2.2), as datatrove has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.filter import Filter

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter


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

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._c4 import LazyC4

        return LazyC4(
            edit=self.edit,
            sentences=self.min_sentences,
            filter_no_terminal_punct=self.require_terminal_punctuation,
            min_words_per_line=self.min_words_per_line or -1,
            max_word_length=self.max_word_length,
            remove_citations=self.remove_citations,
            filter_lorem_ipsum=self.drop_lorem_ipsum,
            filter_javascript=self.drop_javascript_lines,
            filter_curly_bracket=self.drop_curly_bracket,
            filter_policy=self.drop_policy_lines,
        )
