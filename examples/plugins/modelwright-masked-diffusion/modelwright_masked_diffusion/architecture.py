"""The mask predictor of a masked diffusion model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright_plugins.architecture import Architecture

if TYPE_CHECKING:
    from megatron.core.models.backends import BackendSpecProvider
    from megatron.core.transformer.module import MegatronModule
    from megatron.core.transformer.transformer_config import TransformerConfig


@dataclass(frozen=True, kw_only=True)
class BidirectionalDecoder(Architecture):
    """Llama's blocks with full attention, and an embedding for masked tokens (LLaDA, Nie et al. 2025, arXiv:2502.09992).

    Each position sees all others. The embedding has one row more than the vocabulary, for the mask (`denoiser.MASK` among the
    tokens), and no probability is given to it (Sahoo et al. 2024, arXiv:2406.07524, section 3.2: zero masking probabilities).
    The ratio of masked tokens is no input (LLaDA, section 2.1).
    """

    family: ClassVar[str] = "bidirectional_decoder"
    causal: ClassVar[bool] = False

    layers: int = 12  # transformer layers
    width: int = 768  # hidden size
    heads: int = 12  # attention heads (queries)
    kv_heads: int | None = None  # heads of keys and values (GQA, Ainslie et al. 2023); None: as many as queries
    feed_forward: int | None = None  # size of the SwiGLU layer; None: 8/3 x width, up to a multiple of 32
    norm_epsilon: float = 1e-5  # added to the mean square by RMSNorm
    rope_base: int = 10_000  # base of the rotary frequencies
    qk_norm: bool = False  # norm of each head's queries and keys (Dehghani et al. 2023)
    tied_embeddings: bool = True  # the output matrix is the embedding's (Press and Wolf 2017)
    dropout: float = 0.0  # of embeddings, attention weights and residual branches while training
    initializer_std: float = 0.02  # of matrices; those that write to the residual stream have it over sqrt(2 x layers)

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "kv_heads", "feed_forward"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.heads % (self.kv_heads or self.heads):
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")

    @property
    def feed_forward_size(self) -> int:
        return self.feed_forward or -(-8 * self.width // 3 // 32) * 32

    def transformer_config(self, **engine: Any) -> TransformerConfig:
        import torch.nn.functional as F
        from megatron.core.transformer.transformer_config import TransformerConfig

        return TransformerConfig(
            num_layers=self.layers,
            hidden_size=self.width,
            num_attention_heads=self.heads,
            num_query_groups=self.kv_heads or self.heads,
            ffn_hidden_size=self.feed_forward_size,
            normalization="RMSNorm",
            layernorm_epsilon=self.norm_epsilon,
            activation_func=F.silu,
            gated_linear_unit=True,
            qk_layernorm=self.qk_norm,
            add_bias_linear=False,
            attention_dropout=self.dropout,
            hidden_dropout=self.dropout,
            **engine,
        )

    def build(
        self, config: TransformerConfig, modules: BackendSpecProvider, *, vocab_size: int, sequence_length: int, **stage: Any
    ) -> MegatronModule:
        from modelwright_masked_diffusion._model import MaskPredictor
        from modelwright_plugins.architecture._layers import block, layer

        return MaskPredictor(
            config,
            block(config, modules, layer(config, modules, causal=False), **stage),
            tokens=vocab_size,
            max_sequence_length=sequence_length,
            position_embedding_type="rope",
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
        """6N + 12 · layers · width · length (Kaplan et al. 2020, section 2.1): no score is masked, so there is no half."""
        return 6 * parameters + 12 * self.layers * self.width * sequence_length
