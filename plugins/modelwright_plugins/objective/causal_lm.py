"""Next-token prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.objective import Objective

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class CausalLM(Objective):
    """Cross-entropy of each next token, in nats, the mean over the tokens of the global batch."""

    def inputs(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        import torch

        text = tokens[:, :-1]
        position = torch.arange(text.shape[1], device=tokens.device).expand_as(text)
        return {"input_ids": text, "position_ids": position, "labels": tokens[:, 1:].contiguous()}

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        return output.float().sum(), torch.tensor(output.numel(), dtype=torch.int, device=output.device)
