"""Multi-head latent attention (DeepSeek-AI 2024, arXiv:2405.04434, section 2.1) from a kernel's modules."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from megatron.core.models.backends import BackendSpecProvider
from megatron.core.tensor_parallel import (
    copy_to_tensor_model_parallel_region,
    gather_from_tensor_model_parallel_region,
    scatter_to_sequence_parallel_region,
)
from megatron.core.transformer import multi_latent_attention
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.multi_latent_attention import MLASelfAttention, MLASelfAttentionSubmodules
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_config import MLATransformerConfig

# Megatron-Core 0.16.1 thinks that Transformer Engine is there, because a module of its own that stands in for it is
multi_latent_attention.HAVE_TE = find_spec("transformer_engine") is not None


def latent_attention(modules: BackendSpecProvider, norm: type, frequencies: torch.Tensor | None) -> ModuleSpec:
    """`frequencies` [rope_head_dim / 2] of rotary embeddings, in radians; None: those that Megatron makes of its config (yarn)."""
    column = modules.column_parallel_linear()
    return ModuleSpec(
        module=LatentAttention,
        params={"attn_mask_type": AttnMaskType.causal, "frequencies": frequencies},
        submodules=MLASelfAttentionSubmodules(
            linear_q_proj=column,
            linear_q_down_proj=column,
            linear_q_up_proj=column,
            linear_kv_down_proj=column,
            linear_kv_up_proj=column,
            core_attention=modules.core_attention(),
            linear_proj=modules.row_parallel_linear(),
            q_layernorm=norm,
            kv_layernorm=norm,
        ),
    )


class LatentAttention(MLASelfAttention):
    """Megatron's, with frequencies that are given, and mended under tensor parallelism."""

    def __init__(self, config: MLATransformerConfig, submodules: Any, *, frequencies: torch.Tensor | None, **attention: Any) -> None:
        super().__init__(config, submodules, **attention)
        if frequencies is not None:
            self.rotary_pos_emb.inv_freq = frequencies
        if config.tensor_model_parallel_size > 1:
            self.linear_kv_down_proj.register_forward_hook(self._shared)

    def _shared(self, _: torch.nn.Module, __: Any, output: tuple[torch.Tensor, Any]) -> tuple[torch.Tensor, Any]:
        """The latent of keys and values, and the one rotated key of all heads: [length, batch, (kv_rank + rope_head_dim) / ranks] ->
        whole.

        Every tensor rank's heads use the rotated key, and Megatron-Core 0.16.1's local layers never sum its gradient over the
        ranks: the first loss is right, and the next ones drift. A version that does so in `MLASelfAttention` makes this unnecessary.
        """
        whole = gather_from_tensor_model_parallel_region(output[0])
        if self.config.sequence_parallel:  # Megatron gathers the key back from this, and that sums gradients
            return scatter_to_sequence_parallel_region(whole), output[1]
        latent, key = whole.split([self.config.kv_lora_rank, self.config.qk_pos_emb_head_dim], -1)
        key = copy_to_tensor_model_parallel_region(key)
        if key.requires_grad:  # of a gradient that is not contiguous Megatron-Core 0.16.1's `_reduce` sums a copy, and drops it
            key.register_hook(torch.Tensor.contiguous)
        return torch.cat([latent, key], -1), output[1]
