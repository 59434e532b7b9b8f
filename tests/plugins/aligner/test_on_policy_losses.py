"""Losses of replies that the model drew are TRL's on the same logits, and the papers' formulas, the slow way in float64."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from modelwright_plugins.aligner._advantages import generalized, grouped, left_out
from modelwright_plugins.aligner.grpo import GRPO
from modelwright_plugins.aligner.on_policy import OnPolicy, Round
from modelwright_plugins.aligner.ppo import PPO
from modelwright_plugins.aligner.raft import RAFT
from modelwright_plugins.aligner.rloo import RLOO

TRL = json.loads(Path(__file__).with_name("trl_on_policy.json").read_text())  # record_trl_on_policy.py makes it
MOST = 8
ALIGNERS: dict[str, OnPolicy] = {
    "grpo": GRPO(samples=2, beta=0.3),
    "grpo, its own weights drew": GRPO(samples=2),
    "dr_grpo": GRPO(samples=2, kind="dr_grpo", epsilon_high=0.28),
    "dapo": GRPO(samples=2, kind="dapo", epsilon_high=0.28, beta=0.1),
    "gspo": GRPO(samples=2, importance="sequence", epsilon_low=0.05, epsilon_high=0.05),
    "gspo of tokens": GRPO(samples=2, importance="sequence", kind="dapo"),
    "rloo": RLOO(samples=2, beta=0),
    "rloo clipped": RLOO(samples=2, beta=0, epsilon_low=0.9, epsilon_high=1.9),
}
REWARDS = [1.5, -0.5, 0.25, 2.0]


@pytest.fixture
def given() -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value) for name, value in TRL["given"].items()}


def nats(logits: torch.Tensor, given: dict[str, torch.Tensor]) -> torch.Tensor:
    return -logits.log_softmax(-1).gather(-1, given["tokens"][:, 1:, None])[..., 0]


def drawn(given: dict[str, torch.Tensor], values: torch.Tensor | None = None, **more: Any) -> Round:
    mask = (given["mask"][:, 1:] > 0).float()
    old, first = given["old"] * mask, given["first"] * mask
    both = {"rewards": torch.tensor(REWARDS), "steps": torch.zeros_like(mask), "finished": torch.ones(4, dtype=torch.bool)}
    return Round(**{"samples": 2, "mask": mask, "most": MOST, "old": old, "first": first, "values": values, **both, **more})


@pytest.mark.parametrize("name", TRL["cases"])
def test_it_is_what_trl_makes_of_the_same_logits(name: str, given: dict[str, torch.Tensor]) -> None:
    aligner, case = ALIGNERS[name], TRL["cases"][name]
    logits = given["logits"].clone().requires_grad_()
    inputs = {"loss_mask": (given["mask"][:, 1:] > 0).float(), "loss_most": torch.full((4,), MOST)}
    inputs |= {"loss_advantages": given["advantages"], "loss_first": given["first"]}
    inputs |= {"loss_old": given["old"]} if case["settings"].get("old", True) else {}
    total, count = aligner.loss(nats(logits, given), inputs)
    assert count.dtype == torch.int
    loss = total / count
    loss.backward()
    assert logits.grad is not None
    assert loss.item() == pytest.approx(case["loss"], rel=1e-5, abs=1e-7)
    assert logits.grad.flatten().tolist() == pytest.approx(case["gradient"], rel=1e-4, abs=1e-6)


def test_advantages_of_groups() -> None:
    """Shao et al., section 4.1.2, and TRL's deviation, that of a sample."""
    for scale in ("group", "batch", "none"):
        found = grouped(torch.tensor(REWARDS), 2, scale)
        for row, reward in enumerate(REWARDS):
            group = REWARDS[row // 2 * 2 : row // 2 * 2 + 2]
            whose = group if scale == "group" else REWARDS
            mean = sum(whose) / len(whose)
            deviation = math.sqrt(sum((r - mean) ** 2 for r in whose) / (len(whose) - 1)) + 1e-4
            assert float(found[row]) == pytest.approx((reward - sum(group) / 2) / (1 if scale == "none" else deviation), rel=1e-5)
    assert left_out(torch.tensor([1.0, 2.0, 6.0]), 3).tolist() == pytest.approx([1 - 4, 2 - 3.5, 6 - 1.5])
    assert grouped(torch.ones(4), 2, "group").tolist() == [0, 0, 0, 0]


def test_the_divergence_is_in_rloos_rewards(given: dict[str, torch.Tensor]) -> None:
    one = drawn(given)
    assert one.old is not None and one.first is not None
    rewards = [r - 0.3 * float((one.old[row] - one.first[row]).sum()) for row, r in enumerate(REWARDS)]
    wanted = [rewards[0] - rewards[1], rewards[1] - rewards[0], rewards[2] - rewards[3], rewards[3] - rewards[2]]
    assert RLOO(samples=2, beta=0.3).prepared(one)["loss_advantages"].tolist() == pytest.approx(wanted, rel=1e-5)


def test_rewards_of_steps_are_part_of_a_replys(given: dict[str, torch.Tensor]) -> None:
    steps = torch.zeros(4, 6)
    steps[1, 3] = 4.0
    found = GRPO(samples=2, scale="none").prepared(drawn(given, steps=steps))["loss_advantages"]
    assert found.tolist() == pytest.approx([-1.0, 1.0, -0.875, 0.875])


def test_generalized_advantages_are_the_double_sum() -> None:
    """Schulman et al. 2016, equation 16: the sum over l of (gamma lambda)^l delta(t + l)."""
    random = torch.Generator().manual_seed(3)
    rewards, values = (torch.randn(3, 7, generator=random, dtype=torch.float64) for _ in range(2))
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 0, 0, 0]], dtype=torch.float64)
    gamma, lam = 0.9, 0.8
    advantages, returns = generalized(rewards, values, mask, gamma=gamma, lam=lam)
    for row in range(3):
        real = [t for t in range(7) if mask[row, t]]
        value = {t: float(values[row, t]) for t in real}
        delta = {t: float(rewards[row, t]) + gamma * value.get(t + 1, 0.0) - value[t] for t in real}
        for t in range(7):
            wanted = sum((gamma * lam) ** (later - t) * delta[later] for later in real if later >= t) if t in real else 0.0
            assert float(advantages[row, t]) == pytest.approx(wanted, abs=1e-12)
            assert float(returns[row, t]) == pytest.approx(wanted + value[t] if t in real else 0.0, abs=1e-12)


