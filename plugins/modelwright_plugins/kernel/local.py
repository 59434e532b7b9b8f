"""Layers in plain torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from modelwright_plugins.kernel import Kernel

if TYPE_CHECKING:
    from megatron.core.transformer.spec_utils import ModuleSpec
    from megatron.core.transformer.transformer_config import TransformerConfig


@dataclass(frozen=True, kw_only=True)
class Torch(Kernel):
    """Megatron's local layers with torch's attention and norms: runs on a CPU and on any GPU."""

    attention: Literal["sdpa", "reference"] = "sdpa"  # torch's fused kernel, or the slow formula to compare with

    def settings(self) -> dict[str, Any]:
        # each fusion is a CUDA kernel of Apex or Transformer Engine, or needs one to be faster
        return {
            "persist_layer_norm": False,
            "bias_activation_fusion": False,
            "bias_dropout_fusion": False,
            "masked_softmax_fusion": False,
            "gradient_accumulation_fusion": False,
            "apply_rope_fusion": False,
        }

    def layer(self, config: TransformerConfig) -> ModuleSpec:
        from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec

        from modelwright_plugins.engine.attention import SDPA, Reference

        spec = get_gpt_layer_local_spec(qk_layernorm=config.qk_layernorm, normalization=config.normalization)
        spec.submodules.input_layernorm = spec.submodules.pre_mlp_layernorm = self.norm()
        attention = spec.submodules.self_attention.submodules
        attention.core_attention = {"sdpa": SDPA, "reference": Reference}[self.attention]
        if config.qk_layernorm:
            attention.q_layernorm = attention.k_layernorm = self.norm()
        return spec

    def norm(self) -> Any:
        from modelwright_plugins.engine.norm import Norm

        return Norm
