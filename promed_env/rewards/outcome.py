"""What answers, invalid turns, questions, tests and facts are worth by themselves, without any belief."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from promed_env.consultation import Consultation
from promed_env.rewards.base import FinalTerm, RewardTerm

__all__ = ["Diagnosis", "FactRecall", "Format", "FutileQuestion", "PartialCredit", "QuestionCost", "TestCost"]


@dataclass(frozen=True)
class Diagnosis(FinalTerm):
    """1 for a right answer, at the end. Right means exactly the right keys."""

    name = "diagnosis"

    def grade(self, final: Consultation) -> float:
        """See the class."""
        return float(final.correct)


@dataclass(frozen=True)
class PartialCredit(FinalTerm):
    """Keys both chosen and right over keys chosen or right, at the end: for questions with several right options."""

    name = "partial_credit"

    def grade(self, final: Consultation) -> float:
        """See the class."""
        chosen, right = set(final.chosen), set(final.case.answer)
        return len(chosen & right) / len(chosen | right)


@dataclass(frozen=True)
class Format(RewardTerm):
    """-1 for an invalid turn."""

    name = "format"

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """See the class."""
        return -1.0 if after.turns[-1].kind == "invalid" else 0.0

    def batch(self, befores: Sequence[Consultation], afters: Sequence[Consultation]) -> Sequence[float]:
        """See `RewardTerm.batch`."""
        return [-1.0 if after.turns[-1].kind == "invalid" else 0.0 for after in afters]

    def hindsight(self, final: Consultation) -> NDArray[np.float64]:
        """-1 on every invalid turn: (n_turns,)."""
        return np.array([-1.0 if turn.kind == "invalid" else 0.0 for turn in final.turns])


@dataclass(frozen=True)
class QuestionCost(RewardTerm):
    """1 for every turn that is not the final answer; give it a negative weight."""

    name = "question_cost"

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """See the class."""
        return float(not after.finished)


@dataclass(frozen=True)
class FutileQuestion(RewardTerm):
    """1 for a question that makes nothing known, such as one asked before; give it a negative weight.

    SIG pays such a question 0, and so does not tell it from one whose facts matter little.
    """

    name = "futile_question"

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """See the class."""
        if after is before or after.turns[-1].kind != "question":
            return 0.0
        return float(not after.new_since(before))


@dataclass(frozen=True)
class TestCost(RewardTerm):
    """1 for every reply that brings a test's result, known or not; give it a negative weight."""

    name = "test_cost"
    __test__ = False  # pytest collects what begins with "Test"

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """See the class."""
        if after is before:
            return 0.0
        reply = after.turns[-1].reply
        return float(reply is not None and reply.informant == "laboratory")


@dataclass(frozen=True)
class FactRecall(RewardTerm):
    """Share of the hidden facts that a turn made known."""

    name = "fact_recall"

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """See the class."""
        new = len(after.new_since(before))
        return new / (after.case.n_facts - len(after.case.initial)) if new else 0.0
