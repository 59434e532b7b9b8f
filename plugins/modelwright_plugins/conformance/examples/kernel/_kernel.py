"""The modules of the norms: imported by the method that names them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from megatron.core.transformer.transformer_config import TransformerConfig


class WideNorm(torch.nn.Module):
    """LayerNorm or RMSNorm of the last dimension, computed in FP32 whatever the model's format is."""

    dtype = torch.float32

    def __init__(self, config: TransformerConfig, hidden_size: int, eps: float = 1e-5, **_: Any) -> None:
        super().__init__()
        self.shape, self.eps = (hidden_size,), eps
        self.weight = torch.nn.Parameter(torch.ones(hidden_size, dtype=config.params_dtype))
        self.bias = torch.nn.Parameter(torch.zeros_like(self.weight)) if config.normalization == "LayerNorm" else None
        for parameter in self.parameters():  # each tensor rank sees its part of the sequence: their gradients are to be summed
            parameter.sequence_parallel = config.sequence_parallel  # type: ignore[attr-defined]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide, weight = x.to(self.dtype), self.weight.to(self.dtype)
        if self.bias is None:
            return F.rms_norm(wide, self.shape, weight, self.eps).to(x.dtype)
        return F.layer_norm(wide, self.shape, weight, self.bias.to(self.dtype), self.eps).to(x.dtype)


class WiderNorm(WideNorm):
    """The same in FP64."""

    dtype = torch.float64
