"""The two games that a case is, and the Shapley values of its facts in them.

Players are the facts and v(S) = log p(key | facts S), or what else the belief takes for it (`beliefs.characteristic`):
either from nothing ("all", the paper's) or given the presentation ("presentation": initial facts are always in and have
value 0). `table_shapley` is the fast way for beliefs under which facts are independent given the option.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promed_env.beliefs import Belief, TableBelief, characteristic, key_columns
from promed_env.case import Case, Game, ShapleyAnnotation
from promed_env.shapley.estimators import DEFAULT_BUDGET, MAX_EXACT, Method, ShapleyEstimate, shapley_values

__all__ = ["annotate", "case_shapley", "table_shapley"]

DEFAULT_PAIRS = 64
_PAIR_CHUNK = 8


def table_shapley(
    evidence: NDArray[np.float64],
    log_prior: NDArray[np.float64],
    keys: Sequence[int],
    *,
    pairs: int = DEFAULT_PAIRS,
    seed: int | np.random.Generator = 0,
) -> ShapleyEstimate:
    """Shapley values of facts that are independent given the option, for log p(key | facts): (n_facts,), in nats.

    One permutation is one cumulative sum over the rows of the table. Rows that are equal for all options are null
    players: their value is exactly 0, and they are left out of the permutations.

    Args:
        evidence: log p(fact as stated | option), (n_facts, n_options).
        log_prior: log p(option), or any log-weights from which the game starts, (n_options,).
        keys: Columns of the right options.
        pairs: Antithetic pairs of permutations, at least 2.
        seed: Seed or generator.

    Returns:
        The estimate, method "permutation"; `evaluations` counts coalitions with repetitions. The values add up to
        v(N) - v(empty).

    Raises:
        ValueError: Fewer than two pairs.
    """
    if pairs < 2:
        raise ValueError(f"a standard error needs at least 2 pairs of permutations, got {pairs}")
    rng = np.random.default_rng(seed)
    values, stderr = np.zeros(len(evidence)), np.zeros(len(evidence))
    players = np.flatnonzero(np.ptp(evidence, axis=1) > 0)
    n = len(players)
    if n == 0:
        return ShapleyEstimate(values, stderr, 0, "permutation")
    rows = evidence[players]
    forward = rng.permuted(np.tile(np.arange(n), (pairs, 1)), axis=1)
    total = np.empty((pairs, n))
    for start in range(0, pairs, _PAIR_CHUNK):  # in blocks that stay in the processor's cache
        order = forward[start : start + _PAIR_CHUNK]
        gains = np.zeros(order.shape)
        for direction in (order, order[:, ::-1]):
            scores = np.empty((len(order), n + 1, len(log_prior)))
            scores[:, 0] = log_prior
            np.cumsum(rows[direction], axis=1, out=scores[:, 1:])
            scores[:, 1:] += log_prior
            scores -= scores.max(axis=2, keepdims=True)
            np.exp(scores, out=scores)
            v = np.log(scores[:, :, keys].sum(axis=2)) - np.log(scores.sum(axis=2))
            gains[np.arange(len(order))[:, None], direction] += np.diff(v, axis=1) / 2
        total[start : start + _PAIR_CHUNK] = gains
    values[players] = total.mean(axis=0)
    stderr[players] = total.std(axis=0, ddof=1) / np.sqrt(pairs)
    return ShapleyEstimate(values, stderr, 2 * pairs * n + 1, "permutation")


@lru_cache(maxsize=4096)
def case_shapley(
    case: Case,
    belief: Belief,
    game: Game = "all",
    *,
    budget: int | None = None,
    method: Method = "auto",
    seed: int = 0,
    target_stderr: float | None = None,
) -> ShapleyEstimate:
    """Shapley values of a case's facts for log p(key), remembered for the last 4,096 cases.

    Args:
        case: The case; its `initial` facts matter in the game "presentation" only.
        belief: A hashable belief that covers the case.
        game: "all": v(N) - v(empty) is shared among all facts. "presentation": v(N) - v(initial) among the hidden ones.
        budget: See `shapley_values`; None for the belief's own `shapley_budget`, or else `DEFAULT_BUDGET`. For `auto`
            it is raised to two more than the players, the least that an estimate needs.
        method: See `shapley_values`. Where `auto` cannot be exact and the belief has a table, facts that tell no
            options apart are no players, and if neither budget nor target is given, `table_shapley` samples 64 pairs
            of permutations.
        seed: See `shapley_values`.
        target_stderr: See `shapley_values`.

    Returns:
        An estimate with arrays over all facts (n_facts,), in nats; read-only.

    Raises:
        BeliefRequired: The belief does not cover the case.
    """
    most = _budget(belief, budget)
    players = np.array(case.hidden if game == "presentation" else range(case.n_facts), dtype=np.int64)
    base = np.zeros(case.n_facts, dtype=bool)
    if game == "presentation":
        base[list(case.initial)] = True
    exact = len(players) <= MAX_EXACT and 1 << len(players) <= most
    if method == "auto" and not exact and isinstance(belief, TableBelief):
        evidence, log_prior = belief.table(case)
        if budget is None and target_stderr is None:
            estimate = table_shapley(
                evidence[players], log_prior + evidence[base].sum(axis=0), key_columns(case), seed=seed
            )
            return _of_all(estimate, players, case.n_facts)
        players = players[np.ptp(evidence[players], axis=1) > 0]  # the others are null players
    if method == "auto":
        most = max(most, len(players) + 2)

    def value_fn(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        facts = np.tile(base, (len(coalitions), 1))
        facts[:, players] |= coalitions
        return characteristic(belief, case, facts)

    estimate = shapley_values(
        value_fn, len(players), budget=most, method=method, seed=seed, target_stderr=target_stderr
    )
    return _of_all(estimate, players, case.n_facts)


def annotate(
    case: Case,
    belief: Belief,
    games: Sequence[Game] = ("all", "presentation"),
    *,
    budget: int | None = None,
    method: Method = "auto",
    seed: int = 0,
    target_stderr: float | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Case:
    """The case with the Shapley values of its facts, so that SIG costs nothing later; rounded to 1e-9 nats.

    Args:
        case: The case.
        belief: A belief that covers it.
        games: Which games, see `case_shapley`.
        budget: See `case_shapley`; of each game.
        method: See `case_shapley`.
        seed: See `case_shapley`.
        target_stderr: See `case_shapley`.
        provenance: Kept with the values, and with it, under "games", each game's budget, method and evaluations; None
            to keep neither.

    Raises:
        BeliefRequired: The belief does not cover the case.
    """
    estimates = {
        game: case_shapley(case, belief, game, budget=budget, method=method, seed=seed, target_stderr=target_stderr)
        for game in games
    }
    told = {
        game: {"budget": _budget(belief, budget), "method": estimate.method, "evaluations": estimate.evaluations}
        for game, estimate in estimates.items()
    }
    note = ShapleyAnnotation(
        belief=belief.name,
        values={game: np.round(estimate.values, 9) + 0.0 for game, estimate in estimates.items()},
        stderr={game: estimate.stderr for game, estimate in estimates.items()},
        method=estimates[games[0]].method,
        evaluations=sum(estimate.evaluations for estimate in estimates.values()),
        provenance={} if provenance is None else {**provenance, "games": told},
    )
    return dataclasses.replace(case, shapley=note)


def _budget(belief: Belief, budget: int | None) -> int:
    return int(getattr(belief, "shapley_budget", DEFAULT_BUDGET)) if budget is None else budget


def _of_all(estimate: ShapleyEstimate, players: NDArray[np.int64], n: int) -> ShapleyEstimate:
    """The players' estimate with zeros for the other facts: arrays (n,), read-only."""
    values, stderr = np.zeros(n), np.zeros(n)
    values[players], stderr[players] = estimate.values, estimate.stderr
    values.setflags(write=False)
    stderr.setflags(write=False)
    return ShapleyEstimate(values, stderr, estimate.evaluations, estimate.method)
