"""Megatron's GPTModel with a row of the embedding for masked tokens."""

from __future__ import annotations

from typing import Any

import torch
from megatron.core import parallel_state
from megatron.core.models.gpt.gpt_model import GPTModel
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules
from megatron.core.transformer.transformer_config import TransformerConfig

from modelwright_masked_diffusion.denoiser import MASK


class MaskPredictor(GPTModel):
    """The embedding's rows are the vocabulary, the mask, and padding to a multiple of the tensor ranks. What comes after the
    vocabulary has no probability, and is cut off the logits."""

    def __init__(self, config: TransformerConfig, block: TransformerBlockSubmodules, *, tokens: int, **model: Any) -> None:
        ranks = config.tensor_model_parallel_size
        super().__init__(config, block, vocab_size=-(-(tokens + 1) // ranks) * ranks, **model)
        self.tokens = tokens
        mine = self.vocab_size // ranks
        first = mine * parallel_state.get_tensor_model_parallel_rank()
        self.real = min(max(tokens - first, 0), mine)  # so many of this rank's rows are of the vocabulary, the first ones

    def compute_language_model_loss(self, labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """labels [batch, length], logits [length, batch, vocabulary of this rank] -> nats [batch, length]."""
        if self.real < logits.shape[-1]:
            impossible = torch.full_like(logits[..., self.real :], -torch.inf)
            logits = torch.cat([logits[..., : self.real], impossible], -1)
        return super().compute_language_model_loss(labels, logits)

    def forward(
        self, input_ids: torch.Tensor, position_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **named: Any
    ) -> torch.Tensor:
        out: torch.Tensor = super().forward(torch.where(input_ids == MASK, self.tokens, input_ids), position_ids, attention_mask, **named)
        if not self.post_process or named.get("labels") is not None or out.shape[-1] != self.vocab_size:
            return out
        return out[..., : self.tokens]  # gathered logits