@pytest.mark.parametrize("whiten", [False, True])
def test_ppo_is_the_formula(whiten: bool, given: dict[str, torch.Tensor]) -> None:
    """Rewards of tokens, GAE, whitening, and both clipped losses, from the rows' own numbers in float64."""
    aligner = PPO(samples=2, beta=0.2, gamma=0.95, lam=0.9, value_weight=0.5, epsilon=0.15, value_epsilon=0.3, whiten_rewards=whiten)
    random = torch.Generator().manual_seed(5)
    mask = (given["mask"][:, 1:] > 0).float()
    old_values, values = (torch.randn(4, 6, generator=random) for _ in range(2))
    steps = torch.zeros(4, 6)
    steps[0, 2] = 0.7
    one = drawn(given, old_values * mask, coefficient=0.2, steps=steps)
    logits, value = given["logits"].clone().requires_grad_(), values.clone().requires_grad_()
    inputs = {**aligner.prepared(one), "loss_mask": mask, "loss_values": value}
    total, count = aligner.loss(nats(logits, given), inputs)
    loss = total / count
    loss.backward()

    slow, slow_value = given["logits"].double().requires_grad_(), values.double().requires_grad_()
    rows = [[t for t in range(6) if mask[row, t]] for row in range(4)]
    rewards = {}
    for row, places in enumerate(rows):
        for t in places:
            rewards[row, t] = float(steps[row, t]) - 0.2 * (float(given["old"][row, t]) - float(given["first"][row, t]))
        rewards[row, places[-1]] += REWARDS[row]

    def apart(numbers: dict[tuple[int, int], float], shift: bool) -> dict[tuple[int, int], float]:
        mean = sum(numbers.values()) / len(numbers)
        variance = sum((x - mean) ** 2 for x in numbers.values()) / (len(numbers) - 1)
        return {at: (x - mean) / math.sqrt(variance + 1e-8) + (0 if shift else mean) for at, x in numbers.items()}

    rewards = apart(rewards, False) if whiten else rewards
    advantages, returns = {}, {}
    for row, places in enumerate(rows):
        own = {t: float(old_values[row, t]) for t in places}
        delta = {t: rewards[row, t] + 0.95 * own.get(t + 1, 0.0) - own[t] for t in places}
        for t in places:
            advantages[row, t] = sum((0.95 * 0.9) ** (later - t) * delta[later] for later in places if later >= t)
            returns[row, t] = advantages[row, t] + own[t]
    advantages, parts = apart(advantages, True), []
    for row, t in advantages:
        chances = torch.exp(slow[row, t]) / torch.exp(slow[row, t]).sum()
        ratio = chances[given["tokens"][row, t + 1]] / math.exp(given["old"][row, t])
        policy = -torch.minimum(ratio * advantages[row, t], torch.clamp(ratio, 0.85, 1.15) * advantages[row, t])
        before, now = float(old_values[row, t]), slow_value[row, t]
        near = torch.clamp(now, before - 0.3, before + 0.3)
        error = torch.maximum((now - returns[row, t]) ** 2, (near - returns[row, t]) ** 2)
        parts.append(policy + 0.5 * 0.5 * error)
    wanted = sum(parts) / len(parts)
    wanted.backward()
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    for mine, theirs in ((logits, slow), (value, slow_value)):
        assert mine.grad is not None and theirs.grad is not None and float(theirs.grad.abs().max()) > 1e-3
        assert float((mine.grad - theirs.grad).abs().max()) < 1e-5 * max(1.0, float(theirs.grad.abs().max()))


