"""Gopher's rules as datatrove decides them, from a text's arrays of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from modelwright_plugins.filter._ngrams import Grams
from modelwright_plugins.filter._text import Text, read
from modelwright_plugins.filter.measured import Bounds, Measured

if TYPE_CHECKING:
    from datatrove.data import Document

    from modelwright_plugins.filter.gopher import GopherQuality, GopherRepetition

BULLETS, ELLIPSES = ("•", "-"), ("...", "…")


class Quality(Measured):
    """datatrove's GopherQualityFilter: the same rules in the same order, with the same reasons."""

    name = "Gopher quality"

    def __init__(self, rules: GopherQuality) -> None:
        super().__init__()
        self.rules = rules

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        rules, text = self.rules, read(doc.text, self.rules.mode)
        all_words = len(text.tokens)
        lengths = text.word_lengths
        words = int(np.count_nonzero(lengths))
        if not all_words or (rules.min_words and words < rules.min_words):
            return False, "gopher_short_doc"
        if rules.max_words and words > rules.max_words:
            return False, "gopher_long_doc"
        if words:
            mean = int(lengths.sum()) / words
            if rules.min_mean_word_length and mean < rules.min_mean_word_length:
                return False, "gopher_below_avg_threshold"
            if rules.max_mean_word_length and mean > rules.max_mean_word_length:
                return False, "gopher_above_avg_threshold"
        ellipses = _ellipses(doc.text)
        if rules.max_symbol_ratio:
            if doc.text.count("#") / all_words > rules.max_symbol_ratio:
                return False, "gopher_too_many_hashes"
            if ellipses / all_words > rules.max_symbol_ratio:
                return False, "gopher_too_many_ellipsis"
        lines = text.all_lines
        # a line with a sign at one end has the sign: there are no more such lines than signs
        most = rules.max_bullet_lines
        if most and sum(map(doc.text.count, BULLETS)) / len(lines) > most and _bullets(lines) / len(lines) > most:
            return False, "gopher_too_many_bullets"
        most = rules.max_ellipsis_lines
        if most and ellipses / len(lines) > most and _end_ellipses(lines) / len(lines) > most:
            return False, "gopher_too_many_end_ellipsis"
        if rules.min_alphabetic_words and text.alphabetic() / all_words < rules.min_alphabetic_words:
            return False, "gopher_below_alpha_threshold"
        if rules.min_stop_words and text.stop_words() < rules.min_stop_words:
            return False, "gopher_enough_stop_words"
        return True

    def bounds(self) -> Mapping[str, Bounds]:
        rules = self.rules
        found = {
            "words": Bounds(rules.min_words or None, rules.max_words or None),
            "mean word length in characters": Bounds(rules.min_mean_word_length or None, rules.max_mean_word_length or None),
            "'#' for each word": Bounds(most=rules.max_symbol_ratio or None),
            "ellipses for each word": Bounds(most=rules.max_symbol_ratio or None),
            "share of lines that begin with a bullet": Bounds(most=rules.max_bullet_lines or None),
            "share of lines that end with an ellipsis": Bounds(most=rules.max_ellipsis_lines or None),
            "share of words with a letter": Bounds(least=rules.min_alphabetic_words or None),
            "different stop words": Bounds(least=rules.min_stop_words or None),
        }
        return {name: bounds for name, bounds in found.items() if bounds != Bounds()}

    def measure(self, document: Document) -> Mapping[str, float]:
        text = read(document.text, self.rules.mode)
        all_words = len(text.tokens)
        lengths = text.word_lengths
        words = int(np.count_nonzero(lengths))
        found: dict[str, float] = {"words": words, "different stop words": text.stop_words()}
        if words:
            found["mean word length in characters"] = int(lengths.sum()) / words
        if all_words:
            lines = text.all_lines
            found["'#' for each word"] = document.text.count("#") / all_words
            found["ellipses for each word"] = _ellipses(document.text) / all_words
            found["share of lines that begin with a bullet"] = _bullets(lines) / len(lines)
            found["share of lines that end with an ellipsis"] = _end_ellipses(lines) / len(lines)
            found["share of words with a letter"] = text.alphabetic() / all_words
        bounds = self.bounds()
        return {name: value for name, value in found.items() if name in bounds}


