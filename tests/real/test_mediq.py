"""The 1,000 real MediQ rows load whole, with the known defects flagged and the initial facts where they belong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from promed_env.datasets import SLICES, CaseDataset, load_dataset, write_jsonl

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".." / "shared" / "data"
MEDIQ = DATA / "mediq" / "dev_0000-0999.jsonl"
EXAMPLES = DATA / "promed-examples"
LABELS = ROOT / "benchmarks" / "labels"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not MEDIQ.is_file(), reason=f"the real data is not there: {MEDIQ}"),
]


@pytest.fixture(scope="module")
def mediq() -> CaseDataset:
    return load_dataset(MEDIQ)


def test_every_row_becomes_a_case(mediq: CaseDataset) -> None:
    assert len(mediq) == mediq.report.rows == 1000
    assert mediq.report.filtered == {}
    assert mediq.licence == "CC-BY-4.0"
    assert [case.case_id for case in mediq] == [f"mediq:{number}" for number in range(1000)]


def test_known_defects_are_flagged(mediq: CaseDataset) -> None:
    def flagged(flag: str) -> list[str]:
        return [case.case_id for case in mediq if flag in case.quality]

    assert flagged("no_facts") == ["mediq:224", "mediq:298", "mediq:779"]
    assert flagged("duplicate_fact") == ["mediq:391"]
    assert flagged("answer_conflict") == []
    assert len(flagged("not_a_patient")) == 57
    assert 60 <= len(flagged("image_reference")) <= 130
    assert len(mediq.filter(exclude=["not_a_patient", "no_facts"])) == 943


def test_facts_lost_their_numbers_and_nothing_else(mediq: CaseDataset) -> None:
    for case in mediq:
        assert len(case.facts) == len(case.raw["facts"])
        for number, (fact, source) in enumerate(zip(case.facts, case.raw["facts"], strict=True), 1):
            assert source.strip() == f"{number}. {fact.text}"


def test_most_people_have_an_age_and_a_sex(mediq: CaseDataset) -> None:
    patients = mediq.filter(exclude=["not_a_patient"])
    ages = [case.profile.age for case in patients if case.profile.age is not None]
    assert len(ages) >= 0.99 * len(patients)
    assert 0 <= min(ages) and max(ages) <= 110
    assert sum(case.profile.sex is not None for case in patients) >= 0.95 * len(patients)


def test_every_presentation_states_a_fact_that_it_shows(mediq: CaseDataset) -> None:
    assert all(case.initial for case in mediq if case.facts)
    assert sum(len(case.initial) for case in mediq) / len(mediq) < 3


def test_initial_facts_agree_with_the_labels(mediq: CaseDataset) -> None:
    rows = [json.loads(line) for line in (LABELS / "initial_facts.jsonl").read_text(encoding="utf-8").splitlines()]
    exact = [
        mediq.by_id(row["case_id"]).initial - set(row["unsure"]) == set(row["initial"]) - set(row["unsure"])
        for row in rows
    ]
    assert sum(exact) >= 0.95 * len(rows)


def test_sections_agree_with_the_labels(mediq: CaseDataset) -> None:
    rows = [json.loads(line) for line in (LABELS / "sections.jsonl").read_text(encoding="utf-8").splitlines()]
    pairs = [
        (fact.section, section)
        for row in rows
        for fact, section in zip(mediq.by_id(row["case_id"]).facts, row["sections"], strict=True)
    ]
    assert sum(given == wanted for given, wanted in pairs) >= 0.8 * len(pairs)


def test_slices_have_the_sizes_the_documentation_gives(mediq: CaseDataset) -> None:
    sizes = {name: len(mediq.filter(keep)) for name, keep in SLICES.items()}
    assert sizes["all"] == 1000
    assert 780 <= sizes["clinical"] <= 880
    assert 75 <= sizes["diagnosis"] <= 100


def test_the_file_survives_the_canonical_format(mediq: CaseDataset, tmp_path: Path) -> None:
    write_jsonl(mediq, tmp_path / "mediq.jsonl")
    assert load_dataset(tmp_path / "mediq.jsonl").cases == mediq.cases


@pytest.mark.parametrize(
    ("file", "source", "n_cases", "n_facts", "initial"),
    [
        ("medqa_atomic_data_example.jsonl", "promed-medqa", 2, 4, {0, 1}),
        ("cmb_atomic_patient_example.json", "promed-cmb", 1, 9, {0, 1, 2, 3}),
    ],
)
def test_promeds_own_examples_load(file: str, source: str, n_cases: int, n_facts: int, initial: set[int]) -> None:
    dataset = load_dataset(EXAMPLES / file)
    assert len(dataset) == n_cases
    first = dataset[0]
    assert (first.source, first.n_facts, set(first.initial)) == (source, n_facts, initial)
    assert first.quality == ()
