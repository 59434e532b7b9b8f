"""Megatron's GPTModel with a vocabulary whose padding is invisible."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from megatron.core.models.gpt.gpt_model import GPTModel
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules
from megatron.core.transformer.transformer_config import TransformerConfig

from modelwright_plugins.architecture._vocabulary import padded, without_padding


def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
    """GPT-2's approximation of GELU (Hendrycks and Gimpel 2016)."""
    return F.gelu(x, approximate="tanh")


def squared_relu(x: torch.Tensor) -> torch.Tensor:
    """Primer's activation (So et al. 2021, arXiv:2109.08668)."""
    return F.relu(x).square()


class GPT(GPTModel):
    """A GPTModel of `tokens` tokens, padded inside to a multiple of the tensor ranks.

    Padding would take probability from real tokens (0.2-0.3 nats at the start), so its logits are minus infinity in
    the loss and cut off the logits.
    """

    def __init__(
        self,
        config: TransformerConfig,
        block: TransformerBlockSubmodules,
        *,
        tokens: int,
        embedding_norm: type | None = None,
        embedding_multiplier: float = 1.0,
        output_multiplier: float = 1.0,
        **model: Any,
    ) -> None:
        rows, padding = padded(tokens, config.tensor_model_parallel_size)
        super().__init__(config, block, vocab_size=rows, **model)
        self.padding = padding
        self.tokens = tokens
        self.embedding_multiplier, self.output_multiplier = embedding_multiplier, output_multiplier
        self.embedding_norm: torch.nn.Module | None = None
        if embedding_norm is not None and self.pre_process:
            self.embedding_norm = embedding_norm(config=config, hidden_size=config.hidden_size, eps=config.layernorm_epsilon)
        if self.pre_process and self.embedding.add_position_embedding:
            self.embedding.position_embeddings.weight.is_embedding_or_output_parameter = True  # as token embeddings are

    def compute_language_model_loss(self, labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """labels [batch, length], logits [length, batch, vocabulary of this rank] -> nats [batch, length]; where a label is
        below 0 it is no target, and what stands there is to be left out."""
        logits = logits * self.output_multiplier if self.output_multiplier != 1 else logits
        return super().compute_language_model_loss(labels, without_padding(logits, self.padding))

    def forward(
        self, input_ids: torch.Tensor, position_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **named: Any
    ) -> torch.Tensor:
        out: torch.Tensor = super().forward(input_ids, position_ids, attention_mask, **named)
        if not self.post_process or named.get("labels") is not None:
            return out
        out = out * self.output_multiplier if self.output_multiplier != 1 else out
        return out[..., : self.tokens] if out.shape[-1] == self.vocab_size else out  # gathered logits

    def _preprocess(self, *inputs: Any, **named: Any) -> tuple[Any, ...]:
        """Megatron's, with what is done to embeddings. Their dropout comes before the norm, which does not see its scale."""
        embedded, *others = super()._preprocess(*inputs, **named)
        if self.pre_process:
            if self.embedding_multiplier != 1:
                embedded = embedded * self.embedding_multiplier
            if self.embedding_norm is not None:
                embedded = self.embedding_norm(embedded)
        return embedded, *others
