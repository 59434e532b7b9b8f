"""Quantizers: how the matrices of a model's linear layers are kept in few bits, and what is computed with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from modelwright.component import Component, Parts

if TYPE_CHECKING:
    from torch import Tensor

Stored = dict[str, "Tensor"]
"""What is kept of one matrix, by name: codes, scales, … Nothing else of the matrix is kept, so its bytes are these tensors'."""
Axis = Literal["outputs", "inputs"]
Axes = tuple[Axis | None, ...]
"""What the dimensions of a stored tensor go along; None: it has no parts there."""


@dataclass(frozen=True, kw_only=True)
class LayerInputs:
    """What a linear layer was given in calibration, in a model whose earlier blocks are quantized already. The same under any layout."""

    hessian: Tensor  # FP32 [inputs, inputs]: the mean of x xᵀ over tokens
    largest: Tensor  # FP32 [inputs]: of |x|
    mean: Tensor  # FP32 [inputs]: of |x|
    tokens: int  # that it was given


def alone(x: Tensor) -> Tensor:
    """What is known of all inputs where no other rank has any."""
    return x


class Quantizer(Component, ABC):
    """How a matrix is kept in few bits. Matrices are whole here, [outputs, inputs], whatever the layout; ranks then keep their parts."""

    quantizes: ClassVar[bool] = True  # False: the model stays as it is
    calibrates: ClassVar[bool] = False  # `quantized` wants to know what a layer's inputs are
    trains: ClassVar[bool] = False  # a model can be trained with what it does (`quantization_aware`)

    def problems(self, parts: Parts) -> list[str]:
        """Why a model can't be quantized so, one line each; `parts` are the stage's. Pure arithmetic."""
        return []

    def check_shape(self, outputs: int, inputs: int, ranks: int = 1) -> None:
        """ModelwrightError: a matrix of this shape, whose inputs so many tensor ranks share out, can't be stored so, with the number that
        is in the way. It is asked of all layers before anything is calibrated or trained."""
        return

    @abstractmethod
    def quantized(self, weight: Tensor, inputs: LayerInputs | None) -> Stored:
        """Of a matrix FP32 [outputs, inputs]: all that is stored of it. `inputs`: None only if not `calibrates`.

        The same for the same arguments. ModelwrightError: this matrix can't be, with the number that is in the way."""

    @abstractmethod
    def weight(self, stored: Stored) -> Tensor:
        """The matrix that was stored, or a part of it: FP32 [outputs, inputs]."""

    def axes(self) -> Mapping[str, Axes]:
        """Of each stored tensor, what its dimensions go along. A dimension along the inputs with k times fewer entries than there are
        inputs has one for each k that follow each other; one of 1 entry is all ranks'. What isn't named every rank has whole."""
        return {"codes": ("outputs", "inputs"), "scales": ("outputs", "inputs"), "zeros": ("outputs", "inputs")}

    def part(self, stored: Stored, cut: Callable[[Tensor, Axes], Tensor]) -> Stored:
        """What one tensor rank keeps of a whole matrix; `cut` gives its part of a tensor with these axes."""
        axes = self.axes()
        return {name: cut(value, axes[name]) if name in axes else value for name, value in stored.items()}

    def published(self) -> str | None:
        """The format of others in which the stage `export` writes what is stored: gptq, awq, compressed-tensors or bitsandbytes; None: none
        holds it. Which names and fields each reads: `engine/quantized_formats`."""
        return None

    def forward(self, x: Tensor, stored: Stored, largest: Callable[[Tensor], Tensor] = alone) -> Tensor:
        """x [..., inputs] times the transposed matrix: [..., outputs], in x's format. A quantizer of activations quantizes them here.

        `largest`: the elementwise maximum over the tensor ranks that share the inputs out, so that what is scaled by the largest of all
        inputs doesn't depend on the layout."""
        import torch.nn.functional as F

        return F.linear(x, self.weight(stored).to(x.dtype))

    def training_weight(self, weight: Tensor, largest: Callable[[Tensor], Tensor] = alone) -> Tensor:
        """Where it `trains`: of this rank's part of a matrix, [outputs, inputs], what training computes with, in the same format, with a
        gradient to `weight`. `largest` as in `forward`."""
        return weight

    def training_input(self, x: Tensor, largest: Callable[[Tensor], Tensor] = alone) -> Tensor:
        """Where it `trains`: of x [..., inputs] what training computes with, in the same format, with a gradient to `x`."""
        return x
