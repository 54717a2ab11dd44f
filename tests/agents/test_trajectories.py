"""Training data of the planner: whole, without duplicates, resumable, and replayable in the environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from promed_agents import trajectories as module
from promed_agents.cli import app
from promed_agents.mcts import Search
from promed_agents.setting import Setting
from promed_agents.trajectories import Job, keep, plan_cases, write_trajectories
from typer.testing import CliRunner

import promed_env  # noqa: F401  registers the environments
from promed_env.errors import BackendError, BeliefRequired, DatasetError
from promed_env.wrappers import ChatObservation

JOB = Job(Setting(max_questions=3), Search(6))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_trajectory_is_what_the_environment_says_when_it_is_played() -> None:
    for env_id in ("ProMed-MedQA-v0", "ProMed-CMB-v0"):
        job = Job(Setting(env_id, max_questions=3), Search(6))
        for row in plan_cases(job, job.setting.load(3)):
            env = ChatObservation(gym.make(env_id, max_questions=3))
            chat, _ = env.reset(options={"case_id": row["case_id"]})
            sig = 0.0
            for message in [message for message in row["messages"] if message["role"] == "assistant"]:
                chat, _, terminated, _, info = env.step(message["content"])
            assert terminated and info["correct"] == row["correct"]
            assert list(chat[: len(row["messages"])]) == row["messages"]
            sig = sum(row["turn_sig"])
            assert info["sig_total"] == pytest.approx(sig)
            assert row["return"] == pytest.approx(2 * sig + 2 * row["correct"])
            assert row["access"] == "record" and row["provenance"]["job"] == job.fingerprint


def test_a_run_that_was_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    whole, path = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    assert write_trajectories(JOB, whole, 6) == (6, 6)
    planned: list[int] = []

    def stop(count: int) -> None:
        planned.append(count)
        if sum(planned) >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_trajectories(JOB, path, 6, progress=stop)
    part = tmp_path / ".broken.jsonl.part"
    assert not path.exists() and len(rows_of(part)) == 4
    with part.open("a", encoding="utf-8") as stream:
        stream.write('{"case_id": "cut o')
    with pytest.raises(DatasetError, match="made with other settings"):
        write_trajectories(Job(Setting(max_questions=2), Search(6)), path, 6)
    planned.clear()
    assert write_trajectories(JOB, path, 6, progress=planned.append) == (6, 6)
    assert planned == [4, 2]
    assert path.read_bytes() == whole.read_bytes() and not part.exists()
    with pytest.raises(DatasetError, match="exists; choose another name"):
        write_trajectories(JOB, path, 6)


def test_workers_make_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    write_trajectories(JOB, tmp_path / "one.jsonl", 4)
    write_trajectories(JOB, tmp_path / "two.jsonl", 4, workers=2)
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_what_is_kept() -> None:
    rows = [{"messages": [str(i % 4)], "correct": i != 1, "return": float(i)} for i in range(6)]
    assert [row["return"] for row in keep(rows)] == [0, 1, 2, 3]
    assert [row["return"] for row in keep(rows, correct_only=True)] == [0, 2, 3]
    assert [row["return"] for row in keep(rows, correct_only=True, quantile=0.5)] == [2, 3]
    with pytest.raises(ValueError, match="from 0 to 1, got 2"):
        keep(rows, quantile=2)


def test_of_questions_only_the_answers_are_not_to_be_learnt(tmp_path: Path) -> None:
    """The same dialogues, without those that ask nothing."""
    write_trajectories(JOB, tmp_path / "whole.jsonl", 12)
    out = tmp_path / "questions.jsonl"
    made, written = write_trajectories(JOB, out, 12, questions_only=True)
    whole, rows = rows_of(tmp_path / "whole.jsonl"), rows_of(out)
    asking = [row for row in whole if len(row["messages"]) > 2]
    assert made == 12 and written == len(rows) == len(asking) > 0
    for row, same in zip(rows, asking, strict=True):
        *questions, answer = row["messages"]
        assert answer.pop("weight") == 0
        assert {**row, "messages": [*questions, answer]} == same


def test_bad_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="proposer must be one of facts, catalogue"):
        Job(proposer="oracle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="workers must be at least 1"):
        write_trajectories(JOB, tmp_path / "x.jsonl", 1, workers=0)


def test_cases_without_values_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    row = {"case_id": "t:1", "source": "t", "presentation": "A man.", "question": "What?", "schema_version": 1}
    row |= {"options": {"A": "this", "B": "that"}, "answer": ["A"], "facts": [{"text": "He coughs."}], "initial": []}
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(BeliefRequired, match="SIG"):
        write_trajectories(Job(Setting(dataset=str(path))), tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
    assert write_trajectories(Job(Setting(dataset=str(path), reward="fact_recall")), tmp_path / "out.jsonl") == (1, 1)


def test_a_run_that_cannot_begin_leaves_nothing(tmp_path: Path) -> None:
    job = Job(Setting(max_questions=3), Search(6), proposer="llm:no/such/model")
    with pytest.raises(BackendError, match="no/such/model"):
        write_trajectories(job, tmp_path / "plans.jsonl", 2)
    assert not list(tmp_path.iterdir())


def test_the_command_writes_and_says_what_is_next(tmp_path: Path) -> None:
    out = tmp_path / "plans.jsonl"
    arguments = ["plan", "ProMed-MedQA-v0", "--episodes", "3", "--out", str(out), "--simulations", "5"]
    result = CliRunner().invoke(app, [*arguments, "--max-questions", "2", "--correct-only"])
    assert result.exit_code == 0, result.output
    assert "3 planned" in result.output and len(rows_of(out)) <= 3
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1 and "exists" in again.output
