"""Modules that predict tokens beyond the next one (multi-token prediction)."""

from __future__ import annotations

from typing import Any

import torch
from megatron.core.models.backends import BackendSpecProvider
from megatron.core.transformer.multi_token_prediction import (
    MultiTokenPredictionBlockSubmodules,
    MultiTokenPredictionLayer,
    MultiTokenPredictionLayerSubmodules,
    mtp_on_this_rank,
)
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_config import TransformerConfig
from megatron.core.transformer.utils import ensure_metadata_has_dp_cp_group

from modelwright_plugins.architecture._gpt import GPT
from modelwright_plugins.architecture._layers import norm


class MultiTokenGPT(GPT):
    """A GPT with modules on the last pipeline stage that each predict one token further (DeepSeek-AI 2024, arXiv:2412.19437, section 2.2).

    Labels may be [batch, length, 1 + modules]: the next token's, then each module's; it gives nats of that shape. (Megatron 0.16.1 makes
    the modules' labels itself, over the borders of documents, and hides their loss in the gradient.) With labels [batch, length], or none,
    the modules do nothing.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.mtp_process and not self.pre_process and self.share_embeddings_and_output_weights:
            # this stage has the embedding's matrix for its modules; Megatron 0.16.1 makes another for the output, which nothing uses, and
            # then can't save it
            self.output_layer.weight = None

    def sharded_state_dict(self, prefix: str = "", sharded_offsets: tuple[Any, ...] = (), metadata: Any = None) -> dict[str, Any]:
        # Megatron 0.16.1 asks for this only where a stage has a copy of the embedding for its modules
        found: dict[str, Any] = super().sharded_state_dict(prefix, sharded_offsets, ensure_metadata_has_dp_cp_group(metadata))
        return found

    def _postprocess(
        self, hidden_states: torch.Tensor, input_ids: torch.Tensor, position_ids: torch.Tensor, labels: torch.Tensor | None, **named: Any
    ) -> torch.Tensor:
        if not self.post_process:
            return hidden_states
        several = labels is not None and labels.dim() == 3
        states = [hidden_states]
        if several:
            passed = ("attention_mask", "rotary_pos_emb", "rotary_pos_cos", "rotary_pos_sin", "packed_seq_params")
            found = self.mtp(
                input_ids=input_ids,
                position_ids=position_ids,
                hidden_states=hidden_states,
                embedding=self.embedding,
                **{name: named[name] for name in passed},
            )
            states = list(found.chunk(1 + self.config.mtp_num_layers))
        weight = self.shared_embedding_or_output_weight() if self.share_embeddings_and_output_weights else None
        nats = []
        for place, state in enumerate(states):
            logits, _ = self.output_layer(state, weight=weight, runtime_gather_output=named["runtime_gather_output"])
            if labels is None:
                return logits.transpose(0, 1).contiguous()
            nats.append(self.compute_language_model_loss(labels[:, :, place] if several else labels, logits))
        return torch.stack(nats, -1) if several else nats[0]


def predictors(
    config: TransformerConfig, modules: BackendSpecProvider, layer: ModuleSpec, *, vp_stage: int | None = None, **_: Any
) -> MultiTokenPredictionBlockSubmodules | None:
    """The modules of this pipeline stage, each with a layer like `layer`; None where there are none."""
    if not mtp_on_this_rank(config, ignore_virtual=False, vp_stage=vp_stage):
        return None
    kind = norm(config, modules)
    each = ModuleSpec(
        module=MultiTokenPredictionLayer,
        submodules=MultiTokenPredictionLayerSubmodules(
            enorm=kind, hnorm=kind, eh_proj=modules.column_parallel_linear(), transformer_layer=layer, layer_norm=kind
        ),
    )
    return MultiTokenPredictionBlockSubmodules(layer_specs=[each] * config.mtp_num_layers)
