"""The grammar of actions: total over all strings, and what is well said is heard as said."""

from __future__ import annotations

import string
from typing import get_args

from hypothesis import assume, example, given
from hypothesis import strategies as st

from promed_env.actions import MAX_ACTION_LENGTH, Kind, normalise, parse_action, resolve_answer
from promed_env.case import Case
from promed_env.testing import actions, cases

EVERYTHING = st.text(st.characters(exclude_categories=()), max_size=120)  # lone surrogates and control characters too
PIECES = st.lists(
    st.sampled_from(
        ["question:", "answer:", "<think>", "</think>", "(confidence: ", "0.5", "%", ")", "A", "A, B", " ", "\n", "["]
    ),
    max_size=20,
).map("".join)
WORDS = st.text(string.ascii_letters + string.digits + " ,.?!-'äé您吸烟吗", min_size=1, max_size=60).map(str.strip)


@given(st.one_of(EVERYTHING, PIECES, actions()))
@example("question: " * (MAX_ACTION_LENGTH // 10))
@example("(confidence: " * (MAX_ACTION_LENGTH // 13))
@example("answer: A (confidence: 1" + " " * (MAX_ACTION_LENGTH - 30) + "x")
@example("answer: A (confidence: 1)" + " " * (MAX_ACTION_LENGTH - 30) + "x")
@example("answer: A" + " " * (MAX_ACTION_LENGTH - 10) + "1")
@example("x" * (MAX_ACTION_LENGTH + 1))
def test_every_string_is_a_question_an_answer_or_invalid_and_says_something(utterance: str) -> None:
    action = parse_action(utterance)
    assert action.kind in get_args(Kind) and action.text.strip()
    assert len(action.text) <= MAX_ACTION_LENGTH
    assert not any(character < " " and character not in "\t\n" for character in action.text)
    assert action.confidence is None or (action.kind == "answer" and 0 <= action.confidence <= 1)


@given(WORDS, st.sampled_from(["question", "answer"]), st.sampled_from(["{}: ", "**{}**: ", "<think>x</think>{}:"]))
def test_a_well_formed_utterance_is_heard_as_said(words: str, kind: str, form: str) -> None:
    assume(words)
    assert parse_action(form.format(kind.capitalize()) + words)[:2] == (kind, words)


@given(WORDS, WORDS)
def test_only_the_first_of_several_questions_is_heard(first: str, second: str) -> None:
    assume(first)
    assert parse_action(f"question: {first}\nquestion: {second}")[:2] == ("question", first)


@given(cases(), st.one_of(EVERYTHING, PIECES))
def test_an_answer_names_distinct_keys_in_the_order_of_the_options(case: Case, text: str) -> None:
    named = resolve_answer(text, case)
    assert list(named) == [key for key in case.keys if key in named]


@given(cases(), st.data())
def test_an_option_is_chosen_by_its_key_its_text_or_both_in_any_case(case: Case, data: st.DataObject) -> None:
    option = data.draw(st.sampled_from(case.options))
    forms = ("{key}", "{key}.", "({key})", "[{key}. {text}]", "{key}: {text}", "{text}", "option {key}")
    form = data.draw(st.sampled_from(forms))
    change = data.draw(st.sampled_from([str.upper, str.lower, str.title]))
    assert resolve_answer(change(form.format(key=option.key, text=option.text)), case) == (option.key,)


@given(cases(), st.data())
def test_several_options_are_chosen_by_a_list_of_keys(case: Case, data: st.DataObject) -> None:
    keys = data.draw(st.permutations(case.keys))[: data.draw(st.integers(1, len(case.keys)))]
    separator = data.draw(st.sampled_from([", ", ",", " ", "   ", " and ", "; ", "/", "、", " & "]))
    assert resolve_answer(separator.join(keys), case) == tuple(sorted(keys))


@given(EVERYTHING)
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
