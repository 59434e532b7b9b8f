"""Transformer layers whose norms are not only before their branches."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from megatron.core.transformer.transformer_config import TransformerConfig
from megatron.core.transformer.transformer_layer import TransformerLayer

Branch = tuple[torch.Tensor, torch.Tensor | None]
"""What a branch gives, and the bias that is still to be added to it."""


class Layer(TransformerLayer):
    """With a branch f and the residual x of [length, batch, width], norms of the kind `after`, and dropout left out here:

    - pre: x + scale · f(norm(x)) (Radford et al. 2019; Granite's residual multiplier)
    - sandwich: x + norm(f(norm(x))) (CogView, Ding et al. 2021, arXiv:2105.13290, section 2.4; Gemma 2)
    - post: norm(x + f(x)) (Vaswani et al. 2017)
    - deepnorm: norm(scale · x + f(x)) (DeepNet, Wang et al. 2022, arXiv:2203.00555, section 3)
    """

    def __init__(self, config: TransformerConfig, submodules: Any, *, placement: str, scale: float, after: type, **layer: Any) -> None:
        super().__init__(config, submodules, **layer)
        self.placement, self.scale = placement, scale
        if placement != "pre":
            size = {"hidden_size": config.hidden_size, "eps": config.layernorm_epsilon}
            self.post_attention_norm, self.post_mlp_norm = (after(config=config, **size) for _ in range(2))
        norms = ("", "") if placement == "pre" else ("post_attention_norm", "post_mlp_norm")
        # Megatron calls (training, fused) and what that gives with the branch, the residual and the rate of dropout
        self.self_attn_bda, self.mlp_bda = (lambda training, _, name=name: lambda *a: self._sum(name, training, *a) for name in norms)

    def _sum(self, name: str, training: bool, branch: Branch, x: torch.Tensor, dropout: float) -> torch.Tensor:
        """The sum after a branch. `name`: the norm after it, if there is one."""
        out, bias = branch
        out = out if bias is None else out + bias
        if self.placement == "sandwich":
            out = getattr(self, name)(out)
        if self.placement == "pre":
            out = out * self.scale
        out = F.dropout(out, dropout, training)
        if self.placement == "deepnorm":
            x = x * self.scale
        out = x + out
        return getattr(self, name)(out) if self.placement in ("post", "deepnorm") else out
