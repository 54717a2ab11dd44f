"""Shapley values by a Gaussian process: closed forms against enumeration, its own errors, and its design."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from promed_env.shapley import shapley_values
from promed_env.shapley.gaussian import (
    _differences,
    _prior_variance,
    _shapley_of_covariance,
    gaussian_design,
    gaussian_process,
)


def every(n: int) -> np.ndarray:
    return (np.arange(1 << n)[:, None] >> np.arange(n) & 1).astype(bool)


def exact(table: np.ndarray, n: int) -> np.ndarray:
    return shapley_values(lambda c: table[c @ (1 << np.arange(n))], n, method="exact").values


@pytest.mark.parametrize("n", [1, 2, 5, 7])
@pytest.mark.parametrize("rho", [0.1, 0.6, 0.99])
def test_the_closed_forms_are_the_shapley_values_of_the_enumerated_covariance(n: int, rho: float) -> None:
    covariance = rho ** _differences(every(n), every(n))
    of_each = np.array([exact(column, n) for column in covariance])
    np.testing.assert_allclose(_shapley_of_covariance(every(n), rho), of_each, atol=1e-12)
    prior = [exact(of_each[:, player], n)[player] for player in range(n)]
    np.testing.assert_allclose(_prior_variance(n, rho), prior, atol=1e-12)


@given(arrays(np.float64, 32, elements=st.floats(-10, 10)))
@settings(max_examples=50)
def test_all_coalitions_give_the_exact_values(table: np.ndarray) -> None:
    phi, stderr = gaussian_process(every(5), table)
    scale = np.abs(table).max() + 1e-3
    np.testing.assert_allclose(phi, exact(table, 5), atol=1e-3 * scale)
    assert (stderr <= 1e-2 * scale).all()


@given(st.integers(2, 14), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_renaming_the_players_renames_their_values_and_they_add_up(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    coalitions = gaussian_design(n, 3 * n)
    values = rng.normal(size=len(coalitions))
    order = rng.permutation(n)
    phi, stderr = gaussian_process(coalitions, values)
    renamed, renamed_stderr = gaussian_process(coalitions[:, order], values)
    np.testing.assert_allclose(renamed, phi[order], atol=1e-6)
    np.testing.assert_allclose(renamed_stderr, stderr[order], atol=1e-6)
    assert phi.sum() == pytest.approx(values[1] - values[0], abs=1e-6)


@pytest.mark.parametrize("n", [2, 6, 12, 25])
def test_a_design_begins_with_nobody_and_all_and_repeats_nothing(n: int) -> None:
    design = gaussian_design(n, 60)
    assert not design[0].any() and design[1].all()
    assert len({row.tobytes() for row in design}) == len(design) == min(60, 1 << n)
    np.testing.assert_array_equal(design[:20], gaussian_design(n, 20))  # a longer one goes on where a shorter one ends


def test_a_design_tells_more_than_coalitions_drawn_at_random() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = [], []
    for seed in range(30):
        covariance = 0.8 ** _differences(every(8), every(8))
        table = np.linalg.cholesky(covariance + 1e-9 * np.eye(256)) @ np.random.default_rng(seed).normal(size=256)
        truth = exact(table, 8)
        design = gaussian_design(8, 30)
        drawn = every(8)[np.r_[0, 255, 1 + rng.permutation(254)[:28]]]
        for rows, errors in ((design, ours), (drawn, theirs)):
            errors.append(np.abs(gaussian_process(rows, table[rows @ (1 << np.arange(8))])[0] - truth).mean())
    assert np.mean(ours) < 0.8 * np.mean(theirs)


def test_standard_errors_are_those_of_games_like_the_prior() -> None:
    scores = []
    for seed in range(60):
        rho = (0.3, 0.6, 0.9)[seed % 3]
        covariance = rho ** _differences(every(8), every(8))
        table = np.linalg.cholesky(covariance + 1e-9 * np.eye(256)) @ np.random.default_rng(seed).normal(size=256)
        rows = gaussian_design(8, 40)
        phi, stderr = gaussian_process(rows, table[rows @ (1 << np.arange(8))])
        scores += ((phi - exact(table, 8)) / stderr).tolist()
    assert 0.75 < np.sqrt(np.mean(np.square(scores))) < 1.3
