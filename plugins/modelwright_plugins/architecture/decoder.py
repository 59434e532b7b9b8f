"""Decoder-only transformers: GPT-2, Llama, DeepSeek-V2 and what lies between, by their parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from modelwright_plugins.architecture import Architecture
from modelwright_plugins.architecture._checks import bad_values

if TYPE_CHECKING:
    import torch
    from megatron.core.models.backends import BackendSpecProvider
    from megatron.core.transformer.module import MegatronModule
    from megatron.core.transformer.transformer_config import TransformerConfig

GATED = ("swiglu", "geglu", "geglu_tanh")


@dataclass(frozen=True, kw_only=True)
class CausalDecoder(Architecture):
    """Decoder-only transformer; its parameters make it GPT-2, Llama, Mixtral, DeepSeek-V2, BLOOM or another.

    Residual blocks of causal self-attention and a feed-forward network or a mixture of experts (Radford et al. 2019; Touvron
    et al. 2023, arXiv:2302.13971; Fedus et al. 2021, arXiv:2101.03961; DeepSeek-AI 2024, arXiv:2405.04434).
    """

    layers: int = 12  # transformer layers
    width: int = 768  # hidden size
    heads: int = 12  # attention heads (queries)
    kv_heads: int | None = None  # heads of keys and values (GQA, Ainslie et al. 2023); None: as many as queries; 1: MQA (Shazeer 2019)
    head_dim: int | None = None  # size of one head, of queries and keys without rotary part under MLA; None: width / heads
    feed_forward: int | None = None  # size of the feed-forward layer; None: 4 x width, or 8/3 x width up to a multiple of 32 if gated
    norm: Literal["layer", "rms"] = "rms"  # LayerNorm (Ba et al. 2016) or RMSNorm (Zhang and Sennrich 2019)
    norm_epsilon: float = 1e-5  # added to the variance
    norm_placement: Literal["pre", "post", "sandwich", "deepnorm"] = "pre"  # before a branch, after the sum, both ends of it, DeepNet's
    activation: Literal["gelu", "gelu_tanh", "relu", "squared_relu", "silu", "swiglu", "geglu", "geglu_tanh"] = "swiglu"  # silu is Swish
    position: Literal["learned", "rope", "alibi", "none"] = "rope"  # table, Su et al. 2021, Press et al. 2021, or only what is seen
    positions: int | None = None  # rows of the learned table; None: the training's sequence length
    rope_base: int = 10_000  # base of the rotary frequencies
    rope_fraction: float = 1.0  # part of each head that is rotated (GPT-NeoX: 0.25)
    rope_scaling: Literal["none", "linear", "ntk", "yarn", "llama3"] = "none"  # how frequencies are stretched to longer texts
    rope_factor: float = 1.0  # how many times longer
    rope_original: int | None = None  # tokens of the texts before that (yarn, llama3)
    rope_slow: float = 1.0  # turns in such a text up to which a frequency is divided by the factor (yarn's beta, llama3's low factor)
    rope_fast: float | None = None  # turns from which it stays as it is; None: 32 in yarn, 4 in llama3
    yarn_mscale: float = 1.0  # of yarn's temperature 0.1 ln(factor) + 1 on rotated dimensions (DeepSeek-V2: 0.707)
    yarn_mscale_all: float = 0.0  # the same on all dimensions instead, which MLA's scores are multiplied with (DeepSeek-V2: 0.707)
    window: int | None = None  # positions seen, with one's own (sliding window, Beltagy et al. 2020; Mistral); None: all before
    qk_norm: bool = False  # norm of each head's queries and keys (Dehghani et al. 2023)
    attention_scale: float | None = None  # of scores; None: 1 / sqrt(head_dim)
    kv_rank: int | None = None  # size of the latent of keys and values: multi-head latent attention (DeepSeek-V2); None: none
    q_rank: int | None = None  # size of the latent of queries under MLA; None: queries have none
    rope_head_dim: int = 64  # rotated dimensions beside head_dim under MLA, one key for all heads
    value_head_dim: int | None = None  # size of one head of values under MLA; None: head_dim
    tied_embeddings: bool = True  # the output matrix is the embedding's (Press and Wolf 2017)
    bias: bool = False  # biases in linear layers
    qkv_bias: bool | None = None  # biases of queries, keys and values (Qwen 2.5 has these alone); None: as bias
    dropout: float = 0.0  # of embeddings, attention weights and residual branches while training
    experts: int | None = None  # feed-forward networks of a mixture of experts in each layer; None: one, for all tokens
    experts_per_token: int = 2  # experts that a token is sent to
    expert_feed_forward: int | None = None  # size of an expert's feed-forward layer; None: as feed_forward
    shared_expert_feed_forward: int | None = None  # size of the expert that sees all tokens (DeepSeekMoE, Dai et al. 2024); None: none
    first_dense_layers: int = 0  # layers before the first mixture of experts
    router: Literal["softmax_chosen", "softmax_all", "sigmoid"] = "softmax_chosen"  # weights: Mixtral's, DeepSeek-V2's, DeepSeek-V3's
    router_scale: float = 1.0  # of the experts' weights (softmax_all, sigmoid)
    balance: Literal["batch", "sequence"] = "batch"  # tokens over which the auxiliary loss balances experts: a micro-batch, a sequence
    aux_loss: float = 0.0  # coefficient of the balancing loss (Fedus et al. 2021, equation 4: 0.01)
    z_loss: float = 0.0  # coefficient of the router's z-loss (Zoph et al. 2022, arXiv:2202.08906: 0.001)
    embedding_norm: bool = False  # a norm of the embeddings (BLOOM)
    embedding_multiplier: float = 1.0  # of the embeddings
    residual_multiplier: float = 1.0  # of what each branch adds
    output_multiplier: float = 1.0  # of the logits
    mtp_layers: int = 0  # modules that each predict one token more (multi-token prediction, DeepSeek-V3); objective=multi_token trains them
    mup_width: int | None = None  # µP (Yang et al. 2022): width where initialisation and elementwise optimizers' rates were found; None: no
    initializer_std: float = 0.02  # of matrices; those that write to the residual stream have it over sqrt(2 x layers)

    def __post_init__(self) -> None:
        for problem in bad_values(self):
            raise ValueError(problem)

    @property
    def feed_forward_size(self) -> int:
        if self.feed_forward is not None:
            return self.feed_forward
        return -(-8 * self.width // 3 // 32) * 32 if self.activation in GATED else 4 * self.width

    @property
    def expert_feed_forward_size(self) -> int:
        return self.expert_feed_forward or self.feed_forward_size

    @property
    def width_ratio(self) -> float:
        """How many times wider than `mup_width` (1 without it)."""
        return self.width / self.mup_width if self.mup_width else 1.0

    def transformer_config(self, **engine: Any) -> TransformerConfig:
        from modelwright_plugins.architecture._config import decoder_config

        return decoder_config(self, engine)

    def build(
        self, config: TransformerConfig, modules: BackendSpecProvider, *, vocab_size: int, sequence_length: int, **stage: Any
    ) -> MegatronModule:
        from modelwright_plugins.architecture._build import decoder

        return decoder(self, config, modules, tokens=vocab_size, positions=self.positions or sequence_length, **stage)

    def initial_std(self, parameter: str) -> float | torch.Tensor | None:
        """GPT-2's initialisation (Radford et al. 2019, section 2.3), scaled by `mup_width`; DeepNet's under norm_placement=deepnorm."""
        if not parameter.endswith(".weight") or "norm" in parameter:
            return None
        if "word_embeddings" in parameter or "position_embeddings" in parameter or "output_layer" in parameter:
            return self.initializer_std
        if self.norm_placement == "deepnorm":
            from modelwright_plugins.architecture._deepnorm import initial_std

            return initial_std(self, parameter)
        writes_to_residual = parameter.endswith(("linear_proj.weight", "linear_fc2.weight"))
        return self.initializer_std * self.width_ratio**-0.5 / ((2 * self.layers) ** 0.5 if writes_to_residual else 1)

    def flops_per_token(self, parameters: int, sequence_length: int) -> float:
        """6N + 12 · layers · heads · head_dim · keys (Kaplan et al. 2020, section 2.1): a position sees half of the length in the
        mean, less with a window. Of MLA's head_dim it is the mean of keys' and values'.

        N leaves out the embeddings that are looked up and not multiplied: all of them if the output matrix is another.
        """
        head = self.head_dim or self.width // self.heads
        sizes = head + head if self.kv_rank is None else head + self.rope_head_dim + (self.value_head_dim or head)
        window = min(self.window or sequence_length, sequence_length)
        keys = window * (1 - window / (2 * sequence_length))
        return 6 * parameters + 6 * self.layers * self.heads * sizes * keys
