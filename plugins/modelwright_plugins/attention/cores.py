"""The kernel's own attention, torch's, and the formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.attention import Attention

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule


@dataclass(frozen=True, kw_only=True)
class Native(Attention):
    """The one that comes with the kernel: torch's for kernel=torch, Transformer Engine's for kernel=transformer_engine."""

    def module(self, own: type[MegatronModule]) -> type[MegatronModule]:
        return own


@dataclass(frozen=True, kw_only=True)
class SDPA(Attention):
    """torch's scaled_dot_product_attention: the fastest kernel that torch has on the device."""

    def module(self, own: type[MegatronModule]) -> type[MegatronModule]:
        from modelwright_plugins.engine.attention import SDPA

        return SDPA


@dataclass(frozen=True, kw_only=True)
class Reference(Attention):
    """The formula (Vaswani et al. 2017, equation 1) written out in FP32: slow, and what the others are compared with."""

    def module(self, own: type[MegatronModule]) -> type[MegatronModule]:
        from modelwright_plugins.engine.attention import Reference

        return Reference
