"""Weights that grow with the logarithm of a domain's size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from modelwright_plugins.mixture import Material, Mixture


@dataclass(frozen=True, kw_only=True)
class Logarithmic(Mixture):
    """In proportion to log(1 + tokens / scale): of what is common, ever more is left out."""

    scale: float = 1e6  # tokens; far below it weights are in proportion to tokens, far above it nearly equal

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise ValueError(f"scale is {self.scale}; it is above 0")

    def weigh(self, material: Material) -> Mapping[str, float]:
        amounts = {name: math.log1p(domain.tokens / self.scale) for name, domain in material.domains.items()}
        total = math.fsum(amounts.values())
        return {name: amount / total for name, amount in amounts.items()}
