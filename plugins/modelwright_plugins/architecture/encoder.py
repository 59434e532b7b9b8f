"""Encoder-only transformers: BERT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from modelwright_plugins.architecture import Architecture

if TYPE_CHECKING:
    from megatron.core.models.backends import BackendSpecProvider
    from megatron.core.transformer.module import MegatronModule
    from megatron.core.transformer.transformer_config import TransformerConfig


@dataclass(frozen=True, kw_only=True)
class BothWays(Architecture):
    """Layers of BERT's kind: each position sees all, before and after. Learned positions and token types, LayerNorm, biases."""

    causal: ClassVar[bool] = False

    layers: int = 12  # transformer layers
    width: int = 768  # hidden size
    heads: int = 12  # attention heads (queries)
    kv_heads: int | None = None  # heads of keys and values (GQA, Ainslie et al. 2023); None: as many as queries
    feed_forward: int | None = None  # size of the feed-forward layer; None: 4 x width
    embedding_width: int | None = None  # size of embeddings, which a matrix brings to the width (ELECTRA small: 128); None: width
    norm_placement: Literal["pre", "post"] = "post"  # before a branch, with one at the end, or after the sum and the embeddings (BERT)
    norm_epsilon: float = 1e-12  # added to the variance
    activation: Literal["gelu", "gelu_tanh", "relu"] = "gelu"  # of the feed-forward layer
    positions: int | None = None  # rows of the table of positions; None: the training's sequence length
    token_types: int = 2  # rows of the table of token types; 0: there is none
    dropout: float = 0.0  # of embeddings, attention weights and residual branches while training
    initializer_std: float = 0.02  # of matrices

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "kv_heads", "feed_forward", "embedding_width", "positions"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.heads % (self.kv_heads or self.heads):
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it is from 0 up to below 1")
        if self.token_types < 0:
            raise ValueError(f"token_types is {self.token_types}; it is 0 or more")

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
            num_query_groups=self.kv_heads or self.heads,
            ffn_hidden_size=self.feed_forward_size,
            normalization="LayerNorm",
            layernorm_epsilon=self.norm_epsilon,
            activation_func={"gelu": F.gelu, "gelu_tanh": gelu_tanh, "relu": F.relu}[self.activation],
            add_bias_linear=True,
            attention_dropout=self.dropout,
            hidden_dropout=self.dropout,
            **engine,
        )

    def initial_std(self, parameter: str) -> float | None:
        """One for all matrices, as in BERT's code."""
        return self.initializer_std if parameter.endswith(".weight") and "norm" not in parameter else None

    def flops_per_token(self, parameters: int, sequence_length: int) -> float:
        """6N + 12 · layers · width · length (Kaplan et al. 2020, section 2.1, without a mask)."""
        return 6 * parameters + 12 * self.layers * self.width * sequence_length


@dataclass(frozen=True, kw_only=True)
class Encoder(BothWays):
    """Encoder of BERT's kind (Devlin et al. 2019, arXiv:1810.04805): each position sees all, before and after.

    Learned positions and token types, LayerNorm, biases; a head for masked tokens (dense, gelu, norm, the output matrix with a bias)
    and one for pairs of segments (the first position, dense, tanh, two classes). With `span_head` there is one that tells the tokens of
    a span from those beside it, with the output matrix and bias of masked tokens (SpanBERT: Joshi et al. 2019, arXiv:1907.10529).

    Inputs, [batch, length] int64 but for the mask: `input_ids`; `position_ids`, None: counted from 0; `tokentype_ids`, None: all 0;
    `attention_mask` [batch, length, 2]: which positions each one sees (see `objective.visible`), None: all;
    `labels`, below 0 where there is no target; `pair_labels`: the class of the pair, 0 or 1, at the first position, -1 elsewhere.
    `labels` may be [batch, length, 2]: what masked tokens are, and what `span_head` is to tell; then `boundaries` [batch, length, 2] are
    the positions before and after the span that each one is in, whatever they are where there is no target.
    Output: logits [batch, length, vocab_size]; with `labels` nats of their shape, at the first position those of the pair's class
    if there are `pair_labels`.
    """

    family: ClassVar[str] = "encoder"

    pair_head: bool = True  # a pooler and a head for pairs of segments
    span_head: int = 0  # tokens of a span, its first ones, that a head tells from those beside it (SpanBERT: 20); 0: no such head
    tied_embeddings: bool = True  # the output matrix is the embedding's

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.span_head < 0:
            raise ValueError(f"span_head is {self.span_head}; it is 0 or more")

    def build(
        self, config: TransformerConfig, modules: BackendSpecProvider, *, vocab_size: int, sequence_length: int, **stage: Any
    ) -> MegatronModule:
        from modelwright_plugins.architecture._bert import Bert

        return Bert(
            config,
            modules,
            tokens=vocab_size,
            positions=self.positions or sequence_length,
            token_types=self.token_types,
            embedding_width=self.embedding_width or self.width,
            post_norm=self.norm_placement == "post",
            pairs=self.pair_head,
            span_places=self.span_head,
            tied=self.tied_embeddings,
            **stage,
        )
