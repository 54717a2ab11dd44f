"""Greedy expected information gain: ask for the fact whose answer is expected to settle most.

On vignettes it is privileged (`record`): it knows which facts there are and their evidence rows, so it knows what can
be asked for. It never reads how a fact turned out: a fact may be as stated or not, and both outcomes count by their
probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promed_agents.base import Access, state_answer
from promed_env.beliefs import EvidenceBelief, posteriors
from promed_env.case import Case
from promed_env.consultation import Consultation

__all__ = ["Greedy", "expected_information_gain"]


def expected_information_gain(posterior: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected decrease of the entropy over the options when each of several facts is learnt, in nats.

    Args:
        posterior: p(option) now, (n_options,).
        rows: log p(fact as stated | option), (m, n_options).

    Returns:
        Mutual information of option and fact, (m,), at least 0 up to rounding.
    """

    def plogp(p: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0)

    stated = np.exp(rows)
    outcomes = np.stack([stated, 1 - stated])  # (2, m, n_options)
    conditional = (plogp(outcomes) * posterior).sum(axis=(0, 2))
    marginal = plogp((outcomes * posterior).sum(axis=2)).sum(axis=0)
    gain: NDArray[np.float64] = conditional - marginal
    return gain


@dataclass
class Greedy:
    """Asks for the undisclosed fact with the highest expected information gain, each at most once.

    Attributes:
        stop_at: Answer once the most probable option has this probability.
    """

    stop_at: float = 0.95
    name: str = "greedy"
    access: Access = "record"

    def reset(self, n: int) -> None:
        """See `Agent.reset`."""

    def act(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[str]:
        """See `Agent.act`.

        Raises:
            BeliefRequired: A case has no evidence table.
        """
        return [self._turn(info["view"], info["by_key"]) for info in infos]

    def leaning(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[NDArray[np.float64]]:
        """See `Leaning.leaning`.

        Raises:
            BeliefRequired: A case has no evidence table.
        """
        return [_posterior(info["view"]) for info in infos]

    def _turn(self, consultation: Consultation, by_key: bool) -> str:
        case = consultation.case
        posterior = _posterior(consultation)
        asked = {turn.text for turn in consultation.turns}
        open_facts = [i for i in range(case.n_facts) if i not in consultation.known and _question(case, i) not in asked]
        if consultation.must_answer or not open_facts or posterior.max() >= self.stop_at:
            return state_answer(case.options, posterior, by_key=by_key, several=case.several)
        assert case.evidence is not None
        gains = expected_information_gain(posterior, case.evidence[open_facts])
        return f"question: {_question(case, open_facts[int(gains.argmax())])}"


def _posterior(consultation: Consultation) -> NDArray[np.float64]:
    return np.exp(posteriors(EvidenceBelief(), [consultation.case], [consultation.known])[0])


def _question(case: Case, fact: int) -> str:
    return case.facts[fact].question_text or case.facts[fact].text
