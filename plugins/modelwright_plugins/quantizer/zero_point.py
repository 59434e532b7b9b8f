"""Rounding to equal steps from the smallest to the largest of each group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.quantizer import LayerInputs, Quantizer, Stored

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ZeroPoint(Quantizer):
    """Round-to-nearest from the smallest of a group to its largest, with a zero point (Jacob et al. 2018, arXiv:1712.05877).

    A weight w becomes round(w / s) + z, with s = (max - min) / (2^bits - 1) and z = round(-min / s); 0 is in the range and is exact. s is
    stored in FP16, and codes are made with that; z in 8 bits.
    """

    symmetric: ClassVar[bool] = False  # zero points are stored

    bits: int = 4  # of a weight, 2 to 8
    group: int = 128  # weights of a row that share a scale and a zero point; 0: a row, -1: the whole matrix

    def __post_init__(self) -> None:
        from modelwright_plugins.quantizer._settings import check

        check(self.bits, self.group, matrix=True)

    def check_shape(self, outputs: int, inputs: int, ranks: int = 1) -> None:
        from modelwright_plugins.quantizer._settings import check_inputs

        check_inputs(inputs, self.group, self.bits, ranks)

    def quantized(self, weight: Tensor, inputs: LayerInputs | None) -> Stored:
        from modelwright_plugins.quantizer._groups import in_groups
        from modelwright_plugins.quantizer._levels import fitted, rounded, stored

        groups = in_groups(weight, self.group)
        scales, zeros = fitted(groups.amin(-1), groups.amax(-1), self.bits, symmetric=False)
        codes = rounded(groups, scales[..., None], zeros[..., None], self.bits).view_as(weight)
        return stored(codes, scales, zeros, self.bits, symmetric=False)

    def published(self) -> str | None:
        return "compressed-tensors" if self.bits in (4, 8) else "gptq"

    def weight(self, stored: Stored) -> Tensor:
        from modelwright_plugins.quantizer._levels import restored

        return restored(stored, self.bits)
