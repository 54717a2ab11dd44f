"""The command `promed curate`, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from promed_agents import cli_curate
from promed_agents.cli import app
from typer.testing import CliRunner

from promed_env.datasets import load_dataset
from promed_env.errors import BackendError
from promed_env.llm import Completion

runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})
ROWS = [
    {
        "question": f"A {age}-year-old man has cough and fever. What is it?",
        "options": {"A": "x", "B": "y"},
        "answer_idx": "A",
    }
    for age in (20, 30, 40)
]


class Echo:
    """A model that gives every sentence back, and may fail at a call."""

    name = "echo"

    def __init__(self, fails_at: int | None = None) -> None:
        self.calls, self.fails_at = 0, fails_at

    def chat(self, batch: Any, **settings: Any) -> list[Completion]:
        self.calls += 1
        if self.calls == self.fails_at:
            raise BackendError("the model is gone")
        return [Completion(chat[-1]["content"], 1) for chat in batch]


def run(*arguments: str | Path, code: int = 0) -> str:
    result = runner.invoke(app, ["curate", *map(str, arguments), "--quiet"])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def test_curate_writes_cases_and_a_summary(questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "cases.jsonl"
    output = run(questions, "--format", "medqa", "--out", out)
    assert "3 cases, split by rules" in output
    assert "facts a case mean 3.0" in output
    assert f"promed evaluate ProMed-MedQA-v0 --dataset {out} --reward diagnosis" in output
    assert [case.case_id for case in load_dataset(out)] == [f"curated-medqa:{number}" for number in range(3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases.jsonl", "questions.jsonl"]


def test_curate_limits_and_presents(questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "cases.jsonl"
    run(questions, "--out", out, "--limit", "1", "--presentation", "person")
    (case,) = load_dataset(out)
    assert case.presentation == "The patient is a 20-year-old man."


def test_curate_refuses_to_overwrite(questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "cases.jsonl"
    out.write_text("mine", encoding="utf-8")
    assert "exists already" in run(questions, "--out", out, code=1)
    assert out.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--format", "medqo"), "unknown name 'medqo'; known are medqa, cmb"),
        (("--presentation", "last"), "unknown name 'last'; known are first, person, half"),
        (("--format", "cmb"), "questions.jsonl:1: field 'option' is missing"),
    ],
)
def test_curate_says_what_is_wrong(arguments: tuple[str, ...], said: str, questions: Path, tmp_path: Path) -> None:
    assert said in run(questions, "--out", tmp_path / "cases.jsonl", *arguments, code=1)
    assert not (tmp_path / "cases.jsonl").exists()


def test_curate_needs_the_folder(questions: Path, tmp_path: Path) -> None:
    assert "does not exist; create it first" in run(questions, "--out", tmp_path / "no" / "cases.jsonl", code=1)


def test_a_models_work_is_checked_counted_and_resumed(
    questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "cases.jsonl"
    models = [Echo(fails_at=3), Echo(), Echo(), Echo(), Echo()]
    used = iter(models)
    monkeypatch.setattr(cli_curate, "make_llm", lambda name: next(used))
    arguments = (questions, "--out", out, "--model", "hf:any")
    assert "the model is gone" in run(*arguments, code=1)
    assert not out.exists()
    partial = tmp_path / ".cases.jsonl.partial"
    with partial.open("a", encoding="utf-8") as file:
        file.write('{"case": {"cut')  # as a kill leaves it
    assert "--resume" in run(*arguments, code=1)
    assert "other options" in run(*arguments, "--resume", "--presentation", "half", code=1)
    output = run(*arguments, "--resume")
    assert "3 cases, split by echo" in output
    assert "sentences left to the rules 0 of 3 (silent 0, invented 0, lost 0, denial 0)" in output
    assert models[3].calls == 1  # only the row that was not finished
    assert [case.n_facts for case in load_dataset(out)] == [1, 1, 1]
    assert not partial.exists()


def test_help_teaches() -> None:
    output = " ".join(runner.invoke(app, ["curate", "--help"]).output.split())
    assert "Example: promed curate medqa.jsonl --format medqa --out cases.jsonl" in output
