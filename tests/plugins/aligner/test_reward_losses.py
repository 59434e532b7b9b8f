"""Losses of reward models are TRL's on the same rewards, and the papers' formulas, the slow way in float64."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from modelwright_plugins.aligner import Aligner
from modelwright_plugins.aligner.process_reward import ProcessReward
from modelwright_plugins.aligner.reward_model import RewardModel

TRL = json.loads(Path(__file__).with_name("trl.json").read_text())  # record_trl.py makes it
REWARDS = TRL["given"]["rewards"]
NAN = math.nan


def inputs(scores: list[float], rows: int, *, thumbs: bool = False, there: tuple[int, ...] = (1, 1, 1, 1)) -> dict[str, torch.Tensor]:
    """Rows of three positions; the value is wanted at the last."""
    mask = torch.zeros(4, 3)
    mask[:, 2] = torch.tensor(there)
    told = {
        "loss_scores": torch.tensor(scores, dtype=torch.float32),
        "loss_rows": torch.full((4,), rows),
        "loss_thumbs": torch.full((4,), thumbs),
    }
    return {"labels": torch.full((4, 3), -1), "loss_mask": mask, **told}


def asked(aligner: Aligner, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean loss, and its gradient with respect to the rewards; what stands where no value is wanted is any."""
    output = torch.tensor([[3.0, -1.0, reward] for reward in REWARDS], requires_grad=True)
    total, count = aligner.loss(output, given)
    assert count.dtype == torch.int and total.dim() == count.dim() == 0
    (total / count).backward()
    assert output.grad is not None and not output.grad[:, :2].any()
    return (total / count).detach(), output.grad[:, 2]


