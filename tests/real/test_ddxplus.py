"""All 98 real DDXPlus patients are decoded whole: every code, every value, every condition."""

from __future__ import annotations

import ast
import csv
from collections import Counter
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import promed_env  # noqa: F401  registers the environments
from promed_env.case import Case, Option
from promed_env.datasets import CaseDataset, load_dataset, write_jsonl
from promed_env.datasets.ddxplus import Vocabulary, ddxplus_case, read_vocabulary
from promed_env.datasets.statements import affirmed

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".." / "shared" / "data" / "ddxplus"
PATIENTS = DATA / "fr" / "Project_Train_Data_FewShot_Learning.csv"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not PATIENTS.is_file(), reason=f"the real data is not there: {PATIENTS}"),
]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with PATIENTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def ddxplus() -> CaseDataset:
    return load_dataset(PATIENTS)


@pytest.fixture(scope="module")
def french() -> Vocabulary:
    return read_vocabulary(DATA / "fr")


def evidences(row: dict[str, str]) -> list[str]:
    return list(ast.literal_eval(row["EVIDENCES"]))


def right(case: Case) -> Option:
    return next(option for option in case.options if option.key == case.answer[0])


def test_every_row_becomes_a_case_of_a_closed_world(ddxplus: CaseDataset, rows: list[dict[str, str]]) -> None:
    assert len(ddxplus) == len(rows) == 98
    assert [case.case_id for case in ddxplus] == [f"ddxplus:{row['']}" for row in rows]
    assert {case.world for case in ddxplus} == {"closed"}
    assert ddxplus.licence == "CC-BY-4.0"


def test_every_evidence_is_one_fact_with_all_its_values(
    ddxplus: CaseDataset, rows: list[dict[str, str]], french: Vocabulary
) -> None:
    valued = 0
    for case, row in zip(ddxplus, rows, strict=True):
        listed: dict[str, list[str]] = {}
        for item in evidences(row):
            code, *value = item.split("_@_")
            listed.setdefault(code, []).extend(value)
        assert case.n_facts == 1 + len(listed)
        for fact, (code, values) in zip(case.facts[1:], listed.items(), strict=True):
            evidence = french.evidences[code]
            assert fact.question_text == evidence.question
            answers = [evidence.values[value] for value in values]
            absent = bool(values) and set(values) == {evidence.default}
            assert (fact.status == "absent") is absent
            if values and not absent:
                said = f": {', '.join(answers)}."
                assert fact.text.endswith(said) or (answers == ["yes"] and fact.text == affirmed(evidence.question))
                valued += len(values)
    everything = [item for row in rows for item in evidences(row) if "_@_" in item]
    defaults = [item for item in everything if item.split("_@_")[1] == french.evidences[item.split("_@_")[0]].default]
    assert valued == len(everything) - len(defaults)


def test_no_code_survives_in_a_text(ddxplus: CaseDataset, french: Vocabulary) -> None:
    for case in ddxplus:
        text = " ".join([case.presentation, *(fact.text for fact in case.facts), *(o.text for o in case.options)])
        assert "_@_" not in text and "_" not in text
    assert {option.text for case in ddxplus for option in case.options} <= {
        condition.name for condition in french.conditions.values()
    }


def test_the_redistributors_column_is_not_read(rows: list[dict[str, str]], french: Vocabulary) -> None:
    without = {name: value for name, value in rows[0].items() if not name.startswith("English")}
    assert ddxplus_case(without, french, 0).facts == ddxplus_case(rows[0], french, 0).facts


def test_the_releases_agree(french: Vocabulary) -> None:
    english = read_vocabulary(DATA / "en")

    def meaning(vocabulary: Vocabulary) -> dict[str, Any]:
        return {
            evidence.question: (evidence.is_antecedent, sorted(evidence.values.values()))
            for evidence in vocabulary.evidences.values()
        }

    assert len(english.evidences) == len(french.evidences) == len(meaning(french)) == 223
    assert meaning(english) == meaning(french)
    assert len(english.conditions) == len(french.conditions) == 49
    assert {item.name for item in english.conditions.values()} == {item.name for item in french.conditions.values()}


def test_most_questions_become_statements(french: Vocabulary) -> None:
    binary = [evidence.question for evidence in french.evidences.values() if not evidence.values]
    turned = [statement for question in binary if (statement := affirmed(question))]
    assert len(turned) >= 0.9 * len(binary)
    assert all(statement.endswith(".") and " you" not in f" {statement.lower()}" for statement in turned)


def test_the_presentation_is_the_person_and_the_first_evidence(
    ddxplus: CaseDataset, rows: list[dict[str, str]], french: Vocabulary
) -> None:
    for case, row in zip(ddxplus, rows, strict=True):
        assert len(case.initial) == 2 and 0 in case.initial
        (first,) = case.initial - {0}
        assert case.facts[first].question_text == french.evidences[row["INITIAL_EVIDENCE"]].question
        assert case.presentation == f"{case.facts[0].text} {case.facts[first].text}"
        assert (case.profile.age, case.profile.sex) == (float(row["AGE"]), {"F": "female", "M": "male"}[row["SEX"]])


def test_the_differential_gives_the_options(
    ddxplus: CaseDataset, rows: list[dict[str, str]], french: Vocabulary
) -> None:
    for case, row in zip(ddxplus, rows, strict=True):
        texts = [option.text for option in case.options]
        assert len(set(texts)) == 5
        assert right(case).text == french.conditions[row["PATHOLOGY"]].name
        differential = [french.conditions[name].name for name, _ in ast.literal_eval(row["DIFFERENTIAL_DIAGNOSIS"])]
        others = [name for name in differential if name != right(case).text][:4]
        assert set(others) <= set(texts)
        assert [name for name, _ in case.raw["differential"]] == differential
        assert {name: case.raw[name] for name in row} == row


def test_the_slot_of_the_key_says_nothing(ddxplus: CaseDataset) -> None:
    slots = Counter(case.answer[0] for case in ddxplus)
    assert set(slots) == set("ABCDE")
    assert max(slots.values()) <= 0.35 * len(ddxplus)


def test_the_file_survives_the_canonical_format(ddxplus: CaseDataset, tmp_path: Path) -> None:
    write_jsonl(ddxplus, tmp_path / "ddxplus.jsonl")
    assert load_dataset(tmp_path / "ddxplus.jsonl").cases == ddxplus.cases


def test_an_open_answer_by_name_or_alias_is_right(ddxplus: CaseDataset) -> None:
    env = gym.make("ProMed-MedQA-v0", dataset=ddxplus, belief=None, reward="diagnosis", show_options="never")
    for case in ddxplus:
        for said in (right(case).text, *right(case).aliases):
            env.reset(seed=0, options={"case_id": case.case_id})
            _, reward, terminated, _, info = env.step(f"answer: {said}")
            assert terminated and info["correct"] and reward > 0, (case.case_id, said)
