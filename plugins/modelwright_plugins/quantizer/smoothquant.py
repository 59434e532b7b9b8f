"""Weights and activations in 8 bits, with what is hard to round moved from activations into weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from modelwright.errors import ModelwrightError
from modelwright_plugins.quantizer import Axes, LayerInputs, Quantizer, Stored, alone

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SmoothQuant(Quantizer):
    """SmoothQuant (Xiao et al. 2022, arXiv:2211.10438): 8 bits for weights and activations, whose outliers go into weights.

    Input j is divided by s_j = max|x_j|^alpha / max|w_j|^(1 - alpha), and its weights are multiplied by it; then both are rounded. The
    divisors are stored with the layer.
    """

    calibrates: ClassVar[bool] = True

    alpha: float = 0.5  # how much of the difficulty goes into the weights, 0 to 1; where activations are harder, 0.75 and more
    weights: Literal["matrix", "row"] = "matrix"  # what shares a scale of the weights
    activations: Literal["token", "batch", "calibrated"] = "token"  # a scale for each token, for all of a batch, or from calibration

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; it is 0 to 1")

    def quantized(self, weight: Tensor, inputs: LayerInputs | None) -> Stored:
        from modelwright_plugins.quantizer._eight_bits import rounded, scale_of, smoothing
        from modelwright_plugins.quantizer._groups import half

        assert inputs is not None
        divisors = half(smoothing(inputs.largest, weight, self.alpha))
        wide = weight * divisors.float()
        scales = half(scale_of(wide.abs().amax(1, keepdim=True) if self.weights == "row" else wide.abs().amax().view(1, 1)))
        found = {"codes": rounded(wide, scales.float()).char(), "scales": scales, "divisors": divisors}
        if self.activations != "calibrated":
            return found
        if not inputs.tokens:
            raise ModelwrightError("no token came to it in calibration; quantizer.activations=token, or more rows")
        return found | {"input_scale": scale_of((inputs.largest / divisors.float()).max())}

    def published(self) -> str | None:
        return "compressed-tensors"

    def weight(self, stored: Stored) -> Tensor:
        return stored["codes"].float() * stored["scales"].float() / stored["divisors"].float()

    def axes(self) -> Mapping[str, Axes]:
        return {**super().axes(), "divisors": ("inputs",)}

    def forward(self, x: Tensor, stored: Stored, largest: Callable[[Tensor], Tensor] = alone) -> Tensor:
        from modelwright_plugins.quantizer._eight_bits import product, scale_of

        smooth = x.float() / stored["divisors"].float()
        if self.activations == "calibrated":
            scale = stored["input_scale"]
        elif self.activations == "token":
            scale = scale_of(largest(smooth.abs().amax(-1, keepdim=True)))
        else:
            scale = scale_of(largest(smooth.abs().amax()))
        return product(smooth, scale, stored["codes"], stored["scales"].float()[:, 0]).to(x.dtype)
