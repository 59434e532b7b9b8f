"""Architectures: what the model is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright.component import Component

if TYPE_CHECKING:
    import torch
    from megatron.core.models.backends import BackendSpecProvider
    from megatron.core.transformer.module import MegatronModule
    from megatron.core.transformer.transformer_config import TransformerConfig

    from modelwright_plugins.parallel import Parallel


class Architecture(Component, ABC):
    """What the model is: Megatron-Core modules put together from a TransformerConfig and a kernel's modules."""

    family: ClassVar[str] = "decoder"
    """What it understands; objectives name the families they train. 'decoder': tokens and positions in, the next token's logits out."""

    causal: ClassVar[bool] = True
    """No position sees a later one. False: attention sees both ways, for objectives that need that."""

    layers: int = 12  # transformer layers
    width: int = 768  # hidden size
    heads: int = 12  # attention heads (queries)
    kv_heads: int | None = None  # heads of keys and values; None: as many as queries
    tied_embeddings: bool = True  # the output matrix is the embedding's

    def problems(self, parallel: Parallel) -> list[str]:
        """Why it can't be laid out so, one line each, beside what every architecture is held to. Pure arithmetic."""
        return []

    @abstractmethod
    def transformer_config(self, **engine: Any) -> TransformerConfig:
        """Megatron's config of this model; `engine` holds what layout, precision and kernel decide."""

    @abstractmethod
    def build(
        self, config: TransformerConfig, modules: BackendSpecProvider, *, vocab_size: int, sequence_length: int, **stage: Any
    ) -> MegatronModule:
        """The module of one pipeline stage (`pre_process`, `post_process`, `vp_stage` in `stage`), from the kernel's `modules`.

        Called with tokens and positions [batch, length] it gives logits [batch, length, vocab_size] in `float32` or
        lower; with `labels` too, the loss of each token [batch, length] in nats, whatever it is where a label is below 0.
        `attention_mask` says what each position sees (see `objective.visible`); None: all that comes before it, or all if the
        model is not causal. The vocabulary may be padded inside (to divide over tensor ranks), and no padding is ever seen
        outside or has any probability.
        """

    @abstractmethod
    def initial_std(self, parameter: str) -> float | torch.Tensor | None:
        """Standard deviation of the initial weights of a matrix, by its name in the checkpoint, or of each of its rows [rows, 1];
        None: as its module made it."""

    def initial_weights(self, parameter: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor | None:
        """All of a parameter's initial weights, drawn by `generator`, where they are not normal; None: as `initial_std` says."""
        return None

    @abstractmethod
    def flops_per_token(self, parameters: int, sequence_length: int) -> float:
        """Floating-point operations of a forward and a backward pass, a token."""
