"""Where a model that gives values is asked for them, and what they are to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from modelwright_plugins.artifacts.examples import StoredExamples


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
