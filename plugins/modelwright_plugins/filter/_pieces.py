"""Words and sentences nearly as spaCy has them, each by one regular expression, for filters that may decide a little otherwise
(`mode=fast`)."""

from __future__ import annotations

import re

# As spaCy: addresses are whole, "don't" is two words, "x.y", "f(x", "12:30", "-v" and "--" are one, "well-known" and "a=b" three,
# every other sign is one of its own.
INNER = r"(?:[^\w\s,:<>=/~'’–—-]+\w+|[,:=/-]\d\w*)*"
WORD = re.compile(rf"""\w+(?:://[^\s)>\]"']+|{INNER})|[-./\\@~^|+]+(?:\w+{INNER})?|['’](?:[stdm]|re|ve|ll)\b|[^\w\s]""")
SENTENCE = re.compile(r"""[\w)\]"'’”%][.!?]+["'’”)\]]*\s+["'“‘(\[]*[^\W_]""")
find_words = WORD.findall


def count_sentences(line: str) -> int:
    return 1 + len(SENTENCE.findall(line))
