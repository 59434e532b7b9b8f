"""BERT: embeddings, layers that see both ways, heads for masked tokens, for pairs of segments and for spans from their boundaries."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from megatron.core import parallel_state
from megatron.core.models.backends import BackendSpecProvider
from megatron.core.models.common.embeddings.language_model_embedding import LanguageModelEmbedding
from megatron.core.tensor_parallel import ColumnParallelLinear, gather_from_sequence_parallel_region
from megatron.core.tensor_parallel.random import get_cuda_rng_tracker
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.transformer_block import TransformerBlock
from megatron.core.transformer.transformer_config import TransformerConfig

from modelwright_plugins.architecture._layers import block, layer, norm
from modelwright_plugins.architecture._vocabulary import VocabularyModule
from modelwright_plugins.engine import context

PLACE_WIDTH = 200  # of a place within a span (SpanBERT's code, position_embedding_size)


class Bert(VocabularyModule):
    """One pipeline stage of an encoder with BERT's heads."""

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
        pairs: bool,
        span_places: int,
        tied: bool,
        pre_process: bool,
        post_process: bool,
        vp_stage: int | None,
    ) -> None:
        super().__init__(config, tokens=tokens, tied=tied, pre_process=pre_process, post_process=post_process, vp_stage=vp_stage)
        kind = norm(config, modules)
        if pre_process:
            self.embedding = Embedding(resized(config, embedding_width), kind if post_norm else None, self.padded, positions, token_types)
            self.widened = widened(embedding_width, config)
        self.encoder = encoder(config, modules, post_norm=post_norm, pre=pre_process, post=post_process, vp_stage=vp_stage)
        self.pooler: Dense | None = None
        if post_process:
            self.masked_head = MaskedHead(config, embedding_width, kind)
            self.output_layer = output_layer(resized(config, embedding_width), self.padded, own=not (pre_process and tied))
            if pairs:
                self.pooler = Dense(config.hidden_size, config.hidden_size, config)
                self.pair_head = Dense(config.hidden_size, 2, config)
            self.span_head = SpanHead(config, embedding_width, kind, span_places) if span_places else None
        if pre_process or post_process:
            self.setup_embeddings_and_output_layer()

    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        tokentype_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        pair_labels: torch.Tensor | None = None,
        boundaries: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Shapes as Encoder tells them."""
        hidden = None
        if self.pre_process:
            hidden = self.widened(self.embedding(input_ids, position_ids, tokentype_ids))
        else:
            self.encoder.set_input_tensor(self.input_tensor)
        hidden = self.encoder(hidden, attention_mask)
        if not self.post_process:
            return hidden
        logits, _ = self.output_layer(self.masked_head(hidden), weight=self.output_matrix())
        if labels is None or labels.dim() == 2:
            out = self.nats_or_logits(logits, labels)
        else:
            assert self.span_head is not None and boundaries is not None
            told, _ = self.output_layer(self.span_head(hidden, boundaries), weight=self.output_matrix())
            each = zip((logits, told), labels.unbind(-1), strict=True)
            out = torch.stack([self.nats_or_logits(one, of.contiguous()) for one, of in each], -1)
        if pair_labels is None:
            return out
        nats = F.cross_entropy(self.pair_logits(hidden).float(), pair_labels[:, 0].clamp(min=0), reduction="none")
        first = pair_labels >= 0
        if out.dim() == 3:
            first, nats = first[..., None], nats[:, None]
        return torch.where(first, nats[:, None].to(out.dtype), out)

    def pair_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[length of this rank, batch, width] -> [batch, 2], from the first position."""
        assert self.pooler is not None
        if self.config.sequence_parallel:  # each rank computes the same from there on
            hidden = gather_from_sequence_parallel_region(hidden, tensor_parallel_output_grad=False)
        found: torch.Tensor = self.pair_head(torch.tanh(self.pooler(hidden[0])))
        return found


class Embedding(LanguageModelEmbedding):
    """Tokens, positions and token types, then a norm if there is one, then dropout: [batch, length] -> [length, batch, width]."""

    def __init__(self, config: TransformerConfig, kind: type | None, padded: int, positions: int, token_types: int) -> None:
        super().__init__(config, padded, positions, position_embedding_type="learned_absolute", num_tokentypes=token_types)
        self.embedding_dropout = torch.nn.Identity()  # Megatron's comes before the norm
        self.norm = None if kind is None else kind(config=config, hidden_size=config.hidden_size, eps=config.layernorm_epsilon)
        for table in (self.position_embeddings, self.tokentype_embeddings):
            if table is not None:
                table.weight.is_embedding_or_output_parameter = True  # as token embeddings are

    def forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor | None, tokentype_ids: torch.Tensor | None) -> torch.Tensor:
        if position_ids is None:
            counted = torch.arange(input_ids.shape[1], device=input_ids.device)
            position_ids = (counted if context.ranks() == 1 else context.places(len(counted), counted.device)).expand_as(input_ids)
        if tokentype_ids is None and self.num_tokentypes:
            tokentype_ids = torch.zeros_like(input_ids)
        embedded: torch.Tensor = super().forward(input_ids, position_ids, tokentype_ids if self.num_tokentypes else None)
        if self.norm is not None:
            embedded = self.norm(embedded)
        # with sequence parallelism tensor ranks hold other positions
        with get_cuda_rng_tracker().fork() if self.config.sequence_parallel else nullcontext():
            return F.dropout(embedded, self.config.hidden_dropout, self.training)


