"""Layer norms for Megatron's local layer spec, that know about sequence parallelism."""

from __future__ import annotations

from typing import Any

import torch
from megatron.core.transformer.transformer_config import TransformerConfig


class Norm:
    """torch's LayerNorm or RMSNorm, as `config.normalization` says.

    Megatron's `WrappedTorchNorm` refuses sequence parallelism. A norm only needs its parameters marked there: each
    tensor rank sees its own part of the sequence, and `finalize_model_grads` sums the gradients of marked parameters.
    """

    def __new__(cls, config: TransformerConfig, hidden_size: int, eps: float = 1e-5, **_: Any) -> torch.nn.Module:  # type: ignore[misc]
        kind = {"LayerNorm": torch.nn.LayerNorm, "RMSNorm": torch.nn.RMSNorm}[config.normalization]
        norm = kind(hidden_size, eps=eps, dtype=config.params_dtype)
        for parameter in norm.parameters():
            parameter.sequence_parallel = config.sequence_parallel
        return norm
