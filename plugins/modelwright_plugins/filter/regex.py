"""Regular expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.filter import Filter

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter


@dataclass(frozen=True, kw_only=True)
class Regex(Filter):
    """Drops texts in which a regular expression is found, keeps only those, or replaces what it finds.

    Python's `re`, searched anywhere in the text: flags are written within, as in `(?i)lorem ipsum` or `(?m)^Page \\d+$`.
    """

    patterns: tuple[str, ...]  # any of them; in mode edit each in turn
    mode: Literal["drop", "keep", "edit"] = "drop"  # texts that match go; texts that match stay; matches are replaced
    replacement: str = ""  # mode edit: what stands for a match; \1 and \g<name> are its groups

    def __post_init__(self) -> None:
        if not self.patterns:
            raise ValueError("patterns is empty; it is a list of regular expressions, for example ['(?i)lorem ipsum']")
        if self.replacement and self.mode != "edit":
            raise ValueError(f"replacement is {self.replacement!r}; it is for mode=edit, and mode is {self.mode}")
        for pattern in self.patterns:
            try:
                compiled = re.compile(pattern)
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"patterns has {pattern!r}; it is no regular expression: {error}") from error
            try:
                compiled.sub(self.replacement, "")  # reads the template, whether or not there is a match
            except (re.error, IndexError) as error:
                raise ValueError(f"replacement is {self.replacement!r}; it does not fit {pattern!r}: {error}") from error

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._regex import Edit, Find

        return Edit(self.patterns, self.replacement) if self.mode == "edit" else Find(self.patterns, keep=self.mode == "keep")
