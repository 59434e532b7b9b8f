"""Small blends on disk, in which each token tells its domain."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from modelwright_plugins.artifacts.blend import Blend, BlendedDomain
from modelwright_plugins.artifacts.shard_writer import ShardWriter
from modelwright_plugins.mixture import Phase

STRIDE = 1000  # a domain's tokens begin at multiples of it, and count up


def shard(path: Path, first: int, tokens: int) -> Path:
    """Tokens first, first + 1, … in documents of uneven lengths."""
    with ShardWriter(path, 30_000) as out:
        cuts = [0, *(cut for cut in (7, 37, 38, 78) if cut < tokens), tokens]
        for begin, end in pairwise(cuts):
            out.write(np.arange(first + begin, first + end))
    return path


def blend(folder: Path, sizes: Mapping[str, int], phases: list[Phase], *, tokens: int, window: int | None = None) -> Path:
    """`train` of all domains and a blend of them."""
    folder.mkdir(parents=True, exist_ok=True)
    domains = {}
    for number, (name, size) in enumerate(sizes.items()):
        shard(folder / f"train_{name}", STRIDE * number, size)
        domains[name] = BlendedDomain(f"train_{name}", 5, size, 4 * size)
    with ShardWriter(folder / "train", 30_000) as out:
        for number, size in enumerate(sizes.values()):
            out.write(STRIDE * number + np.arange(size))
    Blend(tokens, window, domains, phases).write(folder)
    return folder / "train"
