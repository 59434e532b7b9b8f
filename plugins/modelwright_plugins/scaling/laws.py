"""The forms of the loss L(N, D) in nats a token, of a model with N parameters trained on D tokens.

A law is a function of a vector `theta` that an optimizer can move freely; `coefficients` are what a paper prints. All take
`theta` of shape [..., k] (a fit, or one a bootstrap sample) and arrays of log N and log D that broadcast with [...].
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Law(ABC):
    """A form of the loss, and where the search for its coefficients begins."""

    name: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    names: ClassVar[tuple[str, ...]]  # of the coefficients
    distinct: ClassVar[int]  # model sizes, and token counts, without which the coefficients have no single value
    embeddings: ClassVar[bool]  # whether N counts them
    caution: ClassVar[str] = ""  # what its optimum is not, for who knows the paper

    @abstractmethod
    def log_loss(self, theta: Array, n: Array, d: Array) -> Array:
        """log L at log N = n and log D = d."""

    @abstractmethod
    def gradient(self, theta: Array, n: Array, d: Array) -> Array:
        """Derivatives of log L by one theta [k], at each point: [points, k]."""

    @abstractmethod
    def coefficients(self, theta: Array) -> dict[str, Array]:
        """Name -> value [...], as in the paper."""

    @abstractmethod
    def theta(self, **coefficients: float) -> Array:
        """The inverse of `coefficients`."""

    @abstractmethod
    def moved(self, theta: Array, n: float, d: float) -> Array:
        """The theta that says of (log N, log D) what this one says of (log N - n, log D - d)."""

    @abstractmethod
    def starts(self) -> Array:
        """Where searches start: [starts, k]."""

    @abstractmethod
    def log_optimum(self, theta: Array, flops: Array) -> Array:
        """log N of the least loss under 6 N D = `flops`; not a number where there is none."""


class Chinchilla(Law):
    """theta is (log A, log B, log E, alpha, beta): appendix D.4 of the paper, which also has the grid of starts."""

    name = "chinchilla"
    formula = "L(N, D) = E + A / N^alpha + B / D^beta"
    source = "Hoffmann et al. 2022, arXiv:2203.15556, equation 10"
    names = ("E", "A", "B", "alpha", "beta")
    distinct = 3
    embeddings = True

    def log_loss(self, theta: Array, n: Array, d: Array) -> Array:
        a, b, e, alpha, beta = np.moveaxis(theta, -1, 0)
        return np.asarray(np.logaddexp(np.logaddexp(a - alpha * n, b - beta * d), e))

    def gradient(self, theta: Array, n: Array, d: Array) -> Array:
        a, b, e, alpha, beta = theta
        total = self.log_loss(theta, n, d)
        size, data, rest = (np.exp(np.minimum(term - total, 0)) for term in (a - alpha * n, b - beta * d, e))
        return np.stack([size, data, rest, -size * n, -data * d], axis=-1)

    def coefficients(self, theta: Array) -> dict[str, Array]:
        a, b, e, alpha, beta = np.moveaxis(theta, -1, 0)
        with np.errstate(over="ignore"):  # of a bootstrap sample that tells nothing of it: infinite
            return {"E": np.exp(e), "A": np.exp(a), "B": np.exp(b), "alpha": alpha, "beta": beta}

    def theta(self, **coefficients: float) -> Array:
        c = coefficients
        return np.array([np.log(c["A"]), np.log(c["B"]), np.log(c["E"]), c["alpha"], c["beta"]])

    def moved(self, theta: Array, n: float, d: float) -> Array:
        zero = np.zeros_like(theta[..., 0])
        return np.asarray(theta + np.stack([theta[..., 3] * n, theta[..., 4] * d, zero, zero, zero], axis=-1))

    def starts(self) -> Array:
        logs, powers = range(0, 30, 5), np.arange(0, 2.5, 0.5)
        return np.array(list(itertools.product(logs, logs, np.arange(-1, 1.5, 0.5), powers, powers)))

    def log_optimum(self, theta: Array, flops: Array) -> Array:
        """Equation 4: N = G (C/6)^(beta / (alpha + beta)), G = (alpha A / (beta B))^(1 / (alpha + beta))."""
        a, b, _, alpha, beta = np.moveaxis(theta, -1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (np.log(alpha) + a - np.log(beta) - b + beta * np.log(flops / 6)) / (alpha + beta)
        return np.where((alpha > 0) & (beta > 0), found, np.nan)


class Kaplan(Law):
    """theta is (u, v, log alpha_N, log alpha_D): with endless data log L is u - alpha_N log N, with an endless model v - alpha_D log D."""

    name = "kaplan"
    formula = "L(N, D) = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D"
    source = "Kaplan et al. 2020, arXiv:2001.08361, equation 1.5"
    names = ("N_c", "D_c", "alpha_N", "alpha_D")
    distinct = 2
    embeddings = False  # section 2.1
    caution = (
        "This is the optimum of equation 1.5, by which the best size grows as C^(1 / (1 + alpha_N / alpha_D)), C^0.56 with the exponents "
        "of the paper's equations 1.1 and 1.2; "
        "the C^0.73 that Kaplan et al. published is another: it comes from their L(N, S_min), equation 1.6."
    )

    def log_loss(self, theta: Array, n: Array, d: Array) -> Array:
        u, v, alpha_n, alpha_d = np.moveaxis(theta, -1, 0)
        power_n, power_d = np.exp(alpha_n), np.exp(alpha_d)
        return np.asarray(power_d * np.logaddexp((u - power_n * n) / power_d, v / power_d - d))

    def gradient(self, theta: Array, n: Array, d: Array) -> Array:
        u, v, alpha_n, alpha_d = theta
        power_n, power_d = np.exp(alpha_n), np.exp(alpha_d)
        size, data = (u - power_n * n) / power_d, v / power_d - d
        total = np.logaddexp(size, data)
        by_size, by_data = np.exp(size - total), np.exp(data - total)
        return np.stack([by_size, by_data, -by_size * n * power_n, power_d * (total - by_size * size) - by_data * v], axis=-1)

    def coefficients(self, theta: Array) -> dict[str, Array]:
        u, v, alpha_n, alpha_d = np.moveaxis(theta, -1, 0)
        with np.errstate(over="ignore"):
            power_n, power_d = np.exp(alpha_n), np.exp(alpha_d)
            return {"N_c": np.exp(u / power_n), "D_c": np.exp(v / power_d), "alpha_N": power_n, "alpha_D": power_d}

    def theta(self, **coefficients: float) -> Array:
        c = coefficients
        u, v = c["alpha_N"] * np.log(c["N_c"]), c["alpha_D"] * np.log(c["D_c"])
        return np.array([u, v, np.log(c["alpha_N"]), np.log(c["alpha_D"])])

    def moved(self, theta: Array, n: float, d: float) -> Array:
        zero = np.zeros_like(theta[..., 0])
        return np.asarray(theta + np.stack([np.exp(theta[..., 2]) * n, np.exp(theta[..., 3]) * d, zero, zero], axis=-1))

    def starts(self) -> Array:
        powers, scales = (0.03, 0.06, 0.12, 0.25, 0.5), (1e3, 1e6, 1e9, 1e12, 1e15)
        every = itertools.product(scales, scales, powers, powers)
        return np.array([self.theta(N_c=n, D_c=d, alpha_N=x, alpha_D=y) for n, d, x, y in every])

    def log_optimum(self, theta: Array, flops: Array) -> Array:
        """Where the derivative of (N_c/N)^r + 6 N D_c / C is zero, r = alpha_N / alpha_D: N^(r+1) = r N_c^r C / (6 D_c)."""
        u, v, alpha_n, alpha_d = np.moveaxis(theta, -1, 0)
        power_d, ratio = np.exp(alpha_d), np.exp(alpha_n - alpha_d)
        return np.asarray((np.log(ratio) + u / power_d + np.log(flops / 6) - v / power_d) / (ratio + 1))


LAWS: dict[str, Law] = {law.name: law for law in (Chinchilla(), Kaplan())}


def loss(law: Law, theta: Array, parameters: Any, tokens: Any) -> Array:
    """L at N parameters and D tokens, in nats a token."""
    return np.asarray(np.exp(law.log_loss(theta, np.log(parameters), np.log(tokens))))
