"""Domains whose truth is known, on disk as stage mix leaves them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelwright_plugins.mixture import Domain, Material

VOCABULARY, END = 33, 0  # tokens 1 to 32 are text
Tokens = NDArray[np.int64]


def material(folder: Path, domains: Mapping[str, list[Tokens]], seed: int = 7) -> Material:
    """Domains of documents."""
    from modelwright_plugins.artifacts.shard_writer import ShardWriter

    (folder / "tokens").mkdir(parents=True)
    (folder / "tokens" / "shards.json").write_text(json.dumps({"vocab_size": VOCABULARY, "end_of_document": END}))
    found = {}
    for name, documents in domains.items():
        with ShardWriter(folder / "tokens" / name, VOCABULARY) as shard:
            for document in documents:
                shard.write(np.append(document, END))
        tokens = sum(len(document) + 1 for document in documents)
        found[name] = Domain(folder / "tokens" / name, len(documents), tokens, tokens)
    return Material(found, 1_000_000, folder / "tokens", folder, seed, folder / "work")


def noise(random: np.random.Generator, tokens: int) -> Tokens:
    """Nothing to learn but which tokens there are."""
    return random.integers(1, VOCABULARY, tokens)


def repeats(random: np.random.Generator, tokens: int) -> Tokens:
    """Learned at once."""
    return np.resize(np.array([5, 9]), tokens)


def chain(random: np.random.Generator, tokens: int, rules: int = 3) -> Tokens:
    """Two tokens say the next one by a random table, nine times of ten: 256 facts to learn, of 16 tokens."""
    table = np.random.default_rng(rules).integers(1, 17, (17, 17))
    chance, other = random.random(tokens), random.integers(1, 17, tokens)
    found = [3, 4]
    for place in range(2, tokens):
        found.append(int(table[found[-2], found[-1]]) if chance[place] < 0.9 else int(other[place]))
    return np.array(found[:tokens])


def documents(make: Any, seed: int, count: int, length: int = 200) -> list[Tokens]:
    random = np.random.default_rng(seed)
    return [make(random, length) for _ in range(count)]
