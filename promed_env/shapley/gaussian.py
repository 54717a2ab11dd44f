"""Shapley values from few evaluations: a Gaussian process over coalitions, asked for the Shapley values of its mean.

The characteristic function is taken for a draw from a Gaussian process with covariance `variance * rho**d`, where d is
the number of players by which two coalitions differ: the closer rho is to 1, the less players interact. What has been
evaluated is interpolated, so the values add up to v(N) - v(empty). Shapley values are linear in v, and those of
a covariance depend on the coalition's size alone; so the posterior of the values, mean and deviation, has a closed form
for any number of players, and so has the choice of the coalitions that tell most about them, before any is evaluated.

Gaussian processes over sets and the Shapley value as a linear functional: Chau, Muandet & Sejdinovic (2023),
https://arxiv.org/abs/2305.15167 (for another game); the covariance is the one of Kondor & Lafferty (2002) on the
hypercube. rho is the one of a grid under which the values seen are most likely.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

__all__ = ["gaussian_design", "gaussian_process"]

_GRID = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
_PLANNED = 0.6  # rho that coalitions are chosen by, before anything is known
_POOL = 1024  # coalitions that are chosen among
_JITTER = 1e-9


def gaussian_process(
    coalitions: NDArray[np.bool_], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shapley values and their standard errors, given the characteristic function at some coalitions.

    Args:
        coalitions: Distinct coalitions, (m, n), the empty and the full one among them.
        values: v of each, (m,).

    Returns:
        Posterior means and standard deviations, (n,) each.
    """
    m, n = coalitions.shape
    differ = _differences(coalitions, coalitions)
    most = -np.inf
    for rho in _GRID:
        lower = np.linalg.cholesky(rho**differ + _JITTER * np.eye(m))
        level, ones = np.linalg.solve(lower, np.stack([values, np.ones(m)], axis=1)).T
        mean = (level @ ones) / (ones @ ones)
        rest = level - mean * ones
        variance = max(float(rest @ rest) / (m - 1), 1e-300)
        likely = -((m - 1) * np.log(variance) + 2 * np.log(np.diag(lower)).sum() + np.log(ones @ ones)) / 2
        if likely > most:
            most, chosen = likely, (rho, mean, variance, lower)
    rho, mean, variance, lower = chosen
    reach = np.linalg.solve(lower, _shapley_of_covariance(coalitions, rho))
    phi = reach.T @ np.linalg.solve(lower, values - mean)
    total = values[coalitions.all(axis=1)] - values[~coalitions.any(axis=1)]
    phi += (total - phi.sum()) / n  # what the jitter took
    left = _prior_variance(n, rho) - (reach**2).sum(axis=0)
    return phi, np.sqrt(variance * np.maximum(left, 0.0))


@lru_cache(maxsize=64)
def gaussian_design(n: int, most: int) -> NDArray[np.bool_]:
    """Coalitions in the order in which they tell most about the Shapley values: (at most `most`, n), read-only.

    The first two are the empty and the full one. Each further one takes away most of the variance that the values are
    left with, summed over players, of all coalitions or, where these are too many, of a fixed sample of them.
    """
    pool = _pool(n)
    target = _shapley_of_covariance(pool, _PLANNED)  # covariance of v(pool) and the values, given the chosen ones
    left = np.ones(len(pool))  # variance of v(pool), given the chosen ones
    known = np.zeros((min(most, len(pool)), len(pool)))
    chosen: list[int] = []
    while len(chosen) < min(most, len(pool)):
        if len(chosen) < 2:
            place = len(chosen)
        else:
            gain = (target**2).sum(axis=1) / np.maximum(left, _JITTER)
            gain[chosen] = -1.0
            place = int(gain.argmax())
        step = len(chosen)
        covariance = _PLANNED ** _differences(pool[place][None], pool)[0]
        row = covariance - known[:step, place] @ known[:step]
        row /= np.sqrt(max(left[place], _JITTER))
        target = target - row[:, None] * (target[place] / np.sqrt(max(left[place], _JITTER)))
        left = left - row**2
        known[step] = row
        chosen.append(place)
    design = pool[chosen]
    design.setflags(write=False)
    return design


def _pool(n: int) -> NDArray[np.bool_]:
    """The empty coalition, the full one, then others, distinct."""
    if 1 << n <= _POOL:
        found = (np.arange(1 << n)[:, None] >> np.arange(n) & 1).astype(bool)
        return found[np.argsort(np.minimum(found.sum(axis=1), n - found.sum(axis=1)), kind="stable")]
    rng = np.random.default_rng(n)
    rows = {}
    alone = np.eye(n, dtype=bool)
    for row in (np.zeros(n, dtype=bool), np.ones(n, dtype=bool), *alone, *~alone):
        rows[row.tobytes()] = row
    while len(rows) < _POOL:
        row = np.zeros(n, dtype=bool)
        row[rng.permutation(n)[: rng.integers(1, n)]] = True
        for each in (row, ~row):
            rows[each.tobytes()] = each
    return np.array(list(rows.values()))


def _differences(left: NDArray[np.bool_], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Number of players by which coalitions differ, (len(left), len(right))."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    found: NDArray[np.float64] = a.sum(axis=1)[:, None] + b.sum(axis=1) - 2 * a @ b.T
    return found


def _shapley_of_covariance(coalitions: NDArray[np.bool_], rho: float) -> NDArray[np.float64]:
    """Covariance of v at each coalition and each Shapley value, in units of the variance: (m, n)."""
    others = coalitions.sum(axis=1)[:, None] - coalitions
    found: NDArray[np.float64] = (1 - rho) * np.where(coalitions, 1.0, -1.0) * _means(coalitions.shape[1], rho)[others]
    return found


def _prior_variance(n: int, rho: float) -> float:
    """Variance of a Shapley value before anything is known, in units of the variance of v."""
    return float(2 * (1 - rho) * _means(n, rho).mean())


@lru_cache(maxsize=1024)
def _means(n: int, rho: float) -> NDArray[np.float64]:
    """Mean of rho**d between a coalition of a of the n - 1 other players and one that precedes a player: (n,), by a."""
    found = np.zeros(n)
    for a in range(n):
        for size in range(n):
            for shared in range(max(0, size - (n - 1 - a)), min(a, size) + 1):
                chance = comb(a, shared) * comb(n - 1 - a, size - shared) / comb(n - 1, size)
                found[a] += chance * rho ** (a + size - 2 * shared)
    return found / n
