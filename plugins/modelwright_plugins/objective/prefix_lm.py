"""Prefix language modelling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.objective import Objective
from modelwright_plugins.objective.visible import documents, positions, seen

if TYPE_CHECKING:
    import torch

    from modelwright_plugins.objective import Example, Passage


@dataclass(frozen=True, kw_only=True)
class PrefixLM(Objective):
    """Next-token prediction of what follows a prefix that sees both ways (Raffel et al. 2020, arXiv:1910.10683).

    Section 3.2.1. Each document of a sequence is split at a place of its own, each place as likely as any other: its first 1 to n of n
    positions are the prefix, and the targets are what comes after, which is at least one token.
    """

    architectures: ClassVar[tuple[str, ...]] = ("prefix_decoder",)

    def example(self, passage: Passage) -> Example:
        import numpy as np

        text = passage.tokens[:-1]
        visible = seen(documents(text, passage.vocabulary.end_of_document), causal=True)
        start, place = visible[:, 0], np.arange(len(text))
        begins = np.flatnonzero(start == place)
        lengths = np.diff(begins, append=len(text))
        prefix = (begins + passage.random.integers(1, lengths + 1))[np.searchsorted(begins, start)]  # where each one's document's ends
        return {
            "input_ids": text,
            "position_ids": positions(visible),
            "attention_mask": np.stack([start, np.maximum(visible[:, 1], prefix)], 1),
            "labels": np.where(place >= prefix - 1, passage.tokens[1:], -1),
        }

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from modelwright_plugins.objective._targets import sum_over_targets

        return sum_over_targets(output, inputs["labels"])
