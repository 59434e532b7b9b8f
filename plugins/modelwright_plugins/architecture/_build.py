"""A decoder's modules, from its parameters and a kernel's modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from megatron.core.models.backends import BackendSpecProvider
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_config import TransformerConfig

from modelwright_plugins.architecture._deepnorm import alpha
from modelwright_plugins.architecture._experts import mixture
from modelwright_plugins.architecture._gpt import GPT
from modelwright_plugins.architecture._latent import latent_attention
from modelwright_plugins.architecture._layers import block, layer, norm
from modelwright_plugins.architecture._mtp import MultiTokenGPT, predictors
from modelwright_plugins.architecture._rope import frequencies

if TYPE_CHECKING:
    from modelwright_plugins.architecture.decoder import CausalDecoder


def decoder(a: CausalDecoder, config: TransformerConfig, modules: BackendSpecProvider, *, tokens: int, positions: int, **stage: Any) -> GPT:
    """The module of one pipeline stage."""
    rotary = a.position == "rope" and a.kv_rank is None
    every = layers(a, config, modules, causal=a.causal)
    model = (MultiTokenGPT if a.mtp_layers else GPT)(
        config,
        block(config, modules, every, final_norm=a.norm_placement in ("pre", "sandwich"), **stage),
        tokens=tokens,
        max_sequence_length=positions,
        position_embedding_type={"learned": "learned_absolute", "rope": "rope"}.get(a.position, "none"),
        rotary_percent=a.rope_fraction,
        share_embeddings_and_output_weights=a.tied_embeddings,
        embedding_norm=norm(config, modules) if a.embedding_norm else None,
        embedding_multiplier=a.embedding_multiplier,
        output_multiplier=a.output_multiplier / a.width_ratio,
        mtp_block_spec=predictors(config, modules, every[-1], **stage),
        **stage,
    )
    if rotary:
        made = model.rotary_pos_emb
        made.inv_freq = frequencies(a, 2 * len(made.inv_freq), made.inv_freq.device)
    return model


def layers(a: CausalDecoder, config: TransformerConfig, modules: BackendSpecProvider, *, causal: bool) -> list[ModuleSpec]:
    """Every layer of the model, of all pipeline stages."""
    attention = None
    if a.kv_rank is not None:
        device = torch.device(torch.cuda.current_device())
        own = frequencies(a, a.rope_head_dim, device) if a.rope_scaling != "yarn" else None
        attention = latent_attention(modules, norm(config, modules), own)
    scale = alpha(a.layers) if a.norm_placement == "deepnorm" else a.residual_multiplier

    def made(mlp: ModuleSpec | None) -> ModuleSpec:
        return layer(config, modules, causal=causal, placement=a.norm_placement, scale=scale, attention=attention, mlp=mlp)

    if a.experts is None:
        return [made(None)] * a.layers
    return [made(None)] * a.first_dense_layers + [made(mixture(modules))] * (a.layers - a.first_dense_layers)
