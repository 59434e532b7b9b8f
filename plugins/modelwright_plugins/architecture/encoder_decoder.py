"""Encoder-decoder transformers: T5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from modelwright_plugins.architecture import Architecture

if TYPE_CHECKING:
    import torch
    from megatron.core.models.backends import BackendSpecProvider
    from megatron.core.transformer.module import MegatronModule
    from megatron.core.transformer.transformer_config import TransformerConfig


@dataclass(frozen=True, kw_only=True)
class EncoderDecoder(Architecture):
    """Encoder-decoder transformer of T5's kind (Raffel et al. 2020, arXiv:1910.10683; v1.1: Shazeer 2020, arXiv:2002.05202).

    Pre-norm blocks without biases, RMSNorm, learned biases for relative positions that the layers of a side share, and scores that are
    not divided by the root of the head's size. v1.0 has relu and tied embeddings, v1.1 geglu and an output matrix of its own.

    Inputs, [batch, …] int64; the two lengths may differ and are the same for every example:
    `input_ids` [encoder length]; `decoder_input_ids` [decoder length], the targets after a first token that begins them;
    `labels` [decoder length], a target for each decoder position, below 0 for none;
    `attention_mask` [encoder length, 2]: which encoder positions each encoder position sees (see `objective.visible`); None: all;
    `decoder_attention_mask` [decoder length, 2]: which decoder positions each decoder position sees; None: all up to itself;
    `cross_attention_mask` [decoder length, 2]: which encoder positions each decoder position sees; None: all.
    There are no position numbers: positions are counted within each sequence. Output: logits [batch, decoder length, vocab_size], or
    nats [batch, decoder length] if there are labels.
    """

    family: ClassVar[str] = "encoder_decoder"
    causal: ClassVar[bool] = False

    encoder_layers: int = 6  # transformer layers of the encoder
    decoder_layers: int = 6  # transformer layers of the decoder, which have cross-attention too
    width: int = 512  # hidden size
    heads: int = 8  # attention heads
    head_dim: int | None = None  # size of one head; None: width / heads
    feed_forward: int | None = None  # size of the feed-forward layer; None: 4 x width
    norm_epsilon: float = 1e-6  # added to the mean square
    activation: Literal["relu", "gelu_tanh", "geglu", "swiglu"] = "relu"  # relu in v1.0, geglu in v1.1
    relative_buckets: int = 32  # buckets of distances between positions
    relative_distance: int = 128  # distance from which on all fall into the last bucket
    tied_embeddings: bool = True  # the output matrix is the embedding's, and outputs are divided by the root of the width (v1.0)
    dropout: float = 0.0  # of embeddings, attention weights and residual branches while training
    initializer_factor: float = 1.0  # of the standard deviations of all initial weights

    def __post_init__(self) -> None:
        for name in ("encoder_layers", "decoder_layers", "width", "heads", "head_dim", "feed_forward"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        if self.width % self.heads and self.head_dim is None:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}; give head_dim or change one")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it is from 0 up to below 1")
        if self.relative_buckets < 4 or self.relative_buckets % 4:
            raise ValueError(f"relative_buckets is {self.relative_buckets}; it is a multiple of 4")
        if self.relative_distance <= self.relative_buckets // 2:
            raise ValueError(f"relative_distance is {self.relative_distance}; it is more than half of relative_buckets")

    @property
    def layers(self) -> int:  # type: ignore[override]
        """Of both sides: what pipeline ranks share out."""
        return self.encoder_layers + self.decoder_layers

    @property
    def kv_heads(self) -> int | None:  # type: ignore[override]
        """As many as queries: Megatron's cross-attention has no others."""
        return None

    @property
    def head_size(self) -> int:
        return self.head_dim or self.width // self.heads

    @property
    def feed_forward_size(self) -> int:
        return self.feed_forward or 4 * self.width

    def transformer_config(self, **engine: Any) -> TransformerConfig:
        import torch.nn.functional as F
        from megatron.core.transformer.transformer_config import TransformerConfig

        from modelwright_plugins.architecture._gpt import gelu_tanh

        return TransformerConfig(
            num_layers=self.layers,
            hidden_size=self.width,
            num_attention_heads=self.heads,
            kv_channels=self.head_size,
            ffn_hidden_size=self.feed_forward_size,
            normalization="RMSNorm",
            layernorm_epsilon=self.norm_epsilon,
            activation_func={"relu": F.relu, "gelu_tanh": gelu_tanh, "geglu": gelu_tanh, "swiglu": F.silu}[self.activation],
            gated_linear_unit=self.activation in ("geglu", "swiglu"),
            softmax_scale=1.0,
            add_bias_linear=False,
            attention_dropout=self.dropout,
            hidden_dropout=self.dropout,
            variable_seq_lengths=engine.get("pipeline_model_parallel_size", 1) > 1,  # stages hand on both sides together
            moe_token_dispatcher_type="alltoall",  # there are no experts, but Megatron 0.16.1 checks it with variable lengths
            **engine,
        )

    def build(
        self, config: TransformerConfig, modules: BackendSpecProvider, *, vocab_size: int, sequence_length: int, **stage: Any
    ) -> MegatronModule:
        from modelwright_plugins.architecture._t5 import T5

        return T5(
            config,
            modules,
            tokens=vocab_size,
            encoder_layers=self.encoder_layers,
            buckets=self.relative_buckets,
            distance=self.relative_distance,
            tied=self.tied_embeddings,
            **stage,
        )

    def initial_std(self, parameter: str) -> float | torch.Tensor | None:
        """As Mesh TensorFlow draws them: what goes into a matrix's output keeps its size, and queries take the scores' scale in
        (Raffel et al. 2020's code, and Hugging Face's T5PreTrainedModel._init_weights)."""
        import torch

        if not parameter.endswith(".weight") or "norm" in parameter:
            return None
        of, heads, head = self.initializer_factor, self.heads, self.head_size
        if "word_embeddings" in parameter:
            return of
        if "output_layer" in parameter:
            return of * self.width**-0.5
        if parameter.endswith("linear_proj.weight"):
            return of * (heads * head) ** -0.5
        if parameter.endswith("linear_fc2.weight"):
            return of * self.feed_forward_size**-0.5
        plain = of * self.width**-0.5
        if parameter.endswith("linear_q.weight"):
            return plain * head**-0.5
        if parameter.endswith("linear_qkv.weight"):  # of each head its queries, keys and values
            return plain * torch.tensor([head**-0.5, 1.0, 1.0]).repeat_interleave(head).repeat(heads)[:, None]
        return plain  # keys and values, the feed-forward layer's first matrix, relative positions

    def flops_per_token(self, parameters: int, sequence_length: int) -> float:
        """Of a token that either side reads, taking both as equally deep and long: half of 6N, as it passes one of the two (Raffel
        et al. 2020, section 3.2.2), and the scores of one side's layers, 12 · layers / 2 · heads · head_dim · length."""
        return 3 * parameters + 6 * self.layers * self.heads * self.head_size * sequence_length
