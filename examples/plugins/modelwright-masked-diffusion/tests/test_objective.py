"""The objective's loss, in expectation, against all masks of a short sequence; and where its randomness comes from."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from modelwright_masked_diffusion.denoiser import MASK
from modelwright_masked_diffusion.objective import MaskedDiffusion

LENGTH = 4
NATS = np.random.default_rng(0).uniform(0.1, 3.0, (2**LENGTH, LENGTH))  # what a model would lose on each token, given which are masked


def sequences(count: int, seed: int = 0) -> torch.Tensor:
    """Token ids [count, LENGTH + 1]; hardly any two are the same."""
    return torch.randint(0, 50_000, (count, LENGTH + 1), generator=torch.Generator().manual_seed(seed))


def patterns(inputs: dict[str, torch.Tensor]) -> np.ndarray:
    """Which tokens are masked, as a number with a bit for each."""
    return ((inputs["input_ids"] == MASK).numpy() * 2 ** np.arange(LENGTH)).sum(1)


def expected(smallest: float) -> float:
    """LLaDA's equation 3, over all masks and all ratios (a quadrature that is exact for polynomials of this degree)."""
    points, weights = np.polynomial.legendre.leggauss(8)
    ratios = smallest + (1 - smallest) * (points + 1) / 2
    total = 0.0
    for mask in itertools.product((0, 1), repeat=LENGTH):
        lost = sum(NATS[sum(bit << place for place, bit in enumerate(mask)), place] for place in range(LENGTH) if mask[place])
        k = sum(mask)
        if k:
            total += lost * float((weights / 2 * ratios ** (k - 1) * (1 - ratios) ** (LENGTH - k)).sum())
    return total


def exactly_so_many() -> float:
    """LLaDA's other form (equation 6): a number of masked tokens drawn first, then which ones; equal when ratios may be 0."""
    total = 0.0
    for k in range(1, LENGTH + 1):
        chosen = list(itertools.combinations(range(LENGTH), k))
        total += sum(sum(NATS[sum(1 << place for place in places), place] for place in places) for places in chosen) / len(chosen) / k
    return total


@pytest.mark.parametrize("smallest", [1e-3, 0.3])
def test_the_expected_loss_is_the_formula(smallest: float) -> None:
    objective, tokens = MaskedDiffusion(min_ratio=smallest), sequences(60_000)
    inputs = objective.inputs(tokens)
    output = torch.from_numpy(NATS[patterns(inputs)]).float()
    each = (output * inputs["loss_mask"]).sum(1)
    total, count = objective.loss(output, inputs)
    assert count.item() == 60_000 * LENGTH  # a token of the text, masked or not
    assert total.item() == pytest.approx(each.double().sum().item(), rel=1e-3)
    error = each.std().item() / math.sqrt(len(each))
    assert abs(each.mean().item() - expected(smallest)) < 4 * error < 0.05 * expected(smallest)


def test_both_forms_of_the_formula_agree() -> None:
    assert expected(0.0) == pytest.approx(exactly_so_many(), rel=1e-12)


def test_tokens_and_weights_are_right() -> None:
    tokens = sequences(300)
    inputs = MaskedDiffusion().inputs(tokens)
    ratio, masked = MaskedDiffusion().drawn(tokens[:, :-1])
    assert torch.equal(inputs["labels"], tokens[:, :-1])
    assert torch.equal(inputs["input_ids"], torch.where(masked, MASK, tokens[:, :-1]))
    assert torch.equal(inputs["loss_mask"], torch.where(masked, 1 / ratio, torch.zeros(())))
    assert torch.equal(inputs["position_ids"][7], torch.arange(LENGTH))


def test_ratios_are_uniform_and_masks_independent() -> None:
    long = torch.randint(0, 50_000, (4000, 129), generator=torch.Generator().manual_seed(1))
    ratio, masked = MaskedDiffusion(min_ratio=0.1).drawn(long[:, :-1])
    deciles = torch.quantile(ratio[:, 0], torch.linspace(0.1, 0.9, 9))
    assert (deciles - (0.1 + 0.9 * torch.linspace(0.1, 0.9, 9))).abs().max() < 0.03
    left = masked.float() - ratio
    assert left.mean().abs() < 0.005  # each is masked with the ratio's probability,
    assert (left[:, :-1] * left[:, 1:]).mean().abs() < 0.005  # whatever its neighbour is
    assert ratio.min() >= 0.1 and ratio.max() <= 1


def test_a_row_s_mask_is_the_row_s_own() -> None:
    """Whatever batch it stands in, and whatever the layout: the same. Another token or seed: another."""
    objective, tokens = MaskedDiffusion(), sequences(64, seed=3)
    whole = objective.inputs(tokens)
    parts = [objective.inputs(part) for part in tokens.flip(0).split(5)]
    for name, value in whole.items():
        assert torch.equal(torch.cat([part[name] for part in parts]).flip(0), value), name
    last = tokens.clone()
    last[:, -1] += 1  # belongs to the next sequence
    assert torch.equal(objective.inputs(last)["input_ids"], whole["input_ids"])
    other = tokens.clone()
    other[:, 0] += 1
    assert (patterns(objective.inputs(other)) != patterns(whole)).any()
    assert (patterns(MaskedDiffusion(mask_seed=1).inputs(tokens)) != patterns(whole)).any()


@pytest.mark.parametrize("ratio", [0.0, 1.0, -1.0])
def test_a_wrong_ratio_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="min_ratio"):
        MaskedDiffusion(min_ratio=ratio)