def test_beta_follows_the_divergence(given: dict[str, torch.Tensor]) -> None:
    """Ziegler et al., section 2.2: by at most a fifth over `horizon` replies; it rises where the divergence is above its target."""
    one = drawn(given, coefficient=0.5)
    assert one.old is not None and one.first is not None
    reached = float((one.old - one.first).sum(-1).mean())
    for target in (abs(reached) * 0.95, 50.0):
        error = min(max(reached / target - 1, -0.2), 0.2)
        assert PPO(beta=0.5, target=target, horizon=8).follows(one) == pytest.approx(0.5 * (1 + error * 4 / 8))
    assert PPO(beta=0.5, target=50.0, horizon=8).follows(one) == pytest.approx(0.5 * 0.9)
    assert PPO(beta=0.5).follows(one) == 0.5


def test_what_is_told_of_the_divergence_is_what_each_weighs(given: dict[str, torch.Tensor]) -> None:
    """PPO and RLOO weigh nats a reply as it was drawn, which PPO's target is of too; GRPO nats a token as the weights are now."""
    one = drawn(given)
    assert one.old is not None and one.first is not None
    each = [sum(float(one.old[row, t] - one.first[row, t]) for t in range(6) if one.mask[row, t]) for row in range(4)]
    values, output = torch.zeros(4, 6), nats(given["logits"], given)
    for aligner in (PPO(samples=2, beta=0.5), RLOO(samples=2, beta=0.5), GRPO(samples=2, beta=0.5)):
        inputs = {**aligner.prepared(drawn(given, values)), "loss_mask": one.mask, "loss_values": values}
        told = aligner.metrics(output, inputs)
        assert tuple(told) == aligner.measures
        total, count = told["kl"]
        token = [float(one.first[row, t] + output[row, t]) for row in range(4) for t in range(6) if one.mask[row, t]]
        assert float(total / count) == pytest.approx(sum(math.exp(x) - x - 1 for x in token) / len(token), rel=1e-5)
        if not isinstance(aligner, GRPO):
            total, count = told["kl_reply"]
            assert float(total / count) == pytest.approx(sum(each) / 4, rel=1e-5)
    assert sum(each) > 0 and PPO(beta=0.5, target=sum(each) / 4).follows(drawn(given, coefficient=0.5)) == pytest.approx(0.5)  # it is there


def test_the_entropy_is_that_of_the_weights_now_whichever_drew_the_tokens() -> None:
    """Of each of seven tokens once, which weights drew that find all alike."""
    likely = torch.randn(7, generator=torch.Generator().manual_seed(2)).log_softmax(-1)
    inputs = {"loss_mask": torch.ones(7, 1), "loss_old": torch.full((7, 1), -math.log(7)), "loss_advantages": torch.ones(7)}
    total, count = GRPO().metrics(-likely[:, None], {**inputs, "loss_rows": torch.ones(7)})["entropy"]
    assert float(total / count) == pytest.approx(-float((likely.exp() * likely).sum()), rel=1e-5)
    assert RAFT().measures == ("reward/kept",)  # what it learns is the best of many, and drawn as its generator likes


def test_raft_keeps_the_best_and_learns_it(given: dict[str, torch.Tensor]) -> None:
    aligner = RAFT(samples=2)
    assert aligner.kept(drawn(given)).tolist() == [0, 3]
    assert aligner.kept(drawn(given, rewards=torch.ones(4))).tolist() == [0, 2]  # of equals the first
    mask, logits = (given["mask"][:, 1:] > 0).float(), given["logits"].clone().requires_grad_()
    best = torch.tensor([0, 3])
    total, count = aligner.loss(nats(logits, given)[best], {"loss_mask": mask[best]})
    slow = given["logits"].double().requires_grad_()
    chosen = [(row, t) for row in (0, 3) for t in range(6) if mask[row, t]]
    wanted = -sum((slow[row, t].exp() / slow[row, t].exp().sum())[given["tokens"][row, t + 1]].log() for row, t in chosen) / len(chosen)
    (total / count).backward()
    wanted.backward()
    assert (total / count).item() == pytest.approx(wanted.item(), rel=1e-5)
    assert logits.grad is not None and slow.grad is not None
    assert float((logits.grad - slow.grad).abs().max()) < 1e-6


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: GRPO(samples=1), "samples is 1; it is 2 or more"),
        (lambda: GRPO(kind="bnpo"), "kind is bnpo; it is grpo, dr_grpo or dapo"),
        (lambda: GRPO(epsilon_low=0), "epsilon_low is 0; it is above 0 and at most 1"),
        (lambda: RLOO(beta=-1), "beta is -1; it is 0 or more"),
        (lambda: RAFT(epochs=0), "epochs is 0; it is 1 or more"),
        (lambda: PPO(lam=1.1), "lam is 1.1; it is from 0 to 1"),
        (lambda: PPO(beta=0, target=6), "target is 6; it is above 0 and adapts a beta above 0, or null"),
    ],
)
def test_bad_values_are_told(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
