"""Credit assignment: a final reward that depends on how the answer was reached, given back to the turns."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from promed_env.beliefs import Belief
from promed_env.case import Case
from promed_env.consultation import Consultation
from promed_env.rewards.base import FinalTerm
from promed_env.rewards.sig import SIG

__all__ = ["BySIG", "DistributedReward", "Distribution", "Evenly"]


class Distribution(Protocol):
    """How a final reward is given back to the turns that earned it."""

    def __call__(self, final: Consultation, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of every turn, (n_turns,), from the SIG of every turn, (n_turns,)."""


@dataclass(frozen=True)
class BySIG:
    """The paper's SIG-guided reward distribution: a right answer gives every question its SIG again."""

    def __call__(self, final: Consultation, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Distribution`."""
        return gains if final.correct else np.zeros_like(gains)


@dataclass(frozen=True)
class Evenly:
    """The same sum as `BySIG`, shared evenly among the questions: credit without attribution, for comparison."""

    def __call__(self, final: Consultation, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Distribution`."""
        asked = np.array([turn.kind == "question" for turn in final.turns], dtype=np.float64)
        if not final.correct or not asked.any():
            return np.zeros_like(gains)
        shares: NDArray[np.float64] = asked * (float(gains.sum()) / float(asked.sum()))
        return shares


@dataclass(frozen=True)
class DistributedReward(FinalTerm):
    """A final reward that depends on how the answer was reached.

    `step` pays its whole sum at the end, when it is known; `hindsight` gives it to the turns as the distribution says.

    Attributes:
        distribution: How it is distributed; replace it to study credit assignment.
        sig: Where the SIG of every turn comes from.
    """

    distribution: Distribution = BySIG()
    sig: SIG = field(default_factory=SIG)
    name = "distributed"

    def grade(self, final: Consultation) -> float:
        """The sum of all shares."""
        return float(self.hindsight(final).sum())

    def hindsight(self, final: Consultation) -> NDArray[np.float64]:
        """The share of every turn, (n_turns,); zero before the end."""
        if not final.finished:
            return np.zeros(final.turn)
        shares: NDArray[np.float64] = np.asarray(self.distribution(final, self.sig.gains(final)), dtype=np.float64)
        return shares

    def bind(self, belief: Belief | None) -> DistributedReward:
        """See `RewardTerm.bind`."""
        return dataclasses.replace(self, sig=self.sig.bind(belief))

    def check(self, case: Case) -> None:
        """See `RewardTerm.check`."""
        self.sig.check(case)
