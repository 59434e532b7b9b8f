"""How a long stream of tokens is shown to a model that sees a fixed number at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


class TokenLosses(Protocol):
    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Nats [batch, length] of each token but the first, or several such numbers [numbers, batch, length]: int64 `tokens` [batch,
        length + 1]."""


def windows(count: int, length: int, stride: int) -> Iterator[tuple[int, int]]:
    """(first input, first new target) of each window over a stream of 1 + `count` tokens, so that each token but the first is new once.

    A window has `length` inputs, predicts the `length` tokens after them, and lets `stride` of its predictions count: the
    first window lets all count, the last is moved back so that it is whole.
    """
    done = 0
    while done < count:
        end = min(done + (stride if done else length), count)
        yield max(0, end - length), done + 1
        done = end


def stream_losses(
    losses: TokenLosses, stream: NDArray[np.integer[Any]], *, length: int, stride: int, batch: int, bar: Any
) -> NDArray[np.float64]:
    """Nats of each token of `stream` but the first [tokens], or the numbers [numbers, tokens] that `losses` gives. Each is predicted once,
    from at least `length - stride` tokens before it (at the beginning of the stream, from all there are). `bar` counts tokens."""
    import numpy as np
    import torch

    count = len(stream) - 1
    found = np.empty(0)
    length = min(length, count)
    every = list(windows(count, length, stride))
    for at in range(0, len(every), batch):
        rows = every[at : at + batch]
        tokens = torch.from_numpy(np.stack([stream[first : first + length + 1] for first, _ in rows]).astype(np.int64))
        nats = losses(tokens).double().cpu().numpy()
        if not at:
            found = np.empty((*nats.shape[:-2], count))
        for row, (first, new) in enumerate(rows):
            found[..., new - 1 : first + length] = nats[..., row, new - 1 - first :]
        bar.update(sum(first + length + 1 - new for first, new in rows))
    return found
