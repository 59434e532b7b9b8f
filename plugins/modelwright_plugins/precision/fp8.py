"""Training with matrix products in 8-bit floats, by NVIDIA's Transformer Engine.

Weights, activations and everything between matrix products are in BF16, and the optimizer updates an FP32 copy. The factors of each
product are converted to FP8 with scales that bring them into its range: E4M3 (4 bits of exponent, up to 448) or E5M2 (up to 57,344);
`hybrid` takes E4M3 for weights and activations and E5M2 for gradients. See Micikevicius et al. 2022 (arXiv:2209.05433). The recipes
below differ in what shares a scale and when it is found. None of this was run by Modelwright's tests, which have no such GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from modelwright_plugins.precision.cuda import Device, device
from modelwright_plugins.precision.floats import BF16

if TYPE_CHECKING:
    from modelwright_plugins.kernel import Kernel


@dataclass(frozen=True, kw_only=True)
class FP8(BF16):
    """What the FP8 recipes share."""

    name: ClassVar[str]  # ours
    recipe: ClassVar[str]  # Megatron's name of it
    needs: ClassVar[str]  # GPUs that have it
    format: Literal["hybrid", "e4m3"] = "hybrid"  # of gradients E5M2, or of all E4M3

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "fp8": self.format, "fp8_recipe": self.recipe}

    def problems(self, kernel: Kernel) -> list[str]:
        from modelwright_plugins.kernel.transformer_engine import TransformerEngine

        found = [] if isinstance(kernel, TransformerEngine) else [f"precision={self.name} needs kernel=transformer_engine"]
        here = device()
        if here is None:
            return [*found, f"precision={self.name} needs {self.needs}, and this machine has no CUDA device; precision=bf16 runs here"]
        if why := self.lacking(here):
            found.append(f"precision={self.name} needs {why}, and here is {here}; precision=bf16 runs here")
        return found

    def lacking(self, here: Device) -> str | None:
        """What this device would have to be, or None if it is. Transformer Engine 2.9's own conditions, in its `quantization` module."""
        return None if here.capability >= (8, 9) else self.needs


@dataclass(frozen=True, kw_only=True)
class FP8Delayed(FP8):
    """FP8 with one scale for each tensor, from the largest values of the updates before.

    The fastest recipe, as a scale is known before its tensor is. A value beyond what the history has seen is cut off.
    """

    name: ClassVar[str] = "fp8_delayed"
    recipe: ClassVar[str] = "delayed"
    needs: ClassVar[str] = "an NVIDIA GPU of compute capability 8.9 or more (Ada, Hopper, Blackwell)"

    history: int = 1024  # updates whose largest values are remembered
    largest: Literal["max", "most_recent"] = "max"  # the scale is of the largest value in the history, or of the latest one
    margin: int = 0  # the scale is smaller by 2^margin, as room for larger values

    def __post_init__(self) -> None:
        if self.history < 1:
            raise ValueError(f"history is {self.history}; it is 1 or more")
        if self.margin < 0:
            raise ValueError(f"margin is {self.margin}; it is 0 or more")

    def settings(self) -> dict[str, Any]:
        how = {"fp8_amax_history_len": self.history, "fp8_amax_compute_algo": self.largest, "fp8_margin": self.margin}
        return {**super().settings(), **how}


@dataclass(frozen=True, kw_only=True)
class FP8Fresh(FP8):
    """What the recipes share that find a scale from the tensor itself."""

    first_layers_bf16: int = 0  # layers at the start of the model whose products stay in BF16
    last_layers_bf16: int = 0  # layers at the end

    def __post_init__(self) -> None:
        for name in ("first_layers_bf16", "last_layers_bf16"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 0 or more")

    def settings(self) -> dict[str, Any]:
        first, last = self.first_layers_bf16, self.last_layers_bf16
        kept = {"first_last_layers_bf16": True, "num_layers_at_start_in_bf16": first, "num_layers_at_end_in_bf16": last}
        return {**super().settings(), **(kept if first or last else {})}


@dataclass(frozen=True, kw_only=True)
class FP8Current(FP8Fresh):
    """FP8 with one scale for each tensor, from its own largest value."""

    name: ClassVar[str] = "fp8_current"
    recipe: ClassVar[str] = "tensorwise"
    needs: ClassVar[str] = FP8Delayed.needs


@dataclass(frozen=True, kw_only=True)
class FP8Blockwise(FP8Fresh):
    """FP8 with one scale for each 1 x 128 of an activation or gradient, and each 128 x 128 of a weight.

    DeepSeek-V3's recipe (DeepSeek-AI 2024, arXiv:2412.19437, section 3.3), where all tensors are E4M3.
    """

    name: ClassVar[str] = "fp8_blockwise"
    recipe: ClassVar[str] = "blockwise"
    needs: ClassVar[str] = "an NVIDIA GPU of compute capability 9.0 or more (Hopper, Blackwell) and a torch for CUDA 12.9 or newer"

    format: Literal["hybrid", "e4m3"] = "e4m3"  # of gradients E5M2, or of all E4M3

    def lacking(self, here: Device) -> str | None:
        return None if here.capability >= (9, 0) and here.cuda >= (12, 9) else self.needs


@dataclass(frozen=True, kw_only=True)
class MXFP8(FP8Fresh):
    """FP8 with one scale, a power of two, for each 32 values: a microscaling format of the OCP, which Blackwell multiplies.

    Rouhani et al. 2023 (arXiv:2310.10537); Mishra et al. 2025 (arXiv:2506.08027) train with all tensors in E4M3.
    """

    name: ClassVar[str] = "mxfp8"
    recipe: ClassVar[str] = "mxfp8"
    needs: ClassVar[str] = "an NVIDIA GPU of compute capability 10.x (Blackwell for data centres)"

    format: Literal["hybrid", "e4m3"] = "e4m3"  # of gradients E5M2, or of all E4M3

    def lacking(self, here: Device) -> str | None:
        return None if (10, 0) <= here.capability < (12, 0) else self.needs
