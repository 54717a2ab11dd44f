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
    assert models[2].calls == 1  # only the row that was not finished; none was loaded to ask for --resume
    assert [case.n_facts for case in load_dataset(out)] == [1, 1, 1]
    assert not partial.exists()


def written(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def stopped(questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str | Path], Path]:
    """A run's arguments and its partial file, with two of three rows finished."""
    monkeypatch.setattr(cli_curate, "make_llm", lambda name: Echo(fails_at=3))
    arguments = [questions, "--out", tmp_path / "cases.jsonl", "--model", "hf:any"]
    run(*arguments, code=1)
    monkeypatch.setattr(cli_curate, "make_llm", lambda name: Echo())
    return arguments, tmp_path / ".cases.jsonl.partial"


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({**ROWS[2], "answer_idx": "Z"}, "questions.jsonl:3: field 'answer_idx': 'Z' is not among the option keys"),
        ({**ROWS[2], "options": {"AA": "x", "A": "y"}}, "questions.jsonl:3: field 'options': a key must be a single"),
        ({**ROWS[2], "id": 7}, "questions.jsonl:4: field 'id': 7 was already used by an earlier row"),
    ],
)
def test_every_row_is_checked_before_a_model_is_loaded(
    last: dict[str, Any], said: str, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(questions, [*ROWS[:2], last, {**ROWS[2], "id": 7}])
    monkeypatch.setattr(cli_curate, "make_llm", lambda name: pytest.fail("a model was loaded"))
    assert said in run(questions, "--out", tmp_path / "cases.jsonl", "--model", "hf:any", code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["questions.jsonl"]


def test_rows_that_are_not_finished_may_change_and_the_limit_may_grow(
    questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, model = tmp_path / "cases.jsonl", Echo()
    written(questions, [*ROWS, {**ROWS[0], "id": "more"}])
    monkeypatch.setattr(cli_curate, "make_llm", lambda name: Echo(fails_at=2))
    run(questions, "--out", out, "--model", "hf:any", "--limit", "2", code=1)
    written(questions, [ROWS[0], {**ROWS[1], "id": "new"}, *ROWS[2:]])
    monkeypatch.setattr(cli_curate, "make_llm", lambda name: model)
    run(questions, "--out", out, "--model", "hf:any", "--resume")
    assert model.calls == 2
    assert [case.case_id for case in load_dataset(out)] == [f"curated-medqa:{name}" for name in (0, "new", 2)]


@pytest.mark.parametrize("rows", [[{**ROWS[0], "answer_idx": "B"}, *ROWS[1:]], ROWS[:1]], ids=["changed", "fewer"])
def test_finished_work_is_not_dropped_in_silence(
    rows: list[dict[str, Any]], stopped: tuple[list[str | Path], Path], questions: Path
) -> None:
    arguments, partial = stopped
    before = partial.read_bytes()
    written(questions, rows)
    output = run(*arguments, "--resume", code=1)
    assert "is finished, but its row is not among those asked for" in output
    assert "remove that line to drop its work, or the file to begin anew" in output
    assert partial.read_bytes() == before


def test_a_line_that_was_removed_is_made_again(stopped: tuple[list[str | Path], Path], tmp_path: Path) -> None:
    arguments, partial = stopped
    header, _, second = partial.read_text(encoding="utf-8").splitlines(keepends=True)
    partial.write_text(header + second, encoding="utf-8")
    run(*arguments, "--resume")
    assert [case.case_id for case in load_dataset(tmp_path / "cases.jsonl")] == [
        f"curated-medqa:{number}" for number in range(3)
    ]


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda text: "", 1),
        (lambda text: "garbage\n", 1),
        (lambda text: text.replace('"case": {', '"case": [{', 1), 2),
        (lambda text: text.replace('"counts"', '"count"', 1), 2),
        (lambda text: text + "3\n", 4),
    ],
)
def test_a_damaged_partial_file_is_an_error_that_says_what_to_do(
    damage: Any, line: int, stopped: tuple[list[str | Path], Path]
) -> None:
    arguments, partial = stopped
    partial.write_text(damage(partial.read_text(encoding="utf-8")), encoding="utf-8")
    before = partial.read_bytes()
    output = run(*arguments, "--resume", code=1)
    assert f".cases.jsonl.partial:{line} is no line of an unfinished curation" in output
    assert "remove" in output
    assert "to begin anew" in output
    assert partial.read_bytes() == before


def test_help_teaches() -> None:
    output = " ".join(runner.invoke(app, ["curate", "--help"]).output.split())
    assert "Example: promed curate medqa.jsonl --format medqa --out cases.jsonl" in output
