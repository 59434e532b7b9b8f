"""Texts that a component of data has to cope with."""

from __future__ import annotations

import random

PROSE = "The wright builds a mill from parts. Each part has a name, and the names stand in a book that anybody may read. "
HARD = {
    "empty": "",
    "blanks": " \n\t \r\n ",
    "one character": "x",
    "prose": PROSE * 12,
    "capitals": "ALL OF IT IS SHOUTED! " * 30,
    "code": 'def f(x: int) -> str:\n    """Says x."""\n    return f"{x!r}\\n"  # 1 < 2 && {}\n\n\n' * 8,
    "bullets": "- one\n- two\n* three…\n" * 20,
    "Chinese": "人人生而自由，在尊严和权利上一律平等。" * 20,
    "Arabic": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. " * 20,
    "Hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। " * 20,
    "emoji and accents": "naïve café — 👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 \u200b\ufeff\u2028 ﬁ Å ß ẞ İ",
    "control characters": "a\x00b\x01c\x1b[31m\x7f\x85\r\nend\ufffe\U0010ffff",
    "special tokens": "<|endoftext|> <s> </s> [PAD] <unk> <|im_start|>",
    "no spaces": "x1y2" * 5_000,
    "very long": PROSE * 1_000,
}


def different(count: int, words: int = 200) -> list[str]:
    """Texts that have no five words in a row in common."""
    dice = random.Random(7)
    return [" ".join("".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 9))) for _ in range(words)) for _ in range(count)]
