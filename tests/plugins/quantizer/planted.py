"""A linear layer and the inputs it is given, in which some inputs are outliers."""

from __future__ import annotations

from typing import Any

import torch

from modelwright_plugins.quantizer import LayerInputs, Quantizer

OUTLIERS = (5, 20)


def layer(
    outputs: int = 48, inputs: int = 64, tokens: int = 512, *, factor: float = 30.0, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix [outputs, inputs], and x [tokens, inputs]: inputs depend on each other, and OUTLIERS are `factor` times as large."""
    generator = torch.Generator().manual_seed(7)
    weight = torch.randn(outputs, inputs, generator=generator, dtype=torch.float64)
    mixed = torch.randn(inputs, inputs, generator=generator, dtype=torch.float64) / inputs**0.5
    x = torch.randn(tokens, inputs, generator=generator, dtype=torch.float64) @ (torch.eye(inputs, dtype=torch.float64) + mixed)
    x[:, OUTLIERS] *= factor
    return weight.to(dtype), x.to(dtype)


def inputs_of(x: torch.Tensor) -> LayerInputs:
    return LayerInputs(hessian=x.T @ x / len(x), largest=x.abs().amax(0), mean=x.abs().mean(0), tokens=len(x))


def signal_to_noise(quantizer: Quantizer, weight: torch.Tensor, x: torch.Tensor, given: Any = None) -> float:
    """Of the layer's outputs, in decibels. `given`: another calibration than on x."""
    out = x @ weight.T
    stored = quantizer.quantized(weight, inputs_of(x) if given is None else given)
    noise = quantizer.forward(x, stored) - out
    return float(10 * torch.log10(out.square().sum() / noise.square().sum()))
