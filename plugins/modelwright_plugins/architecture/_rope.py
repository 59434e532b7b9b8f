"""Rotary embeddings' frequencies, stretched to texts longer than a model has seen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from modelwright_plugins.architecture.decoder import CausalDecoder


def frequencies(a: CausalDecoder, size: int, device: torch.device) -> torch.Tensor:
    """Radians a position by which each pair of the `size` rotated dimensions turns: FP32 [size / 2].

    Linear position interpolation (Chen et al. 2023, arXiv:2306.15595); NTK-aware scaling of the base (bloc97 2023; Peng et al. 2023,
    arXiv:2309.00071, definition 1); YaRN's NTK-by-parts (there, section 3.2, with whole dimensions as in its code); Llama 3's
    (`apply_scaling` in Meta's llama-models), which is by parts in wavelengths.
    """
    exponents = torch.arange(0, size, 2, dtype=torch.float32, device=device) / size
    base = float(a.rope_base)
    if a.rope_scaling == "ntk":
        base *= a.rope_factor ** (size / (size - 2))
    plain: torch.Tensor = 1.0 / base**exponents
    if a.rope_scaling == "linear":
        return plain / a.rope_factor
    if a.rope_scaling == "yarn":
        return _blend(plain, a.rope_factor, _yarn(a, base, size, device))
    if a.rope_scaling == "llama3":
        assert a.rope_original is not None
        turns = a.rope_original * plain / (2 * math.pi)
        fast = 4.0 if a.rope_fast is None else a.rope_fast
        return _blend(plain, a.rope_factor, ((turns - a.rope_slow) / (fast - a.rope_slow)).clamp(0, 1))
    return plain


def _blend(plain: torch.Tensor, factor: float, kept: torch.Tensor) -> torch.Tensor:
    """Frequencies of which the part `kept` is as it was, and the rest divided by the factor."""
    return plain * kept + plain / factor * (1 - kept)


def _yarn(a: CausalDecoder, base: float, size: int, device: torch.device) -> torch.Tensor:
    """1 where a dimension makes more turns in an original text than `rope_fast`, 0 where fewer than `rope_slow`, a ramp between."""
    assert a.rope_original is not None
    original = a.rope_original

    def dimension(turns: float) -> float:
        return size * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(dimension(32.0 if a.rope_fast is None else a.rope_fast)), 0)
    high = min(math.ceil(dimension(a.rope_slow)), size - 1)
    place = torch.arange(size // 2, dtype=torch.float32, device=device)
    return 1 - ((place - low) / max(high - low, 0.001)).clamp(0, 1)
