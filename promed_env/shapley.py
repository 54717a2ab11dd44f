"""Shapley values of a cooperative game given by a vectorised characteristic function: exact, or sampled.

`shapley_values` works on any game `value_fn: (m, n) bool -> (m,)`. `case_shapley` states the two games of a case
(`docs/sig.md`): players are its facts and v(S) = log p(key | facts S), either from nothing ("all", the paper's) or
given the presentation ("presentation": initial facts are always in and have value 0). `table_shapley` is the fast way
for beliefs under which facts are independent given the option.

Sources: L. S. Shapley (1953), "A value for n-person games"; antithetic permutations: Mitchell et al. (2022),
https://arxiv.org/abs/2104.12199; paired KernelSHAP regression: Covert & Lee (2021), https://arxiv.org/abs/2012.01536.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from promed_env.beliefs import Belief, TableBelief, characteristic, key_columns
from promed_env.case import Case, Game, ShapleyAnnotation

__all__ = ["ShapleyEstimate", "ValueFunction", "annotate", "case_shapley", "shapley_values", "table_shapley"]

ValueFunction = Callable[[NDArray[np.bool_]], NDArray[np.float64]]
Method = Literal["auto", "exact", "permutation", "kernel"]

DEFAULT_BUDGET = 1 << 16
DEFAULT_PAIRS = 64
_PAIR_CHUNK = 8
_CHUNK = 1 << 15  # coalitions per call of the characteristic function
_JACKKNIFE_GROUPS = 20
_MAX_EXACT = 24  # 2**24 values are 128 MiB


@dataclass(frozen=True)
class ShapleyEstimate:
    """Shapley values with their uncertainty and price.

    Attributes:
        values: phi, shape (n,), in the unit of the game.
        stderr: Standard error of each value, shape (n,); zero where exact.
        evaluations: Distinct coalitions evaluated.
        method: "exact", "permutation" or "kernel".
    """

    values: NDArray[np.float64]
    stderr: NDArray[np.float64]
    evaluations: int
    method: str


def shapley_values(
    value_fn: ValueFunction,
    n: int,
    *,
    budget: int = DEFAULT_BUDGET,
    method: Method = "auto",
    seed: int | np.random.Generator = 0,
    target_stderr: float | None = None,
) -> ShapleyEstimate:
    """Shapley values of the n players of a game.

    Args:
        value_fn: Characteristic function: coalitions (m, n) bool -> values (m,).
        n: Number of players.
        budget: Most distinct coalitions to evaluate.
        method: "exact" enumerates 2**n coalitions; "permutation" averages antithetic pairs of permutations; "kernel" is
            paired KernelSHAP regression; "auto" is exact where 2**n fits the budget, and else kernel,
            whose error is lower per evaluation (`benchmarks/core.py` prints both).
        seed: Seed or generator of the sampled methods.
        target_stderr: Stop sampling as soon as the largest standard error is at most this.

    Returns:
        The estimate. Every method is efficient: the values add up to v(N) - v(empty) within rounding.

    Raises:
        ValueError: n is negative, the method unknown, or the budget too small for it.
    """
    if n < 0:
        raise ValueError(f"a game needs n >= 0 players, got {n}")
    if method not in ("auto", "exact", "permutation", "kernel"):
        raise ValueError(f"unknown method {method!r}; expected 'auto', 'exact', 'permutation' or 'kernel'")
    if method == "auto":
        method = "exact" if n <= _MAX_EXACT and 1 << n <= budget else "kernel"
    if method == "exact":
        if n > _MAX_EXACT or 1 << n > budget:
            raise ValueError(f"exact values of {n} players need 2**{n} evaluations, over the budget of {budget}")
        return _exact(value_fn, n)
    if budget < 2 * n + 2:
        raise ValueError(f"sampling {n} players needs a budget of at least {2 * n + 2} evaluations, got {budget}")
    game = _Memo(value_fn, n)
    sample = _permutation if method == "permutation" else _kernel
    return sample(game, n, budget, np.random.default_rng(seed), target_stderr)


def _exact(value_fn: ValueFunction, n: int) -> ShapleyEstimate:
    total = 1 << n
    bits = np.arange(n)
    values = np.empty(total)
    for start in range(0, total, _CHUNK):
        codes = np.arange(start, min(start + _CHUNK, total))
        values[codes[0] : codes[-1] + 1] = value_fn((codes[:, None] >> bits & 1).astype(bool))
    if n == 0:
        return ShapleyEstimate(np.zeros(0), np.zeros(0), 1, "exact")
    sizes = np.zeros(total, dtype=np.int64)
    for i in range(n):
        sizes[1 << i : 2 << i] = sizes[: 1 << i] + 1
    # phi_i = sum over S with i of joined[|S|] v(S)  -  sum over S without i of left[|S|] v(S)
    left = np.array([1 / (n * comb(n - 1, size)) for size in range(n)] + [0.0])
    joined = np.concatenate([[0.0], left[:n]])
    gained, lost = joined[sizes] * values, left[sizes] * values
    phi = np.empty(n)
    for i in range(n):
        phi[i] = gained.reshape(-1, 2, 1 << i)[:, 1].sum() - lost.reshape(-1, 2, 1 << i)[:, 0].sum()
    return ShapleyEstimate(phi, np.zeros(n), total, "exact")


class _Memo:
    """A characteristic function that never evaluates a coalition twice."""

    def __init__(self, value_fn: ValueFunction, n: int) -> None:
        self._value_fn = value_fn
        self._known: dict[bytes, float] = {}
        self._n = n
        ends = self(np.array([np.zeros(n, dtype=bool), np.ones(n, dtype=bool)]))
        self.empty, self.full = float(ends[0]), float(ends[1])

    @property
    def evaluations(self) -> int:
        return len(self._known)

    def _keys(self, coalitions: NDArray[np.bool_]) -> list[bytes]:
        return [row.tobytes() for row in np.packbits(coalitions, axis=1)]

    def new(self, coalitions: NDArray[np.bool_]) -> int:
        """How many of these coalitions have not been evaluated."""
        return len(set(self._keys(coalitions)) - self._known.keys())

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        keys = self._keys(coalitions)
        first = {key: row for row, key in reversed(list(enumerate(keys))) if key not in self._known}
        if first:
            fresh = np.asarray(self._value_fn(coalitions[list(first.values())]), dtype=np.float64)
            self._known.update(zip(first, fresh.tolist(), strict=True))
        return np.array([self._known[key] for key in keys])


def _permutation(game: _Memo, n: int, budget: int, rng: np.random.Generator, target: float | None) -> ShapleyEstimate:
    """Mean marginal contributions over permutations drawn with their reverses; one batch is eight such pairs."""
    pairs: list[NDArray[np.float64]] = []
    stderr = np.full(n, np.inf)
    idle = 0
    while idle < 3:
        added = 0
        for _ in range(8):
            order = rng.permutation(n)
            prefixes = np.zeros((2, n + 1, n), dtype=bool)
            for direction, sequence in enumerate((order, order[::-1])):
                for step, player in enumerate(sequence):
                    prefixes[direction, step + 1 :, player] = True
            coalitions = prefixes.reshape(-1, n)
            cost = game.new(coalitions)
            if game.evaluations + cost > budget:
                break
            values = game(coalitions).reshape(2, n + 1)
            gains = np.diff(values, axis=1)
            pair = np.zeros(n)
            pair[order] += gains[0] / 2
            pair[order[::-1]] += gains[1] / 2
            pairs.append(pair)
            added += cost
        else:
            idle = idle + 1 if added == 0 else 0
            if len(pairs) > 1:
                stderr = np.std(pairs, axis=0, ddof=1) / np.sqrt(len(pairs))
            if target is not None and stderr.max(initial=0.0) <= target:
                break
            continue
        break
    if len(pairs) > 1:
        stderr = np.std(pairs, axis=0, ddof=1) / np.sqrt(len(pairs))
    return ShapleyEstimate(np.mean(pairs, axis=0), stderr, game.evaluations, "permutation")


def _kernel(game: _Memo, n: int, budget: int, rng: np.random.Generator, target: float | None) -> ShapleyEstimate:
    """Least squares on coalitions drawn with their complements from the Shapley kernel, efficiency as a constraint."""
    if n == 1:
        return ShapleyEstimate(np.array([game.full - game.empty]), np.zeros(1), game.evaluations, "kernel")
    sizes = np.arange(1, n)
    chance = 1 / (sizes * (n - sizes))
    chance = chance / chance.sum()
    coalitions: list[NDArray[np.bool_]] = []
    phi, stderr = np.zeros(n), np.full(n, np.inf)
    idle = 0
    while idle < 3:
        before, full = game.evaluations, False
        for _ in range(max(8, n)):
            row = np.zeros(n, dtype=bool)
            row[rng.permutation(n)[: rng.choice(sizes, p=chance)]] = True
            pair = np.array([row, ~row])
            if game.evaluations + game.new(pair) > budget:
                full = True
                break
            game(pair)
            coalitions.append(pair)
        idle = idle + 1 if game.evaluations == before else 0
        done = full or idle == 3
        if done or target is not None:
            phi, stderr = _regress(game, np.array(coalitions))
            done = done or (target is not None and bool(stderr.max() <= target))
        if done:
            break
    return ShapleyEstimate(phi, stderr, game.evaluations, "kernel")


def _regress(game: _Memo, pairs: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit (m, 2, n) paired coalitions; standard errors by a delete-a-group jackknife over the pairs."""
    n = pairs.shape[2]
    rows = pairs.reshape(-1, n).astype(np.float64)
    values = game(pairs.reshape(-1, n)) - game.empty
    total = game.full - game.empty
    group = np.arange(len(pairs)) % min(_JACKKNIFE_GROUPS, len(pairs))

    def solve(keep: NDArray[np.bool_]) -> NDArray[np.float64]:
        weight = np.repeat(keep, 2)
        gram = rows[weight].T @ rows[weight] + 1e-9 * np.eye(n)
        moment = rows[weight].T @ values[weight]
        free, ones = np.linalg.solve(gram, np.stack([moment, np.ones(n)], axis=1)).T
        fitted: NDArray[np.float64] = free + ones * (total - free.sum()) / ones.sum()
        return fitted

    phi = solve(np.ones(len(pairs), dtype=bool))
    groups = int(group.max()) + 1
    left_out = np.array([solve(group != index) for index in range(groups)])
    spread = left_out - left_out.mean(axis=0)
    return phi, np.sqrt((groups - 1) / groups * (spread**2).sum(axis=0))


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
    budget: int = DEFAULT_BUDGET,
    method: Method = "auto",
    seed: int = 0,
    target_stderr: float | None = None,
) -> ShapleyEstimate:
    """Shapley values of a case's facts for log p(key), remembered for the last 4,096 cases.

    Args:
        case: The case; its `initial` facts matter in the game "presentation" only.
        belief: A hashable belief that covers the case.
        game: "all": v(N) - v(empty) is shared among all facts. "presentation": v(N) - v(initial) among the hidden ones.
        budget: See `shapley_values`.
        method: See `shapley_values`. Where `auto` cannot be exact and the belief has a table, `table_shapley` samples
            64 pairs of permutations, whatever the budget.
        seed: See `shapley_values`.
        target_stderr: See `shapley_values`.

    Returns:
        An estimate with arrays over all facts (n_facts,), in nats; read-only.

    Raises:
        BeliefRequired: The belief does not cover the case.
    """
    players = np.array(case.hidden if game == "presentation" else range(case.n_facts), dtype=np.int64)
    base = np.zeros(case.n_facts, dtype=bool)
    if game == "presentation":
        base[list(case.initial)] = True
    exact = len(players) <= _MAX_EXACT and 1 << len(players) <= budget
    if method == "auto" and not exact and target_stderr is None and isinstance(belief, TableBelief):
        evidence, log_prior = belief.table(case)
        estimate = table_shapley(
            evidence[players], log_prior + evidence[base].sum(axis=0), key_columns(case), seed=seed
        )
        return _of_all(estimate, players, case.n_facts)

    def value_fn(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        facts = np.tile(base, (len(coalitions), 1))
        facts[:, players] |= coalitions
        return characteristic(belief, case, facts)

    estimate = shapley_values(
        value_fn, len(players), budget=budget, method=method, seed=seed, target_stderr=target_stderr
    )
    return _of_all(estimate, players, case.n_facts)


def annotate(
    case: Case,
    belief: Belief,
    games: Sequence[Game] = ("all", "presentation"),
    *,
    method: Method = "auto",
    seed: int = 0,
) -> Case:
    """The case with the Shapley values of its facts, so that SIG costs nothing later; rounded to 1e-9 nats.

    Args:
        case: The case.
        belief: A belief that covers it.
        games: Which games, see `case_shapley`.
        method: See `case_shapley`.
        seed: See `case_shapley`.

    Raises:
        BeliefRequired: The belief does not cover the case.
    """
    estimates = {game: case_shapley(case, belief, game, method=method, seed=seed) for game in games}
    note = ShapleyAnnotation(
        belief=belief.name,
        values={game: np.round(estimate.values, 9) + 0.0 for game, estimate in estimates.items()},
        stderr={game: estimate.stderr for game, estimate in estimates.items()},
        method=estimates[games[0]].method,
        evaluations=sum(estimate.evaluations for estimate in estimates.values()),
    )
    return dataclasses.replace(case, shapley=note)


def _of_all(estimate: ShapleyEstimate, players: NDArray[np.int64], n: int) -> ShapleyEstimate:
    """The players' estimate with zeros for the other facts: arrays (n,), read-only."""
    values, stderr = np.zeros(n), np.zeros(n)
    values[players], stderr[players] = estimate.values, estimate.stderr
    values.setflags(write=False)
    stderr.setflags(write=False)
    return ShapleyEstimate(values, stderr, estimate.evaluations, estimate.method)
