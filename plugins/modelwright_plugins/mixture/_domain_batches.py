"""Batches whose sequences are each of one domain, and say of which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.batches import Batches
from modelwright_plugins.engine.blend import BlendTexts, Leg
from modelwright_plugins.objective import Objective
from modelwright_plugins.tokenizer.vocabulary import Vocabulary


class DomainBatches(Batches):
    """Examples with their domain's number, as `loss_domain`."""

    texts: BlendTexts

    @classmethod
    def blended(
        cls,
        shards: Mapping[str, Path],
        weights: NDArray[np.float64],
        objective: Objective,
        vocabulary: Vocabulary,
        *,
        length: int,
        seed: int,
    ) -> DomainBatches:
        """Of domains' shards (paths without `.bin` and `.idx`), as many sequences of each as its weight [k] says; with equal weights they
        take turns. Raises ModelwrightError if one holds less than a sequence."""
        leg = Leg(0, dict(zip(shards, weights.tolist(), strict=True)))
        texts = BlendTexts(shards, [leg], objective.spans(length), seed=seed)
        for name, text in texts.left_out.items():
            why = f"{len(text.tokens):,} tokens make no sequence of {length}; take a smaller mixture.sequence_length, or more of it"
            raise ModelwrightError(f"domain {name}: {why}")
        return cls(texts, objective, vocabulary, length, seed)

    def example(self, number: int) -> dict[str, NDArray[np.generic]]:
        domain = self.texts.names.index(self.texts.place(number)[0])
        return {**super().example(number), "loss_domain": np.asarray(domain)}
