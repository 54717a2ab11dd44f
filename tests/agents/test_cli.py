"""The `promed` command, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from promed_agents.cli import app
from typer.testing import CliRunner

import promed_env

runner = CliRunner(env={"COLUMNS": "120", "TERM": "dumb"})


def run(*arguments: str, stdin: str | None = None, code: int = 0) -> str:
    result = runner.invoke(app, list(arguments), input=stdin)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_version() -> None:
    assert run("--version") == f"promed {promed_env.__version__}"


def test_evaluate_prints_header_consultation_and_table_and_writes_results(tmp_path: Path) -> None:
    output = run("evaluate", "ProMed-MedQA-v0", "--episodes", "3", "--out", str(tmp_path))
    assert "60 synthetic vignettes, not reviewed by clinicians; not comparable with MedQA" in output
    assert "For research, not for care" in output
    assert "options shown: always" in output
    assert "One consultation with the SIG of each question" in output
    for doctor in ("reactive", "random", "scripted", "greedy", "oracle"):
        assert f"{doctor} " in output
    rows = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["evaluations"]
    assert [row["agent"] for row in rows] == ["reactive", "random", "scripted", "greedy", "oracle"]


def test_evaluate_plays_the_doctors_asked_for_only() -> None:
    output = run("evaluate", "ProMed-MedQA-v0", "--episodes", "2", "--agent", "oracle", "--no-show")
    assert "oracle record 1.000" in output
    assert "scripted" not in output
    assert "One consultation" not in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ProMed-House-v0"], "unknown environment 'ProMed-House-v0'"),
        (["ProMed-MedQA-v0", "--agent", "house"], "unknown agent 'house'"),
        (["ProMed-MedQA-v0", "--dataset", "/no/such.jsonl"], "there is no such file"),
        (["ProMed-MedQA-v0", "--reward", "gold"], "unknown reward 'gold'"),
        (["ProMed-MedQA-v0", "--max-questions", "-1"], "max_questions must be a whole number of at least 0"),
        (["ProMed-MedQA-v0", "--patient", "impatient"], "impatient"),
        (["ProMed-MedQA-v0", "--show-options", "perhaps"], "show_options must be one of"),
    ],
)
def test_evaluate_reports_a_mistake_in_one_line_and_fails(arguments: list[str], message: str) -> None:
    output = run("evaluate", *arguments, code=1)
    assert f"Error: {message}" in output or message in output
    assert "Traceback" not in output


def test_play_shows_what_each_question_was_worth() -> None:
    output = run("play", "ProMed-MedQA-v0", "--seed", "3", stdin="Do you smoke?\n\nanswer: B\n")
    assert "Do you smoke?" in output
    assert "SIG +" in output
    assert "of the hidden facts found" in output
    assert "What was not asked, by weight" in output


def test_play_takes_a_letter_as_an_answer_and_can_be_left() -> None:
    assert "Answer: A" in run("play", "ProMed-MedQA-v0", "--seed", "0", stdin="a\n").replace("Answer: a", "Answer: A")
    assert "left before an answer" in run("play", "ProMed-MedQA-v0", "--seed", "0", stdin="")


def test_play_names_near_misses_of_an_unknown_case() -> None:
    output = run("play", "ProMed-MedQA-v0", "--case-id", "medqa-sample:cardiology-sore-devise", code=1)
    assert "did you mean medqa-sample:cardiology-sore-device" in output


def test_datasets_lists_names_formats_and_licences() -> None:
    output = run("datasets")
    for word in ("medqa", "ProMed-MedQA-v0", "mediq", "CC-BY-4.0", "canonical", "cmb"):
        assert word in output
