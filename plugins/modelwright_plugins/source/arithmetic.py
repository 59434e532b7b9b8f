"""Additions: the smallest task with one right answer, for learning from rewards where nothing else is at hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.source import BadRecord, Source, SourceFile

if TYPE_CHECKING:
    from datatrove.data import Document

PACK = 1000  # problems that one task draws at least


@dataclass(frozen=True, kw_only=True)
class Arithmetic(Source):
    """Additions of two numbers, each once in an order drawn once: as conversations, or as prompts with their answer.

    What is asked is "17+25". The reply is "42", or with `style=mixed` for every other problem, by chance, "The sum is 42.". Each has
    `metadata["example"]` with the "answer" 42; its text is both turns. Both orders of the two numbers are one group.
    """

    problems: int = 2000  # how many; beyond 100 ** digits they come again, in the same order
    first: int = 0  # the number of the first: ranges that don't overlap, up to 100 ** digits, share no problem
    draw: int = 1  # which order the problems are in, and which replies are sentences
    digits: int = 2  # of a number at most; there are 100 ** digits problems
    holds: Literal["conversations", "prompts"] = "conversations"  # with replies, to pretrain on and for SFT, or without, for rewards
    style: Literal["number", "mixed"] = "number"  # how replies are worded
    careless: float = 0.0  # share of problems, by chance, whose reply is one too many or too few; the answer beside it is right

    def __post_init__(self) -> None:
        if not 1 <= self.digits <= 3:
            raise ValueError(f"digits is {self.digits}; it is 1, 2 or 3")
        if self.problems < 1:
            raise ValueError(f"problems is {self.problems}; it is 1 or more")
        if self.first < 0:
            raise ValueError(f"first is {self.first}; it is 0 or more")
        if not 0 <= self.careless <= 1:
            raise ValueError(f"careless is {self.careless}; it is a share from 0 to 1")

    def example_kind(self) -> str:
        return "conversation" if self.holds == "conversations" else "prompt"

    def files(self) -> list[SourceFile]:
        packs = range(self.first, self.first + self.problems, PACK)
        sizes = [min(PACK, self.first + self.problems - begin) for begin in packs]
        return [
            SourceFile(path=Path(__file__), name=f"arithmetic/{self.draw}/{begin}:{size}", bytes=size * 10)
            for begin, size in zip(packs, sizes, strict=True)
        ]

    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        import numpy as np
        from datatrove.data import Document

        from modelwright_plugins.source._turns import made, readable

        file.path.stat()
        most = 10**self.digits
        order = np.random.default_rng([self.draw, self.digits]).permutation(most * most)
        begin, size = (int(number) for number in file.name.rpartition("/")[2].split(":"))
        for number in range(begin, begin + size):
            one, other = divmod(int(order[number % len(order)]), most)
            chance = np.random.default_rng([self.draw, number]).random(3)
            said = one + other + (0 if chance[1] >= self.careless else 1 if chance[2] < 0.5 else -1)
            reply = f"The sum is {said}." if self.style == "mixed" and chance[0] < 0.5 else f"{said}"
            asked = [{"role": "user", "content": f"{one}+{other}"}]
            if self.holds == "conversations":
                example = made("conversation", [], [[*asked, {"role": "assistant", "content": reply}]], answer=str(one + other))
            else:
                example = made("prompt", asked, [], answer=str(one + other))
            group = f"{min(one, other)}+{max(one, other)}"
            yield Document(text=readable(example), id=f"arithmetic/{self.draw}/{number}", metadata={"example": example, "group": group})
