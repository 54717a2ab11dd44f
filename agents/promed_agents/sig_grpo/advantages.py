"""Advantages of a multi-turn dialogue, token by token: pure functions with one signature.

Every estimator takes the rewards of the turns of a batch of dialogues, which turn each token belongs to, and which
dialogues form a group (the same case with the same seed), and gives an advantage for every token:

    (turn_rewards (B, K), turn_ids (B, T), group_ids (B,)) -> advantages (B, T)

A token that the doctor did not choose (`turn_ids` -1) has none. A dialogue has the turns 0 to n - 1 that its tokens
name; its rewards after them must be 0. Only group-mates serve as a baseline, and where an estimator claims to be
unbiased, never the dialogue itself: a baseline that contains the own return shrinks the gradient by a factor that
depends on how many dialogues got as far as this turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["ESTIMATORS", "HINDSIGHT", "Estimator", "Scale", "paper", "return_to_go", "standardized", "trajectory"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Estimator = Callable[[Floats, Ints, Ints], Floats]
Scale = Literal["none", "group", "batch"]

_EPSILON = 1e-4  # as in TRL, so that `trajectory` equals its numbers


def trajectory(turn_rewards: Floats, turn_ids: Ints, group_ids: Ints, *, scale: Scale = "group") -> Floats:
    """The return of the whole dialogue against the group's mean, on each of its tokens: GRPO.

    Equals TRL's `GRPOTrainer` under the same `scale_rewards`. Source: https://arxiv.org/abs/2402.03300, section 4.1.

    Args:
        turn_rewards: (B, K).
        turn_ids: (B, T).
        group_ids: (B,).
        scale: Divide by the standard deviation of the group's returns, of the batch's, or not at all.
    """
    _check(turn_rewards, turn_ids, group_ids)
    returns = turn_rewards.sum(axis=1)
    advantages = np.empty_like(returns)
    for group in np.unique(group_ids):
        members = group_ids == group
        advantages[members] = returns[members] - returns[members].mean()
        if scale == "group":
            advantages[members] /= _deviation(returns[members]) + _EPSILON
    if scale == "batch":
        advantages /= _deviation(returns) + _EPSILON
    return np.where(turn_ids >= 0, advantages[:, None], 0.0)


def return_to_go(
    turn_rewards: Floats, turn_ids: Ints, group_ids: Ints, *, scale: Scale = "none", discount: float = 1.0
) -> Floats:
    """What a dialogue earns from a turn on, against what its group-mates earn from the same turn on.

    The baseline is the mean over the other dialogues of the group that have the turn; where there is none, over those
    of other groups; where there is none either, 0. It never depends on the dialogue's own actions, so without scaling
    and discount the policy gradient is unbiased. Dividing by the batch's standard deviation scales all alike.

    Args:
        turn_rewards: (B, K), the causal view: what was paid for a turn when it was taken.
        turn_ids: (B, T).
        group_ids: (B,).
        scale: "none", or "batch": by the standard deviation of all advantages of turns.
        discount: Weight of the next turn's return; below 1 it trades bias for variance.

    Raises:
        ValueError: The scale is "group", which distorts, or the discount is not from 0 to 1.
    """
    _check(turn_rewards, turn_ids, group_ids)
    if scale == "group" or not 0 <= discount <= 1:
        raise ValueError(f"return_to_go takes scale none or batch and a discount from 0 to 1, got {scale}, {discount}")
    has = _has_turn(turn_rewards, turn_ids)
    to_go = _to_go(turn_rewards, discount)
    advantages = np.where(has, to_go - _others_mean(to_go, has, group_ids), 0.0)
    return _on_tokens(_scaled(advantages, has, scale), turn_ids)


def paper(turn_rewards: Floats, turn_ids: Ints, group_ids: Ints) -> Floats:
    """A token's own reward against the mean of the tokens of the group; nothing is summed over turns.

    As in the authors' code (https://arxiv.org/abs/2508.13514; see `docs/paper.md`), given the hindsight view. Identical
    dialogues whose turns earn unlike amounts have advantages other than 0.

    Args:
        turn_rewards: (B, K), the hindsight view.
        turn_ids: (B, T).
        group_ids: (B,).
    """
    _check(turn_rewards, turn_ids, group_ids)
    own = _on_tokens(turn_rewards, turn_ids)
    advantages = np.zeros_like(own)
    for group in np.unique(group_ids):
        spoken = (group_ids == group)[:, None] & (turn_ids >= 0)
        if spoken.any():
            advantages[spoken] = own[spoken] - own[spoken].mean()
    return advantages


def standardized(turn_rewards: Floats, turn_ids: Ints, group_ids: Ints) -> Floats:
    """The return to go against the mean of all of the group that have the turn, over their standard deviation.

    What many turn-level learners do; kept to be measured against. Both steps distort: the own return is part of the
    baseline, and turns with little spread are blown up.

    Args:
        turn_rewards: (B, K), the causal view.
        turn_ids: (B, T).
        group_ids: (B,).
    """
    _check(turn_rewards, turn_ids, group_ids)
    has, to_go = _has_turn(turn_rewards, turn_ids), _to_go(turn_rewards, 1.0)
    advantages = np.zeros_like(to_go)
    for group in np.unique(group_ids):
        for turn in range(to_go.shape[1]):
            members = (group_ids == group) & has[:, turn]
            if members.any():
                found = to_go[members, turn]
                advantages[members, turn] = (found - found.mean()) / (_deviation(found) + _EPSILON)
    return _on_tokens(advantages, turn_ids)


ESTIMATORS: Mapping[str, Estimator] = MappingProxyType(
    {"trajectory": trajectory, "return_to_go": return_to_go, "paper": paper, "standardized": standardized}
)
"""The estimators by name, with their defaults."""

HINDSIGHT = frozenset({"paper"})
"""Estimators that want rewards in the hindsight view; all others the causal one."""


def _check(turn_rewards: Floats, turn_ids: Ints, group_ids: Ints) -> None:
    if turn_rewards.ndim != 2 or turn_ids.ndim != 2 or group_ids.ndim != 1:
        raise ValueError(
            f"need turn_rewards (B, K), turn_ids (B, T) and group_ids (B,), got shapes "
            f"{turn_rewards.shape}, {turn_ids.shape} and {group_ids.shape}"
        )
    if not len(turn_rewards) == len(turn_ids) == len(group_ids):
        raise ValueError(
            f"the batch sizes differ: {len(turn_rewards)} rewards, {len(turn_ids)} ids and {len(group_ids)} groups"
        )
    if turn_ids.size and (turn_ids.min() < -1 or turn_ids.max() >= turn_rewards.shape[1]):
        raise ValueError(f"turn_ids must be -1 to {turn_rewards.shape[1] - 1}")
    if not np.isfinite(turn_rewards).all():
        raise ValueError("turn_rewards must be finite")


def _has_turn(turn_rewards: Floats, turn_ids: Ints) -> NDArray[np.bool_]:
    """Which dialogues have which turns, (B, K)."""
    turns = turn_ids.max(axis=1, initial=-1) + 1
    return np.asarray(np.arange(turn_rewards.shape[1])[None, :] < turns[:, None])


def _to_go(turn_rewards: Floats, discount: float) -> Floats:
    to_go = turn_rewards.copy()
    for turn in range(turn_rewards.shape[1] - 2, -1, -1):
        to_go[:, turn] += discount * to_go[:, turn + 1]
    return to_go


def _others_mean(values: Floats, has: NDArray[np.bool_], group_ids: Ints) -> Floats:
    """For each dialogue and turn the mean over the others of its group; else over other groups; else 0."""
    _, group = np.unique(group_ids, return_inverse=True)
    sums = np.zeros((group.max() + 1, values.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, group, np.where(has, values, 0.0))
    np.add.at(counts, group, has.astype(np.float64))
    mates, mates_sum = counts[group] - has, sums[group] - np.where(has, values, 0.0)
    rest, rest_sum = counts.sum(axis=0) - counts[group], sums.sum(axis=0) - sums[group]
    means: Floats = np.divide(rest_sum, rest, out=np.zeros_like(values), where=rest > 0)
    np.divide(mates_sum, mates, out=means, where=mates > 0)
    return means


def _scaled(advantages: Floats, has: NDArray[np.bool_], scale: Scale) -> Floats:
    if scale == "none" or not has.any():
        return advantages
    return advantages / (float(advantages[has].std()) + _EPSILON)


def _on_tokens(per_turn: Floats, turn_ids: Ints) -> Floats:
    spread = np.take_along_axis(per_turn, np.maximum(turn_ids, 0), axis=1)
    return np.where(turn_ids >= 0, spread, 0.0)


def _deviation(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
