"""Weights and activations in 8 bits, but for the inputs that are outliers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.quantizer import Axes, LayerInputs, Quantizer, Stored, alone

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LLMInt8(Quantizer):
    """LLM.int8 (Dettmers et al. 2022, arXiv:2208.07339): 8 bits, a scale of each token and row; outlier inputs in 16 bits.

    Where an input is `threshold` or more in calibration, its weights are kept in FP16. Where one is so only later, its activations are
    not rounded, and its weights are those of 8 bits (as in bitsandbytes, which keeps no others).
    """

    calibrates: ClassVar[bool] = True

    threshold: float = 6.0  # magnitude from which on an input is an outlier; 0: none is, plain vector-wise absmax (section 3.1)

    def __post_init__(self) -> None:
        if self.threshold < 0:
            raise ValueError(f"threshold is {self.threshold}; it is 0 or more")

    def quantized(self, weight: Tensor, inputs: LayerInputs | None) -> Stored:
        from modelwright_plugins.quantizer._eight_bits import rounded, scale_of
        from modelwright_plugins.quantizer._groups import half

        assert inputs is not None
        outlier = (inputs.largest >= self.threshold) & (self.threshold > 0)
        inner = weight.masked_fill(outlier, 0)
        scales = half(scale_of(inner.abs().amax(1, keepdim=True)))
        kept = {"outliers": outlier.nonzero()[:, 0].int(), "outlier_weights": weight[:, outlier].half()}
        return {"codes": rounded(inner, scales.float()).char(), "scales": scales, **kept}

    def published(self) -> str | None:
        return "bitsandbytes"

    def weight(self, stored: Stored) -> Tensor:
        found = stored["codes"].float() * stored["scales"].float()
        found[:, stored["outliers"].long()] = stored["outlier_weights"].float()
        return found

    def part(self, stored: Stored, cut: Callable[[Tensor, Axes], Tensor]) -> Stored:
        found = super().part(stored, cut)
        index, codes = stored["outliers"].long(), stored["codes"]
        outlier, whole = codes.new_zeros(codes.shape[1]), codes.new_zeros(codes.shape, dtype=stored["outlier_weights"].dtype)
        outlier[index], whole[:, index] = 1, stored["outlier_weights"]
        mine = cut(outlier, ("inputs",)).nonzero()[:, 0]
        return found | {"outliers": mine.int(), "outlier_weights": cut(whole, ("outputs", "inputs"))[:, mine].contiguous()}

    def forward(self, x: Tensor, stored: Stored, largest: Callable[[Tensor], Tensor] = alone) -> Tensor:
        import torch
        import torch.nn.functional as F

        from modelwright_plugins.quantizer._eight_bits import product, scale_of

        wide, known = x.float(), stored["outliers"].long()
        outlier = torch.zeros(wide.shape[-1], dtype=torch.bool, device=x.device)
        if self.threshold:
            outlier = (wide.abs() >= self.threshold).flatten(0, -2).any(0)
            outlier[known] = True
        inner = wide.masked_fill(outlier, 0)
        found = product(inner, scale_of(largest(inner.abs().amax(-1, keepdim=True))), stored["codes"], stored["scales"].float()[:, 0])
        if outlier.any():
            found = found + F.linear(wide[..., outlier], self.weight(stored)[:, outlier])
        return found.to(x.dtype)
