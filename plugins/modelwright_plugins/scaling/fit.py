"""Fitting a law: Huber loss on log loss, L-BFGS from a grid of starts, bootstrap for intervals."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelwright.errors import ModelwrightError
from modelwright_plugins.progress import progress
from modelwright_plugins.scaling.laws import Array, Law, loss
from modelwright_plugins.scaling.observations import Observations

DELTA = 1e-3  # Huber's, on log loss (Hoffmann et al. 2022, appendix D.4): residuals beyond 0.1 % count by their size, not its square
FINALISTS = 64  # starts that are searched to the end: those that are best before any search
EXACTLY, ROUGHLY = 1e-12, 1e-9  # relative change of the Huber loss at which a search ends: for the fit, for a sample


@dataclass(frozen=True)
class Fit:
    """A law with coefficients, and what their uncertainty is told from."""

    law: Law
    observations: Observations
    theta: Array  # [k]
    samples: Array  # [bootstrap samples, k]
    seed: int

    @property
    def residuals(self) -> Array:
        """Of log loss: measured minus fitted, [observations]."""
        o = self.observations
        return np.asarray(np.log(o.loss) - self.law.log_loss(self.theta, np.log(o.parameters), np.log(o.tokens)))

    def predicted(self, parameters: float, tokens: float) -> tuple[float, float, float]:
        """The loss of a run, and the 95 % interval for what it will measure.

        The interval has both uncertainties: of the coefficients, a bootstrap sample each, and of a single run about the law,
        a residual drawn for each sample (widened by sqrt(n / (n - k)), as a fit makes its own residuals too small).
        """
        residuals, k = self.residuals, len(self.theta)
        drawn = np.random.default_rng(self.seed).choice(residuals, len(self.samples)) * np.sqrt(len(residuals) / max(1, len(residuals) - k))
        low, high = interval(loss(self.law, self.samples, parameters, tokens) * np.exp(drawn))
        return float(loss(self.law, self.theta, parameters, tokens)), low, high


def interval(samples: Array) -> tuple[float, float]:
    """From the 2.5th to the 97.5th percentile; (nan, nan) without samples.

    A sample that is not a number is of something positive that is not known: it counts as 0 for the low end, as infinite for the high one.
    """
    if not len(samples):
        return float("nan"), float("nan")
    ends = zip((0.025, 0.975), (0.0, np.inf), strict=True)
    low, high = (
        float(np.quantile(np.where(np.isnan(samples), unknown, samples), part, method="closest_observation"))  # infinities have no mean
        for part, unknown in ends
    )
    return low, high


def fit(law: Law, observations: Observations, *, bootstrap: int = 500, seed: int = 1234) -> Fit:
    """The law's coefficients with the least Huber loss, and those of `bootstrap` samples drawn with replacement.

    Deterministic by `seed`. Raises ModelwrightError when there are too few observations to tell the coefficients.
    """
    _enough(law, observations)
    n, d, y = (np.log(values) for values in (observations.parameters, observations.tokens, observations.loss))
    at_n, at_d = float(n.mean()), float(d.mean())  # about their means, sizes and powers are nearly independent: searches are short
    centred = n - at_n, d - at_d, y
    starts = law.moved(law.starts(), -at_n, -at_d)
    at_start = np.nan_to_num(_huber(y - law.log_loss(starts[:, None, :], *centred[:2])).sum(axis=1), nan=np.inf)
    order = np.argsort(at_start, kind="stable")
    with _one_thread():
        best, found = _searched(law, starts[order[:FINALISTS]], *centred, bootstrap=bootstrap, seed=seed)
    return Fit(law, observations, law.moved(best, at_n, at_d), law.moved(found, at_n, at_d), seed)


def _searched(law: Law, starts: Array, n: Array, d: Array, y: Array, *, bootstrap: int, seed: int) -> tuple[Array, Array]:
    """The best theta from any start [k], and one a bootstrap sample [bootstrap, k]."""
    ends, samples = [], []
    with progress("fitting", len(starts), "start") as bar:
        for start in starts:
            ends.append((*_search(law, start, n, d, y, np.ones(len(y))), start))
            bar.update(1)
    _, best, start = min(ends, key=lambda end: end[0])
    begin = [best]
    # Where a coefficient makes no difference any more (an E of 0), no sample would ever find another: search from its start too.
    lost = np.abs(law.gradient(best, n, d)).max(axis=0) < 1e-3
    if lost.any():
        begin.append(np.where(lost, start, best))
    rng = np.random.default_rng(seed)
    with progress("bootstrap", bootstrap, "sample") as bar:
        for _ in range(bootstrap):
            counts = _drawn(rng, len(y), least=len(law.names))
            samples.append(min((_search(law, start, n, d, y, counts, ROUGHLY) for start in begin), key=lambda end: end[0])[1])
            bar.update(1)
    return best, np.array(samples).reshape(-1, len(law.names))


def _one_thread() -> AbstractContextManager[Any]:
    """L-BFGS hands matrices of ten rows to OpenBLAS, whose threads wait for each other: on busy cores that took 15 times the CPU time."""
    import scipy.linalg  # noqa: F401  what is loaded later is not limited
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(limits=1, user_api="blas")
    return limits


def _search(law: Law, start: Array, n: Array, d: Array, y: Array, counts: Array, exact: float = EXACTLY) -> tuple[float, Array]:
    """(Huber loss, theta) where L-BFGS ends; each observation counts as often as `counts` says."""
    from scipy.optimize import minimize

    def objective(theta: Array) -> tuple[float, Array]:
        error = y - law.log_loss(theta, n, d)
        # In units of DELTA: the tolerances of L-BFGS are absolute, and it would end too early (Besiroglu et al. 2024, section 3)
        slope = -counts * np.clip(error / DELTA, -1, 1)
        return float((counts * _huber(error)).sum() / DELTA), (slope[:, None] * law.gradient(theta, n, d)).sum(axis=0)

    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        found = minimize(
            objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "maxfun": 4000, "ftol": exact, "gtol": 1e-8}
        )
    return (float(found.fun) * DELTA if np.isfinite(found.fun) else float("inf")), np.asarray(found.x)


def _huber(error: Array) -> Array:
    size = np.abs(error)
    return np.asarray(np.where(size <= DELTA, size**2 / 2, DELTA * (size - DELTA / 2)))


def _drawn(rng: np.random.Generator, size: int, least: int) -> Array:
    """How often each of `size` observations is drawn, in `size` draws that have at least `least` different ones."""
    while True:
        counts = np.bincount(rng.integers(size, size=size), minlength=size)
        if np.count_nonzero(counts) >= least:
            return counts.astype(np.float64)


def _enough(law: Law, o: Observations) -> None:
    k = len(law.names)
    if len(o.loss) <= k:
        raise ModelwrightError(
            f"{o.name}: {law.name} has {k} coefficients and needs at least {k + 1} observations; there are {len(o.loss)}"
        )
    for what, values in (("model sizes", o.parameters), ("token counts", o.tokens)):
        if len(set(values)) < law.distinct:
            raise ModelwrightError(f"{o.name}: {law.name} needs at least {law.distinct} different {what}; there are {len(set(values))}")
