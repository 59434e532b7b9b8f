"""What denoising tests read: the documents of an example, put back together from what is given and from the targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelwright_plugins.objective import Objective, Passage
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

END, WORDS = 0, 500


def passage(objective: Objective, text: Any, length: int, seed: int = 0) -> Passage:
    special = {name: WORDS + place for place, name in enumerate(objective.special_tokens)}
    return Passage((np.asarray(text),), length, Vocabulary(WORDS + len(special), END, special), np.random.default_rng(seed))


def documents(text: Any) -> list[list[int]]:
    """Those that are not empty."""
    found: list[list[int]] = [[]]
    for token in np.asarray(text).tolist():
        if token == END:
            found.append([])
        else:
            found[-1].append(token)
    return [each for each in found if each]


def two_sides(example: dict[str, Any]) -> list[tuple[list[int], list[int]]]:
    """(given, targets) of each document of an encoder-decoder's example, without their ends; the masks are read, and checked on the way."""
    found = []
    targets, across = example["labels"], example["cross_attention_mask"]
    count = int((targets >= 0).sum())
    assert (targets[count:] == -1).all()
    ends = np.flatnonzero(targets[:count] == END)
    begin = inside = 0
    for end in ends:
        first, last = across[begin]
        assert first == inside and (across[begin : end + 1] == [first, last]).all()
        assert (example["attention_mask"][first:last] == [first, last]).all()
        place = np.arange(begin, end + 1)
        assert (example["decoder_attention_mask"][begin : end + 1] == np.stack([0 * place + begin, place + 1], 1)).all()
        assert example["decoder_input_ids"][begin : end + 1].tolist() == [END, *targets[begin:end]]
        assert example["input_ids"][last - 1] == END
        found.append((example["input_ids"][first : last - 1].tolist(), targets[begin:end].tolist()))
        begin, inside = end + 1, last
    assert begin == count
    for mask, used in (("attention_mask", inside), ("decoder_attention_mask", count)):
        place = np.arange(used, len(example[mask]))
        assert (example[mask][used:] == np.stack([place, place + 1], 1)).all()  # padding sees itself
    assert across.min() >= 0 and across.max() <= len(example["input_ids"])
    return found


def one_sequence(example: dict[str, Any]) -> list[tuple[list[int], list[int]]]:
    """The same, of a prefix decoder's example."""
    found = []
    ids, labels, visible = (example[name] for name in ("input_ids", "labels", "attention_mask"))
    begin = 0
    while begin < len(ids) and (labels[begin:] >= 0).any():
        first, prefix = visible[begin]
        assert first == begin and (visible[begin:prefix] == [begin, prefix]).all()
        assert (labels[begin : prefix - 1] == -1).all() and ids[prefix - 1] == END
        last = prefix - 1 + labels[prefix - 1 :].tolist().index(END)
        place = np.arange(prefix, last + 1)
        assert (visible[prefix : last + 1] == np.stack([0 * place + begin, place + 1], 1)).all()
        assert ids[prefix : last + 1].tolist() == labels[prefix - 1 : last].tolist()
        assert example["position_ids"][begin : last + 1].tolist() == list(range(last + 1 - begin))
        found.append((ids[begin : prefix - 1].tolist(), labels[prefix - 1 : last].tolist()))
        begin = last + 1
    place = np.arange(begin, len(ids))
    assert (visible[begin:] == np.stack([place, place + 1], 1)).all() and (labels[begin:] == -1).all()
    return found


def restored(given: list[int], targets: list[int], sentinels: int) -> tuple[list[int], list[int], int | None]:
    """(the document as it was written, lengths of the spans that were taken out, the mode's token or None)."""
    numbers = range(WORDS, WORDS + sentinels)
    mode = given[0] if given and given[0] >= WORDS + sentinels else None
    spans: dict[int, list[int]] = {}
    for token in targets:
        if token in numbers:
            assert token == WORDS + len(spans)  # in their order
            spans[token] = []
        else:
            spans[WORDS + len(spans) - 1].append(token)
    text: list[int] = []
    left = dict(spans)
    for token in given[mode is not None :]:
        text += left.pop(token) if token in numbers else [token]
    assert not left
    return text, [len(span) for span in spans.values()], mode
