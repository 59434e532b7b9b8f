"""Texts that are about the same, whatever the order of their words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from modelwright_plugins.deduper import Deduper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class Semantic(Deduper):
    """Removes a text whose embedding is nearly that of another: of each group one stays (SemDeDup, arXiv:2303.09540).

    Embeddings are made here, of no model: words' counts in hash buckets, weighted by TF-IDF, and of those the first singular directions
    (latent semantic analysis, Deerwester et al. 1990). Spherical k-means parts them into clusters; within each, texts of at least
    `min_similarity` are joined, and of what pairs connect stays the one farthest from the cluster's centre (section 3), or the nearest.
    Groups do not depend on the order of documents; across clusters none is found. What is left embeds a little differently: run
    again, it may lose a few more. Texts without a word all stay.
    """

    min_similarity: float = 0.95  # cosine of two embeddings, 0 to 1; the paper's 1 - epsilon
    keep: Literal["farthest", "nearest"] = "farthest"  # from the centre of its cluster; farthest keeps more of what is rare
    features: int = 4096  # hash buckets of words; a document's signature is a byte for each
    dimensions: int = 512  # of an embedding; at 0.95, 128 took 6 of 1,495 paragraphs of wikitext-2 for the same as others, 512 took 1
    cluster_size: int = 1000  # documents for each cluster, on average; work grows with it, and what is missed at edges shrinks
    seed: int = 1  # of the directions that the search for singular ones begins with

    reason: ClassVar[str] = "semantic_duplicate"

    def __post_init__(self) -> None:
        for name, least in (("features", 2), ("dimensions", 1), ("cluster_size", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least {least}")
        if not 0 < self.min_similarity <= 1:
            raise ValueError(f"min_similarity is {self.min_similarity}; it is above 0 and at most 1")

    def sign(self, texts: Sequence[str]) -> NDArray[np.uint8]:
        """(documents, features): how many of a text's words, lower-cased, fall into each bucket, up to 255."""
        import numpy as np
        import xxhash

        known: dict[str, int] = {}
        out = np.zeros((len(texts), self.features), dtype=np.uint8)
        for row, text in zip(out, texts, strict=True):
            buckets = []
            for word in WORD.findall(text.lower()):
                if (bucket := known.get(word)) is None:
                    bucket = known[word] = xxhash.xxh3_64_intdigest(word.encode("utf-8", "surrogatepass")) % self.features
                buckets.append(bucket)
            if buckets:
                row[:] = np.minimum(np.bincount(buckets, minlength=self.features), 255)
        return out

    def first(self, signatures: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
        import numpy as np
        import xxhash
        from threadpoolctl import threadpool_limits

        from modelwright_plugins.deduper._embedding import embedded, tf_idf
        from modelwright_plugins.deduper.normalized import equal_rows

        hashes = np.frombuffer(b"".join(xxhash.xxh3_128_digest(row.tobytes()) for row in signatures), dtype="<u8").reshape(-1, 2)
        some = np.fromiter((row.any() for row in signatures), dtype=bool, count=len(signatures))
        first = np.where(some, equal_rows(hashes), np.arange(len(hashes))).astype(np.int64)
        different = np.flatnonzero((first == np.arange(len(first))) & some)
        different = different[np.lexsort(hashes[different].T)]  # an order that does not depend on that of the documents
        if len(different):
            chosen = np.arange(len(first), dtype=np.int64)
            with threadpool_limits(1):  # a sum's last bits depend on how many cores share it
                vectors = embedded(tf_idf(signatures, different), self.dimensions, self.seed)
                chosen[different] = different[self.kept(vectors)]
            first = chosen[first]
        return first

    def kept(self, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
        """For each vector of length 1, (vectors, dimensions), the number of the one that stands for it."""
        import numpy as np

        from modelwright_plugins.deduper._embedding import groups, k_means

        centres, cluster = k_means(vectors, -(-len(vectors) // self.cluster_size))
        stand_in = np.arange(len(vectors), dtype=np.int64)
        members = np.argsort(cluster, kind="stable")
        for inside in np.split(members, np.flatnonzero(np.diff(cluster[members])) + 1):
            group = groups(vectors[inside], self.min_similarity)
            near = vectors[inside] @ centres[cluster[inside[0]]]
            order = np.lexsort((near if self.keep == "farthest" else -near, group))  # the one that stays is the first of its group
            begins = np.append(True, np.diff(group[order]) != 0)
            stand_in[inside[order]] = inside[order[np.flatnonzero(begins)]][np.cumsum(begins) - 1]
        return stand_in
