"""Stability: which losses are spikes, and how training goes on after one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from modelwright.component import Component


class Stability(Component, ABC):
    """Which losses are spikes, and how training goes on after one.

    The remedy is PaLM's (Chowdhery et al. 2022, arXiv:2204.02311, section 5.1): go back to a checkpoint from before the spike and
    skip the batches that were seen before and in it. Every skipped range is in the run's manifest.
    """

    window: int = 0  # earlier losses that are looked at
    rollbacks: int = 0  # spikes after which training goes back and on; the next one ends it
    before: int = 100  # updates at least from the checkpoint that is gone back to, to the spike
    skip: int = 200  # batches skipped at least from that checkpoint on; always those up to the spike

    @abstractmethod
    def spike(self, losses: Sequence[float], loss: float, grad_norm: float) -> str | None:
        """Why this update is a spike, or None. `losses` are of the updates before it, the last one last, at most `window`."""
