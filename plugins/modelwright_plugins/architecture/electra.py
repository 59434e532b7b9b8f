"""A generator and a discriminator: ELECTRA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright_plugins.architecture.encoder import BothWays

if TYPE_CHECKING:
    from megatron.core.models.backends import BackendSpecProvider
    from megatron.core.transformer.module import MegatronModule
    from megatron.core.transformer.transformer_config import TransformerConfig

    from modelwright_plugins.parallel import Parallel


@dataclass(frozen=True, kw_only=True)
class Electra(BothWays):
    """A generator and a discriminator (ELECTRA: Clark et al. 2020, arXiv:2003.10555): two encoders that share embeddings.

    The generator fills masks, and the discriminator, which is kept, tells for each token whether it is the text's.

    Inputs, [batch, length] int64 but for the mask, the labels and chance: `input_ids`, masked; `position_ids`, `tokentype_ids` and
    `attention_mask` as of an encoder; `labels` [batch, length, 2]: the token that the generator is to tell, below 0 for none, and the
    text's own; `chance` [batch, length], from 0 to 1: what picks the generator's token, so that it is the same in every layout.
    Output: logits [batch, length] of a token's being replaced; with `labels` nats [batch, length, 2] of both models.
    """

    family: ClassVar[str] = "electra"

    generator_size: float = 0.25  # width, heads and feed-forward size of the generator, of the discriminator's (base: 1/3)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.generator_size <= 1:
            raise ValueError(f"generator_size is {self.generator_size}; it is above 0 and at most 1")
        sizes = self.generator
        if sizes["width"] % sizes["num_attention_heads"] or sizes["num_attention_heads"] % sizes["num_query_groups"]:
            raise ValueError(
                f"generator_size is {self.generator_size}: a generator of width {sizes['width']} with {sizes['num_attention_heads']} heads"
            )

    @property
    def generator(self) -> dict[str, int]:
        """Its sizes, by Megatron's names but for the width."""
        width, heads, kv, forward = (
            max(1, round(size * self.generator_size))
            for size in (self.width, self.heads, self.kv_heads or self.heads, self.feed_forward_size)
        )
        return {
            "width": width,
            "num_attention_heads": heads,
            "num_query_groups": kv,
            "kv_channels": width // heads,
            "ffn_hidden_size": forward,
        }

    def problems(self, parallel: Parallel) -> list[str]:
        """Why it can't be laid out so, one line each."""
        found = []
        if parallel.pipeline > 1:
            found.append(
                f"parallel.pipeline={parallel.pipeline}: architecture Electra wants 1, as its second model reads what the first made"
            )
        if whole := [
            f"{key}={self.generator[key]}" for key in ("num_query_groups", "ffn_hidden_size") if self.generator[key] % parallel.tensor
        ]:
            found.append(f"parallel.tensor={parallel.tensor} does not divide the generator's {', '.join(whole)}")
        return found

    def build(
        self, config: TransformerConfig, modules: BackendSpecProvider, *, vocab_size: int, sequence_length: int, **stage: Any
    ) -> MegatronModule:
        from modelwright_plugins.architecture._electra import Electra as Models

        return Models(
            config,
            modules,
            tokens=vocab_size,
            positions=self.positions or sequence_length,
            token_types=self.token_types,
            embedding_width=self.embedding_width or self.width,
            post_norm=self.norm_placement == "post",
            generator=self.generator,
            **stage,
        )

    def flops_per_token(self, parameters: int, sequence_length: int) -> float:
        """6N + 12 · layers · width · length of either model; the embedding's matrix is multiplied once, by the generator."""
        return 6 * parameters + 12 * self.layers * (self.width + self.generator["width"]) * sequence_length
