"""Beliefs: who would answer what, knowing a set of facts.

A belief maps (case, coalitions of facts) to log p(option | facts). It is what Shapley values, information gain and
planning are computed from. `evidence` reads the table that a case carries, `knowledge` a public knowledge base, `lm`
asks a language model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from promed_env.beliefs.evidence import EvidenceBelief
from promed_env.case import Case
from promed_env.llm import BACKENDS

__all__ = [
    "Belief",
    "EvidenceBelief",
    "TableBelief",
    "characteristic",
    "key_columns",
    "key_log_probability",
    "make_belief",
    "posteriors",
]


@runtime_checkable
class Belief(Protocol):
    """What every belief offers. Implementations are hashable, so that Shapley values can be remembered per belief."""

    def __hash__(self) -> int:
        """A hash that agrees with equality."""

    @property
    def name(self) -> str:
        """A short name for results and annotations."""

    def covers(self, case: Case) -> bool:
        """Whether the belief can be computed for this case."""

    def __call__(self, case: Case, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Give log p(option | facts): (m, n_facts) bool -> (m, n_options) float64, in nats."""


@runtime_checkable
class TableBelief(Belief, Protocol):
    """A belief under which facts are independent given the option, so that sums of rows give every posterior."""

    def table(self, case: Case) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log p(fact as stated | option), (n_facts, n_options), and log p(option), (n_options,), in nats."""


def key_columns(case: Case) -> list[int]:
    """Columns of the right options."""
    return [index for index, option in enumerate(case.options) if option.key in case.answer]


def key_log_probability(case: Case, log_probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give log p(key), the belief in the right options together: (m, n_options) -> (m,), in nats."""
    summed: NDArray[np.float64] = np.logaddexp.reduce(log_probabilities[:, key_columns(case)], axis=1)
    return summed


def characteristic(belief: Belief, case: Case, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The game of a case, (m, n_facts) bool -> v (m,), in nats: the belief's own `value`, or log p(key | facts)."""
    value = getattr(belief, "value", None)
    found: NDArray[np.float64] = (
        key_log_probability(case, belief(case, coalitions)) if value is None else value(case, coalitions)
    )
    return found


def posteriors(belief: Belief, cases: Sequence[Case], known: Sequence[frozenset[int]]) -> list[NDArray[np.float64]]:
    """The belief after each of many dialogues, in one call where the belief offers `batch(cases, coalitions)`.

    Args:
        belief: The belief.
        cases: The cases, length m.
        known: The facts known in each, length m.

    Returns:
        For each case log p(option | known), shape (n_options,), in nats.
    """
    coalitions = []
    for case, facts in zip(cases, known, strict=True):
        coalition = np.zeros(case.n_facts, dtype=bool)
        coalition[list(facts)] = True
        coalitions.append(coalition)
    batch = getattr(belief, "batch", None)
    if batch is not None:
        return list(batch(cases, coalitions))
    return [belief(case, coalition[None])[0] for case, coalition in zip(cases, coalitions, strict=True)]


def make_belief(belief: str | Belief | None) -> Belief | None:
    """Resolve a belief given by name.

    Args:
        belief: "evidence", "knowledge", a language model (`promed_env.beliefs.lm.make_lm_belief`), an object with the
            `Belief` interface, or None for no belief.

    Raises:
        ValueError: The name is unknown.
        TypeError: The object lacks a part of the interface.
    """
    if not isinstance(belief, str):
        if belief is not None and not isinstance(belief, Belief):
            raise TypeError(f"a belief is hashable and has name, covers and __call__; {belief!r} does not")
        return belief
    if belief == "evidence":
        return EvidenceBelief()
    if belief == "knowledge":
        from promed_env.beliefs.knowledge import KnowledgeBelief

        return KnowledgeBelief()
    if belief.partition("(")[2].partition(":")[0] in BACKENDS or belief.partition(":")[0] in BACKENDS:
        from promed_env.beliefs.lm import make_lm_belief

        return make_lm_belief(belief)
    raise ValueError(
        f"unknown belief {belief!r}; expected 'evidence', 'knowledge', a language model such as 'hf:PATH' or "
        "'answer_text(hf:PATH)', an object with the Belief interface, or None"
    )
