"""Statistics of evaluations: intervals by the percentile bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["bootstrap_interval"]


def bootstrap_interval(
    values: Sequence[float], *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean.

    Args:
        values: One value per case, at least one.
        level: Coverage aimed at, between 0 and 1.
        resamples: Bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: There are no values.

    Source:
        B. Efron, R. Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not sample.size:
        raise ValueError("a bootstrap interval needs at least one value")
    rng = np.random.default_rng(seed)
    distinct, counts = np.unique(sample, return_counts=True)
    if len(distinct) == 2:  # a proportion: resampling is a binomial draw
        share = rng.binomial(sample.size, counts[1] / sample.size, size=resamples) / sample.size
        means = distinct[0] + share * (distinct[1] - distinct[0])
    else:
        means = np.array([sample[rng.integers(sample.size, size=sample.size)].mean() for _ in range(resamples)])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
