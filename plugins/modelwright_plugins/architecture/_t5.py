"""T5: an encoder and a decoder that share embeddings and see relative positions, in any pipeline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from megatron.core import parallel_state
from megatron.core.fusions.fused_bias_dropout import get_bias_dropout_add
from megatron.core.models.backends import BackendSpecProvider
from megatron.core.models.common.embeddings.language_model_embedding import LanguageModelEmbedding
from megatron.core.tensor_parallel import ColumnParallelLinear
from megatron.core.transformer.attention import CrossAttention, CrossAttentionSubmodules
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_block import get_num_layers_to_build
from megatron.core.transformer.transformer_config import TransformerConfig
from megatron.core.transformer.transformer_layer import get_transformer_layer_offset

from modelwright_plugins.architecture._layers import layer, norm
from modelwright_plugins.architecture._relative import relative
from modelwright_plugins.architecture._stack import Stack
from modelwright_plugins.architecture._vocabulary import VocabularyModule


class T5(VocabularyModule):
    """The encoder's layers and then the decoder's, `config.num_layers` in all, of which this pipeline stage holds some.

    Stages hand on both sides' hidden states, one after the other [encoder length + decoder length, batch, width]: decoder layers on
    any stage find what they attend to, and gradients come back the same way. (Megatron 0.16.1 has no pipeline for T5.)
    """

    def __init__(
        self,
        config: TransformerConfig,
        modules: BackendSpecProvider,
        *,
        tokens: int,
        encoder_layers: int,
        buckets: int,
        distance: int,
        tied: bool,
        pre_process: bool,
        post_process: bool,
        vp_stage: int | None,
    ) -> None:
        super().__init__(config, tokens=tokens, tied=tied, pre_process=pre_process, post_process=post_process, vp_stage=vp_stage)
        if pre_process:
            self.embedding = LanguageModelEmbedding(config, self.padded, 0, position_embedding_type="none")
        # every pipeline stage has both tables, and their gradients are summed over stages
        config.has_cond_embedder = True  # what Megatron 0.16.1 calls such parameters
        self.encoder_relative = Table(config, buckets, first=pre_process)
        self.decoder_relative = Table(config, buckets, first=pre_process)

        rank = parallel_state.get_pipeline_model_parallel_rank()
        first = get_transformer_layer_offset(config, vp_stage, rank)
        end = first + get_num_layers_to_build(config, vp_stage, rank)
        self.encoder = self.decoder = None
        options: dict[str, Any] = {"norm": norm(config, modules), "vp_stage": vp_stage}
        if first < encoder_layers:
            count = min(end, encoder_layers) - first
            spec = self_attending(config, modules, causal=False, distance=distance)
            self.encoder = Stack(config, spec, first=first, count=count, total=encoder_layers, **options)
        if end > encoder_layers:
            begin = max(first, encoder_layers)
            spec = cross_attending(config, modules, self_attending(config, modules, causal=True, distance=distance))
            place: dict[str, Any] = {"first": begin - encoder_layers, "count": end - begin, "total": config.num_layers - encoder_layers}
            self.decoder = Stack(config, spec, **place, **options)
        if post_process:
            self.output_layer = ColumnParallelLinear(
                config.hidden_size,
                self.padded,
                config=config,
                init_method=config.init_method,
                bias=False,
                gather_output=False,
                skip_weight_param_allocation=pre_process and tied,
            )
        if pre_process or post_process:
            self.setup_embeddings_and_output_layer()

    def forward(
        self,
        input_ids: torch.Tensor,
        decoder_input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        cross_attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Shapes as EncoderDecoder tells them."""
        encoded, decoded = self._inputs(input_ids, decoder_input_ids)
        if self.encoder is not None:
            encoded = self.encoder(encoded, attention_mask, attention_bias=self.encoder_relative.weight)
        if self.decoder is not None:
            bias = self.decoder_relative.weight
            masks = {"attention_mask": decoder_attention_mask, "context_mask": cross_attention_mask}
            decoded = self.decoder(decoded, context=encoded, attention_bias=bias, **masks)
        if not self.post_process:
            return torch.cat([encoded, decoded])
        if self.share_embeddings_and_output_weights:
            decoded = decoded * self.config.hidden_size**-0.5
        logits, _ = self.output_layer(decoded, weight=self.output_matrix())
        return self.nats_or_logits(logits, labels)

    def _inputs(self, input_ids: torch.Tensor, decoder_input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states of both sides that go into this stage [length of this rank, batch, width]."""
        if self.pre_process:
            return self.embedding(input_ids, None), self.embedding(decoder_input_ids, None)
        assert self.input_tensor is not None
        ranks = self.config.tensor_model_parallel_size if self.config.sequence_parallel else 1
        encoded, decoded = self.input_tensor.split([input_ids.shape[1] // ranks, decoder_input_ids.shape[1] // ranks])
        return encoded, decoded


class Table(MegatronModule):
    """[buckets, heads] numbers; one of the copies that pipeline stages have is the `first`."""

    def __init__(self, config: TransformerConfig, buckets: int, *, first: bool) -> None:
        super().__init__(config=config)
        self.weight = torch.nn.Parameter(torch.zeros(buckets, config.num_attention_heads, dtype=config.params_dtype))
        self.weight.pipeline_parallel = True  # type: ignore[attr-defined]
        self.weight.shared = not first  # type: ignore[attr-defined]  # counted once in the gradient's norm
        self.weight.is_embedding_or_output_parameter = True  # type: ignore[attr-defined]
        self.first = first

    def sharded_state_dict(self, prefix: str = "", sharded_offsets: tuple[Any, ...] = (), metadata: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = super().sharded_state_dict(prefix, sharded_offsets, metadata)
        if not self.first:
            for part in found.values():  # a copy: what is saved is the first
                part.replica_id = (1 + parallel_state.get_pipeline_model_parallel_rank(), *part.replica_id[1:])
        return found


def self_attending(config: TransformerConfig, modules: BackendSpecProvider, *, causal: bool, distance: int) -> ModuleSpec:
    """An encoder's layer: self-attention with relative positions, and a feed-forward network."""
    spec = layer(config, modules, causal=causal)
    attention = spec.submodules.self_attention
    core = relative(attention.submodules.core_attention, both_ways=not causal, distance=distance)
    attention.submodules = replace(attention.submodules, core_attention=core)
    return spec


def cross_attending(config: TransformerConfig, modules: BackendSpecProvider, spec: ModuleSpec) -> ModuleSpec:
    """A decoder's layer: the same with attention to the encoder's output in between."""
    submodules = CrossAttentionSubmodules(
        linear_q=modules.column_parallel_linear(),
        linear_kv=modules.column_parallel_linear(),
        core_attention=modules.core_attention(),
        linear_proj=modules.row_parallel_linear(),
    )
    attention = ModuleSpec(module=CrossAttention, params={"attn_mask_type": AttnMaskType.no_mask}, submodules=submodules)
    spec.submodules = replace(
        spec.submodules,
        pre_cross_attn_layernorm=norm(config, modules),
        cross_attention=attention,
        cross_attn_bda=get_bias_dropout_add,
    )
    return spec
