"""Ordering dialogues of our own grammar, in which a customer leaves something out and the assistant asks for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright_plugins.source import BadRecord, Source, SourceFile

if TYPE_CHECKING:
    from datatrove.data import Document

PACK = 1000  # dialogues that one task draws at least
BYTES = 260  # of a dialogue, about


@dataclass(frozen=True, kw_only=True)
class OrderDialogues(Source):
    """Distinct dialogues in which a customer orders a dish: what is left out, taken back or undecided, the assistant asks for.

    Each has `metadata["example"]`, a conversation, whose "answer" is JSON: for each of the assistant's turns {"missing": [slots],
    "order": {slot: value}}. None has a pair of known values, a phrase or an invented name that `evaluator=order_dialogues` asks with.
    """

    dialogues: int = 16_000  # how many
    first: int = 0  # the number of the first: ranges that don't overlap share no dialogue but by chance
    draw: int = 1  # which dialogues a number stands for

    def __post_init__(self) -> None:
        if self.dialogues < 1:
            raise ValueError(f"dialogues is {self.dialogues}; it is 1 or more")
        if self.first < 0:
            raise ValueError(f"first is {self.first}; it is 0 or more")

    def fingerprint(self) -> str:
        """A hash of the grammar, whose dialogues these are."""
        texts = [Path(__file__).with_name(f"_order_{name}.py").read_bytes() for name in ("names", "phrases", "replies", "grammar")]
        return hashlib.sha256(b"".join(texts)).hexdigest()

    def example_kind(self) -> str:
        return "conversation"

    def files(self) -> list[SourceFile]:
        here = Path(__file__).with_name("_order_grammar.py")
        packs = range(self.first, self.first + self.dialogues, PACK)
        sizes = [min(PACK, self.first + self.dialogues - begin) for begin in packs]
        return [
            SourceFile(path=here, name=f"order/{self.draw}/{begin}:{size}", bytes=size * BYTES)
            for begin, size in zip(packs, sizes, strict=True)
        ]

    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        from datatrove.data import Document

        from modelwright_plugins.source._order_grammar import dialogue
        from modelwright_plugins.source._turns import made, readable

        file.path.stat()  # the grammar's own module: without it there is nothing to draw
        begin, size = (int(number) for number in file.name.rpartition("/")[2].split(":"))
        for number in range(begin, begin + size):
            one = dialogue("train", number, self.draw)
            facts = [{"missing": list(turn.missing), "order": turn.order} for turn in one.turns]
            example = made("conversation", [], [one.messages()], answer=json.dumps(facts))
            text = readable(example)
            group = hashlib.sha256(text.encode()).hexdigest()[:16]
            yield Document(text=text, id=f"order/{self.draw}/{number}", metadata={"example": example, "group": group})
