"""Examples of documents that have two sides each: what is given, and what is to be said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from modelwright_plugins.objective._pieces import Numbers, before
from modelwright_plugins.objective.visible import positions, seen

if TYPE_CHECKING:
    from modelwright_plugins.objective import Example

Side = tuple[Numbers, Numbers]
"""(tokens of all documents, one after another; how many each document has). Targets are closed by an end of document each."""


def encoder_decoder(given: Side, targets: Side, *, lengths: tuple[int, int], end: int) -> Example:
    """Of an encoder and a decoder, padded to `lengths`; a document's targets see what is given of it and nothing else.

    Positions are left to the model, which sees distances: they are those within the document. The decoder reads its targets shifted by
    one: what begins a document is the end of the one before it.
    """
    inside, outside = _visible(given[1], lengths[0], causal=False), _visible(targets[1], lengths[1], causal=True)
    first = before(given[1])
    across = np.tile(np.array([0, 1]), (lengths[1], 1))  # padding sees something, as a softmax needs; it has no target
    across[: len(targets[0])] = np.repeat(np.stack([first, first + given[1]], 1), targets[1], axis=0)
    return {
        "input_ids": _padded(given[0], lengths[0], end),
        "attention_mask": inside,
        "decoder_input_ids": _padded(np.concatenate([[end], targets[0]])[:-1], lengths[1], end),
        "decoder_attention_mask": outside,
        "cross_attention_mask": across,
        "labels": _padded(targets[0], lengths[1], -1),
    }


def one_sequence(given: Side, targets: Side, *, length: int, end: int) -> Example:
    """Of a decoder whose prefix sees both ways: what is given of a document, closed by its end, and its targets but the last."""
    total = given[1] + targets[1] - 1
    start = before(total)
    here = np.repeat(start, given[1]) + np.arange(given[1].sum()) - np.repeat(before(given[1]), given[1])
    there = np.repeat(start + given[1] - 1, targets[1]) + np.arange(targets[1].sum()) - np.repeat(before(targets[1]), targets[1])
    ids, labels = np.full(length + 1, end), np.full(length, -1)
    labels[there] = targets[0]
    ids[there + 1] = targets[0]  # the last of each is where the next document begins, and is written over
    ids[here] = given[0]
    visible = _visible(total, length, causal=True)
    visible[here, 1] = np.repeat(start + given[1], given[1])
    ids[total.sum() :] = end
    return {"input_ids": ids[:-1], "position_ids": positions(visible), "attention_mask": visible, "labels": labels}


def _visible(sizes: Numbers, length: int, *, causal: bool) -> Numbers:
    """Documents of these sizes, then padding that sees itself."""
    padding = np.arange(length - sizes.sum())
    return seen(np.concatenate([np.repeat(np.arange(len(sizes)), sizes), len(sizes) + padding]), causal=causal)


def _padded(tokens: Numbers, length: int, value: int) -> Numbers:
    found = np.full(length, value)
    found[: len(tokens)] = tokens
    return found
