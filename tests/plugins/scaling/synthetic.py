"""Runs that follow a law exactly, or with noise."""

from __future__ import annotations

import numpy as np

from modelwright_plugins.scaling.observations import Observations

HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}  # Hoffmann et al. 2022, equation 10
KAPLAN = {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}  # Kaplan et al. 2020, table 2


def chinchilla(N, D, E, A, B, alpha, beta):
    return E + A / N**alpha + B / D**beta


def kaplan(N, D, N_c, D_c, alpha_N, alpha_D):
    return ((N_c / N) ** (alpha_N / alpha_D) + D_c / D) ** alpha_D


FORMULAS = {"chinchilla": (chinchilla, HOFFMANN), "kaplan": (kaplan, KAPLAN)}


def runs(law: str, *, noise: float = 0.0, seed: int = 0, sizes: int = 7, lengths: int = 7, **coefficients: float) -> Observations:
    """A ladder of 10 M to 10 B parameters on 200 M to 200 B tokens; `noise` is the standard deviation of log loss."""
    formula, published = FORMULAS[law]
    grid = np.meshgrid(np.geomspace(1e7, 1e10, sizes), np.geomspace(2e8, 2e11, lengths))
    N, D = (axis.ravel() for axis in grid)
    loss = formula(N, D, **{**published, **coefficients}) * np.exp(np.random.default_rng(seed).normal(0, noise, len(N)))
    return Observations("synthetic", N, D, loss, [f"run {i}" for i in range(len(N))])
