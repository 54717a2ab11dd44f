"""The consultation as a value: what is known, what is still allowed, when it is over, and what it refuses."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable

import pytest

from promed_env.case import Case, Fact, Option
from promed_env.consultation import Consultation, Disclosed
from promed_env.patients import Reply

CASE = Case(
    "t:1",
    "t",
    "A patient.",
    "Which?",
    tuple(Option(key, f"option {key.lower()}") for key in "ABCD"),
    ("B", "D"),
    tuple(Fact(f"Finding {number}.") for number in range(5)),
    initial=frozenset({0}),
)


def told(*facts: int) -> Reply:
    return Reply("...", facts, "patient")


def asked(*groups: tuple[int, ...], max_questions: int = 10) -> Consultation:
    state = Consultation(CASE, max_questions=max_questions)
    for facts in groups:
        state = state.ask("?", told(*facts))
    return state


def test_at_first_only_the_initial_facts_are_known() -> None:
    state = Consultation(CASE)
    assert (state.known, state.turn, state.questions_left) == ({0}, 0, 10)
    assert not (state.finished or state.must_answer or state.correct)
    assert (state.chosen, state.confidence, state.fact_recall) == ((), None, 0)


def test_a_reply_makes_what_it_discloses_known_for_good() -> None:
    state = asked((1, 2), (), (2, 3))
    assert [turn.known for turn in state.turns] == [{0, 1, 2}, {0, 1, 2}, {0, 1, 2, 3}]
    assert (state.questions_left, state.fact_recall) == (7, 3 / 4)


def test_asking_leaves_the_earlier_state_as_it_was() -> None:
    before = asked((1,))
    copy = dataclasses.replace(before)
    after = before.ask("?", told(2))
    assert before == copy and after.prefix(1) == before and after.prefix(0) == Consultation(CASE)
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.turns = ()  # type: ignore[misc]


def test_a_trackers_view_of_what_is_known_is_taken_over_the_replys() -> None:
    state = Consultation(CASE).ask("?", told(1, 2), frozenset({0, 2}))
    assert state.known == {0, 2}
    assert Disclosed().known(state, "?", told(3)) == {0, 2, 3}


def test_an_invalid_turn_counts_against_the_budget_and_discloses_nothing() -> None:
    state = asked((1,), max_questions=2).fail("odd")
    assert (state.known, state.questions_left, state.must_answer, state.finished) == ({0, 1}, 0, True, False)
    assert (state.turns[-1].kind, state.turns[-1].text) == ("invalid", "odd")


@pytest.mark.parametrize(
    ("answer", "chosen", "correct"),
    [("B, D", "BD", True), ("D and B", "BD", True), ("B", "B", False), ("A, B, D", "ABD", False), ("C", "C", False)],
)
def test_right_is_exactly_the_right_keys(answer: str, chosen: str, correct: bool) -> None:
    state = asked((1,)).answer(answer, 0.25)
    assert (state.finished, state.chosen, state.correct, state.confidence) == (True, tuple(chosen), correct, 0.25)


def test_naming_no_option_ends_it_as_wrong_or_shows_the_options_where_they_were_hidden() -> None:
    over = Consultation(CASE).answer("something else")
    assert (over.finished, over.chosen, over.correct) == (True, (), False)
    shown = Consultation(CASE).answer("something else", reveal=True)
    assert (shown.finished, shown.must_answer, shown.questions_left) == (False, True, 0)
    assert shown.answer("BD").correct


def test_without_keys_only_an_options_text_is_an_answer() -> None:
    assert Consultation(CASE).answer("B", keys=False).chosen == ()
    assert Consultation(CASE).answer("option b", keys=False).chosen == ("B",)


@pytest.mark.parametrize(
    ("state", "act", "message"),
    [
        (asked(max_questions=0), lambda state: state.ask("?", told()), "takes no more questions"),
        (asked((1,), (2,), max_questions=2), lambda state: state.ask("?", told()), "takes no more questions"),
        (asked().answer("A"), lambda state: state.ask("?", told()), "takes no more questions"),
        (asked().answer("A"), lambda state: state.answer("B"), "this consultation is over"),
        (asked().answer("A"), lambda state: state.fail("odd"), "this consultation is over"),
        (asked(max_questions=0).fail("odd"), lambda state: state.answer("A"), "this consultation is over"),
    ],
)
def test_what_comes_too_late_is_refused(
    state: Consultation, act: Callable[[Consultation], Consultation], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        act(state)


def test_recall_is_complete_where_nothing_was_hidden() -> None:
    assert Consultation(CASE.with_initial(frozenset(range(5)))).fact_recall == 1.0


def test_a_consultation_can_be_pickled_and_used_as_a_key() -> None:
    state = asked((1, 2), ()).answer("B, D", 0.5)
    copy = pickle.loads(pickle.dumps(state))
    assert copy == state and {state: "here"}[copy] == "here"
    assert copy.prefix(2) == asked((1, 2), ()) != state
