"""C4's rules as datatrove decides them, mC4's rule, and bad words from lists in a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.filters.c4_filters import _BADWORDS_ALLOWLIST, CITATION_REGEX, ELLIPSIS, END_PUNCTUATION, POLICY_SUBSTRINGS

from modelwright_plugins.filter._keywords import Keywords
from modelwright_plugins.filter._sentences import count_sentences
from modelwright_plugins.filter._text import read
from modelwright_plugins.filter.lists import entries
from modelwright_plugins.filter.measured import Bounds, Measured

if TYPE_CHECKING:
    from datatrove.data import Document

    from modelwright_plugins.filter.c4 import C4Quality

LOREM, SCRIPT = "lorem ipsum", "javascript"
END = frozenset(END_PUNCTUATION)  # each is one character


class Quality(Measured):
    """datatrove's C4QualityFilter: the same rules in the same order, with the same reasons, and the same text stays.

    Sentences are counted last, and only when their number can still decide: each line that stays has at least one."""

    name = "C4 quality"

    def __init__(self, rules: C4Quality) -> None:
        super().__init__()
        self.rules = rules

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        kept: list[str] = []
        seen: Counter[str] = Counter()
        reason = self._sift(doc.text, kept, seen)
        for name, count in seen.items():
            self.stat_update(name, value=count)
        if reason:
            return False, reason
        if self._sentences(kept, self.rules.min_sentences) < self.rules.min_sentences:
            return False, "too_few_sentences"
        if self.rules.edit:
            doc.text = "\n".join(kept).strip()
        return True

    def _sentences(self, lines: list[str], enough: int | None) -> int:
        """In lines that stay; at least `enough` where there are so many."""
        found = len(lines)
        for line in lines:
            if enough is not None and found >= enough:
                break
            found += count_sentences(line, self.rules.mode, None if enough is None else enough - found + 1) - 1
        return found

    def _sift(self, text: str, kept: list[str], seen: Counter[str], whole: bool = False) -> str:
        """Fills in the lines that stay and counts those that don't. Returns why the whole text goes, if it does; `whole`: not before
        its end."""
        rules, reason = self.rules, ""
        low = text.lower()
        lorem, script = rules.drop_lorem_ipsum and LOREM in low, rules.drop_javascript_lines and SCRIPT in low
        policy = rules.drop_policy_lines and any(part in low for part in POLICY_SUBSTRINGS)
        bracket, cited = rules.drop_curly_bracket and "{" in text, rules.remove_citations and "[" in text
        named = lorem or script or policy or bracket
        lines = read(text, rules.mode).all_lines
        maximum = rules.max_word_length
        seen["line-total"] = len(lines)
        fitting = list(map(str.strip, lines))
        if rules.require_terminal_punctuation and max(map(len, lines), default=0) <= maximum:  # most lines end here
            fitting = [line for line in fitting if line[-1:] in END or (cited and "[" in line)]
            seen["line-filter-no_terminal_punc"] = len(lines) - len(fitting)
        for uncut in fitting:
            line = uncut
            if len(line) > maximum and any(len(word) > maximum for word in line.split()):
                seen["line-filter-too_long_word"] += 1
                continue
            if cited and "[" in line:
                line = CITATION_REGEX.sub("", line)
            if rules.require_terminal_punctuation and (not line.endswith(END_PUNCTUATION) or line.endswith(ELLIPSIS)):
                seen["line-filter-no_terminal_punc"] += 1
                continue
            if rules.min_words_per_line and len(uncut.split(None, rules.min_words_per_line - 1)) < rules.min_words_per_line:
                seen["line-filter-too_few_words"] += 1
                continue
            if named or line is not uncut:  # a name may come together where a citation was
                found = self._named(line)
                if found in ("lorem_ipsum", "curly_bracket"):
                    reason = reason or found
                    seen[found] += whole
                    if not whole:
                        return reason
                    continue
                if found:
                    seen[found] += 1
                    continue
            kept.append(line)
        seen["line-kept"] = len(kept)
        return reason

    def _named(self, line: str) -> str:
        rules, low = self.rules, line.lower()
        if rules.drop_lorem_ipsum and LOREM in low:
            return "lorem_ipsum"
        if rules.drop_javascript_lines and SCRIPT in low:
            return "line-filter-javascript"
        if rules.drop_curly_bracket and "{" in line:
            return "curly_bracket"
        if rules.drop_policy_lines and any(part in low for part in POLICY_SUBSTRINGS):
            return "line-filter-policy"
        return ""

    def bounds(self) -> Mapping[str, Bounds]:
        rules = self.rules
        found = {"sentences in lines that stay": Bounds(least=rules.min_sentences)} if rules.min_sentences else {}
        if rules.drop_lorem_ipsum:
            found["lines with 'lorem ipsum'"] = Bounds(most=0)
        if rules.drop_curly_bracket:
            found["lines with a curly bracket"] = Bounds(most=0)
        return found

    def measure(self, document: Document) -> Mapping[str, float]:
        kept: list[str] = []
        seen: Counter[str] = Counter()
        self._sift(document.text, kept, seen, whole=True)
        found = {
            "sentences in lines that stay": self._sentences(kept, None),
            "lines with 'lorem ipsum'": seen["lorem_ipsum"],
            "lines with a curly bracket": seen["curly_bracket"],
        }
        return {name: found[name] for name in self.bounds()}


class Paragraphs(Measured):
    """datatrove's looks at the three longest lines whatever number is asked for."""

    name = "C4 paragraphs"

    def __init__(self, paragraphs: int, characters: int) -> None:
        super().__init__()
        self.paragraphs, self.characters = paragraphs, characters
        self.statistic = f"lines of at least {characters} characters"

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        return True if self._long(doc) >= self.paragraphs else (False, "too_few_paragraphs")

    def _long(self, doc: Document) -> int:
        return sum(len(line) >= self.characters for line in doc.text.split("\n"))

    def bounds(self) -> Mapping[str, Bounds]:
        return {self.statistic: Bounds(least=self.paragraphs)}

    def measure(self, document: Document) -> Mapping[str, float]:
        return {self.statistic: self._long(document)}


ANYWHERE = ("ja", "th", "zh")  # datatrove and mC4: written without spaces


class BadWords(BaseFilter):
    """The decisions of datatrove's C4BadWordsFilter, whose lists come from the net, but for words that a list has in capitals: texts are
    compared in lower case, and there it never finds those. Which page stays by chance is a matter of its text."""

    name = "C4 bad words"

    def __init__(self, lists: Sequence[Path], language: str, keep: float, seed: int, without_list: str) -> None:
        super().__init__()
        self.language, self.keep, self.seed, self.without_list = language, keep, seed, without_list
        harmless = set().union(*_BADWORDS_ALLOWLIST.values())
        self.lists: dict[str, Keywords] = {}
        for file in lists:
            words = [word for word in entries([file]) if word not in harmless]
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
