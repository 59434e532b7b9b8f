"""Megatron's choice of Transformer Engine's modules, but for attention. No test has run them, as there was no GPU (docs/gpu.md)."""

from __future__ import annotations

from megatron.core.extensions.transformer_engine_spec_provider import TESpecProvider

from modelwright_plugins.attention._transformer_engine import TransformerEngineAttention


class TransformerEngineModules(TESpecProvider):
    """Attention that reads which positions are seen."""

    def core_attention(self) -> type:
        return TransformerEngineAttention
