"""Floating point of 8 bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.quantizer import LayerInputs, Quantizer, Stored, alone

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class FP8(Quantizer):
    """Floating point of 8 bits (E4M3, E5M2) of weights, and of activations (Micikevicius et al. 2022, arXiv:2209.05433).

    A number x becomes FP8(x / s), with s = max|x| / the largest that the format has (448, 57344); s is stored in FP32.
    """

    format: Literal["e4m3", "e5m2"] = "e4m3"  # of weights: bits of the exponent and of the mantissa
    group: int = 0  # weights of a row that share a scale; 0: a row, -1: the whole matrix
    activations: Literal["none", "token", "batch"] = "none"  # what of the inputs shares a scale, found as they come; none: they stay
    activation_format: Literal["e4m3", "e5m2"] = "e4m3"  # of the inputs

    def __post_init__(self) -> None:
        from modelwright_plugins.quantizer._settings import check

        check(8, self.group, matrix=True)

    def check_shape(self, outputs: int, inputs: int, ranks: int = 1) -> None:
        from modelwright_plugins.quantizer._settings import check_inputs

        check_inputs(inputs, self.group, ranks=ranks)

    def quantized(self, weight: Tensor, inputs: LayerInputs | None) -> Stored:
        from modelwright_plugins.quantizer._groups import in_groups

        groups = in_groups(weight, self.group)
        codes, scales = _coded(groups, groups.abs().amax(-1, keepdim=True), self.format)
        return {"codes": codes.view(weight.shape), "scales": scales[..., 0]}

    def published(self) -> str | None:
        return "compressed-tensors"

    def weight(self, stored: Stored) -> Tensor:
        from modelwright_plugins.quantizer._groups import spread

        return stored["codes"].float() * spread(stored["scales"], *stored["codes"].shape)

    def forward(self, x: Tensor, stored: Stored, largest: Callable[[Tensor], Tensor] = alone) -> Tensor:
        if self.activations != "none":
            size = x.float().abs()
            most = largest(size.amax(-1, keepdim=True) if self.activations == "token" else size.amax())
            codes, scales = _coded(x.float(), most, self.activation_format)
            x = (codes.float() * scales).to(x.dtype)
        return super().forward(x, stored, largest)


def _coded(x: Tensor, most: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Codes in this format, and their scales, of the shape that `most`, the largest |x|, has."""
    import torch

    format: torch.dtype = {"e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}[name]
    end = torch.finfo(format).max
    scales = (most.float() / end).clamp(min=torch.finfo(torch.float32).tiny)
    return (x / scales).clamp(-end, end).to(format), scales
