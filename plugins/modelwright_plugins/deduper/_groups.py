"""Groups of documents whose signatures are alike: which meet, which of those are similar, and what such pairs connect."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelwright_plugins.deduper._words import mixed

ROWS = 1 << 16  # signatures read, or pairs compared, at a time: 29 MB of 112 values


def meetings(signatures: NDArray[np.unsignedinteger], columns: slice, empty: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Documents that agree in all of `columns` with another: their numbers, ascending within each bucket of those that agree, bucket
    after bucket, and where buckets begin, with the end: (buckets + 1,). A document whose values are all `empty` meets nobody."""
    keys = np.empty(len(signatures), dtype=np.uint64)
    some = np.empty(len(signatures), dtype=bool)
    for begin in range(0, len(keys), ROWS):
        rows = np.asarray(signatures[begin : begin + ROWS, columns])
        key = np.zeros(len(rows), dtype=np.uint64)
        for column in rows.T:
            key = mixed(key ^ column)
        keys[begin : begin + ROWS] = key
        some[begin : begin + ROWS] = (rows != empty).any(axis=1)
    order = np.argsort(keys, kind="stable")  # equal keys stay in the order of documents
    order = order[some[order]]
    ordered = keys[order]
    same = ordered[1:] == ordered[:-1]
    met = np.zeros(len(order), dtype=bool)
    met[1:] |= same
    met[:-1] |= same
    begins = np.flatnonzero(np.append(True, ~same)[: len(order)] & met)
    numbers = np.cumsum(met) - 1  # among those that met
    return order[met], np.append(numbers[begins], met.sum()).astype(np.int64)


class Groups:
    """What similar pairs among documents that met connect. Every pair that met counts, so groups don't depend on the documents' order;
    one that is connected already is not compared."""

    def __init__(self, signatures: NDArray[np.unsignedinteger], min_similarity: float) -> None:
        self.signatures, self.min_similarity = signatures, min_similarity
        self.parent = np.arange(len(signatures), dtype=np.int64)  # of its group's first document, or one nearer to it; never a later one

    def first(self) -> NDArray[np.int64]:
        """For each document the first of its group: (documents,)."""
        return self._roots(np.arange(len(self.parent)))

    def join(self, members: NDArray[np.int64], begins: NDArray[np.int64]) -> None:
        """`meetings`' buckets. First each bucket's first document with all others of it, and then, in the few buckets that this does not
        make one group, group by group, all pairs."""
        sizes = np.diff(begins)
        heads = np.repeat(members[begins[:-1]], sizes)
        for begin in range(0, len(members), ROWS):
            part = slice(begin, begin + ROWS)
            self._compare(heads[part], members[part])
        apart = self._roots(members) != self._roots(heads)
        left = np.add.reduceat(apart, begins[:-1]) if len(members) else np.zeros(0, dtype=np.int64)
        for bucket in np.flatnonzero((left > 0) & (sizes > 2)):
            self._close(members[begins[bucket] : begins[bucket + 1]])

    def _close(self, rest: NDArray[np.int64]) -> None:
        while len(rest) > 1:
            roots = self._roots(rest)
            inside = roots == roots[0]
            group, rest = rest[inside].tolist(), rest[~inside]
            while group and len(rest):
                self._compare(np.full(len(rest), at := group.pop()), rest)
                joined = self._roots(rest) == self._roots(np.array([at]))
                group += rest[joined].tolist()
                rest = rest[~joined]

    def _compare(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> None:
        """Joins the groups of the similar among these pairs."""
        apart = self._roots(a) != self._roots(b)
        a, b = a[apart], b[apart]
        similar = (self.signatures[a] == self.signatures[b]).mean(axis=1) >= self.min_similarity
        a, b = a[similar], b[similar]
        while len(a):
            a, b = self._roots(a), self._roots(b)
            a, b = np.minimum(a, b), np.maximum(a, b)
            np.minimum.at(self.parent, b, a)  # of several first documents for one the first; the others' turn comes again
            apart = a != b
            a, b = a[apart], b[apart]

    def _roots(self, at: NDArray[Any]) -> NDArray[np.int64]:
        found = self.parent[at]
        while ((further := self.parent[found]) != found).any():
            found = further
        self.parent[at] = found
        return found
