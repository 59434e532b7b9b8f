"""ELECTRA: a small encoder that fills masks, and a larger one that tells its tokens from the text's; they share embeddings."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from megatron.core.models.backends import BackendSpecProvider
from megatron.core.tensor_parallel import gather_from_sequence_parallel_region, gather_from_tensor_model_parallel_region
from megatron.core.transformer.transformer_config import TransformerConfig

from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture._bert import Dense, Embedding, MaskedHead, encoder, output_layer, resized, widened
from modelwright_plugins.architecture._layers import norm
from modelwright_plugins.architecture._vocabulary import VocabularyModule


class Electra(VocabularyModule):
    """Generator and discriminator, on one pipeline rank: the second reads what the first has made."""

    def __init__(
        self,
        config: TransformerConfig,
        modules: BackendSpecProvider,
        *,
        tokens: int,
        positions: int,
        token_types: int,
        embedding_width: int,
        post_norm: bool,
        generator: dict[str, int],
        pre_process: bool,
        post_process: bool,
        vp_stage: int | None,
    ) -> None:
        super().__init__(config, tokens=tokens, tied=True, pre_process=pre_process, post_process=post_process, vp_stage=vp_stage)
        if not (pre_process and post_process):
            raise ModelwrightError("architecture Electra wants parallel.pipeline=1: its second model reads what the first has made")
        kind, small = norm(config, modules), resized(config, **generator)
        stage: dict[str, Any] = {"pre": True, "post": True, "vp_stage": None}
        self.embedding = Embedding(resized(config, embedding_width), kind if post_norm else None, self.padded, positions, token_types)
        self.generator_widened = widened(embedding_width, small)
        self.generator = encoder(small, modules, post_norm=post_norm, **stage)
        self.masked_head = MaskedHead(small, embedding_width, kind)
        self.output_layer = output_layer(resized(config, embedding_width), self.padded, own=False)
        self.widened = widened(embedding_width, config)
        self.encoder = encoder(config, modules, post_norm=post_norm, **stage)
        self.judge = Dense(config.hidden_size, config.hidden_size, config, shared_out=True)
        self.verdict = Dense(config.hidden_size, 1, config, shared_out=True)
        self.setup_embeddings_and_output_layer()

    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        tokentype_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        chance: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Shapes as the architecture tells them."""
        if labels is None:
            return self.discriminate(input_ids, position_ids, attention_mask, tokentype_ids)
        assert chance is not None
        masked, original = labels.unbind(-1)
        logits = self.generate(input_ids, position_ids, attention_mask, tokentype_ids)
        targets, read = masked >= 0, input_ids.clone()
        read[targets] = self.sampled(logits.transpose(0, 1)[targets], chance[targets])
        scores = self.discriminate(read, position_ids, attention_mask, tokentype_ids).float()
        told = F.binary_cross_entropy_with_logits(scores, (read != original).float(), reduction="none")
        return torch.stack([self.nats_or_logits(logits, masked).float(), told], -1)

    def generate(self, input_ids: torch.Tensor, position_ids: object, attention_mask: object, tokentype_ids: object) -> torch.Tensor:
        """[batch, length] -> logits [length, batch, vocabulary of this rank]."""
        hidden = self.generator_widened(self.embedding(input_ids, position_ids, tokentype_ids))
        logits: torch.Tensor = self.output_layer(self.masked_head(self.generator(hidden, attention_mask)), weight=self.output_matrix())[0]
        return logits

    def discriminate(self, input_ids: torch.Tensor, position_ids: object, attention_mask: object, tokentype_ids: object) -> torch.Tensor:
        """[batch, length] -> logits [batch, length] of a token's not being the text's."""
        hidden = self.encoder(self.widened(self.embedding(input_ids, position_ids, tokentype_ids)), attention_mask)
        scores = self.verdict(F.gelu(self.judge(hidden)))
        if self.config.sequence_parallel:  # each rank computes the same from there on
            scores = gather_from_sequence_parallel_region(scores, tensor_parallel_output_grad=False)
        found: torch.Tensor = scores.squeeze(-1).transpose(0, 1)
        return found

    @torch.no_grad()
    def sampled(self, logits: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
        """A token of each distribution, the one at which its cumulated probability exceeds `chance` [targets], which is from 0 to 1:
        logits [targets, vocabulary of this rank] -> [targets], the same on every tensor rank and in every layout."""
        whole = gather_from_tensor_model_parallel_region(logits.contiguous())[:, : self.tokens]
        below = whole.double().softmax(-1).cumsum(-1)
        found: torch.Tensor = torch.searchsorted(below, chance.double()[:, None] * below[:, -1:], right=True).squeeze(1)
        return found.clamp(max=self.tokens - 1)
