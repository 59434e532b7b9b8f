"""An aligner whose model has a value head beside the tokens, as PPO's has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from modelwright_plugins.aligner import Aligner


@dataclass(frozen=True, kw_only=True)
class TokensAndValues(Aligner):
    """Cross-entropy of the targets, and the squared error of the values there from half the label."""

    examples: ClassVar[tuple[str, ...]] = ("conversation",)
    head: ClassVar[Literal["tokens", "value", "both"]] = "both"

    @property
    def measures(self) -> tuple[str, ...]:
        return ("values", "errors")

    def _errors(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return (inputs["loss_values"] - inputs["labels"] / 100).square() * inputs["loss_mask"]

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        mask = inputs["loss_mask"]
        return (output * mask + self._errors(inputs)).sum(), mask.sum().to(torch.int)

    def metrics(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        mask = inputs["loss_mask"]
        return {"values": ((inputs["loss_values"] * mask).sum(), mask.sum()), "errors": (self._errors(inputs).sum(), mask.sum())}
