"""Denoisers against LLaDA's algorithm written out slowly, an exact distribution, and what any denoiser promises."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from modelwright_masked_diffusion._unmask import plan
from modelwright_masked_diffusion.conformance import Denoisers
from modelwright_masked_diffusion.denoiser import MASK
from modelwright_masked_diffusion.example import LeftToRight
from modelwright_masked_diffusion.unmasking import LowConfidence, RandomOrder

from modelwright.testing import assert_conforms

VOCABULARY = 11


def model(tokens: torch.Tensor) -> torch.Tensor:
    """Logits that depend on every token of the row and on the place."""
    table = torch.randn(VOCABULARY + 1, 8, generator=torch.Generator().manual_seed(0))
    places = torch.randn(64, 8, VOCABULARY, generator=torch.Generator().manual_seed(1))
    told = table[torch.where(tokens == MASK, VOCABULARY, tokens)].cumsum(1) + table[torch.where(tokens == MASK, VOCABULARY, tokens)].flip(1)
    return 2 * torch.einsum("blc,lcv->blv", told, places[: tokens.shape[1]])


def llada(row: list[int], steps: int, block: int) -> list[int]:
    """Nie et al. 2025, Algorithm 5, one text, one token at a time: guess all, keep the surest of the block, mask the others again."""
    text, masked = list(row), [place for place, token in enumerate(row) if token == MASK]
    blocks = [masked[start : start + block] for start in range(0, len(masked), block)]
    for places in blocks:
        rounds = steps // len(blocks)
        for r in range(rounds):
            now = sum(1 for p in places if text[p] == MASK)
            keep = -(-now // (rounds - r))  # an equal share of what is left, rounded up
            chances = torch.softmax(model(torch.tensor([text]))[0].double(), -1)
            sure = sorted((-chances[p].max().item(), p) for p in places if text[p] == MASK)
            for _, place in sure[:keep]:
                text[place] = int(chances[place].argmax())
    return text


@pytest.mark.parametrize(("steps", "block"), [(12, 12), (4, 12), (6, 4), (3, 4), (1, 12), (5, 12)])
def test_low_confidence_is_llada_s_algorithm(steps: int, block: int) -> None:
    canvas = torch.full((3, 14), MASK)
    canvas[0, :2] = torch.tensor([1, 2])
    canvas[1, [0, 5]] = torch.tensor([3, 4])
    canvas[2, 12:] = torch.tensor([5, 6])
    found = LowConfidence(steps=steps, block=block).denoise(model, canvas, seed=0)
    assert found.tolist() == [llada(row, steps, block) for row in canvas.tolist()]


@pytest.mark.parametrize(
    "denoiser", [RandomOrder(), LowConfidence(temperature=1.0, block=1)], ids=["random order", "left to right, by blocks"]
)
def test_a_token_a_time_gives_the_model_s_own_distribution(denoiser: RandomOrder | LowConfidence) -> None:
    """A model that knows a joint distribution of two tokens: pairs come as often as it says."""
    joint = torch.rand(3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    joint /= joint.sum()

    def exact(tokens: torch.Tensor) -> torch.Tensor:
        first, second = tokens[:, :1], tokens[:, 1:]
        of_first = torch.where(second == MASK, joint.sum(1), joint.T[second[:, 0].clamp(0)])
        of_second = torch.where(first == MASK, joint.sum(0), joint[first[:, 0].clamp(0)])
        return torch.stack([of_first, of_second], 1).log()

    count = 6000
    pairs = denoiser.denoise(exact, torch.full((count, 2), MASK), seed=5)
    found = torch.bincount(pairs[:, 0] * 3 + pairs[:, 1], minlength=9).double()
    chi_square = ((found - count * joint.flatten()) ** 2 / (count * joint.flatten())).sum()
    assert chi_square < 26.1  # 99.9 % of a chi-square with 8 degrees of freedom


def test_plans_worked_by_hand() -> None:
    places = [2, 3, 5, 8, 9]
    assert plan(places, 2, None) == [(places, 3), (places, 2)]
    assert plan(places, 100, None) == [(places, 1)] * 5
    assert plan(places, 4, 3) == [([2, 3, 5], 2), ([2, 3, 5], 1), ([8, 9], 1), ([8, 9], 1)]
    assert plan(places, 1, 2) == [([2, 3], 2), ([5, 8], 2), ([9], 1)]  # each block takes a step
    assert plan([], 4, 3) == []


def test_random_order_takes_its_time_and_its_places_by_chance() -> None:
    seen: list[torch.Tensor] = []

    def flat(tokens: torch.Tensor) -> torch.Tensor:
        seen.append(tokens.clone())
        return torch.zeros(*tokens.shape, 5)

    RandomOrder(steps=4).denoise(flat, torch.full((200, 8), MASK), seed=1)
    assert len(seen) == 4 and [(tokens == MASK).sum(1).unique().tolist() for tokens in seen] == [[8], [6], [4], [2]]
    first = (seen[1] != MASK).float().mean(0)  # two of eight are filled in first, each as often
    assert (first - 0.25).abs().max() < 0.12


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("low_confidence", {}),
        ("low_confidence", {"temperature": 0.7, "block": 3, "steps": 6}),
        ("random_order", {}),
        ("random_order", {"steps": 2}),
    ],
    ids=str,
)
def test_they_conform(name: str, parameters: dict) -> None:
    assert_conforms(f"denoiser/{name}", **parameters)


def test_the_example_conforms(tmp_path: Path) -> None:
    Denoisers().check(LeftToRight(), tmp_path)
    Denoisers().check(LeftToRight(steps=3), tmp_path)


@dataclass(frozen=True, kw_only=True)
class Broken(LowConfidence):
    how: str = ""

    def denoise(self, model, canvas, *, seed):
        if self.how == "in place":
            return canvas.copy_(super().denoise(model, canvas, seed=seed))
        found = super().denoise(model, canvas, seed=torch.seed() % 2**31 if self.how == "by chance" else seed)
        if self.how == "masked":
            found[0, -1] = MASK
        if self.how == "given":
            found[0, 0] = 3
        if self.how == "batch" and len(canvas):
            found[0, -1] = len(canvas)
        if self.how == "asks":
            for _ in range(200):
                model(canvas)
        if self.how == "unlikely":
            found[0, -2] = 1
        return found


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("in place", "changes the canvas"), ("masked", "leaves 1 tokens masked"), ("given", "changes tokens that are given"),
        ("by chance", "another text"), ("batch", "other rows"), ("asks", "asks the model"), ("unlikely", "no probability"),
    ],
)  # fmt: skip
def test_the_conformance_finds_what_is_broken(how: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=why):
        Denoisers().check(Broken(how=how, temperature=2.0), tmp_path)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"temperature": -1.0}, {"block": 0}], ids=str)
def test_wrong_settings_are_refused(wrong: dict) -> None:
    for denoiser in (LowConfidence, RandomOrder):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            denoiser(**wrong)
