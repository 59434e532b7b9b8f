"""datatrove filters over a classifier of good and bad texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import xxhash

from modelwright_plugins.filter.measured import Bounds, Measured

if TYPE_CHECKING:
    from datatrove.data import Document

    from modelwright_plugins.filter._classifier import Model

STATISTIC = "probability of being good"


class Quality(Measured):
    """Records the probability in `metadata["quality"]`."""

    name = "quality classifier"

    def __init__(self, model: Model, threshold: float) -> None:
        super().__init__()
        self.model, self.threshold = model, threshold

    def bounds(self) -> Mapping[str, Bounds]:
        return {STATISTIC: Bounds(least=self.threshold)}

    def measure(self, document: Document) -> Mapping[str, float]:
        found = self.model.probability(document.text)
        return {} if found is None else {STATISTIC: found}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        found = self.model.probability(doc.text)
        if found is None:
            return False, "no_words"
        doc.metadata["quality"] = found
        return True if self._stays(doc.text, found) else (False, "low_quality")

    def _stays(self, text: str, probability: float) -> bool:
        return probability >= self.threshold


class Pareto(Quality):
    """`np.random.pareto(alpha) > 1 - probability` (Brown et al. 2020, appendix A), the noise drawn from the text's hash."""

    def __init__(self, model: Model, alpha: float, seed: int) -> None:
        super().__init__(model, 0.0)
        self.alpha, self.seed = alpha, seed

    def bounds(self) -> Mapping[str, Bounds]:
        return {STATISTIC: Bounds()}  # none of its values decides alone

    def noise(self, text: str) -> float:
        """P(noise > x) = (1 + x) ** -alpha for x >= 0: Pareto's second kind, numpy's `pareto`."""
        uniform = (xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"), self.seed) >> 11) * 2.0**-53
        return float((1 - uniform) ** (-1 / self.alpha) - 1)

    def _stays(self, text: str, probability: float) -> bool:
        return self.noise(text) > 1 - probability
