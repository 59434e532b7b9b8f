"""Decoder-only transformers: GPT-2, Llama and what lies between, by their parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from modelwright_plugins.architecture import Architecture

if TYPE_CHECKING:
    from megatron.core.models.backends import BackendSpecProvider
    from megatron.core.transformer.module import MegatronModule
    from megatron.core.transformer.transformer_config import TransformerConfig


@dataclass(frozen=True, kw_only=True)
class CausalDecoder(Architecture):
    """Decoder-only transformer; its parameters make it GPT-2, Llama or another.

    Pre-norm residual blocks of causal self-attention and a feed-forward network (Radford et al. 2019; Touvron et al.
    2023, arXiv:2302.13971), with a final norm.
    """

    layers: int = 12  # transformer layers
    width: int = 768  # hidden size
    heads: int = 12  # attention heads (queries)
    kv_heads: int | None = None  # heads of keys and values (GQA, Ainslie et al. 2023); None: as many as queries
    head_dim: int | None = None  # size of one head; None: width / heads
    feed_forward: int | None = None  # size of the feed-forward layer; None: 4 x width, or 8/3 x width up to a multiple of 32 for swiglu
    norm: Literal["layer", "rms"] = "rms"  # LayerNorm (Ba et al. 2016) or RMSNorm (Zhang and Sennrich 2019)
    norm_epsilon: float = 1e-5  # added to the variance
    activation: Literal["gelu", "gelu_tanh", "relu", "swiglu"] = "swiglu"  # swiglu: Shazeer 2020, arXiv:2002.05202
    position: Literal["learned", "rope"] = "rope"  # a learned table, or rotary embeddings (Su et al. 2021)
    positions: int | None = None  # rows of the learned table; None: the training's sequence length
    rope_base: int = 10_000  # base of the rotary frequencies
    qk_norm: bool = False  # norm of each head's queries and keys (Dehghani et al. 2023)
    tied_embeddings: bool = True  # the output matrix is the embedding's (Press and Wolf 2017)
    bias: bool = False  # biases in linear layers
    dropout: float = 0.0  # of embeddings, attention weights and residual branches while training
    initializer_std: float = 0.02  # of matrices; those that write to the residual stream have it over sqrt(2 x layers)

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "kv_heads", "head_dim", "feed_forward", "positions"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        if self.width % self.heads and self.head_dim is None:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}; give head_dim or change one")
        if self.heads % (self.kv_heads or self.heads):
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")

    @property
    def feed_forward_size(self) -> int:
        if self.feed_forward is not None:
            return self.feed_forward
        return -(-8 * self.width // 3 // 32) * 32 if self.activation == "swiglu" else 4 * self.width

    def transformer_config(self, **engine: Any) -> TransformerConfig:
        import torch.nn.functional as F
        from megatron.core.transformer.transformer_config import TransformerConfig

        from modelwright_plugins.architecture._gpt import gelu_tanh

        activation = {"gelu": F.gelu, "gelu_tanh": gelu_tanh, "relu": F.relu, "swiglu": F.silu}[self.activation]
        return TransformerConfig(
            num_layers=self.layers,
            hidden_size=self.width,
            num_attention_heads=self.heads,
            num_query_groups=self.kv_heads or self.heads,
            kv_channels=self.head_dim or self.width // self.heads,
            ffn_hidden_size=self.feed_forward_size,
            normalization={"layer": "LayerNorm", "rms": "RMSNorm"}[self.norm],
            layernorm_epsilon=self.norm_epsilon,
            activation_func=activation,
            gated_linear_unit=self.activation == "swiglu",
            qk_layernorm=self.qk_norm,
            add_bias_linear=self.bias,
            add_qkv_bias=self.bias,
            attention_dropout=self.dropout,
            hidden_dropout=self.dropout,
            **engine,
        )

    def build(
        self, config: TransformerConfig, modules: BackendSpecProvider, *, vocab_size: int, sequence_length: int, **stage: Any
    ) -> MegatronModule:
        from modelwright_plugins.architecture._gpt import GPT
        from modelwright_plugins.architecture._layers import block, layer

        return GPT(
            config,
            block(config, modules, layer(config, modules), **stage),
            tokens=vocab_size,
            max_sequence_length=self.positions or sequence_length,
            position_embedding_type={"learned": "learned_absolute", "rope": "rope"}[self.position],
            rotary_base=self.rope_base,
            share_embeddings_and_output_weights=self.tied_embeddings,
            **stage,
        )

    def initial_std(self, parameter: str) -> float | None:
        """GPT-2's initialisation (Radford et al. 2019, section 2.3)."""
        if not parameter.endswith(".weight") or "norm" in parameter:
            return None
        writes_to_residual = parameter.endswith(("linear_proj.weight", "linear_fc2.weight"))
        return self.initializer_std / (2 * self.layers) ** 0.5 if writes_to_residual else self.initializer_std

    def flops_per_token(self, parameters: int, sequence_length: int) -> float:
        """6N + 12 · layers · heads · head_dim · length / 2 (Kaplan et al. 2020, section 2.1; half of the scores are masked).

        N leaves out the embeddings that are looked up and not multiplied: all of them if the output matrix is another.
        """
        return 6 * parameters + 6 * self.layers * self.heads * (self.head_dim or self.width // self.heads) * sequence_length
