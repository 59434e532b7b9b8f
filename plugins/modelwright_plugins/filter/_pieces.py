"""Words and sentences nearly as spaCy has them, each by one regular expression, for filters that may decide a little otherwise
(`mode=fast`)."""

from __future__ import annotations

import re

# As spaCy: addresses are whole, "don't" is two words, "x.y", "f(x", "12:30", "-v" and "--" are one, "well-known" and "a=b" three,
# every other sign is one of its own.
WORD = re.compile(
    r"""https?://[^\s)>\]"']+"""
    r"""|[-./\\@~^|]*\w+(?:(?:[^\w\s,:<>=/~'’–—-]+(?=\w)|[,:=/-](?=\d)|/(?=[\w./]+\d))\w+)*"""
    r"""|['’](?:[stdm]|re|ve|ll)\b"""
    r"""|[-./\\@~^|+]+|[^\w\s]"""
)
SENTENCE = re.compile(r"""[\w)\]"'’”%][.!?]+["'’”)\]]*\s+["'“‘(\[]*[^\W_]""")
find_words = WORD.findall


def count_sentences(line: str) -> int:
    return 1 + len(SENTENCE.findall(line))
