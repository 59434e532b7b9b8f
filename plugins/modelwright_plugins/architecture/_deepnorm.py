"""DeepNet's initialisation (Wang et al. 2022, arXiv:2203.00555, figure 2): Xavier's, and less of what writes to the residual stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from modelwright_plugins.architecture.decoder import CausalDecoder


def alpha(layers: int) -> float:
    """What the residual is multiplied with in a decoder-only model."""
    return (2 * layers) ** 0.25


def beta(layers: int) -> float:
    """The gain of the feed-forward network, values and attention's output; of queries and keys it is 1."""
    return (8 * layers) ** -0.25


def initial_std(a: CausalDecoder, parameter: str) -> float | torch.Tensor:
    """Of Xavier's normal distribution, sqrt(2 / (inputs + outputs)) times the gain; of the matrix of queries, keys and values, which
    come a group of heads after another, [rows, 1]."""
    head, kv_heads = a.head_dim or a.width // a.heads, a.kv_heads or a.heads
    queries, keys = a.heads * head, kv_heads * head

    def xavier(inputs: int, outputs: int) -> float:
        return (2 / (inputs + outputs)) ** 0.5

    if parameter.endswith("linear_qkv.weight"):
        import torch

        rows = [xavier(a.width, queries)] * (queries // kv_heads) + [xavier(a.width, keys)] * head
        rows += [xavier(a.width, keys) * beta(a.layers)] * head
        return torch.tensor(rows * kv_heads).unsqueeze(1)
    outputs = queries if parameter.endswith("linear_proj.weight") else a.feed_forward_size
    return xavier(a.width, outputs) * beta(a.layers)
