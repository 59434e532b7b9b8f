"""Weights of domains by rules that need nothing but the domains' sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from modelwright.errors import ModelwrightError, nearest
from modelwright_plugins.mixture import Material, Mixture


def shares(amounts: Mapping[str, float]) -> dict[str, float]:
    """The amounts as shares of their sum."""
    total = math.fsum(amounts.values())
    return {name: amount / total for name, amount in amounts.items()}


@dataclass(frozen=True, kw_only=True)
class Proportional(Mixture):
    """As much of each domain as there is of it: every token is read equally often."""

    def weigh(self, material: Material) -> Mapping[str, float]:
        return shares({name: domain.tokens for name, domain in material.domains.items()})


@dataclass(frozen=True, kw_only=True)
class Fixed(Mixture):
    """Weights as they are given, such as GPT-3's (Brown et al. 2020, table 2.2) or LLaMA's (Touvron et al. 2023, table 1).

    Every domain is named, and nothing else; a domain with weight 0 is not read.
    """

    weights: dict[str, float]  # domain -> its share of the tokens that training reads, in proportion

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            if not (weight >= 0 and math.isfinite(weight)):
                raise ValueError(f"weights.{name} is {weight}; it is 0 or a number above")
        if not sum(self.weights.values()):
            raise ValueError(f"weights is {self.weights}; it has a number above 0 for some domain, such as {{web: 0.8, code: 0.2}}")

    def weigh(self, material: Material) -> Mapping[str, float]:
        for name in self.weights:
            if name not in material.domains:
                raise ModelwrightError(
                    f"mixture.weights.{name}: there is no domain of that name{nearest(name, material.domains)}", "mixture"
                )
        if missing := [name for name in material.domains if name not in self.weights]:
            raise ModelwrightError(
                f"mixture.weights has no weight for domain {missing[0]!r}{nearest(missing[0], self.weights)}; 0 leaves it out", "mixture"
            )
        return shares({name: self.weights[name] for name in material.domains})


@dataclass(frozen=True, kw_only=True)
class Temperature(Mixture):
    """In proportion to tokens^(1/T), so that what is rare is read more often (Arivazhagan et al. 2019, arXiv:1907.05019)."""

    temperature: float = 5.0  # T, of that paper; 1: proportional, infinitely high: uniform; the exponent alpha of others is 1/T

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}; it is above 0")

    def weigh(self, material: Material) -> Mapping[str, float]:
        most = max(domain.tokens for domain in material.domains.values())
        return shares({name: (domain.tokens / most) ** (1 / self.temperature) for name, domain in material.domains.items()})


@dataclass(frozen=True, kw_only=True)
class UniMax(Mixture):
    """As uniform as it gets without repeating a domain more than so often (Chung et al. 2023, arXiv:2304.09151, algorithm 1).

    From the smallest domain to the largest, each gets an equal share of what is left of the tokens that training reads, `mix.tokens`, but
    at most `max_epochs` times its own. Where training reads more than that of all, weights are proportional, and all are repeated more.
    """

    max_epochs: float = 1.0  # N, how often a domain is repeated at most; the paper tries 1, 5 and 10, and trains its models with 1

    def __post_init__(self) -> None:
        if not (self.max_epochs > 0 and math.isfinite(self.max_epochs)):
            raise ValueError(f"max_epochs is {self.max_epochs}; it is above 0")

    def weigh(self, material: Material) -> Mapping[str, float]:
        left, budgets = float(material.tokens), dict.fromkeys(material.domains, 0.0)
        smallest_first = sorted(material.domains.items(), key=lambda item: item[1].tokens)
        for done, (name, domain) in enumerate(smallest_first):
            budgets[name] = min(left / (len(smallest_first) - done), domain.tokens * self.max_epochs)
            left -= budgets[name]
        return shares(budgets)
