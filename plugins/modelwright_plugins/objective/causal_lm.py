"""Next-token prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.objective import Objective
from modelwright_plugins.objective.visible import documents, positions, seen

if TYPE_CHECKING:
    import torch

    from modelwright_plugins.objective import Example, Passage


@dataclass(frozen=True, kw_only=True)
class CausalLM(Objective):
    """Cross-entropy of each next token, in nats, the mean over the tokens of the global batch.

    A sequence may hold several documents, whose tokens don't see each other.
    """

    architectures: ClassVar[tuple[str, ...]] = ("decoder", "prefix_decoder")

    def example(self, passage: Passage) -> Example:
        text, labels = passage.tokens[:-1], passage.tokens[1:]
        visible = seen(documents(text, passage.vocabulary.end_of_document), causal=True)
        return {"input_ids": text, "position_ids": positions(visible), "attention_mask": visible, "labels": labels}

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from modelwright_plugins.objective._targets import sum_over_targets

        return sum_over_targets(output, inputs["labels"])
