"""Rounding after the weights that matter most were made larger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.quantizer import Axes, LayerInputs, Quantizer, Stored

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AWQ(Quantizer):
    """AWQ (Lin et al. 2023, arXiv:2306.00978): weights of inputs that are large on average are scaled up, then rounded.

    The scale of an input is a power of its mean magnitude; which power, and where each group is cut off, are searched for: that with which
    the layer's outputs on the calibration's inputs change least. The inputs' divisors are stored with the layer.
    """

    calibrates: ClassVar[bool] = True

    bits: int = 4  # of a weight, 2 to 8
    group: int = 128  # weights of a row that share a scale; 0: a row
    symmetric: bool = False  # levels lie alike on both sides of 0, and no zero points are stored
    scale: bool = True  # search for scales of inputs
    clip: bool = True  # search for where the weights of a group are cut off

    def __post_init__(self) -> None:
        from modelwright_plugins.quantizer._settings import check

        check(self.bits, self.group)

    def check_shape(self, outputs: int, inputs: int, ranks: int = 1) -> None:
        from modelwright_plugins.quantizer._settings import check_inputs

        check_inputs(inputs, self.group, self.bits, ranks)

    def quantized(self, weight: Tensor, inputs: LayerInputs | None) -> Stored:
        from modelwright_plugins.quantizer._awq import awq
        from modelwright_plugins.quantizer._groups import half
        from modelwright_plugins.quantizer._levels import stored

        assert inputs is not None
        self.check_shape(*weight.shape)
        how = {"group": self.group, "scale_search": self.scale, "clip_search": self.clip}
        codes, scales, zeros, divisor = awq(
            weight,
            inputs.mean,
            inputs.hessian,
            bits=self.bits,
            symmetric=self.symmetric,
            **how,  # type: ignore[arg-type]
        )
        found = stored(codes, scales, zeros, self.bits, symmetric=self.symmetric)
        return found | {"divisors": half(divisor)} if self.scale else found

    def published(self) -> str | None:
        return "awq"

    def weight(self, stored: Stored) -> Tensor:
        from modelwright_plugins.quantizer._levels import restored

        found = restored(stored, self.bits)
        return found / stored["divisors"].float() if self.scale else found

    def axes(self) -> Mapping[str, Axes]:
        return {**super().axes(), "divisors": ("inputs",)}
