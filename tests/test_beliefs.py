"""Beliefs: the evidence table against Bayes' rule done by hand, and the functions around every belief."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from promed_env.beliefs import Belief, EvidenceBelief, key_log_probability, make_belief, posteriors
from promed_env.beliefs.evidence import log_softmax
from promed_env.case import Case
from promed_env.datasets import load_dataset
from promed_env.errors import BeliefRequired
from promed_env.testing import cases


def bayes(case: Case, known: set[int]) -> list[float]:
    """p(option | known) by multiplying out, one number at a time."""
    assert case.evidence is not None and case.prior is not None
    joint = [float(p) for p in case.prior]
    for option in range(len(case.options)):
        for fact in known:
            joint[option] *= float(np.exp(case.evidence[fact, option]))
    return [p / sum(joint) for p in joint]


@given(cases(max_facts=4))
def test_the_evidence_belief_is_bayes_rule_for_every_set_of_facts(case: Case) -> None:
    subsets = list(product([False, True], repeat=case.n_facts))
    coalitions = np.array(subsets, dtype=bool).reshape(len(subsets), case.n_facts)
    expected = [bayes(case, set(np.flatnonzero(row).tolist())) for row in coalitions]
    np.testing.assert_allclose(np.exp(EvidenceBelief()(case, coalitions)), expected, rtol=1e-9)


@given(cases())
def test_belief_in_the_key_is_summed_over_the_right_options(case: Case) -> None:
    rows = EvidenceBelief()(case, np.ones((1, case.n_facts), dtype=bool))
    expected = sum(p for key, p in zip(case.keys, np.exp(rows[0]), strict=True) if key in case.answer)
    assert np.exp(key_log_probability(case, rows)).tolist() == pytest.approx([expected])


@given(cases(evidence=False))
def test_without_a_table_the_belief_covers_nothing_and_says_what_to_do(case: Case) -> None:
    belief = EvidenceBelief()
    assert not belief.covers(case)
    with pytest.raises(BeliefRequired, match=f"case '{case.case_id}' has no evidence table; pass another belief, or"):
        belief(case, np.ones((1, case.n_facts), dtype=bool))


def test_log_softmax_survives_numbers_that_overflow() -> None:
    scores = np.array([[1000.0, 1000.0], [-1000.0, -1001.0]])
    expected = [[-np.log(2), -np.log(2)], [-np.log1p(np.exp(-1)), -1 - np.log1p(np.exp(-1))]]
    np.testing.assert_allclose(log_softmax(scores), expected)


def test_many_dialogues_are_one_call_where_the_belief_takes_batches_and_the_same_where_not() -> None:
    sizes = []

    @dataclasses.dataclass(frozen=True)
    class Batching(EvidenceBelief):
        def batch(self, cases: list[Case], coalitions: list[NDArray[np.bool_]]) -> list[NDArray[np.float64]]:
            sizes.append(len(cases))
            return [self(case, coalition[None])[0] for case, coalition in zip(cases, coalitions, strict=True)]

    sample = load_dataset("medqa")[:4].cases
    known = [case.initial | {case.hidden[0]} for case in sample]
    one_by_one = posteriors(EvidenceBelief(), sample, known)
    assert np.concatenate(posteriors(Batching(), sample, known)).tolist() == np.concatenate(one_by_one).tolist()
    assert sizes == [4]
    for case, facts, row in zip(sample, known, one_by_one, strict=True):
        assert np.exp(row).tolist() == pytest.approx(bayes(case, set(facts)))


def test_beliefs_are_made_by_name_or_taken_as_they_are() -> None:
    belief = EvidenceBelief()
    assert isinstance(belief, Belief)
    assert make_belief("evidence") == belief
    assert make_belief(belief) is belief
    assert make_belief(None) is None


class NoCovers:
    """Lacks `covers`."""

    name = "none"

    def __call__(self, case: Case, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.zeros((len(coalitions), len(case.options)))


class Unhashable(EvidenceBelief):
    """Cannot be remembered."""

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("belief", [NoCovers(), Unhashable(), 3])
def test_an_object_that_lacks_a_part_of_the_interface_is_refused_at_once(belief: object) -> None:
    with pytest.raises(TypeError, match=r"a belief is hashable and has name, covers and __call__; .* does not"):
        make_belief(belief)  # type: ignore[arg-type]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown belief 'faith'; expected 'evidence'"):
        make_belief("faith")
