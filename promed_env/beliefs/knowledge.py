"""Belief from a knowledge base: the exact posterior over a case's options, from public knowledge alone.

It reads of a case what the doctor has been told: complaint, age and sex, the options' names and the known findings. In
the synthetic clinic it equals the belief from the case's own table, because the cases were drawn from the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from promed_env.beliefs.evidence import log_softmax
from promed_env.case import Case
from promed_env.errors import BeliefRequired, DatasetError
from promed_env.knowledge import Complaint, KnowledgeBase, primary_care

__all__ = ["KnowledgeBelief"]


@dataclass(frozen=True)
class KnowledgeBelief:
    """p(condition | findings) under a knowledge base (a `Belief`).

    Attributes:
        knowledge: The knowledge base; compared by identity.
    """

    knowledge: KnowledgeBase = field(default_factory=primary_care)
    name: str = "knowledge"

    def __hash__(self) -> int:
        return hash(self.knowledge)

    def covers(self, case: Case) -> bool:
        """Whether complaint, options and findings of the case are in the knowledge base."""
        return _table(self.knowledge, case) is not None

    def table(self, case: Case) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log p(fact as stated | option), (n_facts, n_options), and log p(option), (n_options,), in nats.

        Raises:
            BeliefRequired: The knowledge base does not cover the case.
        """
        found = _table(self.knowledge, case)
        if found is None:
            raise BeliefRequired(
                f"case {case.case_id!r}: its complaint, options or findings are not in the knowledge base "
                f"{self.knowledge.name!r}; use the belief 'evidence' if the case has a table, or another data set"
            )
        return found

    def __call__(self, case: Case, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Posterior log-probabilities.

        Args:
            case: A case of the knowledge base.
            coalitions: Sets of facts taken as known, shape (m, n_facts).

        Returns:
            log p(option | facts), shape (m, n_options), in nats.

        Raises:
            BeliefRequired: The knowledge base does not cover the case.
        """
        evidence, log_prior = self.table(case)
        return log_softmax(np.asarray(coalitions, dtype=np.float64) @ evidence + log_prior)


@lru_cache(maxsize=4096)
def _table(base: KnowledgeBase, case: Case) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    presented = base.presented(case.presentation)
    options = [base.name_index.get(option.text, -1) for option in case.options]
    findings = [base.question_index.get(fact.question_text or "", -1) for fact in case.facts]
    if presented is None or min(options) < 0 or min(findings, default=0) < 0:
        return None
    age, sex, complaint = presented
    try:
        prior = base.prior(complaint.id, age, sex)[options]
    except DatasetError:  # nobody of that age and sex has the complaint: not this knowledge base's patient
        return None
    if prior.min() <= 0:
        return None
    p = base.probabilities[np.ix_(options, findings)].T
    present = np.array([fact.status == "present" for fact in case.facts])
    evidence = np.log(np.where(present[:, None], p, 1 - p))
    if (own := _own_finding(base, complaint)) in findings:
        evidence[findings.index(own)] = 0.0  # the complaint affirms it, and the prior is given the complaint
    return evidence, np.log(prior / prior.sum())


def _own_finding(base: KnowledgeBase, complaint: Complaint) -> int:
    return -2 if complaint.finding is None else base.finding_index[complaint.finding]