class Dense(torch.nn.Linear):
    """A linear layer that every tensor rank computes whole; `shared_out`: with sequence parallelism it sees this rank's positions alone."""

    def __init__(self, inputs: int, outputs: int, config: TransformerConfig, *, shared_out: bool = False) -> None:
        super().__init__(inputs, outputs, dtype=config.params_dtype)
        for parameter in self.parameters():
            parameter.sequence_parallel = shared_out and config.sequence_parallel  # type: ignore[attr-defined]


class MaskedHead(MegatronModule):
    """Before the output matrix: dense, gelu, norm (Devlin et al. 2019's code)."""

    def __init__(self, config: TransformerConfig, outputs: int, kind: type) -> None:
        super().__init__(config=config)
        self.dense = Dense(config.hidden_size, outputs, config, shared_out=True)
        self.norm = kind(config=resized(config, outputs), hidden_size=outputs, eps=config.layernorm_epsilon)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.norm(F.gelu(self.dense(hidden)))
        return found


class SpanHead(MegatronModule):
    """Masked tokens of a span from the two tokens beside it and the place in it, without those between: two layers of dense, gelu and
    norm (Joshi et al. 2019, arXiv:1907.10529, section 3.2); `places` are rows of the table of places."""

    def __init__(self, config: TransformerConfig, outputs: int, kind: type, places: int) -> None:
        super().__init__(config=config)
        self.places = torch.nn.Embedding(places, PLACE_WIDTH, dtype=config.params_dtype)
        table: Any = self.places.weight
        table.is_embedding_or_output_parameter, table.sequence_parallel = True, config.sequence_parallel
        self.dense = Dense(2 * config.hidden_size + PLACE_WIDTH, config.hidden_size, config, shared_out=True)
        self.norm = kind(config=config, hidden_size=config.hidden_size, eps=config.layernorm_epsilon)
        self.head = MaskedHead(config, outputs, kind)

    def forward(self, hidden: torch.Tensor, boundaries: torch.Tensor) -> torch.Tensor:
        """[length of this rank, batch, width] and places in the sequence [batch, length of this context rank, 2] -> the same length,
        batch, width of embeddings; whatever it is where there is no span."""
        beside, place = boundaries.transpose(0, 1), context.places(boundaries.shape[1], boundaries.device)
        if self.config.sequence_parallel:
            rank, length = parallel_state.get_tensor_model_parallel_rank(), len(hidden)
            beside, place = (each[rank * length : (rank + 1) * length] for each in (beside, place))
            hidden = gather_from_sequence_parallel_region(hidden, tensor_parallel_output_grad=True)
        if context.ranks() > 1:
            hidden = torch.cat(context.whole(*hidden.chunk(2, -1)), -1)
        left, right = (hidden.gather(0, each[..., None].expand(-1, -1, hidden.shape[-1])) for each in beside.unbind(-1))
        within = self.places((place[:, None] - beside[..., 0] - 1).clamp(0, self.places.num_embeddings - 1))
        found: torch.Tensor = self.head(self.norm(F.gelu(self.dense(torch.cat([left, right, within], -1)))))
        return found


def resized(config: TransformerConfig, width: int, **fields: Any) -> TransformerConfig:
    """The same for a module of another width."""
    if width == config.hidden_size and not fields:
        return config
    found = copy.copy(config)
    for name, value in {"hidden_size": width, **fields}.items():
        setattr(found, name, value)
    return found


def widened(embedding_width: int, config: TransformerConfig) -> torch.nn.Module:
    """From embeddings to the model's width (Clark et al. 2020's `embeddings_project`)."""
    if embedding_width == config.hidden_size:
        return torch.nn.Identity()
    return Dense(embedding_width, config.hidden_size, config, shared_out=True)


def encoder(
    config: TransformerConfig, modules: BackendSpecProvider, *, post_norm: bool, pre: bool, post: bool, vp_stage: int | None
) -> TransformerBlock:
    """This stage's layers. With the norm after each branch there is none at the end."""
    each = layer(config, modules, causal=False, placement="post" if post_norm else "pre")
    spec = block(config, modules, each, final_norm=not post_norm, vp_stage=vp_stage)
    return TransformerBlock(config, spec, post_layer_norm=not post_norm, pre_process=pre, post_process=post, vp_stage=vp_stage)


def output_layer(config: TransformerConfig, padded: int, *, own: bool) -> ColumnParallelLinear:
    """Logits, with a bias; `own`: it has a matrix, else it is given the embedding's."""
    return ColumnParallelLinear(
        config.hidden_size,
        padded,
        config=config,
        init_method=config.init_method,
        bias=True,
        gather_output=False,
        skip_weight_param_allocation=not own,
    )
