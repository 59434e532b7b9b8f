"""Rounding to multiples of a scale, symmetric about 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.quantizer import LayerInputs, Quantizer, Stored

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Absmax(Quantizer):
    """Round-to-nearest with the largest of each group as its scale (Dettmers et al. 2022, arXiv:2208.07339, section 2.1).

    A weight w becomes round(w / s), s = max|w| / (2^(bits-1) - 1) over the group; stored in FP16, and codes are made with that.
    """

    bits: int = 8  # of a weight, 2 to 8
    group: int = 0  # weights of a row that share a scale; 0: a row, -1: the whole matrix

    def __post_init__(self) -> None:
        from modelwright_plugins.quantizer._settings import check

        check(self.bits, self.group, matrix=True)

    def check_shape(self, outputs: int, inputs: int, ranks: int = 1) -> None:
        from modelwright_plugins.quantizer._settings import check_inputs

        check_inputs(inputs, self.group, self.bits, ranks)

    def quantized(self, weight: Tensor, inputs: LayerInputs | None) -> Stored:
        from modelwright_plugins.quantizer._groups import half, in_groups
        from modelwright_plugins.quantizer._packing import packed

        most = 2 ** (self.bits - 1) - 1
        groups = in_groups(weight, self.group)
        scales = half(groups.abs().amax(-1) / most)
        codes = (groups / scales.float()[..., None]).round().clamp(-most, most)
        return {"codes": packed((codes + most + 1).view_as(weight), self.bits), "scales": scales}

    def published(self) -> str | None:
        return "compressed-tensors" if self.bits in (4, 8) else "gptq"

    def weight(self, stored: Stored) -> Tensor:
        from modelwright_plugins.quantizer._groups import spread
        from modelwright_plugins.quantizer._packing import unpacked

        codes = unpacked(stored["codes"], self.bits).float() - 2 ** (self.bits - 1)
        return codes * spread(stored["scales"].float(), *codes.shape)
