"""State-space models and hybrids: Mamba-2, alone or between attention and feed-forward layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from modelwright_plugins.architecture import Architecture

if TYPE_CHECKING:
    import torch
    from megatron.core.models.backends import BackendSpecProvider
    from megatron.core.transformer.module import MegatronModule
    from megatron.core.transformer.transformer_config import TransformerConfig

    from modelwright_plugins.parallel import Parallel

LETTERS = {"M": "Mamba-2", "*": "attention", "-": "feed-forward"}


@dataclass(frozen=True, kw_only=True)
class Mamba(Architecture):
    """Mamba-2 (Dao and Gu 2024, arXiv:2405.21060), or a hybrid of it with attention and feed-forward layers.

    Each layer adds one branch to the residual stream, after an RMSNorm: a Mamba-2 block, causal self-attention, or a feed-forward
    network, as `pattern` says in the letters of Megatron's hybrid models (Waleffe et al. 2024, arXiv:2406.07887). States and convolutions
    begin anew with each document. Mamba-2 needs no positions, and has none. It runs in plain torch, as chunks of a state-space dual
    (listing 1 of the paper), in FP32 whatever the precision.
    """

    layers: int = 24  # layers of any kind
    width: int = 768  # hidden size
    pattern: str = "M"  # the layers in turn, begun again at its end: M for Mamba-2, * for attention, - for feed-forward
    heads: int = 24  # heads of a Mamba-2 layer; published ones have 2 x width / head_dim
    head_dim: int = 64  # values of one head
    state: int = 128  # numbers that a head keeps for each of its values
    groups: int = 1  # heads share keys (B) and queries (C) within a group, and its norm
    convolution: int = 4  # positions that the convolution before the state-space model reaches over
    attention_heads: int | None = None  # heads of an attention layer (queries); None: as heads
    kv_heads: int | None = None  # its heads of keys and values (GQA, Ainslie et al. 2023); None: as attention_heads
    attention_head_dim: int | None = None  # size of one of its heads; None: width / attention_heads
    position: Literal["none", "rope"] = "none"  # what attention knows of positions: what Mamba-2 layers tell it, or Su et al. 2021
    rope_base: int = 10_000  # base of the rotary frequencies
    rope_fraction: float = 1.0  # part of each head that is rotated (Bamba: 0.5)
    feed_forward: int | None = None  # size of a feed-forward layer; None: 4 x width
    activation: Literal["gelu", "relu", "squared_relu", "silu", "swiglu", "geglu"] = "squared_relu"  # of a feed-forward layer
    norm_epsilon: float = 1e-5  # added to the mean square
    tied_embeddings: bool = True  # the output matrix is the embedding's (Press and Wolf 2017)
    dropout: float = 0.0  # of embeddings, attention weights and branches while training
    initializer_std: float = 0.02  # of matrices; those that write to the residual stream have it over sqrt(layers)

    def __post_init__(self) -> None:
        optional = ("attention_heads", "kv_heads", "attention_head_dim", "feed_forward")
        for name in ("layers", "width", "heads", "head_dim", "state", "groups", "convolution", "rope_base", *optional):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        if not self.pattern or set(self.pattern) - set(LETTERS):
            told = ", ".join(f"{letter} for {kind}" for letter, kind in LETTERS.items())
            raise ValueError(f"pattern is {self.pattern!r}; it is made of {told}")
        if self.heads % self.groups:
            raise ValueError(f"heads {self.heads} is not a multiple of groups {self.groups}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it is from 0 up to below 1")
        if not 0 < self.rope_fraction <= 1:
            raise ValueError(f"rope_fraction is {self.rope_fraction}; it is above 0 and up to 1")
        if "*" not in self.kinds:
            return
        if self.width % self.queries and self.attention_head_dim is None:
            raise ValueError(
                f"width {self.width} is not a multiple of attention_heads {self.queries}; give attention_head_dim or change one"
            )
        if self.queries % (self.kv_heads or self.queries):
            raise ValueError(f"attention_heads {self.queries} is not a multiple of kv_heads {self.kv_heads}")

    @property
    def kinds(self) -> str:
        """A letter for each layer."""
        return (self.pattern * self.layers)[: self.layers]

    @property
    def queries(self) -> int:
        return self.attention_heads or self.heads

    @property
    def feed_forward_size(self) -> int:
        """0 if no layer has one."""
        return (self.feed_forward or 4 * self.width) if "-" in self.kinds else 0

    def problems(self, parallel: Parallel) -> list[str]:
        """Why it can't be laid out so, one line each."""
        found, tensor = [], parallel.tensor
        if "*" in self.kinds and self.queries % tensor:
            found.append(f"parallel.tensor={tensor} does not divide architecture.attention_heads={self.queries}")
        if "M" not in self.kinds:
            return found
        if self.groups % tensor and tensor % self.groups:
            found.append(f"parallel.tensor={tensor} and architecture.groups={self.groups}: one must divide the other")
        return found

    def transformer_config(self, **engine: Any) -> TransformerConfig:
        from modelwright_plugins.architecture._config import ACTIVATIONS, ModelConfig

        return ModelConfig(
            num_layers=self.layers,
            hidden_size=self.width,
            num_attention_heads=self.queries,
            num_query_groups=self.kv_heads or self.queries,
            kv_channels=self.attention_head_dim or -(-self.width // self.queries),
            ffn_hidden_size=self.feed_forward_size or None,
            normalization="RMSNorm",
            layernorm_epsilon=self.norm_epsilon,
            activation_func=ACTIVATIONS[self.activation],
            gated_linear_unit=self.activation in ("swiglu", "geglu"),
            add_bias_linear=False,
            attention_dropout=self.dropout,
            hidden_dropout=self.dropout,
            hetereogenous_dist_checkpoint=True,  # layers have names of their own, as they are not alike
            **engine,
        )

    def build(
        self, config: TransformerConfig, modules: BackendSpecProvider, *, vocab_size: int, sequence_length: int, **stage: Any
    ) -> MegatronModule:
        from modelwright_plugins.architecture._hybrid import hybrid

        return hybrid(self, config, modules, tokens=vocab_size, positions=sequence_length, **stage)

    def initial_std(self, parameter: str) -> float | torch.Tensor | None:
        """GPT-2's initialisation (Radford et al. 2019, section 2.3): here each layer has one branch."""
        if parameter.endswith((".out_proj.weight", ".linear_proj.weight", ".linear_fc2.weight")):
            return self.initializer_std / self.layers**0.5
        matrix = parameter.endswith(".weight") and "norm" not in parameter
        return self.initializer_std if matrix or parameter.endswith(".bc_proj") else None

    def initial_weights(self, parameter: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor | None:
        """Of what is Mamba-2's own, as in the paper's code (state-spaces/mamba, modules/mamba2.py): decays from 1 to 16 in the unit of
        Δ, which is from 0.001 to 0.1 at first; a convolution as torch's; and values that pass by the state as they are."""
        from modelwright_plugins.architecture._hybrid import initial_weights

        return initial_weights(self, parameter.rsplit(".", 1)[-1], shape, generator)

    def flops_per_token(self, parameters: int, sequence_length: int) -> float:
        """6N + 12 · heads · head_dim · state of each Mamba-2 layer, whose state is written and read (the recurrence's operations,
        whatever chunks take: Dao and Gu 2024, section 6), + 6 · heads · head_dim · length of each attention layer (Kaplan et al. 2020)."""
        mixed = 12 * self.kinds.count("M") * self.heads * self.head_dim * self.state
        attended = (
            6 * self.kinds.count("*") * 2 * (self.attention_head_dim or self.width // self.queries) * self.queries * sequence_length / 2
        )
        return 6 * parameters + mixed + attended
