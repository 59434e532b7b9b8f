"""Words and sentences nearly as spaCy has them, each by one regular expression, for filters that may decide a little otherwise
(`mode=fast`)."""

from __future__ import annotations

import re

# As spaCy: "don't" is two words, "x.y", "f(x", "12:30", "-v", "--" and "):" are one, "well-known", "a=b" and "a.B" three, and every other
# sign is one of its own. An address is one or two. Vowel signs belong to their word.
SIGNS = (
    r"\u0300-\u036f\u0591-\u05c7\u0610-\u065f\u0900-\u0903\u093a-\u094f\u0981-\u0983\u09bc-\u09d7"
    r"\u0a01-\u0a51\u0b82-\u0bcd\u0c00-\u0c56\u0e31-\u0e4e\u200c\u200d"
)
W = rf"[\w{SIGNS}]"
INNER = rf"(?:[^\w\s,:<>=/~'’–—.-]+'?{W}+|\.(?![A-Z]){W}+|[,:=/-]\d{W}*)*"
WORD = re.compile(
    rf"""[^\W_]{W}*(?:://[^\s)>\]"']+|{INNER})|(?<=[^\W_])[-/.](?=[^\W\d_])|[-./\\@~^|+]+(?:{W}+{INNER})?"""
    r"""|['’](?:[stdm]|re|ve|ll)\b|\):|[^\w\s]|_|\n"""
)
SENTENCE = re.compile(r"""[\w)\]"'’”%][.!?]+["'’”)\]]*\s+["'“‘(\[]*[^\W_]""")
find_words = WORD.findall  # a line feed is one, too


def count_sentences(line: str) -> int:
    return 1 + len(SENTENCE.findall(line))
