"""Modules of Mamba-2 and its hybrids, from a component's parameters and a kernel's modules."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from megatron.core.fusions.fused_bias_dropout import get_bias_dropout_add
from megatron.core.models.backends import BackendSpecProvider
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_config import TransformerConfig
from megatron.core.transformer.transformer_layer import TransformerLayer, TransformerLayerSubmodules

from modelwright_plugins.architecture._gpt import GPT
from modelwright_plugins.architecture._layers import FUSED_NAMES, block, feed_forward, norm, self_attention
from modelwright_plugins.architecture._mamba import Mixer, MixerSubmodules

if TYPE_CHECKING:
    from modelwright_plugins.architecture.mamba import Mamba


def hybrid(a: Mamba, config: TransformerConfig, modules: BackendSpecProvider, *, tokens: int, positions: int, **stage: Any) -> GPT:
    """The module of one pipeline stage: a GPT, each layer of which has one branch."""
    each = {letter: layer(letter, a, config, modules) for letter in set(a.kinds)}
    return GPT(
        config,
        block(config, modules, [each[letter] for letter in a.kinds], **stage),
        tokens=tokens,
        max_sequence_length=positions,
        position_embedding_type=a.position,
        rotary_percent=a.rope_fraction,
        rotary_base=a.rope_base,
        share_embeddings_and_output_weights=a.tied_embeddings,
        **stage,
    )


def layer(letter: str, a: Mamba, config: TransformerConfig, modules: BackendSpecProvider) -> ModuleSpec:
    """A transformer layer without attention or without a feed-forward network, and with a mixer in attention's place for M."""
    fused = modules.fuse_layernorm_and_linear()
    kind, own = norm(config, modules), {name: other for name, other in FUSED_NAMES.items() if not fused}
    if letter == "-":
        return ModuleSpec(
            module=TransformerLayer,
            submodules=TransformerLayerSubmodules(
                **({} if fused else {"pre_mlp_layernorm": kind}),
                mlp=feed_forward(modules),
                mlp_bda=get_bias_dropout_add,
                sharded_state_dict_keys_map=own,
            ),
        )
    if letter == "*":
        return ModuleSpec(
            module=TransformerLayer,
            submodules=TransformerLayerSubmodules(
                **({} if fused else {"input_layernorm": kind}),
                self_attention=self_attention(config, modules, causal=True),
                self_attn_bda=get_bias_dropout_add,
                sharded_state_dict_keys_map=own,
            ),
        )
    sizes = {"heads": a.heads, "head_dim": a.head_dim, "groups": a.groups, "state": a.state, "taps": a.convolution}
    linears = MixerSubmodules(in_proj=modules.column_parallel_linear(), out_proj=modules.row_parallel_linear())
    return ModuleSpec(
        module=TransformerLayer,
        submodules=TransformerLayerSubmodules(
            input_layernorm=kind,
            self_attention=ModuleSpec(module=Mixer, params=sizes, submodules=linears),
            self_attn_bda=get_bias_dropout_add,
            sharded_state_dict_keys_map={"self_attention.": "mixer."},
        ),
    )


def initial_weights(a: Mamba, name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor | None:
    """Of a mixer's parameter; None: of another's."""
    if name == "D":
        return torch.ones(shape)
    if name not in ("A_log", "dt_bias", "convolution", "convolution_bias", "bc_convolution", "bc_convolution_bias"):
        return None
    uniform = torch.rand(shape, generator=generator)
    if name == "A_log":
        return (1 + 15 * uniform).log()
    if name == "dt_bias":
        dt = (math.log(0.001) + (math.log(0.1) - math.log(0.001)) * uniform).exp()
        return dt + (-(-dt).expm1()).log()  # softplus gives dt of it
    return (2 * uniform - 1) / math.sqrt(a.convolution)
