"""Documents that are no conversations, as rows beside these: some of the text that a model was pretrained on keeps it from forgetting."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from modelwright_plugins.tokenizer.encoder import Encoder


def text_rows(text: str, encoder: Encoder, room: int) -> list[tuple[Any, Any, None]]:
    """(tokens, mask, no values) of a document's text and its end, in as many rows of at most `room` tokens (2 or more) as it takes.

    Every token is a target, the end too; a row begins with the last token of the one before it, so that each token is predicted once.
    Nothing predicts the first token of a document, as nothing comes before it."""
    tokens = np.array([*encoder.encode(text), encoder.end_of_document], np.int32)
    ends = [*range(0, max(len(tokens) - 1, 1), room - 1), len(tokens) - 1]
    return [(own := tokens[begin : end + 1], np.ones(len(own), np.uint8), None) for begin, end in pairwise(ends)]
