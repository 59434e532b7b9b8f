"""Training a few of the weights that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from modelwright_plugins.adapter import Adapter

if TYPE_CHECKING:
    from megatron.core.transformer.module import MegatronModule


@dataclass(frozen=True, kw_only=True)
class SomeWeights(Adapter):
    """Only biases and norms are trained (BitFit, Ben Zaken et al. 2022, arXiv:2106.10199), or only norms."""

    adapts: ClassVar[bool] = False  # checkpoints hold the whole model

    which: Literal["biases_and_norms", "norms"] = "biases_and_norms"  # what is trained

    def apply(self, chunks: list[MegatronModule], *, seed: int) -> None:
        for chunk in chunks:
            for name, parameter in chunk.named_parameters():
                bias = name.endswith("bias") and self.which == "biases_and_norms"
                parameter.requires_grad_(bias or "norm" in name)

    def merge(self, chunks: list[MegatronModule]) -> None: ...  # they are plain weights
