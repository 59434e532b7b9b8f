"""Sources: where raw documents come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from modelwright.component import Component

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep


class Source(Component, ABC):
    """Where raw documents come from: a datatrove reader whose documents carry `metadata["group"]`."""

    @abstractmethod
    def build(self) -> PipelineStep:
        """A datatrove reader that shards its files over (rank, world_size) and quarantines records it cannot read."""
