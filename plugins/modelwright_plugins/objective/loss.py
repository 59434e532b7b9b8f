"""What the training engine asks of whatever is learned: an objective's texts, or an aligner's examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelwright.component import Component

if TYPE_CHECKING:
    from pathlib import Path

    import torch


class Loss(Component, ABC):
    """A loss of what the model makes of a micro-batch, which the engine sums over the global batch."""

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Tokens that it needs beside the text's; those that the tokenizer lacks get the numbers after its own."""
        return ()

    @property
    def reference(self) -> Path | None:
        """The checkpoint's folder of a frozen model that is to see the same inputs, if there is one: `loss` is given its logits [batch,
        length, vocabulary of this tensor rank] as inputs["loss_reference"]."""
        return None

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what `metrics` gives, which is logged beside the loss."""
        return ()

    @abstractmethod
    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """(sum of the loss over this microbatch's targets, how many targets): the engine divides by the count of the
        whole global batch, so that no layout and no micro-batch size changes what is learned. `inputs` are examples, stacked."""

    def metrics(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> Mapping[str, tuple[torch.Tensor, torch.Tensor]]:
        """(sum, count) over this microbatch of each of `measures`, without gradients; the engine logs the global batch's mean."""
        return {}
