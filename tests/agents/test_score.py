"""Scoring of anyone's dialogues: equal to the evaluation of the same play, and clear about all it cannot take."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promed_agents.chat import Dialogue, Message, read_chat, to_messages
from promed_agents.cli import app
from promed_agents.doctors_turn import is_compound, utterance_of
from promed_agents.evaluate import Evaluation, evaluate
from promed_agents.score import Score, score, score_file, setting_for, write_score
from promed_agents.setting import Setting
from promed_agents.zoo import AGENTS, NEEDS_KNOWLEDGE, NEEDS_TABLE, make_agent
from typer.testing import CliRunner

from promed_env.actions import parse_action, resolve_answer
from promed_env.consultation import Consultation
from promed_env.datasets import load_dataset
from promed_env.dynamics import Dynamics
from promed_env.errors import DatasetError
from promed_env.registration import bundled_ids

SAMPLE = load_dataset("medqa")
CASE = SAMPLE[0]
runner = CliRunner(env={"COLUMNS": "140", "TERM": "dumb"})


def run(*arguments: str, code: int = 0) -> str:
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def played(doctor: str, setting: Setting, episodes: int, path: Path) -> Evaluation:
    """Play a doctor, and export its dialogues."""
    finished: list[tuple[Consultation, Dynamics]] = []
    result = evaluate(make_agent(doctor), setting, setting.load(episodes), on_finish=finished.append)
    write(path, ({"case_id": final.case.case_id, "messages": to_messages(final, rules)} for final, rules in finished))
    return result


def dialogue(*said: str, case_id: str = CASE.case_id, replies: Iterable[str] = ()) -> Dialogue:
    told = list(replies)
    messages = [Message("user", "Hello.")]
    for number, content in enumerate(said):
        messages.append(Message("assistant", content))
        if number < len(told):
            messages.append(Message("user", told[number]))
    return Dialogue(case_id, tuple(messages), "here:1", {})


def only(result: Score) -> Any:
    (each,) = result.dialogues
    return each


DOCTORS = [
    (env_id, doctor)
    for env_id in bundled_ids()
    for doctor in AGENTS
    if doctor not in (NEEDS_TABLE if "PrimaryCare" in env_id else NEEDS_KNOWLEDGE)
]


@pytest.mark.parametrize(("env_id", "doctor"), DOCTORS)
def test_a_score_is_what_the_evaluation_of_the_same_play_says(env_id: str, doctor: str, tmp_path: Path) -> None:
    setting = Setting(env_id, max_questions=6, facts_per_reply=2, seed=3)
    path = tmp_path / "chat.jsonl"
    evaluation = played(doctor, setting, 6, path)
    for replies in ("patient", "transcript"):
        result = score_file(path, setting, replies=replies)
        for episode, each in zip(evaluation.episodes, result.dialogues, strict=True):
            asked = [turn for turn in episode.turns if turn["kind"] == "question"]
            assert [question.text for question in each.questions] == [turn["text"] for turn in asked]
            assert [list(question.new) for question in each.questions] == [turn["new"] for turn in asked]
            assert (each.case_id, each.correct, each.chosen) == (episode.case_id, episode.correct, episode.chosen)
            assert each.fact_recall == episode.fact_recall and each.section_recall == episode.section_recall
            assert each.invalid == episode.invalid and each.over_budget == each.after_answer == 0
            assert episode.sig is not None
            assert [question.sig for question in each.questions] == list(episode.sig[: len(asked)])
        summary = evaluation.summaries["all"]
        assert result.totals["accuracy"].mean == summary.accuracy
        assert result.totals["accuracy"].interval == summary.accuracy_interval
        assert result.totals["questions"].mean == summary.questions
        assert result.totals["sig"].mean == pytest.approx(summary.sig)
        assert result.totals["fact_recall"].mean == pytest.approx(summary.fact_recall)
        assert result.section_recall == pytest.approx(summary.section_recall)
        assert result.totals["answered"].mean == 1


def test_patients_that_vary_are_replayed_with_the_seeds_of_the_play(tmp_path: Path) -> None:
    setting = Setting(patient="forgetful(static, 0.5)", max_questions=5, seed=11)
    evaluation = played("random", setting, 8, tmp_path / "chat.jsonl")
    result = score_file(tmp_path / "chat.jsonl", setting)
    assert [each.fact_recall for each in result.dialogues] == [each.fact_recall for each in evaluation.episodes]


def test_rules_of_the_play_are_rules_of_the_score(tmp_path: Path) -> None:
    path, out = tmp_path / "chat.jsonl", tmp_path / "scores"
    setting = Setting(max_questions=3, facts_per_reply=1, show_options="at_answer", initial="first", patient="lexical")
    evaluation = played("scripted", setting, 5, path)
    rules = ("--max-questions", "3", "--facts-per-reply", "1", "--show-options", "at_answer", "--initial", "first")
    run("score", str(path), "--dataset", "medqa", *rules, "--patient", "lexical", "--out", str(out))
    content = json.loads((out / "score.json").read_text(encoding="utf-8"))
    for each, episode in zip(content["dialogues"], evaluation.episodes, strict=True):
        assert (each["fact_recall"], each["correct"]) == (episode.fact_recall, episode.correct)


def test_plans_are_scored_as_they_say_of_themselves(tmp_path: Path) -> None:
    path = tmp_path / "plans.jsonl"
    run("plan", "ProMed-CMB-v0", "--episodes", "4", "--simulations", "6", "--max-questions", "3", "--out", str(path))
    result = score_file(path, setting_for("cmb", max_questions=3))
    for each, row in zip(result.dialogues, read_chat(path), strict=True):
        gains = [question.sig for question in each.questions]
        assert gains == pytest.approx(row.fields["turn_sig"][: len(gains)])
        assert each.correct == row.fields["correct"]


def test_every_question_is_judged() -> None:
    said = (
        "I see. Is there any murmur or bruit over the abdomen?",
        "Have you ever had an operation on your back or abdomen? And do you smoke?",
        "Is there any murmur or bruit over the abdomen?",
        "Tell me everything about the case.",
        "question: What does the echocardiogram show? question: What is the TSH?",
        "answer: D (confidence: 0.9)",
    )
    each = only(score([dialogue(*said)], Setting()))
    first, second, third, fourth, fifth = each.questions
    assert (first.new, first.redundant, first.compound, first.refused, first.nothing) == (
        (8,),
        False,
        False,
        None,
        False,
    )
    assert second.new == (4,) and second.compound
    assert third.disclosed == (8,) and third.new == () and third.redundant and third.sig == 0
    assert fourth.refused == "shotgun" and fourth.disclosed == () and not fourth.nothing
    assert fifth.new == (7,) and fifth.compound
    assert (each.answered, each.correct, each.chosen, each.confidence) == (True, True, ("D",), 0.9)
    assert each.sig == pytest.approx(sum(question.sig for question in each.questions))
    assert each.fact_recall == 3 / len(CASE.hidden)
    weights = [missed.weight for missed in each.missed]
    assert len(weights) == 5 and weights == sorted(weights, reverse=True)
    assert {missed.fact for missed in each.missed}.isdisjoint({4, 7, 8})


def test_a_repeated_question_that_finds_nothing_is_redundant() -> None:
    each = only(score([dialogue("Have you been to Peru?", "HAVE you been to Peru", "answer: A")], Setting()))
    assert [(question.nothing, question.redundant) for question in each.questions] == [(True, False), (True, True)]
    assert each.correct is False


@pytest.mark.parametrize(
    ("content", "chosen"),
    [
        ("answer: D", ("D",)),
        ("Final Answer: **D** (confidence: 0.7)", ("D",)),
        ("I think of the lumbar disc.\n\nAnswer: D", ("D",)),
        ("D", ("D",)),
        ("d. Arteriovenous fistula of the iliac vessels", ("D",)),
        ("Arteriovenous fistula of the iliac vessels.", ("D",)),
        ("Thank you. The answer is D.", ("D",)),
        ("The correct answer is: C, because nothing else fits", ("C",)),
        ("My diagnosis is constrictive pericarditis. It explains the swelling.", ("C",)),
        ("At first the answer is A, I thought.\nNow the answer is B. That is all.", ("B",)),
        ("I weighed it.\n\\boxed{E}", ("E",)),
        ("<think>A? The answer is A</think>The answer is D", ("D",)),
        ("I choose option: A and C", ("A", "C")),
        ("综上\uff0c答案是D。", ("D",)),
        ("答案\uff1aC\uff0c因为有心包钙化。", ("C",)),
        ("我选E", ("E",)),
    ],
)
def test_a_last_message_may_answer_in_free_words(content: str, chosen: tuple[str, ...]) -> None:
    utterance = utterance_of(content, CASE, keys=True, last=True)
    action = parse_action(utterance)
    assert action.kind == "answer" and resolve_answer(action.text, CASE) == chosen


@pytest.mark.parametrize(
    "content",
    [
        "Is it D?",
        "Is the answer D?",
        "The answer is not D.",
        "I am not sure yet.",
        "I would go for C, I think",
        "D. Difficult to say \u2013 do you drink?",
        "It may be constrictive pericarditis or a fistula.",
    ],
)
def test_what_names_no_option_is_a_question(content: str) -> None:
    assert parse_action(utterance_of(content, CASE, keys=True, last=True)).kind == "question"


def test_only_the_last_message_answers_in_free_words_and_only_by_keys_that_were_shown() -> None:
    assert parse_action(utterance_of("The answer is D", CASE, keys=True, last=False)).kind == "question"
    assert parse_action(utterance_of("The answer is D", CASE, keys=False, last=True)).kind == "question"
    said = "The answer is constrictive pericarditis"
    assert parse_action(utterance_of(said, CASE, keys=False, last=True)).kind == "answer"


@given(st.text(max_size=60), st.booleans())
@settings(max_examples=200)
def test_every_message_means_something_and_the_grammar_is_left_as_it_is(content: str, last: bool) -> None:
    utterance = utterance_of(content, CASE, keys=True, last=last)
    parse_action(utterance)
    is_compound(content)
    for marked in (f"question: {content}", f"answer: {content}"):
        if parse_action(marked).kind != "invalid":
            assert utterance_of(marked, CASE, keys=True, last=last) == marked


def test_what_is_neither_stays_invalid() -> None:
    for content in ("", "<think>Do I ask?\nquestion: Do you smoke?", "question: Why?\nanswer: A", "invalid: no"):
        assert parse_action(utterance_of(content, CASE, keys=True, last=True)).kind == "invalid"
    each = only(score([dialogue("", "answer: D")], Setting()))
    assert (each.invalid, each.questions, each.correct) == (1, (), True)


def test_turns_past_the_budget_are_said_and_count_as_no_answer(tmp_path: Path) -> None:
    said = ("Do you smoke?", "What is the TSH?", "What is the blood pressure?", "answer: D")
    each = only(score([dialogue(*said)], Setting(max_questions=1)))
    assert (len(each.questions), each.over_budget, each.answered, each.correct, each.turns) == (1, 3, False, None, 4)
    assert each.fact_recall == 0
    rows = [{"case_id": CASE.case_id, "messages": [{"role": "assistant", "content": content} for content in said]}]
    path = write(tmp_path / "long.jsonl", rows)
    output = run("score", str(path), "--dataset", "medqa", "--max-questions", "1")
    assert "1 dialogues" in output and "past the budget of 1: 3 of their turns" in output
    assert "--max-questions 4 plays them all" in output
    assert only(score_file(path, Setting(max_questions=4))).correct


def test_turns_after_the_answer_are_counted_and_not_played() -> None:
    each = only(score([dialogue("answer: D", "Do you smoke?", "Goodbye.")], Setting()))
    assert (each.after_answer, each.over_budget, each.questions, each.correct) == (2, 0, (), True)


def test_a_dialogue_without_an_answer_has_no_verdict() -> None:
    result = score([dialogue("What is the TSH?")], Setting())
    assert only(result).correct is None and not only(result).answered
    assert "accuracy" not in result.totals and result.totals["answered"].mean == 0
    both = score([dialogue("What is the TSH?"), dialogue("answer: D")], Setting())
    assert both.totals["accuracy"].mean == 0.5


def test_replies_of_the_transcript_tell_the_facts_they_state() -> None:
    said = ("What about the belly?", "Anything in your past?", "And?", "The answer is D")
    told = (
        "On auscultation: a CONTINUOUS murmur is heard in the right lower abdomen!",
        "She ran a flower shop.",  # not what the case states
        "She had an operation for a slipped lumbar disc nine months ago; the serum TSH is 2.1 mIU/L",
    )
    each = only(score([dialogue(*said, replies=told)], Setting(), replies="transcript"))
    assert [question.new for question in each.questions] == [(8,), (), (4, 10)]
    assert [question.nothing for question in each.questions] == [False, True, False]
    assert each.sig is not None and each.sig > 0
    silent = only(score([dialogue(*said, replies=told[:1])], Setting(), replies="transcript"))
    assert [question.new for question in silent.questions] == [(8,), (), ()]


def test_what_the_opening_of_a_transcript_states_is_known_and_no_merit_of_a_question() -> None:
    opened = Message("user", "A patient. Her blood pressure is 142/48 mm Hg.")
    said = dialogue("What is the blood pressure?", "answer: A", replies=["Her blood pressure is 142/48 mm Hg."])
    each = only(
        score([Dialogue(CASE.case_id, (opened, *said.messages[1:]), "x:1", {})], Setting(), replies="transcript")
    )
    assert each.questions[0].redundant and each.questions[0].new == ()
    assert sum(hidden for _, hidden in each.section_recall.values()) == len(CASE.hidden) - 1


def test_transcripts_without_replies_are_refused() -> None:
    with pytest.raises(ValueError, match="the transcripts hold no reply to any question"):
        score([dialogue("Do you smoke?", "answer: A")], Setting(), replies="transcript")
    with pytest.raises(ValueError, match="replies must be one of patient, transcript, got 'nobody'"):
        score([dialogue("answer: A")], Setting(), replies="nobody")  # type: ignore[arg-type]


def test_chinese_dialogues_in_free_words() -> None:
    case = load_dataset("cmb")[0]
    said = ("您吸烟吗\uff1f每天多少支\uff1f", "您以前得过结核吗\uff1f", "考虑缩窄性心包炎\uff0c答案是C。")
    each = only(score([dialogue(*said, case_id=case.case_id)], setting_for("ProMed-CMB-v0")))
    assert [question.new for question in each.questions] == [(11,), (4,)]
    assert each.questions[0].compound and not each.questions[1].compound
    assert each.correct is True
    told = ("患者\uff1a患者每天吸烟约10支。", "没有。")
    told_each = only(
        score([dialogue(*said, case_id=case.case_id, replies=told)], setting_for("cmb"), replies="transcript")
    )
    assert [question.new for question in told_each.questions] == [(11,), ()]


def test_cases_without_values_have_no_sig(tmp_path: Path) -> None:
    row = {"case_id": "t:1", "source": "t", "presentation": "A man.", "question": "What?", "schema_version": 1}
    row |= {"options": {"A": "this", "B": "that"}, "answer": ["A"], "initial": []}
    row |= {"facts": [{"text": "He coughs at night."}, {"text": "He smokes.", "question_text": "Do you smoke?"}]}
    path = write(tmp_path / "cases.jsonl", [row])
    result = score([dialogue("Do you smoke?", "A", case_id="t:1")], setting_for(str(path)))
    each = only(result)
    assert each.sig is None and each.questions[0].sig is None and each.questions[0].new == (1,)
    assert [(missed.fact, missed.weight) for missed in each.missed] == [(0, None)]
    assert "sig" not in result.totals and result.by_question == ((1, 1.0, None),)
    chat = write(
        tmp_path / "chat.jsonl", [{"case_id": "t:1", "messages": [{"role": "assistant", "content": "Do you smoke?"}]}]
    )
    assert "SIG is not available" in run("score", str(chat), "--dataset", str(path))


def test_cases_without_end_are_found_by_their_id(tmp_path: Path) -> None:
    cases = load_dataset("primarycare", "test")
    far = cases[5000].case_id
    assert only(score([dialogue("Do you smoke?", case_id=far)], setting_for("primarycare"))).case_id == far


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "bad.jsonl:2: not JSON"),
        (b"\xff", "bad.jsonl:2: not UTF-8"),
        (b"[1]", "bad.jsonl:2: expected a JSON object, got list"),
        (b'{"messages": []}', "bad.jsonl:2: field 'case_id': expected the id of a case, got None"),
        (b'{"case_id": "a"}', "bad.jsonl:2: field 'messages': expected a list of messages, got null"),
        (b'{"case_id": "a", "messages": [3]}', "message 0: expected an object with role and content, got 3"),
        (b'{"case_id": "a", "messages": [{"role": "doctor", "content": "?"}]}', "'role' must be one of system, user"),
        (b'{"case_id": "a", "messages": [{"role": "user", "content": 1}]}', "'content' must be a string, got 1"),
        (b'{"case_id": "a", "messages": [{"role": "user", "content": ""}]}', "the doctor .* never speaks"),
        (
            b'{"case_id": "a", "messages": [{"role": "assistant", "content": ""}]}',
            "bad.jsonl:2: no case 'a' among the 60",
        ),
    ],
)
def test_a_bad_line_is_named_or_left_out_and_counted(line: bytes, message: str, tmp_path: Path) -> None:
    good = {"case_id": CASE.case_id, "messages": [{"role": "assistant", "content": "answer: D"}]}
    path = tmp_path / "bad.jsonl"
    path.write_bytes(json.dumps(good).encode() + b"\n" + line + b"\n\n")
    with pytest.raises(DatasetError, match=message):
        score_file(path, Setting())
    result = score_file(path, Setting(), keep_going=True)
    assert len(result.dialogues) == 1 and len(result.skipped) == 1
    assert "1 lines were left out; the first: " in run("score", str(path), "--dataset", "medqa", "--keep-going")
    assert "Error: " in run("score", str(path), "--dataset", "medqa", code=1)


def test_files_without_a_single_dialogue(tmp_path: Path) -> None:
    empty, wrong, other = tmp_path / "empty.jsonl", tmp_path / "wrong.jsonl", tmp_path / "other.jsonl"
    empty.write_text("\n", encoding="utf-8")
    wrong.write_text("{}\n", encoding="utf-8")
    write(other, [{"case_id": "elsewhere:1", "messages": [{"role": "assistant", "content": "Why?"}]}])
    for path, message in (
        (tmp_path / "none.jsonl", "cannot be read: No such file"),
        (empty, "holds no dialogues"),
        (wrong, "every line is wrong; the first: .*wrong.jsonl:1"),
        (other, "no dialogue is about a case of medqa/sample.*'elsewhere:1'"),
    ):
        with pytest.raises(DatasetError, match=message):
            score_file(path, Setting(), keep_going=True)


def test_unknown_cases_are_named_with_their_neighbours(tmp_path: Path) -> None:
    rows = [{"case_id": CASE.case_id[:-1], "messages": [{"role": "assistant", "content": "Why?"}]}]
    path = write(tmp_path / "chat.jsonl", rows)
    output = run("score", str(path), "--dataset", "ProMed-MedQA-v0", code=1)
    assert "did you mean" in output and CASE.case_id in output


def test_data_sets_play_in_their_environments() -> None:
    assert setting_for("ProMed-CMB-v0") == Setting("ProMed-CMB-v0")
    assert setting_for("cmb", seed=3) == Setting("ProMed-CMB-v0", dataset="cmb", seed=3)
    assert setting_for("some/file.jsonl") == Setting("ProMed-MedQA-v0", dataset="some/file.jsonl")


def test_the_file_holds_every_question(tmp_path: Path) -> None:
    played("scripted", Setting(max_questions=4), 3, tmp_path / "chat.jsonl")
    out = tmp_path / "deep" / "scores"
    output = run("score", str(tmp_path / "chat.jsonl"), "--dataset", "ProMed-MedQA-v0", "--out", str(out))
    assert "Means of 3 dialogues on 3 cases" in output and "Never brought out, by weight:" in output
    assert list(out.iterdir()) == [out / "score.json"]
    content = json.loads((out / "score.json").read_text(encoding="utf-8"))
    assert content["schema_version"] == 1 and content["skipped"] == [] and content["replies"] == "patient"
    assert [len(each["questions"]) for each in content["dialogues"]] == [4, 4, 4]
    assert set(content["dialogues"][0]["questions"][0]) == {
        "turn",
        "text",
        "disclosed",
        "new",
        "sig",
        "redundant",
        "compound",
        "refused",
        "nothing",
    }
    again = write_score(score_file(tmp_path / "chat.jsonl", Setting()), out)
    assert json.loads(again.read_text(encoding="utf-8"))["totals"] == content["totals"]
