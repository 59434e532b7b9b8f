"""A datatrove filter that removes lines and HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from modelwright_plugins.filter._keywords import Keywords, unspaced
from modelwright_plugins.filter.measured import Bounds, Measured

if TYPE_CHECKING:
    from datatrove.data import Document

# Only elements of HTML: `List<String>`, `#include <stdio.h>` and `a <b and c> d` are no tags
ELEMENTS = (
    "html|head|body|title|meta|link|base|script|noscript|style|div|span|p|br|hr|h[1-6]|a|img|picture|source|svg|path|figure|figcaption|"
    "ul|ol|li|dl|dt|dd|table|thead|tbody|tfoot|tr|td|th|caption|col|colgroup|form|input|button|select|option|optgroup|textarea|label|"
    "fieldset|legend|iframe|object|embed|param|video|audio|track|canvas|map|area|nav|header|footer|main|section|article|aside|address|"
    "blockquote|pre|code|kbd|samp|var|em|strong|b|i|u|s|small|big|sub|sup|mark|abbr|cite|del|ins|q|time|font|center|template|wbr"
)
BARE = "disabled|checked|selected|required|readonly|multiple|hidden|async|defer|controls|autoplay|loop|muted|nowrap|novalidate|autofocus"
VALUE = r"""(?:"[^"<]{0,2000}"|'[^'<]{0,2000}'|[^\s"'=<>`]+)"""
ATTRIBUTE = rf"\s+(?:[a-zA-Z_:@][\w:.@-]*\s*=\s*{VALUE}|{BARE}|[a-z]+-[a-z-]+)"  # `i<b and c>d` is no tag
TAG = re.compile(rf"<(?:(?:{ELEMENTS})(?:{ATTRIBUTE})*\s*/?|/(?:{ELEMENTS})\s*)>", re.I)
# None reaches over a second beginning of its kind: time stays linear in a text of nothing but beginnings
BLOCK = re.compile(
    r"<(script|style|noscript)\b[^<>]*>(?:(?!<\1\b).)*?</\1\s*>|<!--(?:(?!<!--).)*?-->|<!doctype\s[^<>]*>|<!\[CDATA\[|\]\]>", re.I | re.S
)
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});")
COUNTER = re.compile(
    r"\W*(?:\d[\d.,]*(?:\s*[kKmM])?\s+(?:likes?|shares?|comments?|views?|replies|reply|retweets?|followers?|votes?|points?|reviews?|ratings?|"
    r"downloads?|subscribers?|items?)|page\s+\d+(?:\s+(?:of|/)\s+\d+)?)\W*",
    re.I,
)


class Lines(Measured):
    """Cuts HTML out, then removes lines."""

    name = "boilerplate"
    statistic = "share of words in lines that go"

    def __init__(self, phrases: list[str], most: int, rules: Collection[str], strip: bool, removed: float | None) -> None:
        super().__init__()
        self.phrases = Keywords([p for p in phrases if not unspaced(p)], [p for p in phrases if unspaced(p)])
        self.most, self.rules, self.strip, self.removed = most, frozenset(rules), strip, removed

    def bounds(self) -> Mapping[str, Bounds]:
        return {} if self.removed is None else {self.statistic: Bounds(most=self.removed)}

    def measure(self, document: Document) -> Mapping[str, float]:
        return {} if self.removed is None else {self.statistic: self._cleaned(document.text)[1]}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        text, share = self._cleaned(doc.text)
        if self.removed is not None and share > self.removed:
            return False, "mostly_boilerplate"
        if not text.strip() and doc.text.strip():
            return False, "nothing_left"
        doc.text = text
        return True

    def _cleaned(self, text: str) -> tuple[str, float]:
        """What stays, and the share of words in lines that went; 0 where that has no limit."""
        text = plain(text) if self.strip else text
        if not self.rules and not self.phrases.any(text.lower()):
            return text, 0.0
        lines = text.split("\n")
        kept = [line for line in lines if not self._goes(line)]
        if len(kept) == len(lines):
            return text, 0.0
        share = 0.0
        if self.removed is not None:
            before = len(text.split())
            share = (before - sum(len(line.split()) for line in kept)) / before
        return "\n".join(kept), share

    def _goes(self, line: str) -> bool:
        words = line.split(None, self.most + 1)
        if not words:
            return False
        if "single_words" in self.rules and len(words) == 1:
            return True
        if len(words) <= self.most:
            if "counters" in self.rules and COUNTER.fullmatch(line):
                return True
            if self.phrases.any(line.lower()):
                return True
        if "numeric" in self.rules and any(c.isdigit() for c in line) and not any(c.isalpha() for c in line):
            return True
        if "capitals" in self.rules:
            cased = [c.isupper() for c in line if c.isupper() or c.islower()]
            return sum(cased) * 2 > len(cased) > 1
        return False


def plain(text: str) -> str:
    """The text without tags, scripts, styles and comments, its entities as characters; as it was where there are none."""
    if "<" in text:
        if "</" in text or "<!" in text:
            text = BLOCK.sub("", text)
        text = TAG.sub("", text)
    return ENTITY.sub(lambda found: html.unescape(found[0]), text) if "&" in text else text
