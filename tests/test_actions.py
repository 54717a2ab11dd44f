"""The grammar of actions, and what an answer names."""

from __future__ import annotations

import pytest

from promed_env.actions import MAX_ACTION_LENGTH, Action, parse_action, resolve_answer
from promed_env.case import Case, Option


@pytest.mark.parametrize(
    ("utterance", "expected"),
    [
        ("question: Do you smoke?", Action("question", "Do you smoke?")),
        ("QUESTION : Do you smoke?", Action("question", "Do you smoke?")),
        ("  **Question:** Do you smoke?", Action("question", "Do you smoke?")),
        ("**Question**: Do you smoke?", Action("question", "Do you smoke?")),
        ("question：您吸烟吗？", Action("question", "您吸烟吗？")),
        ("question: Any fever?\nquestion: Any cough?", Action("question", "Any fever?")),
        ("<think>question: x answer: y</think>\nAnswer: B", Action("answer", "B")),
        ("answer: B (confidence: 0.8)", Action("answer", "B", 0.8)),
        ("answer: B (confidence: 80%)", Action("answer", "B", 0.8)),
        ("answer: B (confidence: 7)", Action("answer", "B", None)),
        ("answer: B [confidence 80%]", Action("answer", "B", 0.8)),
        ("answer: B, confidence: .8", Action("answer", "B", 0.8)),
        ("answer: B (confidence: high)", Action("answer", "B", None)),
        ("I wonder. </think> answer: B", Action("answer", "B")),
        ("<THINK>a</THINK><think>b</think>answer: B", Action("answer", "B")),
        ("\x00question: Do you\x07 smoke?\x1b", Action("question", "Do you  smoke?")),
        ("question: \ud800 smoke?", Action("question", "smoke?")),
        ("answer: B (confidence: 80 % ). ", Action("answer", "B", 0.8)),
        ("answer: B（confidence：.5）", Action("answer", "B", 0.5)),
    ],
)
def test_a_well_formed_utterance_is_a_question_or_an_answer(utterance: str, expected: Action) -> None:
    assert parse_action(utterance) == expected


@pytest.mark.parametrize(
    ("utterance", "reason"),
    [
        ("", "neither a question nor an answer"),
        ("Do you smoke?", "neither a question nor an answer"),
        ("Well, question: Do you smoke?", "neither a question nor an answer"),
        ("你好", "neither a question nor an answer"),
        ("question: Do you smoke? answer: A", "both a question and an answer"),
        ("answer: A question: Do you smoke?", "both a question and an answer"),
        ("answer: A answer: B", "more than one answer"),
        ("question:   ", "an empty question"),
        ("answer:", "an empty answer"),
        ("<think>answer: A", "unbalanced <think>"),
        ("\x00\x01\x02", "neither a question nor an answer"),
        ("question: " + "a" * MAX_ACTION_LENGTH, f"longer than {MAX_ACTION_LENGTH} characters"),
    ],
)
def test_anything_else_is_invalid_and_says_why(utterance: str, reason: str) -> None:
    assert parse_action(utterance) == Action("invalid", reason)


@pytest.mark.parametrize("piece", ["question: a? ", "<think>", "\x00", "(", "answer: A (confidence: "])
def test_a_megabyte_of_anything_is_one_invalid_turn(piece: str) -> None:
    assert parse_action(piece * (1_000_000 // len(piece))) == Action("invalid", "longer than 8192 characters")


@pytest.fixture
def case() -> Case:
    texts = ("Beta blocker", "ACE inhibitor", "Loop diuretic", "Beta blocker and nitrate")
    options = tuple(Option(key, text) for key, text in zip("ABCD", texts, strict=True))
    return Case("t:1", "t", "p", "q", options, ("C",), ())


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("C", "C"),
        ("c", "C"),
        ("(C)", "C"),
        ("C.", "C"),
        ("[C]", "C"),
        ("[C: Loop diuretic]", "C"),
        ("C. Loop diuretic", "C"),
        ("option C", "C"),
        ("The correct answer is C.", "C"),
        ("loop  DIURETIC.", "C"),
        ("C (Loop diuretic)", "C"),
        ("\\boxed{C}", "C"),
        ("C - Loop diuretic", "C"),
        ("Loop diuretic; ACE inhibitor", "BC"),
        ("ACE inhibitor and loop diuretic", "BC"),
        ("C (ACE inhibitor)", ""),
        ("C) because of the edema", "C"),
        ("D, A", "AD"),
        ("A and D", "AD"),
        ("AD", "AD"),
        ("Beta blocker and nitrate", "D"),
        ("A. Loop diuretic", ""),  # key and text disagree
        ("B-blocker", ""),
        ("E", ""),
        ("A, E", ""),
        ("thiazide", ""),
        ("A loop diuretic", ""),
    ],
)
def test_an_answer_names_keys_or_nothing(case: Case, text: str, keys: str) -> None:
    assert resolve_answer(text, case) == tuple(keys)


@pytest.fixture
def signs() -> Case:
    """Options that differ in signs only, as real ones do."""
    texts = ("-0.45", "0.45", "↑ PTH, ↓ Ca", "↓ PTH, ↑ Ca", "< 5%", "> 5%", "↑ ↓", "RNA virus (+)")
    options = tuple(Option(key, text) for key, text in zip("ABCDEFGH", texts, strict=True))
    return Case("t:2", "t", "p", "q", options, ("A",), ())


@pytest.mark.parametrize("form", ["{text}", "{key}. {text}", "[{key}. {text}]", "({key}) {text}.", "{key}"])
@pytest.mark.parametrize("slot", range(8))
def test_options_that_differ_in_a_sign_are_told_apart(signs: Case, form: str, slot: int) -> None:
    option = signs.options[slot]
    assert resolve_answer(form.format(key=option.key, text=option.text), signs) == (option.key,)


@pytest.mark.parametrize("text", ["PTH, Ca", "5%", "?!", "+", "", "A. 0.45"])
def test_words_that_fit_several_options_or_none_name_none(signs: Case, text: str) -> None:
    assert resolve_answer(text, signs) == ()


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ("A" + "  A" * 2700 + "~", ""),  # exponential time, were a gap matched in more ways than one
        ("A" + " " * 8000 + "~", ""),
        ("A and " * 1300, ""),
        ("A ," * 2600 + "!", "A"),
        ("A  D " * 1600, "AD"),
    ],
)
def test_long_lists_of_keys_are_read_without_backtracking(case: Case, body: str, keys: str) -> None:
    assert resolve_answer(body, case) == tuple(keys)


def test_without_keys_only_the_text_of_an_option_counts(case: Case) -> None:
    assert resolve_answer("C", case, keys=False) == ()
    assert resolve_answer("loop diuretic", case, keys=False) == ("C",)
