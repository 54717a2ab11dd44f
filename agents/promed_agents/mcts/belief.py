"""Search in the space of beliefs: what a doctor with a knowledge base expects from questions, without seeing the case.

A state is a belief over the differential with the questions that are left. A question has two outcomes, as likely as
the belief predicts; on the way the decrease of entropy is paid, and stopping is worth the highest posterior: the
chance that the answer is right. Exact, because findings are independent given the condition (the synthetic clinic).
"""

from __future__ import annotations

import math
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
        p, noise = _tables([states[index].candidates for index in going])  # (b, m, k), or (1, m, k) if all the same
        present = (p @ posterior[:, :, None])[:, :, 0]  # (b, m): the chance that the finding is present
        gain = _binary_entropy(present) - (noise @ posterior[:, :, None])[:, :, 0]
        for row, index in enumerate(going):
            gain[row, list(states[index].asked)] = -np.inf
        chosen = np.argsort(-gain, axis=1, kind="stable")[:, : self.width]  # (b, w)
        rows = np.arange(len(going))[:, None]
        best = np.maximum(gain[rows, chosen], 0)
        priors = np.maximum(best / np.maximum(best[:, :1], 1e-12), _LEAST_PRIOR)
        entropy = -(posterior * log_posterior).sum(axis=1)
        columns = (chosen.tolist(), priors.tolist(), present[rows, chosen].tolist(), entropy.tolist())
        for index, questions, likely, chances, nats in zip(going, *columns, strict=True):
            state = states[index]
            questions = questions[: len(state.candidates.labels) - len(state.asked)]
            prospects[index] = Prospect(
                prospects[index].value,
                [state.candidates.labels[question] for question in questions],
                likely[: len(questions)],
                _Outcomes(self, state, questions, chances, nats),
            )
        return prospects


class _Outcomes:
    """The two outcomes of each question of a state, worked out when they are asked for: for most they never are."""

    __slots__ = ("_chances", "_entropy", "_questions", "_state", "_world")

    def __init__(
        self, world: BeliefWorld, state: BeliefState, questions: list[int], chances: list[float], entropy: float
    ) -> None:
        self._world, self._state, self._questions, self._chances = world, state, questions, chances
        self._entropy = entropy

    def __call__(self, index: int) -> list[Outcome[BeliefState]]:
        world, state, question, chance = self._world, self._state, self._questions[index], self._chances[index]
        candidates, asked = state.candidates, state.asked | {question}
        after = state.log_posterior + candidates.log_p[:, question]  # (2, k)
        after[0] -= math.log(1 - chance)
        after[1] -= math.log(chance)
        no, yes = (np.exp(after) * after).sum(axis=1).tolist()  # minus the entropies
        no, yes = (world.entropy_weight * (self._entropy + left) - world.question_cost for left in (no, yes))
        return [
            Outcome(chance, yes, BeliefState(candidates, after[1], asked, state.left - 1), "yes"),
            Outcome(1 - chance, no, BeliefState(candidates, after[0], asked, state.left - 1), "no"),
        ]


def _tables(candidates: list[Candidates]) -> tuple[Floats, Floats]:
    """p(finding present | condition) and its entropy for each state, (b, m, k); (1, m, k) if all are the same."""
    first = candidates[0]
    if all(other is first for other in candidates):
        return first.p[None], first.binary_entropy[None]
    return np.stack([each.p for each in candidates]), np.stack([each.binary_entropy for each in candidates])


def _nothing(index: int) -> list[Outcome[BeliefState]]:
    raise IndexError("a final state has no actions")


def _binary_entropy(p: Floats) -> Floats:
    entropy: Floats = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    return entropy
