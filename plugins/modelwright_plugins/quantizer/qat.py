"""Training that sees what rounding will do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.quantizer import LayerInputs, Quantizer, Stored, alone

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class QAT(Quantizer):
    """Quantization-aware training (Jacob et al. 2017, arXiv:1712.05877): a model trained with the rounding that awaits it.

    With `quantization_aware`, the stages `train` and `align` compute with weights as they will be stored, and gradients go straight through
    the rounding (Bengio et al. 2013, arXiv:1308.3432) to plain weights, which are saved. The stage `quantize` then stores them: what was
    trained, to the last bit. Without, it rounds to the same levels afterwards.
    """

    trains: ClassVar[bool] = True

    bits: int = 4  # of a weight, 2 to 8
    group: int = 32  # weights of a row that share a scale; 0: a row
    symmetric: bool = True  # levels lie alike on both sides of 0, and no zero points are stored
    activation_bits: int | None = None  # of an input, 2 to 8, with a scale of each token; null: inputs are not rounded

    def __post_init__(self) -> None:
        from modelwright_plugins.quantizer._settings import check

        check(self.bits, self.group)
        if self.activation_bits is not None and not 2 <= self.activation_bits <= 8:
            raise ValueError(f"activation_bits is {self.activation_bits}; it is 2 to 8, or null")

    def _grid(self, weight: Tensor, largest: Callable[[Tensor], Tensor] = alone) -> tuple[Tensor, Tensor, Tensor]:
        """Weights in groups, [outputs, groups, group], and each group's scale and zero point."""
        import torch

        from modelwright_plugins.quantizer._groups import in_groups
        from modelwright_plugins.quantizer._levels import fitted

        parts = in_groups(weight, self.group)
        with torch.no_grad():
            ends = torch.stack([-parts.amin(-1, keepdim=True), parts.amax(-1, keepdim=True)])
            low, high = ends if self.group else largest(ends)
            return parts, *fitted(-low, high, self.bits, symmetric=self.symmetric)

    def check_shape(self, outputs: int, inputs: int, ranks: int = 1) -> None:
        from modelwright_plugins.quantizer._settings import check_inputs

        check_inputs(inputs, self.group, self.bits, ranks)

    def quantized(self, weight: Tensor, inputs: LayerInputs | None) -> Stored:
        from modelwright_plugins.quantizer._levels import rounded, stored

        parts, scale, zero = self._grid(weight)
        codes = rounded(parts, scale, zero, self.bits).view_as(weight)
        return stored(codes, scale[..., 0], zero[..., 0], self.bits, symmetric=self.symmetric)

    def published(self) -> str | None:
        return "compressed-tensors" if self.bits in (4, 8) else "gptq"

    def weight(self, stored: Stored) -> Tensor:
        from modelwright_plugins.quantizer._levels import restored

        return restored(stored, self.bits)

    def training_weight(self, weight: Tensor, largest: Callable[[Tensor], Tensor] = alone) -> Tensor:
        from modelwright_plugins.quantizer._levels import Straight

        parts, scale, zero = self._grid(weight.float(), largest)
        return Straight.apply(parts, scale, zero, self.bits).view_as(weight).to(weight.dtype)

    def training_input(self, x: Tensor, largest: Callable[[Tensor], Tensor] = alone) -> Tensor:
        """As LLM-QAT's (Liu et al. 2023, arXiv:2305.17888, equation 1): n / (2^(bits-1) - 1) of the token's largest magnitude."""
        if self.activation_bits is None:
            return x
        import torch

        most = 2 ** (self.activation_bits - 1) - 1
        with torch.no_grad():
            scale = largest(x.detach().float().abs().amax(-1, keepdim=True)).clamp(min=torch.finfo(torch.float32).tiny) / most
            far = (x.float() / scale).round() * scale - x.float()
        return x + far.to(x.dtype)

    def forward(self, x: Tensor, stored: Stored, largest: Callable[[Tensor], Tensor] = alone) -> Tensor:
        return super().forward(self.training_input(x, largest), stored, largest)
