"""Layers whose norms are computed in a wider format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from modelwright_plugins.kernel import Kernel
from modelwright_plugins.kernel.local import Torch

if TYPE_CHECKING:
    from megatron.core.models.backends import BackendSpecProvider


@dataclass(frozen=True, kw_only=True)
class WideNorms(Kernel):
    """Megatron's local layers with norms computed in a wide format, whatever the precision of the rest."""

    format: Literal["fp32", "fp64"] = "fp32"  # that norms are computed in

    def settings(self) -> dict[str, Any]:
        return Torch().settings()

    def modules(self) -> BackendSpecProvider:
        from modelwright_plugins.conformance.examples.kernel._kernel import WideNorm, WiderNorm

        norm = {"fp32": WideNorm, "fp64": WiderNorm}[self.format]
        modules = Torch().modules()
        modules.layer_norm = lambda rms_norm=False, for_qk=False: norm  # the others stay as they are
        return modules
