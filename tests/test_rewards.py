"""Reward terms: what each pays, how they compose, the presets, and the two views of a return."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from promed_env.beliefs import EvidenceBelief
from promed_env.case import Case, Fact, Option
from promed_env.consultation import Consultation
from promed_env.datasets import load_dataset
from promed_env.errors import BeliefRequired
from promed_env.patients import Reply
from promed_env.rewards import (
    PRESETS,
    SIG,
    BeliefGain,
    BySIG,
    Diagnosis,
    DistributedReward,
    Evenly,
    FactRecall,
    Format,
    FutileQuestion,
    InformationGain,
    PartialCredit,
    QuestionCost,
    RewardTerm,
    WeightedSum,
    fact_weights,
    make_reward,
)
from promed_env.shapley import case_shapley
from promed_env.testing import cases, check_reward_term

NAMES = (
    "sig", "sig_signed", "sig_positive", "sig_uniform", "sig_presentation", "sig_signed_presentation",
    "distributed", "diagnosis", "partial_credit", "format", "question_cost", "futile_question", "fact_recall",
    "information_gain", "belief_gain",
)  # fmt: skip


@pytest.fixture(scope="module")
def case() -> Case:
    return load_dataset("medqa")[0]


def disclose(state: Consultation, *facts: int) -> Consultation:
    return state.ask("?", Reply("...", facts, "patient"))


def dialogue(case: Case, *groups: tuple[int, ...], answer: str | None = None) -> Consultation:
    state = Consultation(case)
    for group in groups:
        state = disclose(state, *group)
    return state if answer is None else state.answer(answer)


def paid(term: RewardTerm, final: Consultation) -> list[float]:
    return [term(final.prefix(turn), final.prefix(turn + 1)) for turn in range(final.turn)]


@pytest.mark.parametrize("reward", [*NAMES, *PRESETS, "2*sig - 0.05*question_cost"])
def test_every_term_and_preset_is_a_proper_reward(reward: str) -> None:
    term = make_reward(reward).bind(EvidenceBelief())
    report = check_reward_term(term)
    assert report.name == term.name
    assert report.telescopes == ("question" not in reward)  # costs of questions count turns


def test_weights_are_what_they_are_called(case: Case) -> None:
    belief = EvidenceBelief()
    phi = case_shapley(case, belief, "all").values
    softmax = np.exp(phi / 2) / np.exp(phi / 2).sum()
    np.testing.assert_allclose(fact_weights(case, belief, "all", "softmax", 2.0), softmax, atol=1e-8)
    np.testing.assert_allclose(fact_weights(case, belief, "all", "signed", 2.0), phi, atol=1e-8)
    np.testing.assert_allclose(fact_weights(case, belief, "all", "positive", 2.0), np.maximum(phi, 0), atol=1e-8)
    assert fact_weights(case, None, "all", "uniform", 2.0) == (1 / case.n_facts,) * case.n_facts
    weights = np.array(fact_weights(case, belief, "presentation", "softmax", 2.0))
    assert weights[sorted(case.initial)].tolist() == [0.0] * len(case.initial)
    assert weights.sum() == pytest.approx(1)


def test_softmax_is_nearly_uniform_as_the_docs_say(case: Case) -> None:
    phi = case_shapley(case, EvidenceBelief(), "all").values
    weights = np.array(SIG().fact_weights(case))
    first_order = (1 + (phi - phi.mean()) / 2) / case.n_facts
    assert np.abs(weights - first_order).max() < 0.25 / case.n_facts


def test_a_fact_is_paid_once(case: Case) -> None:
    a, b = case.hidden[:2]
    weights = SIG().fact_weights(case)
    final = dialogue(case, (a,), (a, b), (b,), (*case.initial,), answer="A")
    assert paid(SIG(), final) == pytest.approx([weights[a], weights[b], 0, 0, 0])
    assert SIG().gains(final).tolist() == paid(SIG(), final) == SIG().hindsight(final).tolist()


def test_potential_takes_back_what_was_paid(case: Case) -> None:
    final = dialogue(case, case.hidden[:1], case.hidden[1:3], answer="A")
    steps = paid(SIG(potential=True), final)
    assert sum(steps) == pytest.approx(0)
    assert steps[:2] == paid(SIG(), final)[:2]
    assert SIG(potential=True).hindsight(final).tolist() == pytest.approx(steps)
    assert SIG(potential=True).gains(final).sum() > 0


def test_an_annotation_is_used_unless_another_belief_is_asked_for(case: Case) -> None:
    class Flat:
        """A belief that knows nothing."""

        name = "flat"

        def covers(self, case: Case) -> bool:
            return True

        def __call__(self, case: Case, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
            return np.full((len(coalitions), len(case.options)), -np.log(len(case.options)))

    assert np.ptp(SIG("signed").fact_weights(case)) > 0.1
    assert SIG("signed", belief=Flat()).fact_weights(case) == (0.0,) * case.n_facts
    bare = dataclasses.replace(case, shapley=None)
    np.testing.assert_allclose(
        SIG("signed", belief=EvidenceBelief()).fact_weights(bare), SIG("signed").fact_weights(case), atol=1e-8
    )


def test_binding_fills_in_a_belief_where_none_was_given() -> None:
    one, other = EvidenceBelief(), EvidenceBelief("other")
    assert SIG().bind(one).belief is one
    assert SIG(belief=other).bind(one).belief is other
    assert SIG().bind(None) == SIG()
    bound = make_reward("promed + 0*belief_gain".replace("promed", PRESETS["promed"])).bind(one)
    assert isinstance(bound, WeightedSum)
    beliefs = [
        getattr(term, "belief", None) or getattr(getattr(term, "sig", None), "belief", None) for _, term in bound.parts
    ]
    assert beliefs == [one, one, None, None, one]


@pytest.mark.parametrize("correct", [True, False])
def test_the_promed_preset_pays_as_the_paper_with_returns_in_mind(case: Case, correct: bool) -> None:
    key = case.answer[0] if correct else next(key for key in case.keys if key not in case.answer)
    a, b = case.hidden[:2]
    g = SIG().fact_weights(case)
    final = dialogue(case, (a,), (), (b,)).fail("odd").answer(key)
    reward = make_reward("promed")
    bonus = (3 + g[a] + g[b]) if correct else 0
    assert paid(reward, final) == pytest.approx([2 * g[a], 0, 2 * g[b], -1, bonus])
    share = 3 if correct else 2
    assert reward.hindsight(final).tolist() == pytest.approx([share * g[a], 0, share * g[b], -1, 3 if correct else 0])


def test_how_the_final_reward_is_distributed_can_be_replaced(case: Case) -> None:
    a, b = case.hidden[:2]
    final = dialogue(case, (a,), (), (b,), answer=case.answer[0])
    g = SIG().fact_weights(case)
    even = DistributedReward(Evenly())
    assert even.hindsight(final).tolist() == pytest.approx([(g[a] + g[b]) / 3] * 3 + [0])
    assert paid(even, final) == pytest.approx(paid(DistributedReward(BySIG()), final))

    def all_to_the_first(final: Consultation, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        shares = np.zeros_like(gains)
        shares[0] = gains.sum() * final.correct
        return shares

    mine = DistributedReward(all_to_the_first)
    assert mine.hindsight(final).tolist() == pytest.approx([g[a] + g[b], 0, 0, 0])
    assert paid(mine, final)[-1] == pytest.approx(g[a] + g[b])
    wrong = dialogue(case, (a,), answer=next(key for key in case.keys if key not in case.answer))
    assert not even.hindsight(wrong).any() and not DistributedReward().hindsight(dialogue(case, (a,))).any()
    assert not even.hindsight(dialogue(case, answer=case.answer[0])).any()


def test_final_terms_grade_the_answer() -> None:
    options = tuple(Option(key, key.lower()) for key in "ABCD")
    case = Case("t:1", "t", "p", "q", options, ("A", "B"), (Fact("one"),))
    for answer, correct, overlap in (("A, B", 1, 1.0), ("A", 0, 0.5), ("A, C", 0, 1 / 3), ("C", 0, 0.0), ("Z", 0, 0.0)):
        final = dialogue(case, (0,), answer=answer)
        assert paid(Diagnosis(), final) == [0, correct] == Diagnosis().hindsight(final).tolist()
        assert paid(PartialCredit(), final) == pytest.approx([0, overlap])
    unfinished = dialogue(case, (0,))
    assert Diagnosis().hindsight(unfinished).tolist() == [0]
    due = Consultation(case, max_questions=0).fail("odd")
    assert (due.finished, due.correct, paid(Diagnosis(), due), paid(PartialCredit(), due)) == (True, False, [0], [0])


def test_costs_and_format_count_turns(case: Case) -> None:
    final = dialogue(case, (), ()).fail("odd").answer("A")
    assert paid(QuestionCost(), final) == [1, 1, 1, 0]
    first, second = case.hidden[:2]
    asked = dialogue(case, (first, second), (second,), ()).fail("odd").answer("A")
    assert paid(FutileQuestion(), asked) == [0, 1, 1, 0, 0]
    assert paid(Format(), final) == [0, 0, -1, 0] == Format().hindsight(final).tolist()


def test_belief_terms_are_differences_of_the_belief(case: Case) -> None:
    belief = EvidenceBelief()
    a, b = case.hidden[:2]
    final = dialogue(case, (a,), (), (b,), answer="A")
    known = np.zeros((2, case.n_facts), dtype=bool)
    known[:, sorted(case.initial)] = True
    known[1, [a, b]] = True
    start, end = belief(case, known)
    right = [key in case.answer for key in case.keys]
    assert sum(paid(BeliefGain(belief), final)) == pytest.approx(end[right][0] - start[right][0])
    entropies = [-(np.exp(row) * row).sum() for row in (start, end)]
    assert sum(paid(InformationGain(belief), final)) == pytest.approx(entropies[0] - entropies[1])
    assert paid(InformationGain(belief), final)[1] == 0


def test_a_batch_makes_one_call_of_the_belief() -> None:
    calls = []

    @dataclasses.dataclass(frozen=True)
    class Counting(EvidenceBelief):
        def batch(self, cases: list[Case], coalitions: list[NDArray[np.bool_]]) -> list[NDArray[np.float64]]:
            calls.append(len(cases))
            return [self(case, coalition[None])[0] for case, coalition in zip(cases, coalitions, strict=True)]

    befores = [Consultation(case) for case in load_dataset("medqa")[:6]]
    afters = [disclose(state, state.case.hidden[0]) for state in befores[:4]] + [
        disclose(state) for state in befores[4:]
    ]
    values = InformationGain(Counting()).batch(befores, afters)
    assert calls == [8]
    assert values == [InformationGain(EvidenceBelief())(b, a) for b, a in zip(befores, afters, strict=True)]
    assert list(values[4:]) == [0, 0]


def test_recall_counts_hidden_facts(case: Case) -> None:
    final = dialogue(case, case.hidden[:2], (*case.initial,), case.hidden[1:3], answer="A")
    n = len(case.hidden)
    assert paid(FactRecall(), final) == pytest.approx([2 / n, 0, 1 / n, 0])


def test_terms_add_scale_and_subtract(case: Case) -> None:
    final = dialogue(case, case.hidden[:1], answer=case.answer[0])
    reward = 2 * SIG() + Diagnosis() * 3 - 0.05 * QuestionCost() + -Format()
    expected = 2 * SIG().gains(final) + [0, 3] - np.array([0.05, 0])
    assert paid(reward, final) == pytest.approx(expected.tolist())
    assert reward.name == "2*sig + 3*diagnosis - 0.05*question_cost - format"
    assert (SIG() + SIG()).terms(final.prefix(0), final.prefix(1)) == {"sig": pytest.approx(2 * SIG().gains(final)[0])}
    assert (2 * (SIG() + Diagnosis())).name == "2*sig + 2*diagnosis"


WEIGHTS = st.one_of(st.integers(-3, 3), st.floats(-1e12, 1e12), st.sampled_from([0.1 + 0.2, 1e-7, 5e-324, -0.05, 1e22]))


@given(st.lists(st.tuples(WEIGHTS, st.sampled_from(NAMES)), min_size=1, max_size=5))
def test_the_name_of_a_sum_is_a_string_that_makes_it_again(parts: list[tuple[float, str]]) -> None:
    reward = WeightedSum(tuple((float(weight), make_reward(name)) for weight, name in parts))
    again = make_reward(reward.name)
    assert again == (reward if parts != [(1, reward.parts[0][1].name)] else reward.parts[0][1])
    assert again.name == reward.name


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("2*sig + 3*diagnosis - 0.05*question_cost", [(2, "sig"), (3, "diagnosis"), (-0.05, "question_cost")]),
        ("-sig+.5*diagnosis", [(-1, "sig"), (0.5, "diagnosis")]),
        ("  1e-3 * sig  -  diagnosis ", [(1e-3, "sig"), (-1, "diagnosis")]),
        ("1e+3*sig + sig", [(1000, "sig"), (1, "sig")]),
    ],
)
def test_a_string_is_a_weighted_sum_of_terms(text: str, parts: list[tuple[float, str]]) -> None:
    reward = make_reward(text)
    assert isinstance(reward, WeightedSum)
    assert [(weight, term.name) for weight, term in reward.parts] == parts


def test_a_term_is_a_reward_as_it_is() -> None:
    term = 2 * SIG()
    assert make_reward(term) is term


@pytest.mark.parametrize("text", ["", "gold", "2*", "2 sig", "sig diagnosis", "sig +", "2*gold + sig", "sig;diagnosis"])
def test_a_string_that_is_no_reward_is_refused_with_the_names(text: str) -> None:
    with pytest.raises(ValueError, match=r"unknown reward .* expected a preset \(promed, .*weighted sum.* belief_gain"):
        make_reward(text)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"weights": "heavy"}, "unknown SIG weights 'heavy'"),
        ({"game": "chess"}, "unknown game 'chess'"),
        ({"temperature": 0}, "temperature must be positive"),
    ],
)
def test_bad_arguments_of_sig_are_named(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SIG(**kwargs)


@pytest.mark.parametrize("term", [SIG(), InformationGain(), DistributedReward(), 2 * BeliefGain()])
def test_a_missing_belief_is_reported_before_anything_is_computed(case: Case, term: RewardTerm) -> None:
    bare = dataclasses.replace(case, evidence=None, shapley=None)
    with pytest.raises(BeliefRequired, match="no belief was given"):
        term.check(bare)
    with pytest.raises(BeliefRequired, match="the belief 'evidence' does not cover it"):
        term.bind(EvidenceBelief()).check(bare)
    with pytest.raises(BeliefRequired):
        term.bind(None)(Consultation(bare), disclose(Consultation(bare), bare.hidden[0]).answer(bare.answer[0]))


@given(cases(min_facts=1), st.data())
def test_sig_telescopes_whatever_the_order(case: Case, data: st.DataObject) -> None:
    term = SIG("signed", belief=EvidenceBelief())
    order = data.draw(st.permutations(case.hidden))
    one = dialogue(case, *((fact,) for fact in order))
    other = dialogue(case, tuple(case.hidden))
    assert term.gains(one).sum() == pytest.approx(term.gains(other).sum(), abs=1e-9)


def test_a_term_of_a_user_needs_a_name_and_a_call() -> None:
    class Nameless(RewardTerm):
        pass

    state = Consultation(load_dataset("medqa")[0])
    with pytest.raises(NotImplementedError, match="Nameless must define name"):
        _ = Nameless().name
    with pytest.raises(NotImplementedError, match="Nameless must define __call__"):
        Nameless()(state, state)
