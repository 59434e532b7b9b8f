"""Logistic regression on bags of n-grams, and how good it is on texts that it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bag = tuple[NDArray[np.int32], Floats]  # buckets, and their shares of the text


def fit(bags: list[Bag], labels: NDArray[np.bool_], bits: int, l2: float) -> tuple[NDArray[np.float32], float]:
    """Weights [2 ** bits] and bias b of p(true | bag) = sigmoid(b + shares @ weights[buckets]).

    They minimise the mean over both classes of each class's mean log loss, + l2 / 2 |weights|²: classes count alike, however many examples
    they have, and the bias is free. That is convex; L-BFGS (Liu & Nocedal 1989) goes to the minimum from 0, on one core, so that the
    same bags give the same bits.
    """
    from scipy.optimize import minimize
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    used, columns = np.unique(np.concatenate([buckets for buckets, _ in bags]), return_inverse=True)
    shares = np.concatenate([share for _, share in bags])
    ends = np.cumsum([0, *(len(buckets) for buckets, _ in bags)])
    matrix = csr_matrix((shares, columns, ends), shape=(len(bags), len(used)))
    transposed = matrix.T.tocsr()
    signs = np.where(labels, 1.0, -1.0)
    counted = np.where(labels, 0.5 / labels.sum(), 0.5 / (~labels).sum())

    def loss(point: Floats) -> tuple[float, Floats]:
        margins = signs * (matrix @ point[:-1] + point[-1])
        slopes = -signs * counted * np.exp(-np.logaddexp(0, margins))
        value = counted @ np.logaddexp(0, -margins) + l2 / 2 * point[:-1] @ point[:-1]
        return float(value), np.append(transposed @ slopes + l2 * point[:-1], slopes.sum())

    with threadpool_limits(1):  # a sum's last bits depend on how many cores share it
        found = minimize(loss, np.zeros(len(used) + 1), jac=True, method="L-BFGS-B", options={"maxiter": 2000, "ftol": 1e-12, "gtol": 1e-7})
    weights = np.zeros(1 << bits, np.float32)
    weights[used] = found.x[:-1]
    return weights, float(found.x[-1])


def sigmoid(score: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -score))


def roc(true: Floats, false: Floats) -> Floats:
    """[points, 2]: the shares of `false` and of `true` that are at least a threshold, for thresholds from above all to below all."""
    thresholds = np.unique(np.concatenate([true, false]))[::-1]
    shares = [1 - np.searchsorted(np.sort(side), thresholds, "left") / len(side) for side in (false, true)]
    return np.concatenate([[[0.0, 0.0]], np.stack(shares, 1)])


def auc(true: Floats, false: Floats) -> float:
    """The area under it: how often one of `true` is above one of `false`, ties counting half (Hanley & McNeil 1982)."""
    curve = roc(true, false)
    return float(np.trapezoid(curve[:, 1], curve[:, 0]))
