"""Rounding that puts right, in the weights to come, what it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.quantizer import LayerInputs, Quantizer, Stored

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class GPTQ(Quantizer):
    """GPTQ (Frantar et al. 2022, arXiv:2210.17323): inputs are rounded one by one, each making up for the errors before it.

    The error of each rounded column is spread over the columns that are not rounded yet, so that the layer's outputs on the calibration's
    inputs change least (second-order, by the mean of x xᵀ). Calibrates: the paper on 128 sequences of 2,048 tokens.
    """

    calibrates: ClassVar[bool] = True

    bits: int = 4  # of a weight, 2 to 8
    group: int = 128  # weights of a row that share a scale; 0: a row
    symmetric: bool = False  # levels lie alike on both sides of 0, and no zero points are stored
    act_order: bool = False  # inputs with the largest mean square first; each group's scale is then that of its weights as they were
    damping: float = 0.01  # share of the mean of the Hessian's diagonal that is added to it (percdamp)
    block: int = 128  # inputs whose errors reach later blocks together: speed, not what is stored

    def __post_init__(self) -> None:
        from modelwright_plugins.quantizer._settings import check

        check(self.bits, self.group)
        if not self.damping > 0:
            raise ValueError(f"damping is {self.damping}; it is above 0")
        if self.block < 1:
            raise ValueError(f"block is {self.block}; it is 1 or more")

    def check_shape(self, outputs: int, inputs: int, ranks: int = 1) -> None:
        from modelwright_plugins.quantizer._settings import check_inputs

        check_inputs(inputs, self.group, self.bits, ranks)

    def quantized(self, weight: Tensor, inputs: LayerInputs | None) -> Stored:
        from modelwright_plugins.quantizer._gptq import gptq
        from modelwright_plugins.quantizer._levels import stored

        assert inputs is not None
        self.check_shape(*weight.shape)
        grid = {"bits": self.bits, "symmetric": self.symmetric}
        how = {"group": self.group, "act_order": self.act_order, "damping": self.damping, "block": self.block}
        codes, scales, zeros = gptq(weight, inputs.hessian, **grid, **how)  # type: ignore[arg-type]
        return stored(codes, scales, zeros, **grid)  # type: ignore[arg-type]

    def published(self) -> str | None:
        return "gptq"

    def weight(self, stored: Stored) -> Tensor:
        from modelwright_plugins.quantizer._levels import restored

        return restored(stored, self.bits)
