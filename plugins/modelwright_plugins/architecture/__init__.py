"""Architectures: what the model is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from modelwright.component import Component

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule
    from megatron.core.transformer.spec_utils import ModuleSpec
    from megatron.core.transformer.transformer_config import TransformerConfig


class Architecture(Component, ABC):
    """What the model is: Megatron-Core modules put together from a TransformerConfig and a layer spec."""

    layers: int = 12  # transformer layers
    width: int = 768  # hidden size
    heads: int = 12  # attention heads (queries)

    @abstractmethod
    def transformer_config(self, **engine: Any) -> TransformerConfig:
        """Megatron's config of this model; `engine` holds what layout, precision and kernel decide."""

    @abstractmethod
    def build(self, config: TransformerConfig, spec: ModuleSpec, *, vocab_size: int, sequence_length: int, **stage: Any) -> MegatronModule:
        """The module of one pipeline stage (`pre_process`, `post_process`, `vp_stage` in `stage`)."""
