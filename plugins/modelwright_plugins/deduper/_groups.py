"""Groups of documents whose signatures are alike: which meet, which of those are similar, and what such pairs connect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelwright_plugins.deduper._words import mixed

BYTES = 32 << 20  # of signatures that are read, or of each side of the pairs that are compared, at a time
MOST = 2048  # documents of a bucket among which all pairs are compared
NEAR, ORDERS, NEAR_COLUMNS = 256, 4, 4  # of a larger one, neighbours in so many orders, each by so many values


def at_once(signatures: NDArray[np.unsignedinteger]) -> int:
    """How many signatures BYTES hold."""
    return max(1, BYTES // (signatures.shape[1] * signatures.itemsize))


def meetings(signatures: NDArray[np.unsignedinteger], columns: slice, empty: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Documents that agree in all of `columns` with another: their numbers, ascending within each bucket of those that agree, bucket
    after bucket, and where buckets begin, with the end: (buckets + 1,). A document whose values are all `empty` meets nobody."""
    keys = np.empty(len(signatures), dtype=np.uint64)
    some = np.empty(len(signatures), dtype=bool)
    step = at_once(signatures)
    for begin in range(0, len(keys), step):
        rows = np.asarray(signatures[begin : begin + step, columns])
        key = np.zeros(len(rows), dtype=np.uint64)
        for column in rows.T:
            key = mixed(key ^ column)
        keys[begin : begin + step] = key
        some[begin : begin + step] = (rows != empty).any(axis=1)
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
    one that is connected already is not compared.

    Pages of one template may meet by the hundred thousand in a band and be alike in nothing else, and their pairs are too many. Of a
    bucket of more than MOST that its first document does not join, only neighbours in the order of other values are compared: similar
    documents share most of those, and meet in other bands, too.
    """

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
        self._compare(heads, members)
        apart = self._roots(members) != self._roots(heads)
        left = np.add.reduceat(apart, begins[:-1]) if len(members) else np.zeros(0, dtype=np.int64)
        for bucket in np.flatnonzero((left > 0) & (sizes > 2)):
            inside = members[begins[bucket] : begins[bucket + 1]]
            for part in [inside] if len(inside) <= MOST else self._neighbours(inside):
                self._close(part)

    def _neighbours(self, members: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """NEAR documents at a time, in each of ORDERS orders."""
        width = self.signatures.shape[1]
        whole = np.zeros(
            len(members), dtype=np.uint64
        )  # of values that are the same in all: then the whole signature decides, and no number
        for begin in range(0, len(members), at_once(self.signatures)):
            part = slice(begin, begin + at_once(self.signatures))
            for column in np.asarray(self.signatures[members[part]]).T:
                whole[part] = mixed(whole[part] ^ column)
        for begin in range(0, width, max(1, width // ORDERS)):
            columns = np.asarray(self.signatures[members, begin : begin + NEAR_COLUMNS])
            ordered = members[np.lexsort((whole, *columns.T[::-1]))]
            for first in range(0, len(ordered), NEAR // 2):
                yield np.sort(ordered[first : first + NEAR])

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
        step = at_once(self.signatures)
        for begin in range(0, len(a), step):
            self._join_similar(a[begin : begin + step], b[begin : begin + step])

    def _join_similar(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> None:
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
