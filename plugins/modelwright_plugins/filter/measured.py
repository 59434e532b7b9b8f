"""Filters that can say which numbers they decide by, so that a report can draw what a threshold does."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datatrove.pipeline.filters.base_filter import BaseFilter

if TYPE_CHECKING:
    from datatrove.data import Document


@dataclass(frozen=True)
class Bounds:
    """What a statistic may be for a document to stay, both ends allowed; None: no limit. Thresholds that are off have no bounds."""

    least: float | None = None
    most: float | None = None


class Measured(BaseFilter):
    """A datatrove filter whose statistics are shown: `curate` measures a sample of the documents that come to it, and the report draws
    each statistic's histogram with its bounds. Beside another datatrove filter it comes first: `class Mine(Measured, LambdaFilter)`."""

    @abstractmethod
    def bounds(self) -> Mapping[str, Bounds]:
        """Statistic -> its bounds. A name is a few plain words with its unit, such as 'words' or 'symbols for each word'."""

    @abstractmethod
    def measure(self, document: Document) -> Mapping[str, float]:
        """Statistic -> its value, of those that `bounds` names and that the document has; the document stays as it is."""
