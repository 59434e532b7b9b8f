"""What a step took out of a text, for a person to read."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from itertools import takewhile

AROUND = 60  # characters shown before the first change
REGION = 500  # characters of the text that are compared word by word
ANCHOR = 40  # characters by which the text after a long cut is found again

Piece = tuple[str, str]  # "same" | "gone" | "new", and what it says


def pieces(before: str, after: str) -> list[Piece]:
    """The region around the first change: what stayed, what is gone and what is new there, in order; "…" stands where text is left out."""
    at = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))
    while at and before[at - 1].isalnum() and before[at : at + 1].isalnum() | after[at : at + 1].isalnum():
        at -= 1  # to the beginning of the word
    begin = max(at - AROUND, 0)
    found: list[Piece] = [("same", ("…" if begin else "") + before[begin:at])]
    rest, anchor = before[at:], after[at : at + ANCHOR]
    cut = rest.find(anchor) if anchor else len(rest)
    if cut > REGION // 2:  # a long piece is gone, and the text goes on after it
        return [piece for piece in [*found, ("gone", _short(rest[:cut])), ("same", _ended(rest[cut:]))] if piece[1]]
    old, new = (_words(text[at : at + REGION]) for text in (before, after))
    changes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    whole = len(before) - at <= REGION and len(after) - at <= REGION
    if not whole and len(changes) > 1 and changes[-1][0] != "equal":
        changes.pop()  # where one of the two regions ends before the other, all else looks new or gone
    for kind, from_old, to_old, from_new, to_new in changes:
        if kind == "equal":
            found.append(("same", "".join(old[from_old:to_old])))
        else:
            found += [("gone", "".join(old[from_old:to_old])), ("new", "".join(new[from_new:to_new]))]
    return [piece for piece in [*found, ("same", "" if whole else "…")] if piece[1]]


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text)


def _short(text: str) -> str:
    return text if len(text) <= REGION else f"{text[: REGION // 2]}\n… {len(text) - REGION:,} characters …\n{text[-REGION // 2 :]}"


def _ended(text: str) -> str:
    return text if len(text) <= AROUND else text[:AROUND] + "…"
