"""What conformance says of an aligner that breaks its promise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from modelwright_plugins.aligner import Aligner
from modelwright_plugins.conformance.aligner import Aligners

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Everything(Aligner):
    """Counts what is no target: 3 nats more on each context position can only make its loss greater."""

    examples: ClassVar[tuple[str, ...]] = ("conversation",)

    def loss(self, output: torch.Tensor, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        return output.sum(), inputs["loss_mask"].sum()


def test_the_loss_and_the_loss_with_other_context_are_told_as_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="what is no target does not count") as told:
        Aligners().check(Everything(), tmp_path)
    words = str(told.value).split("the loss is ")[1]
    loss, other = (float(number) for number in words.split(", and with other context "))
    assert loss < other
