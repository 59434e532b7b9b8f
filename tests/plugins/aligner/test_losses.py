"""Each aligner's loss and gradient are TRL's on the same logits, and the paper's formula, the slow way in float64."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from modelwright_plugins.aligner import Aligner
from modelwright_plugins.aligner.c_rlft import CRLFT
from modelwright_plugins.aligner.dpo import DPO
from modelwright_plugins.aligner.kto import KTO
from modelwright_plugins.aligner.orpo import ORPO
from modelwright_plugins.aligner.rrhf import RRHF
from modelwright_plugins.aligner.sft import SFT
from modelwright_plugins.aligner.simpo import SimPO

TRL = json.loads(Path(__file__).with_name("trl.json").read_text())  # record_trl.py makes it
DIVERGENCE = 0.8
Rows = list[list[torch.Tensor]]  # log-probability of each target of each row, float64


@pytest.fixture
def given() -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value) for name, value in TRL["given"].items()}


def inputs(given: dict[str, torch.Tensor], scores: list[float], rows: int) -> dict[str, torch.Tensor]:
    targets = given["mask"][:, 1:] > 0
    told = {"loss_scores": torch.tensor(scores), "loss_rows": torch.full((4,), rows), "loss_divergence": torch.full((4,), DIVERGENCE)}
    labels = given["tokens"][:, 1:].masked_fill(~targets, -1)
    return {"labels": labels, "loss_mask": targets.float(), "loss_reference": given["reference"], **told}


def ours(aligner: Aligner, logits: torch.Tensor, given: dict[str, torch.Tensor], scores: list[float]) -> torch.Tensor:
    """The mean loss of what the model would give: the loss of each token, also of those that are no targets."""
    nats = -logits.log_softmax(-1).gather(-1, given["tokens"][:, 1:, None])[..., 0]
    total, count = aligner.loss(nats, inputs(given, scores, aligner.rows(4 if isinstance(aligner, RRHF) else 2)))
    assert count.dtype == torch.int and total.dim() == count.dim() == 0
    return total / count


def targets(logits: torch.Tensor, given: dict[str, torch.Tensor]) -> Rows:
    found: Rows = []
    for row, tokens, mask in zip(logits, given["tokens"], given["mask"], strict=True):
        chances = [torch.exp(each) / torch.exp(each).sum() for each in row]
        found.append([chances[place - 1][tokens[place]].log() for place in range(1, len(tokens)) if mask[place]])
    return found


def held(aligner: Aligner, scores: list[float], formula: Callable[[Rows, list[float]], Any], given: dict[str, torch.Tensor]) -> None:
    logits, slow = given["logits"].clone().requires_grad_(), given["logits"].double().requires_grad_()
    loss = ours(aligner, logits, given, scores)
    wanted = formula(targets(slow, given), [float(x) for x in given["reference"]])
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    loss.backward()
    wanted.backward()
    assert logits.grad is not None and slow.grad is not None
    assert float((logits.grad - slow.grad).abs().max()) < 1e-6 * max(1.0, float(slow.grad.abs().max()))
    assert float(slow.grad.abs().max()) > 1e-3


def S(x: torch.Tensor) -> torch.Tensor:
    return 1 / (1 + torch.exp(-x))


def pairs(each: Callable[..., Any], *, mean: bool = False) -> Callable[[Rows, list[float]], Any]:
    """The mean over pairs of `each(margin, log-probability a token of the chosen reply, … of the rejected one)`."""

    def formula(rows: Rows, first: list[float]) -> Any:
        found = []
        for chosen, rejected in ((0, 1), (2, 3)):
            ratios = [(sum(rows[n]) - first[n]) / (len(rows[n]) if mean else 1) for n in (chosen, rejected)]
            found.append(each(ratios[0] - ratios[1], *(sum(rows[n]) / len(rows[n]) for n in (chosen, rejected))))
        return sum(found) / len(found)

    return formula


def odds(logp: torch.Tensor) -> torch.Tensor:
    return torch.exp(logp) / (1 - torch.exp(logp))


def rrhf(rows: Rows, first: list[float]) -> Any:
    p = [sum(row) / len(row) for row in rows]  # type: ignore[arg-type]
    scores = [0.5, 2.0, -1.0, 0.5]
    ranking = sum(torch.relu(p[i] - p[j]) for i in range(4) for j in range(4) if scores[i] < scores[j])
    return ranking - sum(rows[1])


def c_rlft(rows: Rows, first: list[float]) -> Any:
    weights = [math.exp((r - 1.0) / 0.5) for r in (0.1, 1.0, 1.0, 0.1)]
    return -sum(w * sum(row) for w, row in zip(weights, rows, strict=True)) / sum(len(row) for row in rows)


def kto(rows: Rows, first: list[float]) -> Any:
    ratios = [sum(row) - r for row, r in zip(rows, first, strict=True)]
    signs, weights = (1, -1, 1, 1), (1.0, 1.33, 1.0, 1.0)
    return sum(w * (1 - S(0.3 * s * (r - DIVERGENCE))) for w, s, r in zip(weights, signs, ratios, strict=True)) / 4


UP = [1.0, 0.0, 1.0, 1.0]
PAPERS: list[tuple[str, Aligner, list[float], Any]] = [
    ("sft", SFT(), UP, lambda rows, _: -sum(sum(row) for row in rows) / sum(len(row) for row in rows)),
    ("dpo", DPO(beta=0.3), UP, pairs(lambda m, *_: -torch.log(S(0.3 * m)))),
    (
        "conservative",
        DPO(beta=0.3, label_smoothing=0.2),
        UP,
        pairs(lambda m, *_: -0.8 * torch.log(S(0.3 * m)) - 0.2 * torch.log(S(-0.3 * m))),
    ),
    (
        "robust",
        DPO(kind="robust", beta=0.3, label_smoothing=0.1),
        UP,
        pairs(lambda m, *_: (-0.9 * torch.log(S(0.3 * m)) + 0.1 * torch.log(S(-0.3 * m))) / 0.8),
    ),
    ("hinge", DPO(kind="hinge", beta=0.2), UP, pairs(lambda m, *_: torch.relu(1 - 0.2 * m))),
    ("ipo", DPO(kind="ipo", beta=0.4), UP, pairs(lambda m, *_: (m - 1 / 0.8) ** 2, mean=True)),
    ("length-normalised", DPO(beta=5.0, length_normalised=True), UP, pairs(lambda m, *_: -torch.log(S(5 * m)), mean=True)),
    ("with the chosen", DPO(beta=0.3, chosen_weight=0.5), UP, pairs(lambda m, c, _: -torch.log(S(0.3 * m)) - 0.5 * c)),
    ("simpo", SimPO(beta=2.0, gamma=0.7), UP, pairs(lambda _, c, r: -torch.log(S(2 * (c - r) - 0.7)))),
    ("orpo", ORPO(beta=0.3), UP, pairs(lambda _, c, r: -c - 0.3 * torch.log(S(torch.log(odds(c) / odds(r)))))),
    ("kto", KTO(beta=0.3, undesirable_weight=1.33), UP, kto),
    ("rrhf", RRHF(), [0.5, 2.0, -1.0, 0.5], rrhf),
    ("c_rlft", CRLFT(beta=0.5), [0.0, 1.0, 0.5, 0.4], c_rlft),
]


@pytest.mark.parametrize(("aligner", "scores", "formula"), [pytest.param(*row[1:], id=row[0]) for row in PAPERS])
def test_it_is_the_papers_formula(aligner: Aligner, scores: list[float], formula: Any, given: dict[str, torch.Tensor]) -> None:
    held(aligner, scores, formula, given)


ALIGNERS: dict[str, Aligner] = {
    "dpo sigmoid": DPO(beta=0.3),
    "dpo robust": DPO(kind="robust", beta=0.3, label_smoothing=0.1),
    "dpo hinge": DPO(kind="hinge", beta=0.2),
    "dpo ipo": DPO(kind="ipo", beta=0.4),
    "dpo length-normalised": DPO(beta=5.0, length_normalised=True),
    "simpo": SimPO(beta=2.0, gamma=0.7),
    "kto": KTO(beta=0.3, undesirable_weight=1.33),
    "orpo": ORPO(beta=0.3),
}


@pytest.mark.parametrize("name", ALIGNERS)
def test_it_is_what_trl_makes_of_the_same_logits(name: str, given: dict[str, torch.Tensor]) -> None:
    logits = given["logits"].clone().requires_grad_()
    loss = ours(ALIGNERS[name], logits, given, UP)
    if name == "orpo":  # TRL's cross-entropy is of other tokens (`record_trl.py`); the formula above holds ours
        each = [sum(row) / len(row) for row in targets(logits, given)]  # type: ignore[arg-type]
        loss = loss + (each[0] + each[2]) / 2
    loss.backward()
    assert logits.grad is not None
    assert loss.item() == pytest.approx(TRL["cases"][name]["loss"], rel=1e-5)
    assert logits.grad.flatten().tolist() == pytest.approx(TRL["cases"][name]["gradient"], rel=1e-4, abs=1e-6)


def test_rankings_without_scores_are_as_they_come_and_rows_without_targets_are_of_no_pair(given: dict[str, torch.Tensor]) -> None:
    none = [math.nan] * 4
    unequal = float(ours(RRHF(), given["logits"], given, [4.0, 3.0, 2.0, 1.0]))
    assert float(ours(RRHF(), given["logits"], given, none)) == pytest.approx(unequal)
    fewer = {**given, "mask": given["mask"] * torch.tensor([1, 1, 1, 0])[:, None]}
    rows = targets(given["logits"].double(), given)
    p = [float(sum(row)) / len(row) for row in rows[:3]]
    wanted = sum(max(0.0, p[j] - p[i]) for i in range(3) for j in range(i + 1, 3)) - float(sum(rows[0]))
    assert float(ours(RRHF(), given["logits"], fewer, none)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", ALIGNERS)
def test_what_it_measures_is_there(name: str, given: dict[str, torch.Tensor]) -> None:
    aligner = ALIGNERS[name]
    nats = torch.rand(4, 6)
    found = aligner.metrics(nats, inputs(given, UP, 2))
    assert tuple(found) == aligner.measures


def test_rewards_of_dpo(given: dict[str, torch.Tensor]) -> None:
    rows, first = targets(given["logits"].double(), given), given["reference"].tolist()
    ratios = [0.3 * (float(sum(row)) - r) for row, r in zip(rows, first, strict=True)]
    nats = -given["logits"].log_softmax(-1).gather(-1, given["tokens"][:, 1:, None])[..., 0]
    found = {name: float(a / b) for name, (a, b) in DPO(beta=0.3).metrics(nats, inputs(given, UP, 2)).items()}
    assert found["rewards/chosen"] == pytest.approx((ratios[0] + ratios[2]) / 2, rel=1e-5)
    assert found["rewards/margins"] == pytest.approx((ratios[0] - ratios[1] + ratios[2] - ratios[3]) / 2, rel=1e-5)
    assert found["rewards/accuracies"] == ((ratios[0] > ratios[1]) + (ratios[2] > ratios[3])) / 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: DPO(kind="apo"), "kind is apo; it is sigmoid, robust, hinge or ipo"),
        (lambda: DPO(beta=0), "beta is 0; it is above 0"),
        (lambda: DPO(label_smoothing=0.5), "label_smoothing is 0.5; it is from 0 up to below 0.5"),
        (lambda: DPO(kind="hinge", label_smoothing=0.1), "label_smoothing is 0.1; it is of kind=sigmoid or robust"),
        (lambda: DPO(chosen_weight=-1), "chosen_weight is -1"),
        (lambda: KTO(undesirable_weight=0), "undesirable_weight is 0; it is above 0"),
        (lambda: ORPO(beta=0), "beta is 0"),
        (lambda: SimPO(gamma=-1), "gamma is -1; it is 0 or more"),
        (lambda: RRHF(best_weight=-1), "best_weight is -1"),
        (lambda: CRLFT(other="Expert: "), "other is 'Expert: '; it is another text"),
        (lambda: CRLFT(other_reward=2), "other_reward is 2; it is at most better_reward=1.0"),
    ],
)
def test_bad_values_are_told(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
