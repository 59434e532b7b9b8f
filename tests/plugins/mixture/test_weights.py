"""Weights of mixtures: the papers' formulas, cases by hand, and what is wrong with settings."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from modelwright.compose import composed
from modelwright.errors import ModelwrightError
from modelwright_plugins.mixture import Domain, Material, Phase
from modelwright_plugins.mixture.phases import Phases
from modelwright_plugins.mixture.weights import Fixed, Proportional, Temperature, UniMax

HERE = Path("nowhere")


def material(tokens: int = 600, work: Path = HERE, **sizes: int) -> Material:
    domains = {name: Domain(HERE / name, 1, size, size) for name, size in (sizes or {"a": 10, "b": 100, "c": 1000}).items()}
    return Material(domains, tokens, HERE, HERE, 1, work)


def test_proportional_reads_all_equally_often() -> None:
    assert Proportional().weigh(material()) == pytest.approx({"a": 10 / 1110, "b": 100 / 1110, "c": 1000 / 1110})


def test_fixed_weights_are_normalised_and_may_be_0() -> None:
    assert Fixed(weights={"b": 3, "a": 0, "c": 1}).weigh(material()) == pytest.approx({"a": 0, "b": 0.75, "c": 0.25})


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"code": 1, "webb": 3}, "mixture.weights.webb: there is no domain of that name; did you mean 'web'?"),
        ({"web": 1}, "mixture.weights has no weight for domain 'code'; there are: web; 0 leaves it out"),
    ],
)
def test_fixed_weights_are_for_the_domains_that_there_are(weights: dict[str, float], said: str) -> None:
    with pytest.raises(ModelwrightError, match=re.escape(said)):
        Fixed(weights=weights).weigh(material(web=5, code=5))


@pytest.mark.parametrize("exponent", [0.3, 0.7, 1.0, 0.01])
def test_temperature_is_the_formula(exponent: float) -> None:
    """mT5: p(L) ~ |L|^alpha; Arivazhagan et al.: p_l ~ (D_l / sum of D)^(1/T). Computed as it stands, with exact integers."""
    sizes = {"en": 2_733_000_000_000, "de": 347_000_000_000, "yo": 50_000_000}
    total = sum(sizes.values())
    expected = np.array([(size / total) ** exponent for size in sizes.values()])
    found = Temperature(temperature=1 / exponent).weigh(material(**sizes))
    assert [*found.values()] == pytest.approx((expected / expected.sum()).tolist(), rel=1e-9)


def test_temperature_s_presets_and_limits() -> None:
    for preset, exponent in (("temperature_mt5", 0.3), ("temperature_mbert", 0.7)):
        assert composed(["recipe=pretrain/quickstart", f"mixture={preset}"])["mixture"]["temperature"] == pytest.approx(1 / exponent)
    assert Temperature(temperature=1).weigh(material()) == pytest.approx(Proportional().weigh(material()))
    assert [*Temperature(temperature=1e9).weigh(material()).values()] == pytest.approx([1 / 3] * 3)


def test_unimax_by_hand() -> None:
    """600 tokens, at most twice each: 10 gets 20 of its share of 200; 100 gets 200 of 290; 1,000 has what is left, 380."""
    assert UniMax(max_epochs=2).weigh(material(600)) == pytest.approx({"a": 20 / 600, "b": 200 / 600, "c": 380 / 600})
    assert UniMax(max_epochs=1).weigh(material(24)) == pytest.approx({"a": 8 / 24, "b": 8 / 24, "c": 8 / 24})  # uniform: none is capped
    assert UniMax(max_epochs=1).weigh(material(5000)) == pytest.approx(Proportional().weigh(material()))  # all are


def test_unimax_fills_up_to_one_level() -> None:
    """What the algorithm comes to: all domains get the same, but for those that have less; the level is found by bisection here."""
    random = np.random.default_rng(0)
    for _ in range(200):
        sizes = {str(n): int(size) for n, size in enumerate(np.exp(random.uniform(0, 14, random.integers(1, 12))))}
        sizes = {name: max(1, size) for name, size in sizes.items()}
        epochs, budget = float(random.uniform(0.5, 5)), int(random.integers(1, 10_000_000))
        most = np.array([*sizes.values()]) * epochs
        low, high = 0.0, float(max(most.max(), budget))
        for _ in range(200):
            level = (low + high) / 2
            low, high = (level, high) if np.minimum(level, most).sum() < budget else (low, level)
        expected = np.minimum(high, most)
        found = UniMax(max_epochs=epochs).weigh(material(budget, **sizes))
        assert [*found.values()] == pytest.approx((expected / expected.sum()).tolist(), rel=1e-6)


def test_phases_have_mixtures_of_their_own(tmp_path: Path) -> None:
    phases = {"general": {"share": 3, "name": "unimax", "max_epochs": 2}, "fixed": {"share": 1, "weights": {"a": 1, "b": 1, "c": 2}}}
    mixture = Phases(phases=phases)
    found = mixture.plan(material(800, tmp_path))  # 600 tokens are the first phase's
    assert [(phase.name, phase.share) for phase in found] == [("general", 0.75), ("fixed", 0.25)]
    assert found[0].weights == pytest.approx({"a": 20 / 600, "b": 200 / 600, "c": 380 / 600})
    assert found[1] == Phase("fixed", 0.25, {"a": 0.25, "b": 0.25, "c": 0.5})
    assert not mixture.trains and not mixture.problems()
    (tmp_path / "again").mkdir()
    assert mixture.weigh(material(800, tmp_path / "again"))["c"] == pytest.approx(0.75 * 380 / 600 + 0.25 * 0.5)
    assert Phases(phases=mixture.phases) == mixture  # what a frozen config says


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ({}, "phases is empty"),
        ({"a": {"name": "proportional"}}, "phases.a.share is None"),
        ({"a": {"share": 0, "name": "proportional"}}, "phases.a.share is 0"),
        ({"a": {"share": True, "name": "proportional"}}, "phases.a.share is True"),
        ({"a": {"share": 1, "name": "proportionate"}}, "phases.a: .*did you mean 'proportional'"),
        ({"a": {"share": 1, "name": "unimax", "epochs": 2}}, "a.epochs.*did you mean 'max_epochs'"),
        ({"a": {"share": 1, "name": "phases", "phases": {}}}, "phases.a: Phases is no part of Phases"),
    ],
)
def test_phases_that_are_none(phases: dict[str, dict[str, object]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Phases(phases=phases)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Fixed(weights={"a": -1}), "weights.a is -1"),
        (lambda: Fixed(weights={"a": float("nan")}), "weights.a is nan"),
        (lambda: Fixed(weights={"a": 0}), "weights is {'a': 0}"),
        (lambda: Temperature(temperature=0), "temperature is 0"),
        (lambda: UniMax(max_epochs=0), "max_epochs is 0"),
    ],
)
def test_bad_settings(make: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()  # type: ignore[operator]
