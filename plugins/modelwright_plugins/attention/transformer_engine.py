"""Transformer Engine's attention."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from modelwright_plugins.attention import Attention

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule


@dataclass(frozen=True, kw_only=True)
class TransformerEngine(Attention):
    """FlashAttention or cuDNN's fused attention, as Transformer Engine chooses, with any kernel's layers; for CUDA."""

    def module(self, own: type[MegatronModule]) -> type[MegatronModule]:
        from modelwright_plugins.attention._transformer_engine import TransformerEngineAttention

        return TransformerEngineAttention

    def problems(self) -> list[str]:
        if find_spec("transformer_engine") is None:
            return [
                "attention=transformer_engine is not installed (in Modelwright's folder: pip install -e '.[gpu]'); attention=sdpa runs here"
            ]
        return []
