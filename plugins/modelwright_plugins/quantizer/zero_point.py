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

        check(self.bits, self.group)

    def quantized(self, weight: Tensor, inputs: LayerInputs | None) -> Stored:
        import torch

        from modelwright_plugins.quantizer._groups import half, in_groups
        from modelwright_plugins.quantizer._packing import packed

        most = 2**self.bits - 1
        groups = in_groups(weight, self.group)
        low, high = groups.amin(-1).clamp(max=0), groups.amax(-1).clamp(min=0)
        scales = half((high - low) / most)
        zeros = (-low / scales.float()).round().clamp(0, most)
        codes = ((groups / scales.float()[..., None]).round() + zeros[..., None]).clamp(0, most)
        return {"codes": packed(codes.view_as(weight), self.bits), "scales": scales, "zeros": zeros.to(torch.uint8)}

    def published(self) -> str | None:
        return "compressed-tensors" if self.bits in (4, 8) else "gptq"

    def weight(self, stored: Stored) -> Tensor:
        from modelwright_plugins.quantizer._groups import spread
        from modelwright_plugins.quantizer._packing import unpacked

        codes = unpacked(stored["codes"], self.bits).float()
        zeros, scales = (spread(stored[name].float(), *codes.shape) for name in ("zeros", "scales"))
        return (codes - zeros) * scales
