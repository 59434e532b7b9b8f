"""Decoders whose prefix sees both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from modelwright_plugins.architecture.decoder import CausalDecoder


@dataclass(frozen=True, kw_only=True)
class PrefixDecoder(CausalDecoder):
    """A causal decoder but for what the objective says is seen: prefixes see both ways.

    Prefix LM is Raffel et al. 2020, arXiv:1910.10683, section 3.2.1, and UL2's is Tay et al. 2022, arXiv:2205.05131. Its weights are a
    causal decoder's, and either goes on from the other's checkpoints.

    Without an `attention_mask` every position sees all.
    """

    family: ClassVar[str] = "prefix_decoder"
    causal: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window is not None:
            raise ValueError(f"window is {self.window}; a prefix decoder sees all of its prefix, and has none")
        if self.kv_rank is not None:
            raise ValueError(f"kv_rank is {self.kv_rank}; latent attention is causal, and a prefix decoder has none")
