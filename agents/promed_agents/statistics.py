"""Statistics of evaluations: intervals, paired tests and calibration, as pure functions of numbers a case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Calibration",
    "ReliabilityBin",
    "bootstrap_interval",
    "brier",
    "calibration",
    "gap_closed",
    "mcnemar_exact",
    "paired_bootstrap",
    "rank_correlation",
    "wilson_interval",
]

_FEW = 64  # so many distinct values make one multinomial draw of counts cheaper than drawing every case


@dataclass(frozen=True)
class ReliabilityBin:
    """The answers whose stated confidence lies in one interval.

    Attributes:
        low: Lower end; exclusive, but inclusive at 0.
        high: Upper end, inclusive.
        n: Answers, at least one.
        confidence: Their mean confidence.
        accuracy: Share of them that was right.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How well stated confidence agrees with being right.

    Attributes:
        n: Answers that state a confidence.
        brier: Mean squared difference of confidence and being right (0 or 1): 0 is best, 0.25 is always saying 0.5.
        ece: Expected calibration error: the mean gap between confidence and accuracy of a bin, weighted by its answers.
        bins: Bins of equal width that hold an answer, in ascending order.
    """

    n: int
    brier: float
    ece: float
    bins: tuple[ReliabilityBin, ...]


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
    if len(distinct) == 1:
        return float(distinct[0]), float(distinct[0])
    if len(distinct) == 2:  # a proportion: resampling is a binomial draw
        share = rng.binomial(sample.size, counts[1] / sample.size, size=resamples) / sample.size
        means = distinct[0] + share * (distinct[1] - distinct[0])
    elif len(distinct) <= _FEW:
        means = rng.multinomial(sample.size, counts / sample.size, size=resamples) @ distinct / sample.size
    else:
        means = np.array([sample[rng.integers(sample.size, size=sample.size)].mean() for _ in range(resamples)])
    return _percentiles(means, level)


def wilson_interval(successes: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion: unlike the bootstrap's, it has a width at 0 and at 1 too.

    Args:
        successes: Cases that succeeded, 0 to n.
        n: Cases, at least one.
        level: Coverage aimed at, between 0 and 1.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: The counts are out of range.

    Source:
        E. B. Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, 209-212.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"a proportion needs 0 to n successes of n >= 1 cases, got {successes} of {n}")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == n else (centre + half) / scale
    return low, high


def mcnemar_exact(a: Sequence[bool], b: Sequence[bool]) -> float:
    """Two-sided p-value of McNemar's exact test: whether two doctors are equally often right on the same cases.

    Only the cases count that one of them has right and the other wrong; under the hypothesis each of these is as likely
    to be won by the one as by the other.

    Args:
        a: Whether the one was right, one value a case.
        b: Whether the other was, in the same order.

    Returns:
        The binomial p-value; 1 if no case tells them apart.

    Raises:
        ValueError: The lengths differ.

    Source:
        Q. McNemar (1947), Psychometrika 12, 153-157; exact form as in M. W. Fagerland et al. (2013), BMC Medical
        Research Methodology 13:91.
    """
    first, second = _paired(a, b)
    only_a = int(((first != 0) & (second == 0)).sum())
    only_b = int(((first == 0) & (second != 0)).sum())
    n = only_a + only_b
    tail: int = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1))
    return min(1.0, tail / 2 ** (n - 1)) if n else 1.0


def paired_bootstrap(
    a: Sequence[float], b: Sequence[float], *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean difference a - b over cases that both have played.

    Args:
        a: One value a case.
        b: One value a case, in the same order.
        level: Coverage aimed at, between 0 and 1.
        resamples: Bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: The lengths differ, or there are no cases.

    Source:
        As `bootstrap_interval`; cases are resampled, so that what makes a case hard for both cancels.
    """
    first, second = _paired(a, b)
    return bootstrap_interval((first - second).tolist(), level=level, resamples=resamples, seed=seed)


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation, with mid-ranks for ties.

    Args:
        a: Values.
        b: Values of the same things, in the same order.
    """

    def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([((values < value).sum() + (values <= value).sum() - 1) / 2 for value in values])

    return float(np.corrcoef(ranks(np.asarray(a)), ranks(np.asarray(b)))[0, 1])


def gap_closed(
    initial: Sequence[float],
    interactive: Sequence[float],
    full: Sequence[float],
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float | None, tuple[float, float] | None]:
    """Share of the gap between knowing the presentation and knowing everything that asking closes.

    (interactive - initial) / (full - initial), each the mean over the same cases.

    Args:
        initial: Whether the answer from the presentation was right, one value a case.
        interactive: Whether the answer after asking was.
        full: Whether the answer from all facts was.
        level: Coverage aimed at, between 0 and 1.
        resamples: Bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        The share and its percentile bootstrap interval over cases. The share is None where knowing everything does not
        help. The interval is None where it does not in some resample, because the ratio then has no bounds.

    Raises:
        ValueError: The lengths differ, or there are no cases.

    Source:
        The levels are those of S. S. Li et al. (2024), "MediQ", arXiv 2406.00922, section 4.
    """
    start, asked = _paired(initial, interactive)
    _, most = _paired(initial, full)
    if not start.size:
        raise ValueError("a gap needs at least one case")
    won, gap = asked - start, most - start
    if gap.mean() <= 0:
        return None, None
    distinct, counts = np.unique(np.stack([won, gap], axis=1), axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    sums = rng.multinomial(start.size, counts / start.size, size=resamples) @ distinct
    share = float(won.mean() / gap.mean())
    return share, None if sums[:, 1].min() <= 0 else _percentiles(sums[:, 0] / sums[:, 1], level)


def brier(confidence: Sequence[float], correct: Sequence[bool]) -> float:
    """Brier score: mean squared difference of stated confidence and being right.

    Args:
        confidence: Stated confidence, from 0 to 1, one an answer.
        correct: Whether the answer was right.

    Returns:
        From 0 (best) to 1.

    Raises:
        ValueError: The lengths differ, there are no answers, or a confidence is out of range.

    Source:
        G. W. Brier (1950), "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78.
    """
    stated, right = _stated(confidence, correct)
    return float(np.mean((stated - right) ** 2))


def calibration(confidence: Sequence[float], correct: Sequence[bool], bins: int = 10) -> Calibration:
    """Brier score, expected calibration error and reliability bins of equal width.

    Args:
        confidence: Stated confidence, from 0 to 1, one an answer.
        correct: Whether the answer was right.
        bins: Bins between 0 and 1; an edge belongs to the bin below it.

    Raises:
        ValueError: The lengths differ, there are no answers, a confidence is out of range, or there is no bin.

    Source:
        C. Guo et al. (2017), "On Calibration of Modern Neural Networks", arXiv 1706.04599, section 2.
    """
    stated, right = _stated(confidence, correct)
    if bins < 1:
        raise ValueError(f"calibration needs at least one bin, got {bins}")
    edges = np.arange(bins + 1) / bins
    place = np.searchsorted(edges[1:-1], stated, side="left")
    filled = [
        ReliabilityBin(
            low=float(edges[index]),
            high=float(edges[index + 1]),
            n=int((place == index).sum()),
            confidence=float(stated[place == index].mean()),
            accuracy=float(right[place == index].mean()),
        )
        for index in np.unique(place).tolist()
    ]
    ece = sum(each.n * abs(each.confidence - each.accuracy) for each in filled) / len(stated)
    return Calibration(len(stated), brier(confidence, correct), ece, tuple(filled))


def _percentiles(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _paired(a: Sequence[float], b: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(a) != len(b):
        raise ValueError(f"paired values belong to the same cases; got {len(a)} and {len(b)} of them")
    return np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)


def _stated(confidence: Sequence[float], correct: Sequence[bool]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    stated, right = _paired(confidence, correct)
    if not stated.size:
        raise ValueError("calibration needs at least one answer that states a confidence")
    if not (stated.min() >= 0 and stated.max() <= 1):
        raise ValueError(f"a confidence lies between 0 and 1, got {stated.min():g} to {stated.max():g}")
    return stated, right
