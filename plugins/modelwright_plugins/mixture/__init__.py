"""Mixtures: how much of each domain of the text training reads, and when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from modelwright.component import Component


@dataclass(frozen=True)
class Domain:
    """The training text of one domain, as tokens."""

    shard: Path  # its Megatron indexed dataset: the path without `.bin` and `.idx`
    documents: int  # how many
    tokens: int  # ends of documents too
    bytes: int  # of UTF-8 text


@dataclass(frozen=True)
class Material:
    """What a mixture is decided from."""

    domains: Mapping[str, Domain]  # by name, in the order of their first documents
    tokens: int  # how many training will read, over all epochs
    shards: Path  # the folder with `shards.json`
    tokenizer: Path  # the tokenizer's folder
    seed: int  # of the run
    work: Path  # a folder for what is made on the way; what is left in it stays in the run


@dataclass(frozen=True)
class Phase:
    """A stretch of training with the same weights throughout."""

    name: str  # a word for it, as tables have it
    share: float  # of all tokens that training reads; those of all phases sum to 1
    weights: Mapping[str, float]  # domain -> share of the phase's tokens that are drawn from it; they sum to 1


class Mixture(Component, ABC):
    """How much of each domain of the text training reads, and when."""

    trains: ClassVar[bool] = False
    """Whether `weigh` trains models: its stage then runs on a rank of its own, in which Megatron can be started."""

    @abstractmethod
    def weigh(self, material: Material) -> Mapping[str, float]:
        """Domain -> share of the tokens that are drawn from it: every domain is there, none is negative, and they sum to 1.

        ModelwrightError: it names a domain that is not there, or the other way round, and the nearest right name."""

    def plan(self, material: Material) -> list[Phase]:
        """The phases, one after the other; by default one, weighed by `weigh`."""
        return [Phase("all", 1.0, self.weigh(material))]

    def problems(self) -> list[str]:
        """What would stop it, one line each that begins with the parameter. Called before anything runs."""
        return []
