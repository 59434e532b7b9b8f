"""Mixtures and curricula that break one promise each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from broken_table import breaks

from modelwright.errors import ModelwrightError
from modelwright_plugins.conformance.examples.curriculum.curriculum import WordLength
from modelwright_plugins.conformance.examples.mixture.mixture import Logarithmic
from modelwright_plugins.mixture import Material, Phase

COUNT = itertools.count()

# ---- mixtures


@breaks("mixture", "it imports torch")
class Importing(Logarithmic):
    def problems(self) -> list[str]:
        import torch

        return [] if torch else ["never"]


@breaks("mixture", "they are for general, code")
class Forgetting(Logarithmic):
    def weigh(self, material: Material) -> Mapping[str, float]:
        return {"general": 0.5, "code": 0.5}


@breaks("mixture", "they are {'general': 1.5, 'code': -0.5, 'math': 0.0}")
class Owing(Logarithmic):
    def weigh(self, material: Material) -> Mapping[str, float]:
        return {"general": 1.5, "code": -0.5, "math": 0.0}


@breaks("mixture", "they are {'general': 12000, 'code': 3000, 'math': 700}")
class Unnormalised(Logarithmic):
    def weigh(self, material: Material) -> Mapping[str, float]:
        return {name: domain.tokens for name, domain in material.domains.items()}


@breaks("mixture", "the names are ['all', 'all']")
class Nameless(Logarithmic):
    def plan(self, material: Material) -> list[Phase]:
        return [Phase("all", 0.5, self.weigh(material))] * 2


@breaks("mixture", "the shares are [0.5]")
class Half(Logarithmic):
    def plan(self, material: Material) -> list[Phase]:
        return [replace(phase, share=0.5) for phase in super().plan(material)]


@breaks("mixture", "in phase all they are {'general': 1, 'code': 1, 'math': 1}")
class Plenty(Logarithmic):
    def plan(self, material: Material) -> list[Phase]:
        return [Phase("all", 1.0, dict.fromkeys(material.domains, 1))]


@breaks("mixture", "asked again, it gave others")
class Wavering(Logarithmic):
    def weigh(self, material: Material) -> Mapping[str, float]:
        share = 1 / (2 + next(COUNT))
        return {"general": share, "code": 1 - share, "math": 0}


@breaks("mixture", "among the shards are ['notes.txt'")
class Littering(Logarithmic):
    def weigh(self, material: Material) -> Mapping[str, float]:
        (material.shards / "notes.txt").write_text("mine")
        return super().weigh(material)


# ---- curricula


@breaks("curriculum", "it says nan")
class Undecided(WordLength):
    def score(self, document: Mapping[str, Any], tokens: int) -> float:
        return float("nan")


@breaks("curriculum", "and said")
class Counting(WordLength):
    def score(self, document: Mapping[str, Any], tokens: int) -> float:
        return next(COUNT)


@breaks("curriculum", "it made")
class Marking(WordLength):
    def score(self, document: Mapping[str, Any], tokens: int) -> float:
        document["metadata"]["read"] = True
        return tokens


@breaks("curriculum", "it says there is no number")
class Vague(WordLength):
    def score(self, document: Mapping[str, Any], tokens: int) -> float:
        if "quality" not in document["metadata"]:
            raise ModelwrightError("there is no number")
        return tokens


@breaks("curriculum", "KeyError")
class Careless(WordLength):
    def score(self, document: Mapping[str, Any], tokens: int) -> float:
        quality: float = document["metadata"]["quality"]
        return quality


@breaks("curriculum", "it is 0")
class Closed(WordLength):
    def within(self) -> int | None:
        return 0
