"""The objective's loss, in expectation, against all masks of a short sequence; and where its randomness comes from."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from modelwright_masked_diffusion.denoiser import MASK
from modelwright_masked_diffusion.objective import MaskedDiffusion

from modelwright_plugins.objective import Passage

LENGTH = 4
NATS = np.random.default_rng(0).uniform(0.1, 3.0, (2**LENGTH, LENGTH))  # what a model would lose on each token, given which are masked


def examples(objective: MaskedDiffusion, count: int, length: int = LENGTH) -> dict[str, torch.Tensor]:
    """Of random texts, stacked as the engine does it."""
    (needed,) = objective.spans(length)
    texts = np.random.default_rng(0).integers(0, 50_000, (count, needed))
    found = [objective.example(passage(text, number)) for number, text in enumerate(texts)]
    return {name: torch.from_numpy(np.stack([each[name] for each in found])) for name in found[0]}


def passage(text: np.ndarray, number: int) -> Passage:
    vocabulary = None  # it is not asked
    return Passage((text,), len(text), vocabulary, np.random.default_rng([1, number]))  # type: ignore[arg-type]


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
    objective = MaskedDiffusion(min_ratio=smallest)
    inputs = examples(objective, 60_000)
    output = torch.from_numpy(NATS[patterns(inputs)]).float()
    each = (output * inputs["loss_weight"]).sum(1)
    total, count = objective.loss(output, inputs)
    assert count.item() == 60_000 * LENGTH  # a token of the text, masked or not
    assert total.item() == pytest.approx(each.double().sum().item(), rel=1e-3)
    error = each.std().item() / math.sqrt(len(each))
    assert abs(each.mean().item() - expected(smallest)) < 4 * error < 0.05 * expected(smallest)


def test_both_forms_of_the_formula_agree() -> None:
    assert expected(0.0) == pytest.approx(exactly_so_many(), rel=1e-12)


def test_nothing_of_the_text_is_lost() -> None:
    inputs = examples(MaskedDiffusion(), 300)
    masked = inputs["input_ids"] == MASK
    assert masked.any() and not masked.all()
    assert torch.equal(torch.where(masked, inputs["labels"], inputs["input_ids"]), inputs["labels"])
    assert torch.equal(inputs["labels"], torch.from_numpy(np.random.default_rng(0).integers(0, 50_000, (300, LENGTH))))
    assert torch.equal(inputs["position_ids"][7], torch.arange(LENGTH))


def test_ratios_are_uniform_and_masks_independent() -> None:
    inputs = examples(MaskedDiffusion(min_ratio=0.1), 4000, length=128)
    masked, weights = inputs["input_ids"] == MASK, inputs["loss_weight"]
    assert torch.equal(weights > 0, masked)
    ratio = 1 / weights.amax(1)  # of 128 tokens with a ratio of 0.1 or more some are masked
    assert torch.equal(torch.where(masked, weights, torch.inf).amin(1), weights.amax(1))  # one ratio a sequence
    deciles = torch.quantile(ratio, torch.linspace(0.1, 0.9, 9))
    assert (deciles - (0.1 + 0.9 * torch.linspace(0.1, 0.9, 9))).abs().max() < 0.03
    left = masked.float() - ratio[:, None]
    assert left.mean().abs() < 0.005  # each is masked with the ratio's probability,
    assert (left[:, :-1] * left[:, 1:]).mean().abs() < 0.005  # whatever its neighbour is
    assert ratio.min() >= 0.1 - 1e-6 and ratio.max() <= 1


def test_the_same_passage_is_masked_the_same_way() -> None:
    objective, text = MaskedDiffusion(), np.arange(64)
    one, again, other = (objective.example(passage(text, number))["input_ids"].tolist() for number in (3, 3, 4))
    assert one == again != other


@pytest.mark.parametrize("ratio", [0.0, 1.0, -1.0])
def test_a_wrong_ratio_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="min_ratio"):
        MaskedDiffusion(min_ratio=ratio)
