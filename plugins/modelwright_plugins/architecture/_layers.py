"""Layers from a kernel's modules: what every architecture's blocks are put together from."""

from __future__ import annotations

from typing import Any

from megatron.core.fusions.fused_bias_dropout import get_bias_dropout_add
from megatron.core.models.backends import BackendSpecProvider
from megatron.core.transformer.attention import SelfAttention, SelfAttentionSubmodules
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.identity_op import IdentityOp
from megatron.core.transformer.mlp import MLP, MLPSubmodules
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules, get_num_layers_to_build
from megatron.core.transformer.transformer_config import TransformerConfig
from megatron.core.transformer.transformer_layer import TransformerLayer, TransformerLayerSubmodules, get_transformer_layer_offset

from modelwright_plugins.architecture._residual import Layer

# the names that Transformer Engine's fused modules give to norms in checkpoints
FUSED_NAMES = {"input_layernorm.": "self_attention.linear_qkv.layer_norm_", "pre_mlp_layernorm.": "mlp.linear_fc1.layer_norm_"}


def norm(config: TransformerConfig, modules: BackendSpecProvider, *, for_qk: bool = False) -> type:
    return modules.layer_norm(rms_norm=config.normalization == "RMSNorm", for_qk=for_qk)


def self_attention(config: TransformerConfig, modules: BackendSpecProvider, *, causal: bool, normed: bool = True) -> ModuleSpec:
    """The norm before it is part of it if the kernel fuses the two; not `normed`: there is none before it."""
    qk_norm = norm(config, modules, for_qk=True) if config.qk_layernorm else IdentityOp
    return ModuleSpec(
        module=SelfAttention,
        params={"attn_mask_type": AttnMaskType.causal if causal else AttnMaskType.no_mask},
        submodules=SelfAttentionSubmodules(
            linear_qkv=_first_linear(modules, normed),
            core_attention=modules.core_attention(),
            linear_proj=modules.row_parallel_linear(),
            q_layernorm=qk_norm,
            k_layernorm=qk_norm,
        ),
    )


def feed_forward(modules: BackendSpecProvider, *, normed: bool = True) -> ModuleSpec:
    """As `self_attention` with the norm before it."""
    linears = MLPSubmodules(linear_fc1=_first_linear(modules, normed), linear_fc2=modules.row_parallel_linear())
    return ModuleSpec(module=MLP, submodules=linears)


def _first_linear(modules: BackendSpecProvider, normed: bool) -> type:
    fused = modules.column_parallel_layer_norm_linear() if normed and modules.fuse_layernorm_and_linear() else None
    return fused or modules.column_parallel_linear()


def layer(
    config: TransformerConfig,
    modules: BackendSpecProvider,
    *,
    causal: bool = True,
    placement: str = "pre",
    scale: float = 1.0,
    attention: ModuleSpec | None = None,
    mlp: ModuleSpec | None = None,
) -> ModuleSpec:
    """A layer of self-attention and a feed-forward network, or of `attention` and `mlp`, which have no norm fused into them.

    `placement` of norms, and `scale`, are those of `_residual.Layer`.
    """
    before = placement in ("pre", "sandwich")
    fused = before and modules.fuse_layernorm_and_linear()
    kind = norm(config, modules)
    plain = placement == "pre" and scale == 1
    names = [name for name, other in (("input_layernorm.", attention), ("pre_mlp_layernorm.", mlp)) if other is None]
    return ModuleSpec(
        module=TransformerLayer if plain else Layer,
        params={} if plain else {"placement": placement, "scale": scale, "after": kind},
        submodules=TransformerLayerSubmodules(
            input_layernorm=kind if before and not (fused and attention is None) else IdentityOp,
            self_attention=attention or self_attention(config, modules, causal=causal, normed=before),
            self_attn_bda=get_bias_dropout_add,
            pre_mlp_layernorm=kind if before and not (fused and mlp is None) else IdentityOp,
            mlp=mlp or feed_forward(modules, normed=before),
            mlp_bda=get_bias_dropout_add,
            sharded_state_dict_keys_map={} if fused or not before else {name: FUSED_NAMES[name] for name in names},
        ),
    )


def block(
    config: TransformerConfig,
    modules: BackendSpecProvider,
    each: ModuleSpec | list[ModuleSpec],
    *,
    final_norm: bool = True,
    vp_stage: int | None = None,
    **_: Any,
) -> TransformerBlockSubmodules:
    """`each` as often as this pipeline stage (`vp_stage`) has layers, or those of a list of all layers; and the final norm."""
    count = get_num_layers_to_build(config, vp_stage=vp_stage)
    first = get_transformer_layer_offset(config, vp_stage)
    layers = each[first : first + count] if isinstance(each, list) else [each] * count
    return TransformerBlockSubmodules(layer_specs=layers, layer_norm=norm(config, modules) if final_norm else None)
