"""Next-token prediction that minds hard tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.objective import Objective
from modelwright_plugins.objective.visible import documents, positions, seen

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from modelwright_plugins.objective import Passage


@dataclass(frozen=True, kw_only=True)
class Focal(Objective):
    """Focal loss of each next token: (1 - p)^gamma times its cross-entropy (Lin et al. 2017, arXiv:1708.02002)."""

    gamma: float = 1.0  # how much less a token counts that the model is sure of; 0 is cross-entropy

    def __post_init__(self) -> None:
        if self.gamma < 0:
            raise ValueError(f"gamma is {self.gamma}; it is 0 or more")

    def example(self, passage: Passage) -> dict[str, NDArray[np.generic]]:
        text, labels = passage.tokens[:-1], passage.tokens[1:]
        visible = seen(documents(text, passage.vocabulary.end_of_document), causal=True)
        return {"input_ids": text, "position_ids": positions(visible), "attention_mask": visible, "labels": labels}

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        nats = output.float()  # as there are labels, the model gives the cross-entropy of each token [batch, length]
        unsure = -torch.expm1(-nats)  # 1 - p
        return (unsure.pow(self.gamma) * nats).sum(), torch.tensor(nats.numel(), dtype=torch.int, device=nats.device)
