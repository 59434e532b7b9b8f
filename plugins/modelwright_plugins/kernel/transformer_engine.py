"""Layers of NVIDIA's Transformer Engine."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from modelwright_plugins.kernel import Kernel

if TYPE_CHECKING:
    from megatron.core.models.backends import BackendSpecProvider


@dataclass(frozen=True, kw_only=True)
class TransformerEngine(Kernel):
    """Transformer Engine's fused layers, for CUDA."""

    def settings(self) -> dict[str, Any]:
        return {"bias_dropout_fusion": True, "bias_activation_fusion": True, "gradient_accumulation_fusion": False}

    def modules(self) -> BackendSpecProvider:
        from modelwright_plugins.kernel._transformer_engine import TransformerEngineModules

        return TransformerEngineModules()

    def problems(self) -> list[str]:
        if find_spec("transformer_engine") is None:
            return ["kernel=transformer_engine is not installed (in Modelwright's folder: pip install -e '.[gpu]'); kernel=torch runs here"]
        return []
