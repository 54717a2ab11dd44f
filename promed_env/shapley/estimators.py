"""Estimators of the Shapley values of any game `value_fn: (m, n) bool -> (m,)`: exact, or from some coalitions.

Sources: L. S. Shapley (1953), "A value for n-person games"; antithetic permutations: Mitchell et al. (2022),
https://arxiv.org/abs/2104.12199; paired KernelSHAP regression: Covert & Lee (2021), https://arxiv.org/abs/2012.01536;
the Gaussian process is `promed_env.shapley.gaussian`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from promed_env.shapley.gaussian import gaussian_design, gaussian_process

__all__ = ["DEFAULT_BUDGET", "MAX_EXACT", "Method", "ShapleyEstimate", "ValueFunction", "shapley_values"]

ValueFunction = Callable[[NDArray[np.bool_]], NDArray[np.float64]]
Method = Literal["auto", "exact", "permutation", "kernel", "gaussian"]

DEFAULT_BUDGET = 1 << 16
MAX_EXACT = 24  # players: 2**24 values are 128 MiB
_CHUNK = 1 << 15  # coalitions per call of the characteristic function
_JACKKNIFE_GROUPS = 20
_DEAR = 512  # a budget so small says that evaluations are dear, and a Gaussian process makes the most of each


@dataclass(frozen=True)
class ShapleyEstimate:
    """Shapley values with their uncertainty and price.

    Attributes:
        values: phi, shape (n,), in the unit of the game.
        stderr: Standard error of each value, shape (n,); zero where exact, infinite where so few coalitions were
            evaluated that nothing can be said.
        evaluations: Distinct coalitions evaluated.
        method: "exact", "permutation", "kernel" or "gaussian".
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
            paired KernelSHAP regression; "gaussian" interpolates by a Gaussian process, at coalitions chosen for it;
            "auto" is exact where 2**n fits the budget, else gaussian for budgets up to 512, which has the least error
            per evaluation and a price that grows with their cube (`benchmarks/shapley.py`), and else kernel.
        seed: Seed or generator of the sampled methods.
        target_stderr: Stop sampling as soon as the largest standard error is at most this.

    Returns:
        The estimate. Every method is efficient: the values add up to v(N) - v(empty) within rounding.

    Raises:
        ValueError: n is negative, the method unknown, or the budget too small for it.
    """
    if n < 0:
        raise ValueError(f"a game needs n >= 0 players, got {n}")
    if method not in get_args(Method):
        raise ValueError(f"unknown method {method!r}; expected one of {', '.join(get_args(Method))}")
    if method == "auto":
        method = "exact" if n <= MAX_EXACT and 1 << n <= budget else "gaussian" if budget <= _DEAR else "kernel"
    if method == "exact" or n == 0:
        if n > MAX_EXACT or 1 << n > budget:
            raise ValueError(f"exact values of {n} players need 2**{n} evaluations, over the budget of {budget}")
        return _exact(value_fn, n)
    least = n + 2 if method == "gaussian" else 2 * n + 2
    if budget < least:
        raise ValueError(f"method {method!r} needs at least {least} evaluations for {n} players, got {budget}")
    game = _Memo(value_fn, n)
    if method == "gaussian":
        return _gaussian(game, n, budget, np.random.default_rng(seed), target_stderr)
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


def _gaussian(game: _Memo, n: int, budget: int, rng: np.random.Generator, target: float | None) -> ShapleyEstimate:
    """The coalitions of the design, for players in random order; the process is asked for every n of them."""
    if n == 1:
        return ShapleyEstimate(np.array([game.full - game.empty]), np.zeros(1), game.evaluations, "gaussian")
    design = gaussian_design(n, budget)[:, rng.permutation(n)]
    used = len(design) if target is None else min(2 * n + 2, len(design))
    while True:
        phi, stderr = gaussian_process(design[:used], game(design[:used]))
        if used == len(design) or (target is not None and stderr.max() <= target):
            return ShapleyEstimate(phi, stderr, game.evaluations, "gaussian")
        used = min(used + max(8, n), len(design))


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
    if not _overdetermined(pairs):
        return phi, np.full(n, np.inf)
    left_out = np.array([solve(group != index) for index in range(groups)])
    spread = left_out - left_out.mean(axis=0)
    return phi, np.sqrt((groups - 1) / groups * (spread**2).sum(axis=0))


def _overdetermined(pairs: NDArray[np.bool_]) -> bool:
    """Whether the fit would still be determined without any one distinct pair, (m, 2, n), or all pairs are known.

    Else some value hangs on a single pair, drawn once or often, and fits that leave out one draw agree whatever it is.
    """
    n = pairs.shape[2]
    distinct = np.unique(np.where(pairs[:, 0, :1], pairs[:, 0], pairs[:, 1]), axis=0)  # of each the one with player 0
    if len(distinct) == (1 << n - 1) - 1:
        return True
    left, sizes, _ = np.linalg.svd(distinct - distinct.mean(axis=1, keepdims=True), full_matrices=False)
    free = sizes > 1e-9 * sizes[0]
    leverage = (left[:, free] ** 2).sum(axis=1)
    return bool(free.sum() == n - 1 and leverage.max() < 1 - 1e-9)
