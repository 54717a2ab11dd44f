"""Shapley values: closed forms, the two games of a case, and sampled estimates that know their error."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from promed_env.beliefs import EvidenceBelief, key_log_probability
from promed_env.case import Case
from promed_env.datasets import load_dataset
from promed_env.errors import BeliefRequired
from promed_env.shapley import case_shapley, shapley_values
from promed_env.testing import cases

Values = NDArray[np.float64]


def unanimity(members: list[set[int]], weights: list[float]) -> Callable[[NDArray[np.bool_]], Values]:
    """A sum of unanimity games: value w if all members of T are in. Its Shapley values are w / |T| each."""

    def value(coalitions: NDArray[np.bool_]) -> Values:
        total = np.zeros(len(coalitions))
        for group, weight in zip(members, weights, strict=True):
            total += weight * coalitions[:, sorted(group)].all(axis=1)
        return total

    return value


def airport(costs: Values) -> Callable[[NDArray[np.bool_]], Values]:
    return lambda coalitions: np.where(coalitions, costs, 0).max(axis=1, initial=0)


@given(st.lists(st.tuples(st.sets(st.integers(0, 6), min_size=1), st.floats(-5, 5)), max_size=8))
def test_exact_values_of_sums_of_unanimity_games(parts: list[tuple[set[int], float]]) -> None:
    expected = np.zeros(7)
    for group, weight in parts:
        expected[sorted(group)] += weight / len(group)
    estimate = shapley_values(unanimity([g for g, _ in parts], [w for _, w in parts]), 7)
    np.testing.assert_allclose(estimate.values, expected, atol=1e-12)
    assert (estimate.method, estimate.evaluations) == ("exact", 128)
    assert not estimate.stderr.any()


def test_exact_values_of_the_airport_game() -> None:
    """Littlechild and Owen (1973): each pays for its segment of the runway with all larger planes."""
    costs = np.array([1.0, 2.0, 4.0, 8.0])
    expected = np.cumsum(np.diff(costs, prepend=0) / np.array([4, 3, 2, 1]))
    np.testing.assert_allclose(shapley_values(airport(costs), 4).values, expected)


def test_exact_values_of_the_glove_game() -> None:
    """Two left gloves, one right glove: the right one is worth 2/3."""
    values = shapley_values(lambda c: (c[:, :2].any(axis=1) & c[:, 2]).astype(float), 3).values
    np.testing.assert_allclose(values, [1 / 6, 1 / 6, 2 / 3])


@pytest.mark.parametrize("n", [3, 5, 8])
def test_players_who_are_alike_share_a_majority_vote_equally(n: int) -> None:
    values = shapley_values(lambda c: (c.sum(axis=1) > n / 2).astype(float), n).values
    np.testing.assert_allclose(values, np.full(n, 1 / n))


@pytest.mark.parametrize("method", ["exact", "permutation", "kernel", "gaussian"])
def test_a_player_who_adds_nothing_gets_nothing(method: Any) -> None:
    game = game_of(2, n=9)
    for budget in (1024,) if method == "exact" else (64, 128, 256):
        estimate = shapley_values(lambda c: game(c[:, :9]), 10, budget=budget, method=method, seed=budget)
        assert abs(estimate.values[9]) <= max(1e-12, 4 * estimate.stderr[9])


@pytest.mark.parametrize(("budget", "target"), [(24, None), (30, None), (40, None), (1000, 0.05)])
def test_regression_states_no_standard_error_that_its_coalitions_cannot_bear(budget: int, target: float | None) -> None:
    """Where a value hangs on one pair, fits that leave out a draw agree with each other, and may all be wrong."""
    scores, unknown = [], 0
    for seed in range(60):
        game = game_of(seed % 5, n=10)
        exact = shapley_values(game, 10).values
        found = shapley_values(game, 10, budget=budget, method="kernel", seed=seed, target_stderr=target)
        if np.isinf(found.stderr).any():
            unknown += 1
        else:
            scores += ((found.values - exact) / found.stderr).tolist()
    assert np.sqrt(np.mean(np.square(scores))) < 1.3
    assert (unknown > 0) == (target is None)  # where sampling may go on, it goes on until it is known


def test_exact_values_of_a_game_too_large_for_one_call() -> None:
    sizes = []
    game = game_of(6, n=16)

    def counted(coalitions: NDArray[np.bool_]) -> Values:
        sizes.append(len(coalitions))
        return game(coalitions)

    values = shapley_values(counted, 16).values
    assert len(sizes) > 1 and sum(sizes) == 1 << 16
    sampled = shapley_values(game, 16, method="permutation", budget=20_000)
    assert (np.abs(values - sampled.values) <= 5 * sampled.stderr).all()


def test_exact_values_equal_the_definition_over_all_orders() -> None:
    table = np.random.default_rng(0).normal(size=32)
    powers = 1 << np.arange(5)
    expected = np.zeros(5)
    for order in permutations(range(5)):
        code = 0
        for player in order:
            expected[player] += table[code | 1 << player] - table[code]
            code |= 1 << player
    np.testing.assert_allclose(shapley_values(lambda c: table[c @ powers], 5).values, expected / 120)


@pytest.mark.parametrize("method", ["permutation", "kernel"])
def test_sampled_values_are_exact_for_additive_games(method: Any) -> None:
    weights = np.arange(12) - 4.0
    estimate = shapley_values(lambda c: c @ weights, 12, budget=200, method=method)
    np.testing.assert_allclose(estimate.values, weights, atol=1e-6)
    assert estimate.stderr.max() < 1e-6


def game_of(seed: int, n: int = 10) -> Callable[[NDArray[np.bool_]], Values]:
    rng = np.random.default_rng(seed)
    groups = [set(rng.choice(n, size=int(rng.integers(1, 5)), replace=False).tolist()) for _ in range(25)]
    return unanimity(groups, rng.normal(size=25).tolist())


@pytest.mark.parametrize("method", ["permutation", "kernel"])
def test_standard_errors_cover_the_true_values_about_as_often_as_they_should(method: Any) -> None:
    scores = []
    for seed in range(40):
        game = game_of(seed)
        exact = shapley_values(game, 10).values
        estimate = shapley_values(game, 10, budget=300, method=method, seed=seed)
        scores += ((estimate.values - exact) / estimate.stderr).tolist()
    z = np.abs(scores)
    assert np.mean(z < 2) >= 0.9 and np.mean(z < 3) >= 0.97
    assert 0.7 < np.sqrt(np.mean(z**2)) < 1.3  # errors are neither larger nor smaller than stated


@pytest.mark.parametrize("method", ["exact", "permutation", "kernel", "gaussian"])
def test_every_method_is_efficient_within_budget_and_evaluates_no_coalition_twice(method: Any) -> None:
    seen: list[bytes] = []
    game = game_of(3)

    def counted(coalitions: NDArray[np.bool_]) -> Values:
        seen.extend(row.tobytes() for row in coalitions)
        return game(coalitions)

    budget = 1024 if method == "exact" else 150
    estimate = shapley_values(counted, 10, budget=budget, method=method, seed=5)
    assert len(seen) == len(set(seen)) == estimate.evaluations <= budget
    ends = game(np.array([[False] * 10, [True] * 10]))
    assert estimate.values.sum() == pytest.approx(ends[1] - ends[0], abs=1e-9)


@pytest.mark.parametrize("method", ["permutation", "kernel", "gaussian"])
def test_sampling_stops_at_the_target_standard_error_and_is_repeatable(method: Any) -> None:
    game = game_of(4)
    loose = shapley_values(game, 10, budget=1000, method=method, seed=1, target_stderr=0.2)
    tight = shapley_values(game, 10, budget=1000, method=method, seed=1, target_stderr=0.02)
    assert loose.evaluations < tight.evaluations
    assert loose.stderr.max() <= 0.2
    again = shapley_values(game, 10, budget=1000, method=method, seed=1, target_stderr=0.2)
    assert again.values.tolist() == loose.values.tolist()


@pytest.mark.parametrize("method", ["permutation", "kernel", "gaussian"])
def test_a_small_game_ends_when_every_coalition_is_known(method: Any) -> None:
    estimate = shapley_values(game_of(1, n=5), 5, budget=10_000, method=method)
    assert estimate.evaluations <= 32


@pytest.mark.parametrize("method", ["permutation", "kernel", "gaussian"])
def test_no_player_gets_nothing(method: Any) -> None:
    estimate = shapley_values(lambda c: np.ones(len(c)), 0, method=method)
    assert estimate.values.shape == estimate.stderr.shape == (0,)


@pytest.mark.parametrize("method", ["permutation", "kernel", "gaussian"])
def test_one_player_gets_everything(method: Any) -> None:
    assert shapley_values(lambda c: 3.0 * c[:, 0] + 1, 1, method=method).values.tolist() == [3.0]


def test_auto_is_exact_where_it_fits_the_gaussian_where_evaluations_are_dear_and_the_kernel_beyond() -> None:
    assert shapley_values(game_of(0), 10, budget=1024).method == "exact"
    assert shapley_values(game_of(0), 10, budget=1023).method == "kernel"
    assert shapley_values(game_of(0), 10, budget=40).method == "gaussian"
    assert shapley_values(lambda c: np.zeros(len(c)), 0).values.shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": -1}, "n >= 0 players, got -1"),
        ({"n": 3, "method": "magic"}, "unknown method 'magic'"),
        ({"n": 20, "method": "exact", "budget": 100}, "over the budget of 100"),
        ({"n": 20, "method": "gaussian", "budget": 21}, "at least 22 evaluations"),
        ({"n": 20, "method": "kernel", "budget": 41}, "at least 42 evaluations"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shapley_values(lambda c: np.zeros(len(c)), arguments.pop("n"), **arguments)


@given(cases(max_facts=7))
def test_the_two_games_of_a_case_share_out_what_they_should(case: Case) -> None:
    belief = EvidenceBelief()
    sets = np.zeros((3, case.n_facts), dtype=bool)
    sets[1, sorted(case.initial)] = True
    sets[2] = True
    empty, initial, full = key_log_probability(case, belief(case, sets))
    everything = case_shapley(case, belief, "all")
    given_presentation = case_shapley(case, belief, "presentation")
    assert everything.values.sum() == pytest.approx(full - empty, abs=1e-9)
    assert given_presentation.values.sum() == pytest.approx(full - initial, abs=1e-9)
    assert not given_presentation.values[sorted(case.initial)].any()


@given(cases(evidence=False))
def test_a_case_without_a_table_needs_another_belief(case: Case) -> None:
    assert not EvidenceBelief().covers(case)
    with pytest.raises(BeliefRequired, match="has no evidence table"):
        case_shapley(case, EvidenceBelief())


def test_the_shipped_values_are_those_of_the_shipped_tables() -> None:
    for case in load_dataset("medqa"):
        assert case.shapley is not None
        for game in ("all", "presentation"):
            computed = case_shapley(case, EvidenceBelief(), game).values  # type: ignore[arg-type]
            np.testing.assert_allclose(case.shapley.values[game], computed, atol=1e-8)  # type: ignore[index]


def test_exact_values_are_those_of_another_package() -> None:
    shapiq = pytest.importorskip("shapiq", reason="the extra dev is not installed")
    game = game_of(11, n=7)
    exact = shapiq.ExactComputer(lambda coalitions: game(np.atleast_2d(coalitions).astype(bool)), 7)
    theirs = exact(index="SV").get_n_order_values(1)
    np.testing.assert_allclose(shapley_values(game, 7, method="exact").values, theirs, atol=1e-9)


def test_a_budget_that_is_given_is_kept_to_whatever_the_belief() -> None:
    """Facts that tell no options apart are no players, or a clinic's 269 facts would take as many evaluations."""
    belief = EvidenceBelief()
    case = load_dataset("primarycare")[0]
    free = case_shapley(case, belief)
    assert free.method == "permutation"
    for budget, method in ((100, "gaussian"), (600, "kernel")):
        given = case_shapley(case, belief, budget=budget)
        assert given.method == method and given.evaluations <= budget
        assert given.values.sum() == pytest.approx(free.values.sum())
        assert np.abs(given.values - free.values).max() < 0.2
    assert case_shapley(case, belief, target_stderr=0.1).stderr.max() <= 0.1
