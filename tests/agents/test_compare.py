"""Comparisons on the same cases, information levels, and results that are read back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from promed_agents.cli import app
from promed_agents.compare import (
    compare,
    counterpart,
    gaps_closed,
    read_earlier,
    read_results,
    setting_changes,
)
from promed_agents.evaluate import Evaluation, evaluate, write_results
from promed_agents.setting import Setting
from promed_agents.tables import comparison_table, gap_lines, pairs_table
from promed_agents.zoo import make_agent
from rich.console import Console
from typer.testing import CliRunner

from promed_env.datasets import load_dataset
from promed_env.errors import DatasetError

CASES = load_dataset("medqa")[:12]
LEVELS = ("none", "initial", "interactive", "full")


@pytest.fixture(scope="module")
def played() -> dict[str, Evaluation]:
    setting = Setting(facts_per_reply=1, max_questions=4)
    return {name: evaluate(make_agent(name), setting, CASES) for name in ("reactive", "scripted", "greedy")}


@pytest.fixture(scope="module")
def levels() -> list[Evaluation]:
    return [
        evaluate(make_agent(name), Setting(max_questions=4, information=level), CASES)  # type: ignore[arg-type]
        for name in ("scripted", "oracle")
        for level in LEVELS
    ]


def printed(thing: object) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        console.print(thing)
    return " ".join(capture.get().split())


def test_a_comparison_counts_who_alone_was_right(played: dict[str, Evaluation]) -> None:
    a, b = played["greedy"], played["scripted"]
    found = compare(a, b)
    pairs = [(one.correct, other.correct) for one, other in zip(a.episodes, b.episodes, strict=True)]
    assert (found.only_a, found.only_b) == (pairs.count((True, False)), pairs.count((False, True)))
    assert found.difference == pytest.approx(a.summaries["all"].accuracy - b.summaries["all"].accuracy)
    assert found.difference == pytest.approx((found.only_a - found.only_b) / found.n)
    assert found.questions == pytest.approx(a.summaries["all"].questions - b.summaries["all"].questions)
    assert found.interval[0] <= found.difference <= found.interval[1]


def test_turned_round_a_comparison_changes_its_sign(played: dict[str, Evaluation]) -> None:
    there, back = compare(played["greedy"], played["reactive"]), compare(played["reactive"], played["greedy"])
    assert (back.difference, back.questions, back.p_value) == (-there.difference, -there.questions, there.p_value)
    assert back.interval == pytest.approx((-there.interval[1], -there.interval[0]), abs=0.05)


def test_a_doctor_equals_itself(played: dict[str, Evaluation]) -> None:
    found = compare(played["greedy"], played["greedy"])
    assert (found.difference, found.interval, found.p_value) == (0.0, (0.0, 0.0), 1.0)
    assert (found.only_a, found.only_b) == (0, 0)


def test_cases_are_paired_by_their_id_and_not_by_their_place(played: dict[str, Evaluation]) -> None:
    greedy = played["greedy"]
    turned = dataclasses.replace(greedy, episodes=greedy.episodes[::-1])
    assert compare(played["reactive"], turned) == compare(played["reactive"], greedy)


def test_other_cases_are_refused(played: dict[str, Evaluation]) -> None:
    greedy = played["greedy"]
    fewer = dataclasses.replace(greedy, episodes=greedy.episodes[1:])
    first = greedy.episodes[0].case_id
    with pytest.raises(DatasetError, match=f"not evaluated on the same cases; 1 and 0 are in one only.*{first}"):
        compare(greedy, fewer)
    with pytest.raises(DatasetError, match="0 and 1 are in one only"):
        compare(fewer, greedy)
    other = dataclasses.replace(greedy.episodes[0], answer=("Z",))
    changed = dataclasses.replace(greedy, episodes=(other, *greedy.episodes[1:]))
    with pytest.raises(DatasetError, match=r"right answer of case .* is .* and \['Z'\] in the other"):
        compare(greedy, changed)


def test_results_are_read_back_as_they_were(
    played: dict[str, Evaluation], levels: list[Evaluation], tmp_path: Path
) -> None:
    written = [*played.values(), *levels]
    path = write_results(written, tmp_path)
    assert read_results(tmp_path) == written
    assert read_results(path) == written
    assert json.loads(path.read_text(encoding="utf-8"))["schema_version"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected schema_version 1, got None; evaluate again"),
        ('{"schema_version": 7}', "expected schema_version 1, got 7"),
        ("{", r"results\.json: Expecting"),
        ('{"schema_version": 1, "evaluations": [{}]}', r"evaluation 1: KeyError\('summaries'\)"),
        ('{"schema_version": 1, "evaluations": [{"summaries": {}, "episodes": [], "setting": {"x": 1}}]}', "'x'"),
    ],
)
def test_a_file_that_is_no_result_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        read_results(tmp_path)


def test_a_missing_result_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"results\.json: there is no such file; `promed evaluate"):
        read_results(tmp_path)


def test_an_earlier_run_is_checked_before_anything_is_played(played: dict[str, Evaluation], tmp_path: Path) -> None:
    write_results(list(played.values()), tmp_path)
    ids = [case.case_id for case in CASES]
    (found,) = read_earlier(tmp_path, [("greedy", "interactive"), ("mine", "interactive")], ids)
    assert found == played["greedy"]
    assert counterpart(played["greedy"], [played["reactive"], found]) is found
    assert counterpart(played["scripted"], [found]) is None
    with pytest.raises(
        DatasetError, match=r"holds reactive \(interactive\), .*nothing to compare with greedy \(full\)"
    ):
        read_earlier(tmp_path, [("greedy", "full")], ids)
    with pytest.raises(DatasetError, match="on 12 cases, of which 5 are among the 5 of this run"):
        read_earlier(tmp_path, [("greedy", "interactive")], ids[:5])


def test_what_differs_between_two_settings_is_named() -> None:
    assert setting_changes(Setting(), Setting()) == []
    assert setting_changes(Setting(max_questions=5), Setting(seed=1)) == ["max_questions 5, was 10", "seed 0, was 1"]


def test_the_gap_is_between_the_presentation_and_all_facts(levels: list[Evaluation]) -> None:
    scripted, oracle = gaps_closed(levels)
    assert scripted.agent == "scripted"
    assert scripted.initial < scripted.interactive <= scripted.full == 1.0
    assert scripted.share == pytest.approx(
        (scripted.interactive - scripted.initial) / (scripted.full - scripted.initial)
    )
    assert oracle.share is None  # it knows everything at every level
    assert gaps_closed(levels[:3]) == []
    text = printed(gap_lines([scripted, oracle]))
    assert f"asking closes {scripted.share:.0%} of the gap" in text
    assert "oracle: initial 1.000, interactive 1.000, full 1.000; knowing everything does not help" in text


def test_two_doctors_of_one_name_keep_their_own_gaps(levels: list[Evaluation]) -> None:
    twice = gaps_closed([*levels[:4], *levels[:4]])
    assert len(twice) == 2
    assert twice[0] == twice[1]


def test_the_tables_compare_all_pairs_of_the_interactive_level(
    played: dict[str, Evaluation], levels: list[Evaluation]
) -> None:
    text = printed(pairs_table(list(played.values())))
    assert "Paired comparison on the same cases, n = 12" in text
    assert text.count("scripted") == 2
    assert "Paired comparison on the same cases, information interactive, n = 12" in printed(pairs_table(levels))
    assert pairs_table([played["greedy"]]) is None
    assert "+0.00 to +0.00" in printed(comparison_table([compare(played["greedy"], played["greedy"])], "Twice"))


def command(*arguments: str, code: int = 0) -> str:
    runner = CliRunner(env={"COLUMNS": "120", "TERM": "dumb"})
    result = runner.invoke(app, ["evaluate", "ProMed-MedQA-v0", "--no-show", "--episodes", "6", *arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_the_command_plays_levels_and_prints_the_gap(tmp_path: Path) -> None:
    chosen = [part for level in LEVELS for part in ("--information", level)]
    output = command("--agent", "scripted", "--agent", "reactive", *chosen, "--out", str(tmp_path))
    assert "information levels: none, initial, interactive, full; only interactive may ask" in output
    for level in LEVELS:
        assert f"scripted {level} knowledge" in output
    assert "of the gap" in output
    assert [each.setting.information for each in read_results(tmp_path)] == [*LEVELS, *LEVELS]


def test_the_command_compares_with_an_earlier_run(tmp_path: Path) -> None:
    command("--agent", "scripted", "--agent", "greedy", "--out", str(tmp_path))
    output = command("--agent", "greedy", "--max-questions", "2", "--compare", str(tmp_path))
    assert "(second): max_questions 2, was 10." in output
    assert "Compared with the earlier run, information interactive, n = 6" in output
    assert "greedy greedy" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--information", "some"], "information must be one of none, initial, interactive, full, got 'some'"),
        (["--compare", "/no/such"], "there is no such file"),
    ],
)
def test_the_command_reports_a_mistake_in_one_line(arguments: list[str], message: str) -> None:
    output = command("--agent", "reactive", *arguments, code=1)
    assert message in output
    assert "Traceback" not in output
