"""Statistics against oracles and laws: intervals, paired tests, the gap closed and calibration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from promed_agents.statistics import (
    bootstrap_interval,
    brier,
    calibration,
    gap_closed,
    mcnemar_exact,
    paired_bootstrap,
    rank_correlation,
    wilson_interval,
)

ANSWERS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)
STATED = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def test_wilson_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for successes, n in ((0, 10), (10, 10), (3, 10), (317, 1000), (1, 1)):
        expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
        assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_proportion_and_mirrors(counts: tuple[int, int]) -> None:
    successes, n = counts
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    assert low < high
    assert wilson_interval(n - successes, n) == pytest.approx((1 - high, 1 - low))


def test_wilson_has_a_width_where_everybody_is_right() -> None:
    low, high = wilson_interval(60, 60)
    assert high == 1.0
    assert low == pytest.approx(0.9398, abs=1e-4)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="0 to n successes"):
        wilson_interval(successes, n)


def test_mcnemar_agrees_with_scipys_binomial_test() -> None:
    stats = pytest.importorskip("scipy.stats")
    for only_a, only_b in ((0, 0), (1, 0), (5, 5), (12, 3), (0, 20), (700, 640)):
        a = [True] * only_a + [False] * only_b + [True] * 7
        b = [False] * only_a + [True] * only_b + [True] * 7
        expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
        assert mcnemar_exact(a, b) == pytest.approx(expected)


@given(ANSWERS)
def test_a_paired_comparison_does_not_depend_on_who_comes_first(answers: list[tuple[bool, bool]]) -> None:
    a, b = [one for one, _ in answers], [other for _, other in answers]
    assert mcnemar_exact(a, b) == mcnemar_exact(b, a)
    assert 0 < mcnemar_exact(a, b) <= 1
    low, high = paired_bootstrap(a, b, resamples=200)
    assert -1 <= low <= high <= 1


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_the_same_answers_cannot_be_told_apart(answers: list[bool]) -> None:
    assert mcnemar_exact(answers, answers) == 1.0
    assert paired_bootstrap(answers, answers, resamples=100) == (0.0, 0.0)


@given(ANSWERS)
def test_only_discordant_cases_count_for_mcnemar(answers: list[tuple[bool, bool]]) -> None:
    a, b = [one for one, _ in answers], [other for _, other in answers]
    assert mcnemar_exact([*a, True, False], [*b, True, False]) == mcnemar_exact(a, b)


def test_pairing_takes_out_how_hard_the_cases_are() -> None:
    rng = np.random.default_rng(0)
    easy = rng.random(400) < 0.5
    better = easy | (rng.random(400) < 0.05)
    low, high = paired_bootstrap(better.tolist(), easy.tolist())
    assert 0 < low < better.mean() - easy.mean() < high
    apart = bootstrap_interval(better.tolist())[1] - bootstrap_interval(better.tolist())[0]
    assert high - low < apart / 2


def test_the_paired_bootstrap_agrees_with_the_normal_approximation() -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.random(500) < 0.6).tolist(), (rng.random(500) < 0.5).tolist()
    differences = np.subtract(a, b, dtype=float)
    half = 1.96 * differences.std() / math.sqrt(500)
    assert paired_bootstrap(a, b) == pytest.approx((differences.mean() - half, differences.mean() + half), abs=0.01)


def test_many_and_few_distinct_values_are_resampled_alike() -> None:
    few = np.random.default_rng(4).integers(0, 5, size=300).astype(float)
    many = few + np.linspace(0, 1e-9, 300)
    assert bootstrap_interval(few.tolist(), resamples=3000) == pytest.approx(
        bootstrap_interval(many.tolist(), resamples=3000), abs=0.02
    )


def test_paired_values_must_be_of_the_same_cases() -> None:
    for compare in (mcnemar_exact, paired_bootstrap, brier, calibration):
        with pytest.raises(ValueError, match="same cases; got 2 and 1"):
            compare([1, 0], [1])
    with pytest.raises(ValueError, match="same cases"):
        gap_closed([0, 0], [1, 0], [1])


def test_the_gap_closed_by_hand() -> None:
    initial, interactive, full = [0.0] * 60 + [1.0] * 40, [0.0] * 30 + [1.0] * 70, [0.0] * 10 + [1.0] * 90
    share, interval = gap_closed(initial, interactive, full)
    assert share == pytest.approx(0.6)
    assert interval is not None
    assert 0.4 < interval[0] < 0.6 < interval[1] < 0.8


def test_all_or_nothing_of_the_gap_is_closed_by_asking_everything_or_nothing() -> None:
    initial, full = [0.0] * 30 + [1.0] * 30, [1.0] * 60
    assert gap_closed(initial, full, full) == (1.0, (1.0, 1.0))
    assert gap_closed(initial, initial, full) == (0.0, (0.0, 0.0))


def test_where_there_is_no_gap_there_is_no_share_and_where_it_is_small_no_interval() -> None:
    assert gap_closed([1.0, 0.0], [1.0, 1.0], [1.0, 0.0]) == (None, None)
    assert gap_closed([1.0, 1.0], [1.0, 1.0], [0.0, 1.0]) == (None, None)
    share, interval = gap_closed([1.0, 0.0, 0.0], [1.0, 0.0, 1.0], [1.0, 0.0, 1.0])
    assert share == 1.0
    assert interval is None


@pytest.mark.parametrize("values", [[]])
def test_nothing_has_no_statistics(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one case"):
        gap_closed(values, values, values)
    with pytest.raises(ValueError, match="at least one answer"):
        brier(values, [])
    with pytest.raises(ValueError, match="at least one value"):
        paired_bootstrap(values, values)
    assert mcnemar_exact([], []) == 1.0


def test_brier_by_hand() -> None:
    assert brier([1.0, 0.5, 0.0], [True, False, False]) == pytest.approx(0.25 / 3)
    assert brier([0.5] * 4, [True, False, True, True]) == 0.25


@given(STATED)
def test_calibration_laws(stated: list[tuple[float, bool]]) -> None:
    confidence, correct = [share for share, _ in stated], [right for _, right in stated]
    found = calibration(confidence, correct)
    assert found.n == len(stated) == sum(each.n for each in found.bins)
    assert found.brier == pytest.approx(np.mean((np.array(confidence) - correct) ** 2))
    assert 0 <= found.ece <= 1
    assert found.ece >= abs(np.mean(confidence) - np.mean(correct)) - 1e-12  # bins cannot hide the overall gap
    assert found.ece**2 <= found.brier + 1e-12  # Jensen, twice
    for each in found.bins:
        assert each.low - 1e-12 <= each.confidence <= each.high + 1e-12
    assert [each.low for each in found.bins] == sorted({each.low for each in found.bins})


def test_the_expected_calibration_error_by_hand() -> None:
    found = calibration([0.9, 0.9, 0.9, 0.9, 0.2], [True, True, False, False, False])
    assert [(each.n, each.confidence, each.accuracy) for each in found.bins] == [
        (1, pytest.approx(0.2), 0.0),
        (4, pytest.approx(0.9), 0.5),
    ]
    assert found.ece == pytest.approx((1 * 0.2 + 4 * 0.4) / 5)


def test_every_edge_belongs_to_the_bin_below_it() -> None:
    for tenth in range(1, 11):
        (only,) = calibration([tenth / 10], [True]).bins
        assert only.high == tenth / 10
    (first,) = calibration([0.0], [False]).bins
    assert (first.low, first.high) == (0.0, 0.1)


def test_somebody_who_is_right_as_often_as_stated_has_nearly_no_calibration_error() -> None:
    rng = np.random.default_rng(5)
    confidence = rng.random(20_000)
    correct = rng.random(20_000) < confidence
    assert calibration(confidence.tolist(), correct.tolist()).ece < 0.015
    assert calibration(confidence.tolist(), correct.tolist()).brier == pytest.approx(1 / 6, abs=0.01)


@pytest.mark.parametrize("confidence", [[1.2], [-0.1], [math.nan]])
def test_a_confidence_is_a_probability(confidence: list[float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibration(confidence, [True])


def test_there_is_at_least_one_bin() -> None:
    with pytest.raises(ValueError, match="at least one bin"):
        calibration([0.5], [True], bins=0)
    assert calibration([0.5, 1.0], [True, True], bins=1).ece == pytest.approx(0.25)


def test_rank_correlation_is_that_of_ranks_with_ties_shared():
    assert rank_correlation([1, 2, 3], [10, 200, 3000]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(np.corrcoef([0, 1.5, 1.5, 3], range(4))[0, 1])
