"""Which weights of a matrix share a scale."""

from __future__ import annotations

import torch

from modelwright_plugins.quantizer._settings import check_inputs

SMALLEST = 2.0**-24  # of what FP16 holds but 0


def in_groups(weight: torch.Tensor, group: int) -> torch.Tensor:
    """[outputs, inputs] -> [rows, groups of a row, weights of a group]: `group` > 0: so many of a row; 0: a row; -1: the matrix (1 row).

    ModelwrightError: the groups don't fill the rows."""
    outputs, inputs = weight.shape
    if group == -1:
        return weight.reshape(1, 1, -1)
    check_inputs(inputs, group)
    return weight.reshape(outputs, -1, group or inputs)


def spread(each: torch.Tensor, outputs: int, inputs: int) -> torch.Tensor:
    """A number of each group, [rows, groups] -> of each weight, [outputs, inputs], or what is broadcast to that."""
    if each.shape[1] in (1, inputs):
        return each
    return each.repeat_interleave(inputs // each.shape[1], 1).expand(outputs, inputs)


def half(scales: torch.Tensor) -> torch.Tensor:
    """Scales as they are stored, FP16 as in GPTQ's and AWQ's files; none is 0 or infinite. Codes are made with these."""
    return scales.clamp(SMALLEST, 65504).half()
