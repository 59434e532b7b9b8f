"""Groups of what is similar among what meets, against all pairs and a search through them."""

import numpy as np
import pytest

from modelwright_plugins.deduper import _groups
from modelwright_plugins.deduper._groups import Groups, meetings
from modelwright_plugins.deduper.minhash import EMPTY, MinHash

MINHASH = MinHash(bands=3, rows=2, min_similarity=0.6)


def slow(signatures, minhash):
    """The first document of each one's group: every pair, then depth-first search."""
    bands = signatures.reshape(len(signatures), minhash.bands, minhash.rows)
    near = [set() for _ in signatures]
    for i, a in enumerate(signatures):
        for j, b in enumerate(signatures[:i]):
            some = (a != EMPTY).any() and (b != EMPTY).any()
            if some and (bands[i] == bands[j]).all(axis=1).any() and (a == b).sum() >= minhash.min_similarity * len(a):
                near[i].add(j)
                near[j].add(i)
    first = np.full(len(signatures), -1)
    for start in range(len(signatures)):
        waiting = [start] if first[start] < 0 else []
        while waiting:
            at = waiting.pop()
            if first[at] < 0:
                first[at] = start
                waiting += near[at]
    return first


def chains(seed, count=400):
    """Signatures with few different values, so that buckets are large, many that meet differ, and a's like has likes that a has not."""
    pick = np.random.default_rng(seed)
    found = pick.integers(0, 7 + seed % 3 + count // 200, (count, 6)).astype(np.uint32)
    found[pick.random(count) < 0.05] = EMPTY  # no n-grams
    return found


@pytest.mark.parametrize("rows", [7, 1 << 16])
@pytest.mark.parametrize("seed", range(6))
def test_groups_are_those_of_all_pairs(seed, rows, monkeypatch):
    monkeypatch.setattr(_groups, "BYTES", rows * 6 * 4)
    signatures = chains(seed)
    first = MINHASH.first(signatures)
    assert (first == slow(signatures, MINHASH)).all()
    sizes = np.unique(first, return_counts=True)[1]
    assert (sizes > 2).sum() > 3 and (sizes == 1).sum() > 3


@pytest.mark.parametrize("seed", range(4))
def test_groups_do_not_depend_on_the_order_of_documents(seed):
    signatures = chains(seed, 1000)
    groups = lambda first, name: {frozenset(name[first == one].tolist()) for one in np.unique(first)}  # noqa: E731
    found = groups(MINHASH.first(signatures), np.arange(1000))
    for again in range(3):
        order = np.random.default_rng(again).permutation(1000)
        assert groups(MINHASH.first(signatures[order]), order) == found


def test_who_meets():
    signatures = np.array([[1, 2], [3, 4], [1, 9], [EMPTY, EMPTY], [3, 4], [EMPTY, EMPTY], [1, 2], [EMPTY, 7]], dtype=np.uint32)
    members, begins = meetings(signatures, slice(0, 2), EMPTY)
    assert {tuple(part) for part in np.split(members, begins[1:-1])} == {(0, 6), (1, 4)} and begins[-1] == len(members) == 4
    members, begins = meetings(signatures, slice(0, 1), EMPTY)
    assert {tuple(part) for part in np.split(members, begins[1:-1])} == {(0, 2, 6), (1, 4)}
    for none in (signatures[:0], signatures[:1], signatures[:2]):
        members, begins = meetings(none, slice(0, 2), EMPTY)
        groups = Groups(none, 0.5)
        groups.join(members, begins)
        assert len(members) == 0 and begins.tolist() == [0] and groups.first().tolist() == list(range(len(none)))


def test_a_large_bucket_of_one_kind_is_compared_once():
    """5,000 copies and one that meets them and differs: as many comparisons as documents, not as pairs."""
    signatures = np.tile(np.arange(6, dtype=np.uint32), (5001, 1))
    signatures[1234, 2:] = 77
    compared = []

    class Counted(Groups):
        def _compare(self, a, b):
            compared.append(int((self._roots(a) != self._roots(b)).sum()))
            super()._compare(a, b)

    groups = Counted(signatures, 0.6)
    groups.join(*meetings(signatures, slice(0, 2), EMPTY))
    first = groups.first()
    assert (np.delete(first, 1234) == 0).all() and first[1234] == 1234 and sum(compared) < 11_000
