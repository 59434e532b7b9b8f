"""The scan in chunks and the convolution, against the recurrence computed step by step in FP64: outputs and gradients, any length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch

BATCH, HEADS, HEAD_DIM, GROUPS, STATE = 2, 6, 4, 2, 8
LENGTHS = [1, 5, 63, 64, 65, 200]


def recurrence(
    x: torch.Tensor, dt: torch.Tensor, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, start: torch.Tensor | None
) -> torch.Tensor:
    """Dao and Gu 2024, equation 2 with Δ: h_t = exp(Δ_t A) h_{t-1} + Δ_t x_t B_tᵀ, y_t = h_t C_t."""
    import torch

    b, c = (each.repeat_interleave(x.shape[2] // each.shape[2], 2) for each in (b, c))
    h = torch.zeros(*x[:, 0].shape, b.shape[-1], dtype=x.dtype)
    out = []
    for t in range(x.shape[1]):
        if start is not None:
            h = h * (start[:, t] != t)[:, None, None, None]
        h = h * torch.exp(dt[:, t] * a)[..., None, None] + (dt[:, t, :, None] * x[:, t])[..., None] * b[:, t, :, None]
        out.append((h * c[:, t, :, None]).sum(-1))
    return torch.stack(out, 1)


def documents(length: int, random: torch.Generator) -> torch.Tensor:
    """Where each position's document begins, [BATCH, length]: the rows' documents differ, and one may begin with a chunk."""
    import torch

    new = torch.rand(BATCH, length, generator=random) < 0.04
    new[:, 0] = True
    if length > 64:
        new[1, 64] = True
    return torch.where(new, torch.arange(length), 0).cummax(1).values


def inputs(length: int, random: torch.Generator) -> list[torch.Tensor]:
    import torch

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    x, b, c = normal(BATCH, length, HEADS, HEAD_DIM), normal(BATCH, length, GROUPS, STATE), normal(BATCH, length, GROUPS, STATE)
    dt = torch.nn.functional.softplus(normal(BATCH, length, HEADS) - 1)
    return [x, dt, -normal(HEADS).exp(), b, c]


@pytest.mark.parametrize("packed", [False, True], ids=["one document", "documents"])
@pytest.mark.parametrize("length", LENGTHS)
def test_chunks_give_what_the_recurrence_gives(length: int, packed: bool) -> None:
    import torch

    from modelwright_plugins.architecture._ssd import scan

    random = torch.Generator().manual_seed(length)
    exact = inputs(length, random)
    start = documents(length, random) if packed else None
    single = [each.float().requires_grad_() for each in exact]
    exact = [each.requires_grad_() for each in exact]
    ours, theirs = scan(*single, start), recurrence(*exact, start)
    assert ours.dtype == torch.float32
    assert (ours - theirs).abs().max() < 1e-6 * theirs.abs().max()
    weights = torch.randn(theirs.shape, generator=random, dtype=torch.float64)
    (ours * weights.float()).sum().backward()
    (theirs * weights).sum().backward()
    for name, one, other in zip(["x", "dt", "a", "b", "c"], single, exact, strict=True):
        assert one.grad is not None and other.grad is not None
        assert (one.grad - other.grad).abs().max() <= 1e-5 * max(other.grad.abs().max().item(), 1e-3), name


def test_what_decays_at_once_and_what_never_decays_is_finite() -> None:
    """Logarithms of decays over a chunk are far below what FP32 can take the exponent of."""
    import torch

    from modelwright_plugins.architecture._ssd import scan

    x, dt, _, b, c = inputs(150, torch.Generator().manual_seed(0))
    a = torch.tensor([-1e-6, -1e4, -50.0, -16.0, -1.0, -1e-3], dtype=torch.float64)
    single = [each.float().requires_grad_() for each in (x, dt, a, b, c)]
    ours, theirs = scan(*single), recurrence(x, dt, a, b, c, None)
    assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()
    ours.sum().backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in single)


@pytest.mark.parametrize("packed", [False, True], ids=["one document", "documents"])
@pytest.mark.parametrize("length", [1, 3, 50])
def test_the_convolution_is_torchs_within_each_document(length: int, packed: bool) -> None:
    import torch
    import torch.nn.functional as F

    from modelwright_plugins.architecture._ssd import causal_convolution

    random = torch.Generator().manual_seed(length)
    x, weight, bias = (torch.randn(*shape, generator=random) for shape in ((BATCH, length, 5), (5, 4), (5,)))
    start = documents(length, random) if packed else torch.zeros(BATCH, length, dtype=torch.int64)
    expected = torch.empty_like(x)
    for row in range(BATCH):
        for first in start[row].unique():
            of = start[row] == first
            whole = F.conv1d(x[row, of].T[None], weight[:, None], bias, padding=3, groups=5)
            expected[row, of] = whole[0, :, : int(of.sum())].T
    found = causal_convolution(x, weight, bias, start if packed else None)
    assert (found - expected).abs().max() < 1e-6
