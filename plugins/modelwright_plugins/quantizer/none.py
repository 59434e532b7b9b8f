"""No quantizer: matrices stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.quantizer import LayerInputs, Quantizer, Stored

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Unquantized(Quantizer):
    """No quantizer: the model's matrices are kept as they are."""

    quantizes: ClassVar[bool] = False

    def quantized(self, weight: Tensor, inputs: LayerInputs | None) -> Stored:
        return {"codes": weight}

    def weight(self, stored: Stored) -> Tensor:
        return stored["codes"].float()
