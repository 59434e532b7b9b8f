"""Megatron's local modules, but for norms and attention."""

from __future__ import annotations

from megatron.core.models.backends import LocalSpecProvider

from modelwright_plugins.engine.attention import SDPA
from modelwright_plugins.engine.norm import Norm


class LocalModules(LocalSpecProvider):
    """Norms that know about sequence parallelism (Megatron's own refuses it), and attention that reads which positions are seen."""

    def layer_norm(self, rms_norm: bool = False, for_qk: bool = False) -> type:
        return Norm

    def core_attention(self) -> type:
        return SDPA
