"""Four bits spaced as the normal distribution's quantiles are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.quantizer import Axes, LayerInputs, Quantizer, Stored

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class NF4(Quantizer):
    """NormalFloat of 4 bits, 4.13 a weight (Dettmers et al. 2023, arXiv:2305.14314): what QLoRA trains on.

    With `double` (double quantization) each scale takes 8 bits, and every 256 of them share one of 32; without it a scale takes 32.
    """

    block: int = 64  # weights of a row that share a scale; even
    double: bool = True  # scales are quantized, too

    def __post_init__(self) -> None:
        if self.block < 2 or self.block % 2:
            raise ValueError(f"block is {self.block}; it is even, and 2 or more")

    def check_shape(self, outputs: int, inputs: int, ranks: int = 1) -> None:
        from modelwright_plugins.quantizer._settings import check_inputs

        check_inputs(inputs, self.block, 4, ranks, name="block")

    def quantized(self, weight: Tensor, inputs: LayerInputs | None) -> Stored:
        from modelwright_plugins.quantizer._normal_float import coded, levels, packed, small

        rows, columns = weight.shape
        self.check_shape(rows, columns)
        codes, largest = coded(weight.reshape(rows, -1, self.block), levels(weight.device))
        if not self.double:
            return {"codes": packed(codes), "scales": largest}
        scales, outer, mean = small(largest)
        return {"codes": packed(codes), "scales": scales, "outer": outer, "mean": mean}

    def published(self) -> str | None:
        return "bitsandbytes"

    def weight(self, stored: Stored) -> Tensor:
        from modelwright_plugins.quantizer._normal_float import group_of, large, levels, unpacked

        scales, codes = stored["scales"], unpacked(stored["codes"])
        if self.double:
            rows, blocks = scales.shape
            group = stored["group"] if "group" in stored else group_of(rows, blocks, scales.device)
            scales = large(scales, stored["outer"], stored["mean"], group)
        return (levels(codes.device)[codes.int()].view(*scales.shape, -1) * scales[..., None]).view_as(codes)

    def axes(self) -> Mapping[str, Axes]:
        return {**super().axes(), "group": ("outputs", "inputs")}

    def part(self, stored: Stored, cut: Callable[[Tensor, Axes], Tensor]) -> Stored:
        """Scales share theirs in the whole matrix's order, of which a rank's part has only some: it is told which."""
        from modelwright_plugins.quantizer._normal_float import group_of

        rows, blocks = stored["scales"].shape
        return super().part(stored | ({"group": group_of(rows, blocks)} if self.double else {}), cut)
