"""Training with matrices as a quantizer will round them: the weights that are trained and saved stay plain.

Megatron's own layers do the work: what is rounded goes into them in the place of their weights and inputs, under any layout.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, cast

import torch
from megatron.core.tensor_parallel import ColumnParallelLinear
from megatron.core.transformer.module import MegatronModule

from modelwright.errors import ModelwrightError
from modelwright.manifest import write_json
from modelwright_plugins.engine.quantized import checked, largest_over
from modelwright_plugins.quantizer import Quantizer, alone

FILE = "quantization_aware.json"  # beside a checkpoint's model.json: what its training rounded as


class Rounded:
    """Goes before the class of a parallel linear layer (Megatron-Core 0.16: both kinds multiply in `_forward_impl`)."""

    quantizer: Quantizer

    def _forward_impl(self, input: torch.Tensor, weight: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        layer = cast(Any, self)
        largest = alone if isinstance(self, ColumnParallelLinear) else largest_over(layer.tp_group)
        given = self.quantizer.training_input(input, largest), self.quantizer.training_weight(weight, largest)
        found: torch.Tensor = super()._forward_impl(*given, *arguments, **options)  # type: ignore[misc]
        return found


def attach(chunks: list[MegatronModule], quantizer: Quantizer) -> None:
    """From here on each layer that the stage `quantize` would quantize computes with what is rounded. ModelwrightError: `checked`'s."""
    for site in checked(chunks, quantizer, parts=True):
        site.layer.__class__ = type(f"Rounded{type(site.layer).__name__}", (Rounded, type(site.layer)), {})
        site.layer.quantizer = quantizer


def note(folder: Path, quantizer: Quantizer) -> None:
    """Beside a checkpoint: it was trained with this rounding."""
    write_json(folder / FILE, dataclasses.asdict(quantizer))


def check_trained(folder: Path, quantizer: Quantizer) -> bool:
    """Whether the model in `folder` was trained with what `quantizer` rounds. ModelwrightError: with another rounding."""
    if not (folder / FILE).is_file():
        return False
    trained: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    other = {name: value for name, value in dataclasses.asdict(quantizer).items() if name in trained and trained[name] != value}
    if other:
        given, wanted = (" ".join(f"quantizer.{name}={said[name]}" for name in other) for said in (other, trained))
        raise ModelwrightError(f"{given}: {folder} was trained with {wanted}, and what it was trained for is to be stored")
    return True
