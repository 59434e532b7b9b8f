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
from megatron.core.transformer.transformer_layer import TransformerLayer, TransformerLayerSubmodules

# the names that Transformer Engine's fused modules give to norms in checkpoints
FUSED_NAMES = {"input_layernorm.": "self_attention.linear_qkv.layer_norm_", "pre_mlp_layernorm.": "mlp.linear_fc1.layer_norm_"}


def norm(config: TransformerConfig, modules: BackendSpecProvider, *, for_qk: bool = False) -> type:
    return modules.layer_norm(rms_norm=config.normalization == "RMSNorm", for_qk=for_qk)


def self_attention(config: TransformerConfig, modules: BackendSpecProvider, *, causal: bool) -> ModuleSpec:
    """The norm before it is part of it if the kernel fuses the two."""
    fused = modules.column_parallel_layer_norm_linear() if modules.fuse_layernorm_and_linear() else None
    qk_norm = norm(config, modules, for_qk=True) if config.qk_layernorm else IdentityOp
    return ModuleSpec(
        module=SelfAttention,
        params={"attn_mask_type": AttnMaskType.causal if causal else AttnMaskType.no_mask},
        submodules=SelfAttentionSubmodules(
            linear_qkv=fused or modules.column_parallel_linear(),
            core_attention=modules.core_attention(),
            linear_proj=modules.row_parallel_linear(),
            q_layernorm=qk_norm,
            k_layernorm=qk_norm,
        ),
    )


def feed_forward(modules: BackendSpecProvider) -> ModuleSpec:
    fused = modules.column_parallel_layer_norm_linear() if modules.fuse_layernorm_and_linear() else None
    linears = MLPSubmodules(linear_fc1=fused or modules.column_parallel_linear(), linear_fc2=modules.row_parallel_linear())
    return ModuleSpec(module=MLP, submodules=linears)


def layer(config: TransformerConfig, modules: BackendSpecProvider, *, causal: bool = True) -> ModuleSpec:
    """A pre-norm layer of self-attention and a feed-forward network."""
    fused = modules.fuse_layernorm_and_linear()
    return ModuleSpec(
        module=TransformerLayer,
        submodules=TransformerLayerSubmodules(
            input_layernorm=IdentityOp if fused else norm(config, modules),
            self_attention=self_attention(config, modules, causal=causal),
            self_attn_bda=get_bias_dropout_add,
            pre_mlp_layernorm=IdentityOp if fused else norm(config, modules),
            mlp=feed_forward(modules),
            mlp_bda=get_bias_dropout_add,
            sharded_state_dict_keys_map={} if fused else FUSED_NAMES,
        ),
    )


def block(config: TransformerConfig, modules: BackendSpecProvider, each: ModuleSpec, **stage: Any) -> TransformerBlockSubmodules:
    """`each` as often as this pipeline stage (`vp_stage` in `stage`) has layers, and the final norm."""
    layers = get_num_layers_to_build(config, vp_stage=stage.get("vp_stage"))
    return TransformerBlockSubmodules(layer_specs=[each] * layers, layer_norm=norm(config, modules))
