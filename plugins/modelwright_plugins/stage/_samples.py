"""Samples that do not depend on how documents are shared out to tasks: the documents with the smallest hashes of their ids."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xxhash

Key = tuple[int, int]  # hashes of a document's id and of its text


def hashed(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))


class Smallest:
    """Of all items that it is given, the `most` with the smallest keys: a random sample without replacement (bottom-k, Cohen and
    Kaplan 2007, doi:10.1145/1281100.1281133). That of several tasks is, in turn, the smallest of theirs."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.others: set[int] = set()  # hashes of ids that other tasks have found, at most `most`
        self._heap: list[tuple[int, int, int, Any]] = []  # keys with a minus: the largest is on top
        self._count, self._limit = 0, 1 << 64

    def learn(self, folder: Path, place: str) -> None:
        """Take over what tasks that have ended know of the smallest hashes, from the file that the last of them wrote, if there is one.

        What is above all of theirs can't be in the whole sample, and need not be looked at. Which tasks had ended changes what is looked
        at, and not the sample."""
        files = sorted(folder.glob(f"{place}_*.hashes"), key=lambda file: file.stat().st_mtime_ns)
        if files:
            self.others = set(array("Q", files[-1].read_bytes()))
            if len(self.others) == self.most:
                self._limit = max(self.others)

    def teach(self, file: Path) -> None:
        """Write, for tasks that begin later, the smallest hashes that are known."""
        known = heapq.nsmallest(self.most, self.others | {-first for first, _, _, _ in self._heap})
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_bytes(array("Q", known).tobytes())
        unfinished.rename(file)

    def key(self, name: str, text: str) -> Key | None:
        """The key of the document with this id, if as yet it is in the sample; its text is hashed only then."""
        if not self.most:
            return None
        first = hashed(name)
        if first > self._limit or (len(self._heap) == self.most and first > -self._heap[0][0]):
            return None
        key = first, hashed(text)
        return None if len(self._heap) == self.most and key >= (-self._heap[0][0], -self._heap[0][1]) else key

    def put(self, key: Key, item: Any) -> None:
        self._count += 1
        entry = (-key[0], -key[1], -self._count, item)
        (heapq.heappush if len(self._heap) < self.most else heapq.heappushpop)(self._heap, entry)

    def found(self) -> list[tuple[Key, Any]]:
        """The sample, in the order in which it came."""
        return [((-first, -second), item) for first, second, _, item in sorted(self._heap, key=lambda entry: -entry[2])]


def smallest(found: Iterable[tuple[Key, Any]], most: int) -> list[Any]:
    """The items with the smallest of all keys, in the order in which they came. Keeps no more than `most` of them in memory."""
    chosen = heapq.nsmallest(most, enumerate(found), key=lambda entry: tuple(entry[1][0]))
    return [item for _, (_, item) in sorted(chosen, key=lambda entry: entry[0])]
