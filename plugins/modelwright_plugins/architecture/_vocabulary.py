"""A vocabulary whose padding is invisible, for models that are put together here."""

from __future__ import annotations

from typing import Any

import torch
from megatron.core import parallel_state
from megatron.core.models.common.language_module.language_module import LanguageModule
from megatron.core.transformer.enums import ModelType
from megatron.core.transformer.transformer_config import TransformerConfig


def padded(tokens: int, ranks: int) -> tuple[int, int]:
    """(rows of the padded vocabulary on all tensor ranks, rows of padding on this one, the last ones)."""
    mine = -(-tokens // ranks)
    first = mine * parallel_state.get_tensor_model_parallel_rank()
    return mine * ranks, mine - min(max(tokens - first, 0), mine)


def without_padding(logits: torch.Tensor, padding: int) -> torch.Tensor:
    """logits [..., vocabulary of this rank], of which the last `padding` are of no token: minus infinity there."""
    if not padding:
        return logits
    real = logits.shape[-1] - padding
    return torch.cat([logits[..., :real], torch.full_like(logits[..., real:], -torch.inf)], -1)


class VocabularyModule(LanguageModule):
    """A LanguageModule of `tokens` tokens, padded inside to a multiple of the tensor ranks.

    Padding would take probability from real tokens (0.2-0.3 nats at the start), so its logits are minus infinity in
    the loss and cut off the logits.
    """

    def __init__(
        self, config: TransformerConfig, *, tokens: int, pre_process: bool, post_process: bool, vp_stage: int | None, tied: bool
    ) -> None:
        super().__init__(config=config)
        self.config, self.tokens = config, tokens
        self.padded, self.padding = padded(tokens, config.tensor_model_parallel_size)
        self.pre_process, self.post_process, self.vp_stage = pre_process, post_process, vp_stage
        self.share_embeddings_and_output_weights = tied
        self.model_type = ModelType.encoder_or_decoder
        self.input_tensor: torch.Tensor | None = None

    def set_input_tensor(self, input_tensor: Any) -> None:
        """What the pipeline stage before this one gave; the schedule calls it before `forward`."""
        self.input_tensor = input_tensor[0] if isinstance(input_tensor, list) else input_tensor

    def output_matrix(self) -> torch.Tensor | None:
        """The embedding's matrix where it is the output's too."""
        matrix: torch.Tensor | None = self.shared_embedding_or_output_weight() if self.share_embeddings_and_output_weights else None
        return matrix

    def nats_or_logits(self, logits: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        """logits [length, batch, vocabulary of this rank] -> nats [batch, length] of labels [batch, length] (where one is below
        0 it is no target, and what stands there is to be left out), or without labels the logits [batch, length, tokens]."""
        if labels is None:
            from megatron.core.tensor_parallel import gather_from_tensor_model_parallel_region

            whole: torch.Tensor = gather_from_tensor_model_parallel_region(logits)
            return whole[..., : self.tokens].transpose(0, 1).contiguous()
        nats: torch.Tensor = self.compute_language_model_loss(labels, without_padding(logits, self.padding))
        return nats
