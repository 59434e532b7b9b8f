"""Where a page comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.filter import Filter
from modelwright_plugins.filter.lists import unreadable

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter


@dataclass(frozen=True, kw_only=True)
class URLBlocklist(Filter):
    """Drops pages whose `metadata["url"]` is of a listed domain, or has listed words.

    RefinedWeb's and FineWeb's rules (Penedo et al. 2023, arXiv:2306.01116, appendix G.1; 2024, arXiv:2406.17557, section 3.1), as
    datatrove's URLFilter has them. Words are compared in any case, a listed domain takes all that is below it, and nothing is fetched.
    Lists are files with an entry a line; `#` begins a comment.
    """

    domains: tuple[Path, ...] = ()  # lists of domains: `example.com` also blocks `shop.example.com`
    urls: tuple[Path, ...] = ()  # lists of whole URLs, as they are written
    words: tuple[Path, ...] = ()  # lists of words; words of a URL stand between characters other than a-z and 0-9
    soft_words: tuple[Path, ...] = ()  # lists of words of which a few may be there
    max_soft_words: int = 1  # different ones that a URL may have
    subwords: tuple[Path, ...] = ()  # lists of parts of words: found in a URL's a-z and 0-9 written together
    datatrove_lists: bool = False  # also the lists that datatrove carries, which FineWeb was made with: 4.6 million domains, 1 GB of memory
    without_url: Literal["keep", "drop"] = "keep"  # documents that say no URL

    def __post_init__(self) -> None:
        if self.max_soft_words < 0:
            raise ValueError(f"max_soft_words is {self.max_soft_words}; it is at least 0")

    def reads(self) -> Mapping[str, Sequence[Path]]:
        return {
            "domains": self.domains,
            "urls": self.urls,
            "words": self.words,
            "soft_words": self.soft_words,
            "subwords": self.subwords,
        }

    def problems(self) -> list[str]:
        if not self.datatrove_lists and not any(self.reads().values()):
            return [f"domains: no list is given, here or in {', '.join([*self.reads()][1:])}; or set datatrove_lists=true"]
        return super().problems() + unreadable(self.reads())

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._url import Blocklist
        from modelwright_plugins.filter.lists import entries

        lists = {parameter: entries(paths) for parameter, paths in self.reads().items()}
        return Blocklist(lists, self.max_soft_words, self.datatrove_lists, self.without_url)
