"""What evaluation reads from token shards: their tokens, and the part of them that a model was trained on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelwright_plugins.artifacts import Metrics, TokenShards
    from modelwright_plugins.engine.texts import ShardTexts

    Tokens = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class HeldOut:
    """The held-out documents, one after another."""

    tokens: Tokens  # each document closed by its end-of-document token
    lengths: NDArray[np.int64]  # tokens of each document
    bytes: NDArray[np.int64]  # UTF-8 bytes of each document's text
    groups: list[str]  # the group key of each document


def held_out(shards: TokenShards) -> HeldOut:
    """Raises ModelwrightError when nothing was held out, or when documents and tokens don't belong together."""
    import numpy as np

    from modelwright_plugins.engine.texts import stored_lengths, stored_tokens

    tokens, lengths = np.array(stored_tokens(shards.path / "held_out")), stored_lengths(shards.path / "held_out")
    file = shards.path / "held_out.jsonl"
    try:
        documents = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
        sizes, groups = np.array([d["bytes"] for d in documents], np.int64), [str(d["group"]) for d in documents]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ModelwrightError(f'{file}: expected a line {{"id", "group", "bytes"}} for each held-out document ({e})') from e
    if not len(tokens):
        raise ModelwrightError(f"{shards.path / 'held_out.bin'}: no tokens to evaluate on; set curate.held_out above 0")
    if not (len(groups) == len(lengths) and lengths.sum() == len(tokens)):
        raise ModelwrightError(f"{file}: {len(groups)} documents, where held_out.idx has {len(lengths)} of {lengths.sum()} tokens")
    return HeldOut(tokens, lengths, sizes, groups)


def train_tokens(shards: TokenShards) -> Tokens:
    """The training documents' tokens, one after another, not read before they are used."""
    from modelwright_plugins.engine.texts import stored_tokens

    return stored_tokens(shards.path / "train")


def tokens_trained(metrics: Metrics) -> int:
    """How many targets the model was trained on, epochs counted."""
    rows = metrics.path.read_text(encoding="utf-8").splitlines()
    try:
        return int(json.loads(rows[-1])["tokens"])
    except (IndexError, ValueError, KeyError, TypeError) as e:
        raise ModelwrightError(f"{metrics.path}: expected a last line with 'tokens' ({type(e).__name__}: {e})") from e


@dataclass(frozen=True)
class Seen:
    """Which of a shard's text a model was trained on."""

    seed: int  # of the training
    spans: tuple[int, ...]  # tokens of the stretches of text that a sequence was made of
    drawn: int | None  # sequences drawn; None: a checkpoint doesn't say, and all were trained on
    skipped: tuple[tuple[int, int], ...] = ()  # (first, how many) of those that were not trained on
    length: int | None = None  # positions a sequence; None: the first stretch, but for its last target


def seen_spans(shards: TokenShards, seen: Seen, *, trained: int) -> list[Tokens]:
    """The stretches of training text that a model saw, which was trained on `trained` sequences: what it saw twice is there once,
    and where they follow each other in the text they are one stretch, as no model of them need know of the cut."""
    import numpy as np

    from modelwright_plugins.engine.blend import opened

    texts = opened(shards.path / "train", seen.spans, seed=seen.seed, length=seen.length or seen.spans[0] - 1)
    numbers = np.arange(trained if seen.drawn is None else seen.drawn)
    for first, count in seen.skipped:
        numbers = numbers[(numbers < first) | (numbers >= first + count)]
    return [span for shard, own in texts.by_shard(numbers) for span in _seen_of(shard, own)]


def _seen_of(texts: ShardTexts, numbers: NDArray[np.int64]) -> list[Tokens]:
    """The stretches of one shard that are among its sequences of these numbers."""
    import numpy as np

    begins, ends = [], []
    for epoch in np.unique(numbers // texts.count).tolist():
        places = numbers[numbers // texts.count == epoch] - epoch * texts.count
        for order, length in zip(texts.orders(epoch), texts.lengths, strict=True):
            begins.append(order[places] * texts.step)
            ends.append(begins[-1] + length)
    if not begins:
        return []
    found = np.concatenate(begins)
    places = np.argsort(found, kind="stable")
    found, reach = found[places], np.maximum.accumulate(np.concatenate(ends)[places])
    firsts = np.flatnonzero(np.concatenate([[True], found[1:] > reach[:-1]]))
    return [texts.tokens[found[a] : reach[b - 1]] for a, b in zip(firsts, [*firsts[1:], len(found)], strict=True)]
