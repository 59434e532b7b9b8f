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
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    index = IndexedDataset(str(shards.path / "held_out"), mmap=True).index
    tokens = np.fromfile(shards.path / "held_out.bin", index.dtype)
    lengths = np.asarray(index.sequence_lengths, np.int64)
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
    import numpy as np
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    return np.memmap(shards.path / "train.bin", IndexedDataset(str(shards.path / "train"), mmap=True).index.dtype, mode="r")


def tokens_trained(metrics: Metrics) -> int:
    """How many targets the model was trained on, epochs counted."""
    rows = metrics.path.read_text(encoding="utf-8").splitlines()
    try:
        return int(json.loads(rows[-1])["tokens"])
    except (IndexError, ValueError, KeyError, TypeError) as e:
        raise ModelwrightError(f"{metrics.path}: expected a last line with 'tokens' ({type(e).__name__}: {e})") from e


def seen_spans(shards: TokenShards, trained: int, *, sequence_length: int, seed: int) -> list[Tokens]:
    """The stretches of training text that a model saw which was trained on `trained` targets with this seed: what it saw
    twice is there once, and sequences that follow each other in the text are one stretch, as no model of them need know of the cut."""
    import numpy as np

    from modelwright_plugins.engine.batches import ShardTexts

    texts = ShardTexts(shards.path / "train", (sequence_length + 1,), seed=seed)
    drawn = np.sort(texts.orders(0)[0][: trained // sequence_length])  # of a second epoch nothing is new
    runs = np.split(drawn, np.flatnonzero(np.diff(drawn) > 1) + 1)
    return [texts.tokens[run[0] * sequence_length : (run[-1] + 1) * sequence_length + 1] for run in runs if len(run)]
