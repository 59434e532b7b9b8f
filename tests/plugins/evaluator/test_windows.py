from __future__ import annotations

import numpy as np
import pytest
import torch

from modelwright_plugins.evaluator.windows import stream_losses, windows


class Counter:
    def __init__(self) -> None:
        self.total = 0

    def update(self, n: int) -> None:
        self.total += n


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 20, 63])
@pytest.mark.parametrize(("length", "stride"), [(8, 8), (8, 4), (8, 1), (8, 3), (1, 1)])
def test_each_token_is_predicted_once_with_the_context_promised(count: int, length: int, stride: int) -> None:
    found = np.zeros(count + 1, int)
    context = np.zeros(count + 1, int)
    length = min(length, count)
    for first, new in windows(count, length, stride):
        assert first >= 0
        assert first + length <= count
        found[new : first + length + 1] += 1
        context[new : first + length + 1] = np.arange(new, first + length + 1) - first
    assert found.tolist() == [0] + [1] * count
    targets = np.arange(1, count + 1)
    assert (context[1:] >= np.minimum(targets, length - min(stride, length) + 1)).all()


def test_losses_land_at_their_tokens() -> None:
    """A model whose loss tells which tokens it predicted from: token + 1000 * tokens of context."""

    def told(tokens: torch.Tensor) -> torch.Tensor:
        return (tokens[:, 1:] + 1000 * torch.arange(1, tokens.shape[1])).float()

    stream, bar = np.arange(31, dtype=np.uint16), Counter()
    found = stream_losses(told, stream, length=10, stride=5, batch=2, bar=bar)
    assert (found % 1000).tolist() == list(range(1, 31))
    context = found // 1000
    assert context[:10].tolist() == list(range(1, 11))
    assert (context[10:] >= 6).all() and (context[10:] <= 10).all()
    assert bar.total == 30
