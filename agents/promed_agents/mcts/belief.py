"""Search in the space of beliefs: what a doctor with a knowledge base expects from questions, without seeing the case.

A state is a belief over the differential with the questions that are left. A question has two outcomes, as likely as
the belief predicts; on the way the decrease of entropy is paid, and stopping is worth the highest posterior: the
chance that the answer is right. Exact, because findings are independent given the condition (the synthetic clinic).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promed_agents.mcts.tree import Outcome, Prospect

__all__ = ["BeliefState", "BeliefWorld", "Candidates"]

Floats = NDArray[np.float64]
_LEAST_PRIOR = 0.05  # so that with enough simulations everything is tried


class Candidates:
    """The questions that a search may ask, and what their answers mean.

    Attributes:
        labels: The questions.
        p: p(finding present | condition), (n_questions, n_conditions), strictly between 0 and 1.
    """

    def __init__(self, labels: Sequence[str], p: Floats) -> None:
        """Take the questions with their probabilities.

        Raises:
            ValueError: The shapes differ, or a probability is not strictly between 0 and 1.
        """
        self.p = np.asarray(p, dtype=np.float64)
        if self.p.ndim != 2 or len(labels) != len(self.p):
            raise ValueError(f"p needs a row for each of the {len(labels)} questions, got the shape {self.p.shape}")
        if self.p.size and not (self.p.min() > 0 and self.p.max() < 1):
            raise ValueError("p(finding | condition) must lie strictly between 0 and 1")
        self.labels = tuple(labels)
        self.log_p = np.log(np.stack([1 - self.p, self.p]))  # (absent or present, questions, conditions)
        self.binary_entropy = -(self.p * self.log_p[1] + (1 - self.p) * self.log_p[0])


class BeliefState(NamedTuple):
    """What is known at a point of a search.

    Attributes:
        candidates: The questions of this search.
        log_posterior: log p(condition | what is known), (n_conditions,), in nats.
        asked: The candidates asked so far.
        left: Questions left.
    """

    candidates: Candidates
    log_posterior: Floats
    asked: frozenset[int]
    left: int


class BeliefWorld:
    """The `World` of belief states; all states of a batch have equally many candidates and conditions.

    Attributes:
        width: Questions that are considered in a state: those with the highest expected information gain.
        entropy_weight: What a nat of decrease of entropy is worth, beside a right answer, which is worth 1.
        question_cost: What a question costs.
    """

    def __init__(self, width: int = 8, entropy_weight: float = 0.1, question_cost: float = 0.0) -> None:
        """See the class.

        Raises:
            ValueError: The width is below 1, or a weight is negative.
        """
        if width < 1 or entropy_weight < 0 or question_cost < 0:
            raise ValueError(
                "width must be at least 1, entropy_weight and question_cost at least 0, got "
                f"{width}, {entropy_weight} and {question_cost}"
            )
        self.width, self.entropy_weight, self.question_cost = width, entropy_weight, question_cost

    def open(self, states: Sequence[BeliefState]) -> list[Prospect[BeliefState]]:
        """See `World.open`."""
        log_posterior = np.stack([state.log_posterior for state in states])  # (b, k)
        posterior = np.exp(log_posterior)
        stop = posterior.max(axis=1)
        going = [
            index for index, state in enumerate(states) if state.left and len(state.asked) < len(state.candidates.p)
        ]
        prospects: list[Prospect[BeliefState]] = [Prospect(value, (), (), _nothing) for value in stop.tolist()]
        if not going:
            return prospects
        log_posterior, posterior = log_posterior[going], posterior[going]
        p = np.stack([states[index].candidates.p for index in going])  # (b, m, k)
        noise = np.stack([states[index].candidates.binary_entropy for index in going])
        present = (p @ posterior[:, :, None])[:, :, 0]  # (b, m): the chance that the finding is present
        gain = _binary_entropy(present) - (noise @ posterior[:, :, None])[:, :, 0]
        for row, index in enumerate(going):
            gain[row, list(states[index].asked)] = -np.inf
        width = min(self.width, gain.shape[1])
        chosen = np.argsort(-gain, axis=1, kind="stable")[:, :width]  # (b, w)
        rows = np.arange(len(going))[:, None]
        log_p = np.stack([states[index].candidates.log_p for index in going])  # (b, 2, m, k)
        chance = np.stack([1 - present[rows, chosen], present[rows, chosen]], axis=1)  # (b, 2, w)
        after = log_posterior[:, None, None] + log_p[rows[:, :, None], np.arange(2)[:, None], chosen[:, None]]
        after -= np.log(chance)[..., None]  # (b, 2, w, k)
        entropy = -(np.exp(after) * after).sum(axis=3)
        before = -(posterior * log_posterior).sum(axis=1)
        rewards = self.entropy_weight * (before[:, None, None] - entropy) - self.question_cost
        best = np.maximum(gain[rows, chosen], 0)
        priors = np.maximum(best / np.maximum(best.max(axis=1, keepdims=True), 1e-12), _LEAST_PRIOR)
        open_actions = np.isfinite(gain[rows, chosen])
        for row, index in enumerate(going):
            state = states[index]
            actions = chosen[row][open_actions[row]].tolist()
            prospects[index] = Prospect(
                float(stop[index]),
                [state.candidates.labels[action] for action in actions],
                priors[row].tolist()[: len(actions)],
                _Outcomes(state, actions, chance[row], rewards[row], after[row]),
            )
        return prospects


class _Outcomes:
    """The two outcomes of each question of a state, made when they are asked for."""

    __slots__ = ("_actions", "_after", "_chance", "_rewards", "_state")

    def __init__(self, state: BeliefState, actions: list[int], chance: Floats, rewards: Floats, after: Floats) -> None:
        self._state, self._actions = state, actions
        self._chance, self._rewards, self._after = chance, rewards, after

    def __call__(self, index: int) -> list[Outcome[BeliefState]]:
        state, after = self._state, self._after
        asked = state.asked | {self._actions[index]}
        return [
            Outcome(
                float(self._chance[present, index]),
                float(self._rewards[present, index]),
                BeliefState(state.candidates, after[present, index], asked, state.left - 1),
                ("no", "yes")[present],
            )
            for present in (1, 0)
        ]


def _nothing(index: int) -> list[Outcome[BeliefState]]:
    raise IndexError("a final state has no actions")


def _binary_entropy(p: Floats) -> Floats:
    entropy: Floats = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    return entropy
