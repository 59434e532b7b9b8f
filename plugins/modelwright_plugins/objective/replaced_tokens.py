"""Replaced-token detection: ELECTRA's objective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.objective.masked_lm import Masking
from modelwright_plugins.objective.visible import documents, positions, seen

if TYPE_CHECKING:
    import torch

    from modelwright_plugins.objective import Example, Passage


@dataclass(frozen=True, kw_only=True)
class ReplacedTokenDetection(Masking):
    """ELECTRA's objective: tell which tokens a generator has put in (Clark et al. 2020, arXiv:2003.10555, section 2).

    The generator learns to fill masks; its tokens, sampled, stand in a text whose every token a discriminator is to tell: the text's own
    or not.

    The loss is the generator's mean over masked tokens + `discriminator_weight` times the discriminator's mean over all, in nats. A sampled
    token that is the right one is the text's own. No gradient goes through the sampling.
    """

    architectures: ClassVar[tuple[str, ...]] = ("electra",)

    masked: float = 0.85  # share of targets that the mask stands for (the paper's code)
    replaced: float = 0.0  # share of targets that any other token stands for; the rest is left as it is
    discriminator_weight: float = 50.0  # of the discriminator's loss (the paper's lambda)

    def example(self, passage: Passage) -> Example:
        import numpy as np

        text = passage.tokens
        visible = seen(documents(text, passage.vocabulary.end_of_document), causal=False)
        given, labels = self.hide(text, passage)
        told = labels >= 0
        weights = np.stack([told, np.full(len(text), self.discriminator_weight * told.mean())], 1)
        return {
            "input_ids": given,
            "position_ids": positions(visible),
            "attention_mask": visible,
            "labels": np.stack([labels, text], 1),
            "chance": passage.random.random(len(text), dtype=np.float32),
            "loss_weights": weights.astype(np.float32),
        }

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        return (output.float() * inputs["loss_weights"]).sum(), (inputs["labels"][..., 0] >= 0).sum().to(torch.int)
