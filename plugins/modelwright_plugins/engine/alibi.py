"""Attention with linear biases (Press et al. 2021, arXiv:2108.12409): scores fall with distance, a slope a head."""

from __future__ import annotations

import math

import torch
from megatron.core import parallel_state
from megatron.core.transformer.transformer_config import TransformerConfig


def slopes(heads: int) -> list[float]:
    """Each head's: 2^(-8/n), 2^(-16/n), …; where the heads are no power of two, those of the power below and every other one of the
    power above (section 3, and `get_slopes` in the paper's code)."""
    below: int = 2 ** math.floor(math.log2(heads))
    found = [2 ** (-8 * (i + 1) / below) for i in range(below)]
    return found if below == heads else found + slopes(2 * below)[0::2][: heads - below]


def own_slopes(config: TransformerConfig) -> list[float]:
    """Those of the heads that this tensor rank holds."""
    mine = config.num_attention_heads // config.tensor_model_parallel_size
    first = mine * parallel_state.get_tensor_model_parallel_rank()
    return slopes(config.num_attention_heads)[first : first + mine]


def biases(slope: torch.Tensor, places: torch.Tensor, keys: int) -> torch.Tensor:
    """Slopes [heads], and the places of queries [length] in a sequence of `keys` -> [1, heads, length, keys], in the slopes' type.
    Keys ahead, which the paper's models don't see, are as far as those behind."""
    distance = (torch.arange(keys, device=places.device) - places[:, None]).abs()
    return -(slope[:, None, None] * distance).unsqueeze(0)
