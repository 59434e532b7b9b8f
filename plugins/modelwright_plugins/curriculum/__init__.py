"""Curricula: in which order training reads a domain's documents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from modelwright.component import Component


class Curriculum(Component, ABC):
    """In which order training reads a domain's documents."""

    @abstractmethod
    def score(self, document: Mapping[str, Any], tokens: int) -> float:
        """A number by which documents are put in order, smallest first; those with equal numbers stay as they are.

        `document` is {"text", "id", "metadata"}, `tokens` how many it has, its end too. ModelwrightError, in which the document is named:
        it has no such number.
        """

    def within(self) -> int | None:
        """Sequences in a row that training goes through in a random order; None: all of a domain, so that no order is left."""
        return None
