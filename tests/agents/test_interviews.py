"""Interviews tell the truth of a case, ask about what is there and about what is not, and end with the right answer."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from promed_agents.chat import read_chat
from promed_agents.cli import app
from promed_agents.interviews import aimed_questions, write_interviews
from promed_agents.setting import Setting
from typer.testing import CliRunner

from promed_env.errors import DatasetError
from promed_env.interview import CATALOGUE

CLINIC = Setting("ProMed-PrimaryCare-v0", split="train", seed=3)
BUNDLED = Setting("ProMed-MedQA-v0", seed=3, max_questions=4)


@pytest.mark.parametrize("setting", [CLINIC, BUNDLED])
def test_an_interview_is_what_the_environment_says_to_its_questions_and_only_the_right_answer_is_learnt(
    tmp_path, setting
):
    path = tmp_path / "interviews.jsonl"
    write_interviews(setting, path, 30)
    cases = setting.load_all()
    dialogues = read_chat(path)
    assert len(dialogues) == 30
    for dialogue in dialogues:
        case = cases.by_id(dialogue.case_id)
        *told, answer = dialogue.messages
        assert [message.weight for message in told] == [1, 0] * setting.max_questions + [1]
        assert (answer.content, answer.weight) == (f"answer: {', '.join(case.answer)}", 1)
        assert dialogue.fields["correct"] is True
        assert dialogue.fields["access"] == "record"
        env = setting.make(replace(cases[:1], cases=(case,)))
        observation, _ = env.reset(seed=0)
        for message in told:
            if message.role == "user":
                assert message.content == observation[0].strip()
            else:
                observation, *_ = env.step([message.content])


def test_a_random_share_of_the_questions_is_about_what_is_there_and_none_comes_twice():
    cases = CLINIC.load_all()
    case, catalogue = cases[0], cases.knowledge.questions
    there = {fact.question_text for i, fact in enumerate(case.facts) if i in case.hidden and fact.status == "present"}
    rng = np.random.default_rng(0)
    aimed = []
    for _ in range(400):
        asked = aimed_questions(case, catalogue, 10, rng)
        assert len(asked) == len(set(asked)) == 10
        aimed.append(sum(question in there for question in asked))
    most = min(10, len(there))
    assert set(aimed) == set(range(most + 1))
    assert np.mean(np.array(aimed) == 0) > 0.04  # as likely as any other number, below the most there are
    first = [aimed_questions(case, catalogue, 10, rng)[0] in there for _ in range(400)]
    assert np.mean(first) == pytest.approx(np.mean(aimed) / 10, abs=0.08)  # they stand anywhere


def test_fewer_questions_where_there_are_no_more():
    case = BUNDLED.load_all()[0]
    asked = aimed_questions(case, CATALOGUE[:3], 50, np.random.default_rng(1))
    assert 3 <= len(asked) <= 3 + case.n_facts
    assert aimed_questions(case, CATALOGUE, 0, np.random.default_rng(1)) == []


def test_a_seed_gives_the_same_file_and_another_seed_others(tmp_path):
    for name, setting in {
        "a": CLINIC,
        "b": CLINIC,
        "c": Setting("ProMed-PrimaryCare-v0", split="train", seed=4),
    }.items():
        write_interviews(setting, tmp_path / name, 5)
    read = {name: (tmp_path / name).read_text() for name in "abc"}
    assert read["a"] == read["b"] != read["c"]


def test_cases_with_an_end_come_in_whole_rounds(tmp_path):
    n = len(BUNDLED.load_all())
    counted: list[int] = []
    write_interviews(BUNDLED, tmp_path / "v", 2 * n + 1, progress=counted.append)
    ids = [json.loads(line)["case_id"] for line in (tmp_path / "v").read_text().splitlines()]
    assert sum(counted) == len(ids) == 2 * n + 1
    assert len(set(ids[:n])) == len(set(ids[n : 2 * n])) == n
    assert ids[:n] != ids[n : 2 * n]


def test_bad_input_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "there").write_text("mine")
    with pytest.raises(DatasetError, match="exists"):
        write_interviews(CLINIC, tmp_path / "there", 5)
    assert (tmp_path / "there").read_text() == "mine"
    with pytest.raises(ValueError, match="at least 1"):
        write_interviews(CLINIC, tmp_path / "new", 0)
    assert not (tmp_path / "new").exists()


def test_the_command_writes_them_and_says_what_is_wrong(tmp_path):
    out = tmp_path / "v.jsonl"
    arguments = ["interviews", "ProMed-MedQA-v0", "--episodes", "3", "--max-questions", "2", "--out", str(out)]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    assert "3 interviews written" in told.output
    lines = out.read_text().splitlines()
    assert len(lines) == 3
    assert all(line.count('"weight": 0') == 2 for line in lines)
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1
    assert "exists" in again.output
