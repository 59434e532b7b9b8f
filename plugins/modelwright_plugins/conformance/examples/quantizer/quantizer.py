"""A sign and a size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.quantizer import LayerInputs, Quantizer, Stored

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Steps(Quantizer):
    """A byte a weight, in equal steps of each row's largest, or of half of it: what is beyond that is cut off."""

    range: Literal["largest", "half"] = "largest"  # of a row, that the steps reach to

    def quantized(self, weight: Tensor, inputs: LayerInputs | None) -> Stored:
        import torch

        most = weight.abs().amax(1, keepdim=True).clamp(min=1e-20) / (1 if self.range == "largest" else 2)
        scales = most / 127
        return {"codes": (weight / scales).round().clamp(-127, 127).to(torch.int8), "scales": scales}

    def weight(self, stored: Stored) -> Tensor:
        return stored["codes"].float() * stored["scales"]
