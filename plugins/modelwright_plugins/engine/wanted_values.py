"""Where a model that gives values is asked for them, and what they are to be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts.examples import StoredExamples

ENDING = 8  # tokens that a template may put behind a reply
SAID = "mmm"  # by the assistant


def wanted_values(examples: StoredExamples, rows: Sequence[int], before: Sequence[int], shape: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Of stored rows, each read from its first token to its last after `before` others; -1 is no row, and nothing is wanted of it.

    "loss_mask" [rows, positions]: 1 where a step ends, of examples of the kind steps, and of others at the last token; "loss_labels"
    [rows, positions]: the steps' labels there; "loss_thumbs" bool [rows]: scores are thumbs, up or down.
    """
    mask, labels = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for place, (row, begin) in enumerate(zip(rows, before, strict=True)):
        if row < 0:
            continue
        length = int(examples.begins[row + 1] - examples.begins[row])
        if examples.kind != "steps":
            mask[place, begin + length - 1] = 1
            continue
        values = examples.values_of(row)
        ends = ~np.isnan(values)
        mask[place, begin : begin + length] = ends
        labels[place, begin : begin + length][ends] = values[ends]
    thumbs = torch.full((len(rows),), examples.kind == "unpaired")
    return {"loss_mask": torch.from_numpy(mask), "loss_labels": torch.from_numpy(labels), "loss_thumbs": thumbs}


def read_so(examples: StoredExamples, tokenizer: Path | None = None) -> dict[str, Any]:
    """What a model's card says of how it was taught to read replies: the tokens in which all of them end, no more than the template puts
    behind one with the tokenizer in this folder, so that words in which all replies happen to end are none."""
    last, shortest = examples.begins[1:], int(examples.lengths.min()) if len(examples.scores) else 0
    ending: list[int] = []
    for back in range(1, 1 + min(ENDING if tokenizer is None else _behind(examples, tokenizer), shortest)):
        tokens = np.unique(examples.tokens[last - back])
        if len(tokens) > 1:
            break
        ending.insert(0, int(tokens[0]))
    return {"per_step": examples.kind == "steps", "ending": tuple(ending)}


def _behind(examples: StoredExamples, tokenizer: Path) -> int:
    """How many tokens come after the assistant's last words: the template's, and the end of the document."""
    from modelwright_plugins.tokenizer.chat_tokens import ChatEncoder

    template = examples.about.get("template")
    if not template or not (tokenizer / "tokenizer.json").is_file():
        return ENDING
    chat = ChatEncoder(tokenizer, template)
    turns = [{"role": "user", "content": "uuu"}, {"role": "assistant", "content": SAID}]
    (found,) = chat.encode([{"messages": turns}], whole=False)
    if isinstance(found, ModelwrightError) or (at := found.text.rfind(SAID)) < 0:
        return ENDING  # it refuses such a conversation
    after = len(found.tokens) - found.within(at, at + len(SAID)).stop
    closed = len(found.tokens) and found.tokens[-1] == examples.end_of_document
    return min(ENDING, after + (not closed))


def completed(tokens: Sequence[int], ending: Sequence[int], begin: int = 0) -> list[int]:
    """A prompt and from `begin` on its reply, which is finished, with all that the template puts behind replies: a model that draws them
    stops at the first of it."""
    done = ending.index(tokens[-1]) + 1 if len(tokens) > begin and tokens[-1] in ending else 0
    return [*tokens, *ending[done:]]
