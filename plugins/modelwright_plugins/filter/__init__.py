"""Filters: which documents stay, and why the others went."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from modelwright.component import Component

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter


class Filter(Component, ABC):
    """Keeps a document or drops it for a reason that is recorded; it may edit the text it keeps."""

    @abstractmethod
    def build(self) -> BaseFilter:
        """A datatrove filter: picklable, deterministic, its drop reasons short and few (they are counted by name)."""
