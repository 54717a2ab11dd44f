"""What each advantage estimator expects, against the exact policy gradient, on a toy that can be enumerated.

    python benchmarks/advantages.py

The toy has an option to stop: at the start and after one question the doctor may ask, answer right or answer wrong;
after two questions it must answer. What a question pays depends on when it is asked. The policy is a softmax of its own
in each of the three states. All groups of a size are enumerated, so the figures have no sampling error: the cosine and
the length of the expected gradient over the exact one, and the standard deviation of the estimate over its length.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from promed_agents.sig_grpo.advantages import Estimator, paper, return_to_go, standardized, trajectory

ACTIONS = ((0, 1, 2), (0, 1, 2), (1, 2))
"""In each state what may be done: 0 asks, 1 answers right, 2 answers wrong."""
PAYS: tuple[Mapping[int, float], ...] = ({0: 0.4, 1: 1.0, 2: 0.0}, {0: -0.3, 1: 2.0, 2: 0.0}, {1: 3.0, 2: 0.0})
LOGITS = ((0.3, -0.2, 0.1), (-0.5, 0.4, 0.2), (0.1, -0.3))

ESTIMATORS: Mapping[str, Estimator] = {
    "return_to_go, leave-one-out": return_to_go,
    "return_to_go, over the batch's deviation": partial(return_to_go, scale="batch"),
    "return_to_go, discount 0.5": partial(return_to_go, discount=0.5),
    "trajectory, not scaled": partial(trajectory, scale="none"),
    "trajectory, over the group's deviation (GRPO)": trajectory,
    "standardized by turn": standardized,
    "paper": paper,
}


@dataclass(frozen=True)
class Dialogue:
    """One of all that can happen.

    Attributes:
        chance: Its probability.
        rewards: Of its turns.
        scores: Gradient of log p of each turn's action with respect to all logits, (n_turns, 8).
    """

    chance: float
    rewards: list[float]
    scores: list[NDArray[np.float64]]


def dialogues() -> list[Dialogue]:
    """All six."""
    policy = [np.exp(np.array(row)) / np.exp(np.array(row)).sum() for row in LOGITS]
    offsets = np.cumsum([0, *map(len, LOGITS)])
    found: list[Dialogue] = []

    def extend(so_far: Dialogue) -> None:
        turn = len(so_far.rewards)
        for place, action in enumerate(ACTIONS[turn]):
            score = np.zeros(offsets[-1])
            score[offsets[turn] : offsets[turn + 1]] = -policy[turn]
            score[offsets[turn] + place] += 1
            further = Dialogue(
                so_far.chance * float(policy[turn][place]),
                [*so_far.rewards, PAYS[turn][action]],
                [*so_far.scores, score],
            )
            if action == 0:
                extend(further)
            else:
                found.append(further)

    extend(Dialogue(1.0, [], []))
    return found


def exact_gradient() -> NDArray[np.float64]:
    """Of the expected return with respect to all logits, (8,)."""
    return np.sum([each.chance * sum(each.rewards) * np.sum(each.scores, axis=0) for each in dialogues()], axis=0)


def expected_gradient(estimator: Estimator, size: int) -> tuple[NDArray[np.float64], float]:
    """Of the mean over a group of such a size of the sum over turns of advantage times score.

    Returns:
        Its expectation, (8,), and its standard deviation (root of the trace of its covariance).
    """
    first = np.zeros(sum(map(len, LOGITS)))
    second = 0.0
    for group in itertools.product(dialogues(), repeat=size):
        rewards = np.array([each.rewards + [0.0] * (3 - len(each.rewards)) for each in group])
        ids = np.array([list(range(len(each.rewards))) + [-1] * (3 - len(each.rewards)) for each in group])
        advantages = estimator(rewards, ids, np.zeros(size, dtype=np.int64))
        sampled = np.zeros_like(first)
        for row, each in enumerate(group):
            for turn, score in enumerate(each.scores):
                sampled += advantages[row, turn] * score / size
        chance = float(np.prod([each.chance for each in group]))
        first += chance * sampled
        second += chance * float(sampled @ sampled)
    return first, float(np.sqrt(max(second - float(first @ first), 0.0)))


def main(show: Callable[[str], None] = print) -> None:
    """Print the table."""
    exact = exact_gradient()
    for size in (2, 3, 4):
        show(f"groups of {size}: {'':33} cosine  length  deviation / length")
        for name, estimator in ESTIMATORS.items():
            mean, deviation = expected_gradient(estimator, size)
            length = float(np.linalg.norm(mean))
            cosine = float(mean @ exact) / length / float(np.linalg.norm(exact))
            show(f"  {name:46} {cosine:6.4f}  {length / float(np.linalg.norm(exact)):6.3f}  {deviation / length:8.2f}")


if __name__ == "__main__":
    main()