CASES: dict[str, tuple[Aligner, list[float]]] = {
    "reward_model": (RewardModel(), [NAN] * 4),
    "reward_model centred": (RewardModel(centering=0.1), [1, 0, 1, 0]),
    "reward_model margin": (RewardModel(margin=1), [0.5, 0, 1.25, 0]),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_trl_makes_of_the_same_rewards(name: str) -> None:
    aligner, scores = CASES[name]
    loss, gradient = asked(aligner, inputs(scores, 2))
    assert float(loss) == pytest.approx(TRL["cases"][name]["loss"], rel=1e-6)
    assert gradient.tolist() == pytest.approx(TRL["cases"][name]["gradient"], rel=1e-5, abs=1e-7)


def log_s(x: Any) -> Any:
    return torch.log(1 / (1 + torch.exp(-x)))


def ranking(r: torch.Tensor, scores: list[float], margin: float, centering: float, real: tuple[int, ...]) -> Any:
    pairs = [(i, j) for i in range(4) for j in range(4) if scores[i] > scores[j] and i in real and j in real]
    each = [-log_s(r[i] - r[j] - margin * (scores[i] - scores[j])) + centering * (r[i] + r[j]) ** 2 for i, j in pairs]
    return sum(each) / len(each)


SCORES = [0.5, 2.0, -1.0, 0.5]  # one pair is even
PAPERS: list[tuple[str, Aligner, dict[str, torch.Tensor], Any]] = [
    ("ranking", RewardModel(), inputs(SCORES, 4), lambda r: ranking(r, SCORES, 0, 0, (0, 1, 2, 3))),
    ("as they come", RewardModel(), inputs([NAN] * 4, 4), lambda r: ranking(r, [3, 2, 1, 0], 0, 0, (0, 1, 2, 3))),
    (
        "with margin, centred",
        RewardModel(margin=0.3, centering=0.02),
        inputs(SCORES, 4),
        lambda r: ranking(r, SCORES, 0.3, 0.02, (0, 1, 2, 3)),
    ),
    ("three replies", RewardModel(), inputs([NAN] * 4, 4, there=(1, 1, 1, 0)), lambda r: ranking(r, [3, 2, 1, 0], 0, 0, (0, 1, 2))),
    ("scalar", RewardModel(), inputs([0.5, 2, -1, 0.5], 1), lambda r: sum((r[n] - SCORES[n]) ** 2 for n in range(4)) / 4),
    (
        "thumbs",
        RewardModel(),
        inputs([1, 0, 0, 1], 1, thumbs=True),
        lambda r: -(log_s(r[0]) + log_s(-r[1]) + log_s(-r[2]) + log_s(r[3])) / 4,
    ),
]


@pytest.mark.parametrize(("aligner", "given", "formula"), [pytest.param(*row[1:], id=row[0]) for row in PAPERS])
def test_it_is_the_papers_formula(aligner: Aligner, given: dict[str, torch.Tensor], formula: Any) -> None:
    rewards = torch.tensor(REWARDS, dtype=torch.float64, requires_grad=True)
    wanted = formula(rewards)
    wanted.backward()
    loss, gradient = asked(aligner, given)
    assert rewards.grad is not None
    assert float(loss) == pytest.approx(wanted.item(), rel=1e-6)
    assert gradient.tolist() == pytest.approx(rewards.grad.tolist(), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(
    ("aligner", "labels", "right"),
    [
        (ProcessReward(), [1.0, 0.25, 0.0], [1.0, 0.25, 0.0]),
        (ProcessReward(), [1.0, 0.5, -1.0], [1.0, 0.5, 0.0]),
        (ProcessReward(threshold=0), [1.0, 0.0, -1.0], [1.0, 1.0, 0.0]),
    ],
)
def test_each_step_is_right_or_wrong(aligner: ProcessReward, labels: list[float], right: list[float]) -> None:
    output = torch.tensor([[0.7, -1.3, 2.0], [0.4, 9.0, -9.0]], requires_grad=True)
    given = {
        "loss_mask": torch.tensor([[1.0, 0, 1], [1, 0, 0]]),
        "loss_labels": torch.tensor([[labels[0], 0, labels[1]], [labels[2], 0, 0]]),
    }
    total, count = aligner.loss(output, given)
    (total / count).backward()
    slow = torch.tensor([0.7, 2.0, 0.4], dtype=torch.float64, requires_grad=True)
    wanted = -sum(y * log_s(r) + (1 - y) * log_s(-r) for y, r in zip(right, slow, strict=True)) / 3
    assert isinstance(wanted, torch.Tensor)
    wanted.backward()
    assert int(count) == 3 and float(total.detach()) / 3 == pytest.approx(wanted.item(), rel=1e-6)
    assert output.grad is not None and slow.grad is not None
    a, b, c = slow.grad.tolist()
    assert output.grad.flatten().tolist() == pytest.approx([a, 0, b, c, 0, 0], rel=1e-5)
    found = {name: float(x / n) for name, (x, n) in aligner.metrics(output.detach(), given).items()}
    assert found["rewards/mean"] == pytest.approx(3.1 / 3)
    assert found["steps/accuracies"] == pytest.approx(sum((r > 0) == (y > 0.5) for r, y in zip([0.7, 2.0, 0.4], right, strict=True)) / 3)


def measured(given: dict[str, torch.Tensor]) -> dict[str, list[float]]:
    output = torch.tensor([[3.0, -1.0, reward] for reward in REWARDS])
    return {name: [float(x), float(n)] for name, (x, n) in RewardModel().metrics(output, given).items()}


def test_what_is_measured() -> None:
    a, b, c, d = REWARDS
    pairs = measured(inputs([NAN] * 4, 2))
    assert pairs["rewards/accuracies"] == [1, 2] and pairs["rewards/margins"] == [pytest.approx(a - b + c - d), 2]
    assert pairs["rewards/mean"] == [pytest.approx(a + b + c + d), 4]
    lists = measured(inputs(SCORES, 4, there=(1, 1, 1, 0)))  # second > first > third
    assert lists["rewards/accuracies"] == [2, 3] and lists["rewards/mean"] == [pytest.approx(a + b + c), 3]
    thumbs = measured(inputs([1, 0, 0, 1], 1, thumbs=True))
    assert thumbs["rewards/accuracies"] == [3, 4] and thumbs["rewards/margins"][1] == 0
    assert measured(inputs([1, 0, 0, 1], 1))["rewards/accuracies"][1] == 0


@pytest.mark.parametrize(
    ("make", "said"),
    [(lambda: RewardModel(margin=-1), "margin is -1; it is 0 or more"), (lambda: RewardModel(centering=-1), "centering is -1")],
)
def test_bad_numbers_are_told(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
