"""Belief from the case's own knowledge table: exact, and vectorised over coalitions of facts.

Facts are independent given the option, so log p(option | facts S) is, up to a constant, the log prior plus the sum of
the rows of `case.evidence` in S: one matrix product for any number of coalitions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from promed_env.case import Case
from promed_env.errors import BeliefRequired

__all__ = ["EvidenceBelief", "log_softmax"]


def log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalise log-scores over the last axis: (..., n) -> (..., n), in nats."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    normalised: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return normalised


@dataclass(frozen=True)
class EvidenceBelief:
    """The posterior of the case's own evidence table (a `Belief`)."""

    name: str = "evidence"

    def __hash__(self) -> int:
        return hash(self.name)

    def covers(self, case: Case) -> bool:
        """Whether the case carries a table."""
        return case.evidence is not None

    def table(self, case: Case) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log p(fact as stated | option), (n_facts, n_options), and log p(option), (n_options,), in nats.

        Raises:
            BeliefRequired: The case has no table.
        """
        if case.evidence is None or case.prior is None:
            raise BeliefRequired(
                f"case {case.case_id!r} has no evidence table; pass another belief, or annotate the data set"
            )
        return case.evidence, np.log(case.prior)

    def __call__(self, case: Case, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Posterior log-probabilities.

        Args:
            case: A case with an evidence table.
            coalitions: Sets of facts taken as known, shape (m, n_facts).

        Returns:
            log p(option | facts), shape (m, n_options), in nats.

        Raises:
            BeliefRequired: The case has no table.
        """
        evidence, log_prior = self.table(case)
        return log_softmax(np.asarray(coalitions, dtype=np.float64) @ evidence + log_prior)
