"""Models that are asked, and not trained, for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch


@contextmanager
def evaluating(chunks: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Without dropout and gradients; afterwards each module, also those within, is as it was."""
    before = [(module, module.training) for chunk in chunks for module in chunk.modules()]
    for module, _ in before:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in before:
            module.training = training
