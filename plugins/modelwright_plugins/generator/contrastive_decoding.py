"""Contrastive decoding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright_plugins.artifacts import Checkpoint
from modelwright_plugins.generator import Model
from modelwright_plugins.generator.beam import Beam

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class ContrastiveDecoding(Beam):
    """What an expert finds likelier than an amateur does (Li et al. 2022, arXiv:2210.15097, section 3).

    A beam search for log p_expert(x) - log p_amateur(x), equation 3, over tokens that the expert finds plausible: those at least `alpha`
    times as likely as its likeliest, equation 2. Texts that are followed are compared by its sum, finished ones by its mean, or, with
    `length_penalty=0`, by the sum as the equation has it: it may grow with each token. The expert is the model that is asked; the amateur
    is another checkpoint of the same tokens, smaller or trained less, in the same layout. Its seed decides nothing.
    """

    amateur: Path  # the folder of the amateur's checkpoint, with its model.json
    beams: int = 5  # texts that are followed at a time; 1 takes the best token each time
    alpha: float = 0.1  # tokens count that are at least so many times as likely as the expert's likeliest, from 0 to 1
    amateur_temperature: float = 1.0  # divides the amateur's logits; below 1 it is surer than it was (the paper: 0.5 for GPT-2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; it is from 0 to 1")
        if not self.amateur_temperature > 0:
            raise ValueError(f"amateur_temperature is {self.amateur_temperature}; it is above 0")
        if self.early_stopping == "never":  # what a text may become is judged there as though its sum could only fall
            raise ValueError("early_stopping is never; it is heuristic or first: these sums may grow, so that no bound ends the search")

    @property
    def second(self) -> Path:
        return self.amateur

    def problems(self) -> list[str]:
        from modelwright.errors import ModelwrightError
        from modelwright.hooks import discover
        from modelwright_plugins.engine.card import ModelCard
        from modelwright_plugins.evaluator.likelihood import without_likelihood

        said = f"generator.amateur={self.amateur}"
        try:
            card = ModelCard.read(self.amateur / "model.json", discover().registry)
        except ModelwrightError as error:
            inner = self.amateur / "train" / "checkpoint"
            there = f"take generator.amateur={inner}" if (inner / "model.json").is_file() else str(error)
            return [f"{said} is not a checkpoint's folder; {there}"]
        if not (self.amateur / "latest.json").is_file():
            return [f"{said}: there is no latest.json, so it holds no whole checkpoint"]
        why = without_likelihood(card.architecture, card.head)
        return [f"{said}: {why}"] if why else []

    def fingerprint(self) -> str:
        """Which weights the amateur has."""
        return Checkpoint(self.amateur).weights()

    def scores(self, likely: torch.Tensor, model: Model) -> torch.Tensor:
        import torch

        amateur = (model.other() / self.amateur_temperature).log_softmax(-1)
        plausible = likely >= likely.amax(-1, keepdim=True) + (math.log(self.alpha) if self.alpha else -torch.inf)
        return torch.where(plausible, likely - amateur, -torch.inf)