def _ellipses(text: str) -> int:
    return sum(map(text.count, ELLIPSES))


def _bullets(lines: list[str]) -> int:
    return sum(line.lstrip().startswith(BULLETS) for line in lines)


def _end_ellipses(lines: list[str]) -> int:
    return sum(line.rstrip().endswith(ELLIPSES) for line in lines)


class Repetition(Measured):
    """datatrove's GopherRepetitionFilter: the same rules in the same order, with the same reasons."""

    name = "Gopher repetition"

    def __init__(self, rules: GopherRepetition) -> None:
        super().__init__()
        self.rules = rules
        self.top, self.duplicate = tuple(enumerate(rules.top_ngrams, 2)), tuple(enumerate(rules.duplicate_ngrams, 5))

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        rules, size = self.rules, len(doc.text)
        if not size:
            return False, "empty"
        text = read(doc.text, rules.mode)
        characters, share = repeated(_paragraphs(doc.text))
        if rules.max_duplicate_paragraphs and share > rules.max_duplicate_paragraphs:
            return False, "dup_para_frac"
        if rules.max_duplicate_paragraph_characters and characters / size > rules.max_duplicate_paragraph_characters:
            return False, "dup_para_char_frac"
        characters, share = repeated(_lines(text))
        if rules.max_duplicate_lines and share > rules.max_duplicate_lines:
            return False, "dup_line_frac"
        if rules.max_duplicate_line_characters and characters / size > rules.max_duplicate_line_characters:
            return False, "dup_line_char_frac"
        grams = Grams(text)
        for n, most in self.top:
            if grams.top_above(n, most):
                return False, f"top_{n}_gram"
        if rules.mode == "fast" and self.duplicate and grams.few_again(5, self.duplicate[-1][0], min(rules.duplicate_ngrams)):
            return True
        for n, most in self.duplicate:
            if grams.duplicate_above(n, most):
                return False, f"duplicated_{n}_n_grams"
        return True

    def bounds(self) -> Mapping[str, Bounds]:
        rules = self.rules
        found = {
            "share of paragraphs that repeat": rules.max_duplicate_paragraphs,
            "share of characters in paragraphs that repeat": rules.max_duplicate_paragraph_characters,
            "share of lines that repeat": rules.max_duplicate_lines,
            "share of characters in lines that repeat": rules.max_duplicate_line_characters,
        }
        bounds = {name: Bounds(most=most) for name, most in found.items() if most}
        bounds |= {_top(n): Bounds(most=most) for n, most in self.top}
        return bounds | {_duplicate(n): Bounds(most=most) for n, most in self.duplicate}

    def measure(self, document: Document) -> Mapping[str, float]:
        text, size = read(document.text, self.rules.mode), len(document.text)
        if not size:
            return {}
        found: dict[str, float] = {}
        for name, parts in (("paragraphs", _paragraphs(document.text)), ("lines", _lines(text))):
            characters, share = repeated(parts)
            found[f"share of {name} that repeat"] = share
            found[f"share of characters in {name} that repeat"] = characters / size
        grams = Grams(text)
        found |= {_top(n): grams.top(n) / size for n, _ in self.top if len(text.tokens) >= n}
        found |= {_duplicate(n): grams.duplicate(n) / size for n, _ in self.duplicate}
        bounds = self.bounds()
        return {name: value for name, value in found.items() if name in bounds}


def _top(n: int) -> str:
    return f"share of characters in the most frequent {n}-gram"


def _duplicate(n: int) -> str:
    return f"share of characters in {n}-grams that repeat"


def repeated(parts: list[str]) -> tuple[int, float]:
    """The characters of parts that came before, and their share of all parts."""
    different = set(parts)
    again = len(parts) - len(different)
    return sum(map(len, parts)) - sum(map(len, different)) if again else 0, again / len(parts)


def _paragraphs(text: str) -> list[str]:
    """Between two line feeds or more."""
    parts = text.strip().split("\n\n")
    if len(parts) > 1 and "\n\n\n" in text:
        parts = [part.lstrip("\n") for part in parts if part.strip("\n")]
    return parts


def _lines(text: Text) -> list[str]:
    """As `re.split("\\n+", text)` has them: line ends that begin or end the text have an empty line before or after them."""
    return [""] * text.text.startswith("\n") + text.lines + [""] * text.text.endswith("\n")
