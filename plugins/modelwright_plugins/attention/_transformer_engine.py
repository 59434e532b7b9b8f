"""Transformer Engine's attention for Megatron's layers. No test has run it, as there was no GPU (docs/gpu.md)."""

from __future__ import annotations

from megatron.core.extensions.transformer_engine import TEDotProductAttention

from modelwright_plugins.attention._packed import DocumentsApart


class TransformerEngineAttention(DocumentsApart, TEDotProductAttention):
    """FlashAttention or cuDNN's fused attention, as Transformer Engine chooses."""
