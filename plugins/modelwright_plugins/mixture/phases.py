"""Stretches of training with mixtures of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from modelwright_plugins.mixture import Material, Mixture, Phase
from modelwright_plugins.mixture.weights import shares
from modelwright_plugins.parts import built_parts

SHARE = "share"  # beside a mixture's settings


@dataclass(frozen=True, kw_only=True)
class Phases(Mixture):
    """Mixtures one after the other: `phases={general: {share: 0.8, name: proportional}, code: {share: 0.2, name: unimax}}`.

    Of each domain a phase reads on where the one before has come to; the last goes on when training is longer than `mix.tokens`. A mixture
    that counts epochs counts those of its own phase. General text first and the best or the rarest last is the annealing of Llama 3
    (2024, arXiv:2407.21783, section 3.1.3) and of OLMo 2 (2025, arXiv:2501.00656, section 4).
    """

    phases: dict[str, dict[str, Any]]  # in order: the share of all tokens, in proportion, the mixture's `name`, and its settings

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError("phases is empty; it has a share and a mixture for each, such as {general: {share: 1, name: proportional}}")
        for name, given in self.phases.items():
            share = (given or {}).get(SHARE)
            if isinstance(share, bool) or not isinstance(share, int | float) or not (share > 0 and math.isfinite(share)):
                raise ValueError(f"phases.{name}.{SHARE} is {share}; it is the phase's share of all tokens, a number above 0")
        settings, _ = built_parts("mixture", self._without_shares(), own=Phases, names="phases")
        whole = {name: {SHARE: self.phases[name][SHARE], **settings[name]} for name in self.phases}
        object.__setattr__(self, "phases", whole)  # a frozen config says all that is done

    def _without_shares(self) -> dict[str, dict[str, Any]]:
        return {name: {key: value for key, value in given.items() if key != SHARE} for name, given in self.phases.items()}

    @cached_property
    def mixtures(self) -> dict[str, Mixture]:
        """The phases' mixtures, by their names."""
        return built_parts("mixture", self._without_shares(), own=Phases, names="phases")[1]

    @property
    def trains(self) -> bool:  # type: ignore[override]
        return any(mixture.trains for mixture in self.mixtures.values())

    def fingerprint(self) -> str:
        return " ".join(filter(None, (mixture.fingerprint() for mixture in self.mixtures.values())))

    def plan(self, material: Material) -> list[Phase]:
        found: list[Phase] = []
        for name, share in shares({name: given[SHARE] for name, given in self.phases.items()}).items():
            work = material.work / f"phase_{len(found) + 1}"
            work.mkdir(parents=True)
            own = replace(material, tokens=round(share * material.tokens), work=work)
            found.append(Phase(name, share, self.mixtures[name].weigh(own)))
        return found

    def weigh(self, material: Material) -> Mapping[str, float]:
        phases = self.plan(material)
        return {name: math.fsum(phase.share * phase.weights[name] for phase in phases) for name in material.domains}

    def problems(self) -> list[str]:
        return [
            f"mixture.phases.{name}.{line.removeprefix('mixture.')}" for name, part in self.mixtures.items() for line in part.problems()
        ]
