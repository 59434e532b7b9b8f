"""Multi-token prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelwright_plugins.objective import Objective
from modelwright_plugins.objective.visible import documents, positions, seen

if TYPE_CHECKING:
    import torch

    from modelwright_plugins.objective import Example, Passage


@dataclass(frozen=True, kw_only=True)
class MultiToken(Objective):
    """Cross-entropy of each next token, and of some after it, which modules of the model predict (DeepSeek-V3).

    DeepSeek-AI 2024 (arXiv:2412.19437), equations 24 and 25: `weight` times the mean over the modules of each one's loss is added to
    that of the next token; all are divided by the number of next tokens. What lies beyond the document or the sequence is no target.
    The loss that is told is the sum.
    """

    depth: int = 1  # tokens after the next one that are predicted too; architecture.mtp_layers is as many
    weight: float = 0.3  # of what is added (DeepSeek-V3: 0.3, and 0.1 after two thirds of its training)

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"depth is {self.depth}; it is 1 or more")
        if not self.weight > 0:
            raise ValueError(f"weight is {self.weight}; it is above 0")

    @property
    def needs(self) -> dict[str, Any]:
        return {"mtp_layers": self.depth}

    def example(self, passage: Passage) -> Example:
        import numpy as np

        text, labels = passage.tokens[:-1], passage.tokens[1:]
        groups = documents(text, passage.vocabulary.end_of_document)
        visible = seen(groups, causal=True)
        several = np.full((len(text), 1 + self.depth), -1)
        several[:, 0] = labels
        for further in range(1, self.depth + 1):
            known = groups[further:] == groups[:-further]  # the token that the module is given, and after which its target comes
            several[:-further, further] = np.where(known, labels[further:], -1)
        return {"input_ids": text, "position_ids": positions(visible), "attention_mask": visible, "labels": several}

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from modelwright_plugins.objective._targets import sum_over_targets

        total, count = sum_over_targets(output[..., 0], inputs["labels"][..., 0])
        further, _ = sum_over_targets(output[..., 1:], inputs["labels"][..., 1:])
        return total + self.weight / self.depth * further, count
