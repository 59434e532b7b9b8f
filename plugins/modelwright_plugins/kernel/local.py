"""Layers in plain torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelwright_plugins.kernel import Kernel

if TYPE_CHECKING:
    from megatron.core.models.backends import BackendSpecProvider


@dataclass(frozen=True, kw_only=True)
class Torch(Kernel):
    """Megatron's local layers with torch's attention and norms: runs on a CPU and on any GPU."""

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

    def modules(self) -> BackendSpecProvider:
        from modelwright_plugins.kernel._local import LocalModules

        return LocalModules()
