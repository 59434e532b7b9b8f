"""Embeddings of counted words, and which of them are near each other. All rows are documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array, csr_array, vstack
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 1024  # rows at a time, where a whole matrix would be too large
EXTRA, PASSES = 16, 4  # directions beside those wanted, and power iterations, of the randomised SVD
ROUNDS = 20  # of k-means, at most


def tf_idf(counts: NDArray[np.unsignedinteger], rows: NDArray[np.int64]) -> csr_array:
    """(1 + ln count) * (ln((1 + documents) / (1 + documents with it)) + 1) of these rows of `counts`, each of length 1; none is empty."""
    ascending = np.sort(rows)  # a memory map is read from begin to end
    blocks = [csr_array(np.asarray(counts[ascending[i : i + BLOCK]]), dtype=np.float32) for i in range(0, len(rows), BLOCK)]
    found = csr_array(vstack(blocks))[np.searchsorted(ascending, rows)]
    found.sort_indices()
    documents = np.bincount(found.indices, minlength=found.shape[1])
    idf = (np.log((1 + len(rows)) / (1 + documents)) + 1).astype(np.float32)
    found.data = (1 + np.log(found.data)) * idf[found.indices]
    lengths = np.sqrt(np.add.reduceat(found.data**2, found.indptr[:-1]))
    found.data /= np.repeat(lengths, np.diff(found.indptr))
    return found


def embedded(weights: csr_array, dimensions: int, seed: int) -> NDArray[np.float32]:
    """(documents, at most `dimensions`), of length 1: `weights` along its first right singular vectors, by the randomised SVD of
    Halko et al. 2011 (arXiv:0909.4061, algorithms 4.4 and 5.1)."""
    random = np.random.Generator(np.random.PCG64(seed))
    start = random.standard_normal((weights.shape[1], min(dimensions + EXTRA, *weights.shape)), dtype=np.float32)
    basis = np.linalg.qr(weights @ start)[0]
    for _ in range(PASSES):
        basis = np.linalg.qr(weights @ np.linalg.qr(weights.T @ basis)[0])[0]
    directions = np.linalg.svd((weights.T @ basis).T, full_matrices=False)[2][:dimensions]
    found = weights @ directions.T
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def k_means(vectors: NDArray[np.float32], clusters: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Centres of length 1 and each vector's cluster, by cosine. It begins with vectors that stand at equal distances in their order."""
    centres = vectors[np.arange(clusters) * len(vectors) // clusters]
    cluster = np.full(len(vectors), -1)
    for _ in range(ROUNDS):
        before = cluster
        cluster = np.concatenate([(vectors[i : i + BLOCK] @ centres.T).argmax(axis=1) for i in range(0, len(vectors), BLOCK)])
        member = coo_array((np.ones(len(vectors), dtype=np.float32), (cluster, np.arange(len(vectors)))), shape=(clusters, len(vectors)))
        sums = csr_array(member) @ vectors
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 1e-12, sums / np.maximum(lengths, 1e-12), centres)  # one that is empty stays where it is
        if (cluster == before).all():
            break
    return centres, cluster


def groups(vectors: NDArray[np.float32], min_similarity: float) -> NDArray[np.int64]:
    """A number for each vector, the same for those that pairs of at least this cosine connect."""
    group = np.arange(len(vectors))
    for begin in range(0, len(vectors), BLOCK):
        one, other = np.nonzero(vectors[begin : begin + BLOCK] @ vectors[begin:].T >= min_similarity)
        ends = group[one + begin], group[other + begin]
        graph = coo_array((np.ones(len(one), dtype=np.int8), ends), shape=(len(vectors), len(vectors)))
        group = connected_components(graph, directed=False)[1][group]
    return group
