"""What pages have beside their text: buttons, counters, notices, HTML that extraction left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.filter import Filter
from modelwright_plugins.filter.lists import unreadable

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter

PHRASES = (
    "sign in", "sign up", "log in", "log out", "create an account", "forgot your password", "remember me",
    "read more", "continue reading", "click here", "learn more", "view more", "show more", "load more", "see all", "skip to content",
    "back to top", "add to cart", "items in cart", "your cart", "share this", "share on", "tweet this", "follow us", "like us on",
    "leave a comment", "post a comment", "leave a reply", "no comments", "related posts", "previous post", "next post",
    "all rights reserved", "privacy policy", "terms of use", "terms of service", "terms and conditions", "cookie policy", "cookie settings",
    "we use cookies", "uses cookies", "accept cookies", "accept all", "enable javascript", "powered by", "subscribe to", "newsletter",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Boilerplate(Filter):
    """Removes lines that are boilerplate and remnants of HTML; what is mostly boilerplate goes.

    Lines of at most `max_words` words are looked at, as RefinedWeb does (Penedo et al. 2023, arXiv:2306.01116, appendix G.2, "line-wise
    corrections"). A text of which nothing is removed stays as it is, to the last blank.
    """

    phrases: tuple[str, ...] = PHRASES  # a short line that has one goes; case does not count
    lists: tuple[Path, ...] = ()  # files with more phrases, one a line
    max_words: int = 10  # words between blanks of a line that may go for a phrase
    counters: bool = True  # lines that only count: '3 likes', '12 comments', 'Page 2 of 9'
    numeric: bool = False  # lines with digits and no letter
    capitals: bool = False  # lines whose letters are mostly capitals
    single_words: bool = False  # lines of one word
    html: Literal["strip", "keep"] = "strip"  # scripts, styles, comments and tags are cut out, entities become their characters
    max_removed: float | None = None  # share of words in lines that went above which the text goes; null: any

    def __post_init__(self) -> None:
        if self.max_words < 1:
            raise ValueError(f"max_words is {self.max_words}; it is at least 1")
        if self.max_removed is not None and not 0 <= self.max_removed <= 1:
            raise ValueError(f"max_removed is {self.max_removed}; it is a share from 0 to 1, or null")
        if not all(phrase.strip() for phrase in self.phrases):
            raise ValueError("phrases has an empty one; every line would go")

    def reads(self) -> Mapping[str, Sequence[Path]]:
        return {"lists": self.lists}

    def problems(self) -> list[str]:
        return super().problems() + unreadable(self.reads())

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._boilerplate import Lines
        from modelwright_plugins.filter.lists import entries

        rules = {name for name in ("counters", "numeric", "capitals", "single_words") if getattr(self, name)}
        return Lines([*self.phrases, *entries(self.lists)], self.max_words, rules, self.html == "strip", self.max_removed)
