from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from synthetic import FORMULAS, HOFFMANN

from modelwright_plugins.scaling.laws import LAWS, loss


@pytest.fixture(params=LAWS)
def law(request):
    return LAWS[request.param]


def test_the_loss_is_the_papers_formula(law):
    formula, published = FORMULAS[law.name]
    for N, D in ((1e6, 1e8), (70e9, 1.4e12), (3e12, 1e7)):
        assert loss(law, law.theta(**published), N, D) == pytest.approx(formula(N, D, **published), rel=1e-12)


def test_coefficients_are_the_inverse_of_theta_and_in_the_papers_order(law):
    _, published = FORMULAS[law.name]
    found = law.coefficients(law.theta(**published))
    assert tuple(found) == law.names == tuple(published)
    assert {k: float(v) for k, v in found.items()} == pytest.approx(published, rel=1e-12)


def test_chinchillas_70_billion_parameters_and_1_4_trillion_tokens():
    # 1.69 + 406.4 / (7e10)^0.34 + 410.7 / (1.4e12)^0.28, by hand: 1.69 + 0.0834 + 0.1633
    law = LAWS["chinchilla"]
    assert loss(law, law.theta(**HOFFMANN), 70e9, 1.4e12) == pytest.approx(1.9367, abs=2e-4)


def test_the_gradient_is_that_of_finite_differences(law):
    theta = law.theta(**FORMULAS[law.name][1])
    n, d = np.log([1e6, 1e9, 3e10]), np.log([1e11, 1e9, 1e10])
    found = law.gradient(theta, n, d)
    for i in range(len(theta)):
        step = np.zeros_like(theta)
        step[i] = 1e-5
        slow = (law.log_loss(theta + step, n, d) - law.log_loss(theta - step, n, d)) / 2e-5
        np.testing.assert_allclose(found[:, i], slow, rtol=1e-6, atol=1e-9)


def test_a_moved_theta_says_the_same_elsewhere(law):
    theta, n, d = law.theta(**FORMULAS[law.name][1]), np.log([1e6, 1e9]), np.log([1e8, 1e10])
    moved = law.moved(np.stack([theta, theta * 1.1]), 5.0, -3.0)
    np.testing.assert_allclose(law.log_loss(moved[0], n + 5, d - 3), law.log_loss(theta, n, d), rtol=1e-12)
    np.testing.assert_allclose(law.log_loss(moved[1], n + 5, d - 3), law.log_loss(theta * 1.1, n, d), rtol=1e-12)


@pytest.mark.parametrize("flops", [1e17, 1e21, 5.76e23])
def test_the_optimum_is_what_brute_force_finds(law, flops):
    formula, published = FORMULAS[law.name]
    sizes = np.geomspace(1e3, flops / 6e3, 2_000_001)
    best = sizes[np.argmin(formula(sizes, flops / 6 / sizes, **published))]
    assert np.exp(law.log_optimum(law.theta(**published), np.array(flops))) == pytest.approx(best, rel=1e-3)


def test_a_law_by_which_data_does_harm_has_no_optimum():
    law = LAWS["chinchilla"]
    assert np.isnan(law.log_optimum(law.theta(**HOFFMANN | {"beta": -0.1}), np.array(1e20)))


def test_kaplans_optimum_grows_as_its_caution_says():
    """alpha_N = 0.076, alpha_D = 0.095: Kaplan et al. 2020, equations 1.1 and 1.2."""
    law, flops, best = LAWS["kaplan"], (1e20, 1e21), []
    for c in flops:  # by brute force on the formula
        sizes = np.geomspace(1e6, 1e14, 400_001)
        best.append(sizes[np.argmin(FORMULAS["kaplan"][0](sizes, c / 6 / sizes, 8.8e13, 5.4e13, 0.076, 0.095))])
    assert f"C^{np.log10(best[1] / best[0]):.2f} " in law.caution and "C^0.73" in law.caution


def test_there_are_hoffmanns_4500_starts():
    starts = LAWS["chinchilla"].starts()
    assert starts.shape == (6 * 6 * 5 * 5 * 5, 5)  # appendix D.4
    assert [sorted(set(column)) for column in starts.T] == [
        [0, 5, 10, 15, 20, 25], [0, 5, 10, 15, 20, 25], [-1, -0.5, 0, 0.5, 1], [0, 0.5, 1, 1.5, 2], [0, 0.5, 1, 1.5, 2],
    ]  # fmt: skip
