"""All 107 real AgentClinic-MedQA records load whole, and none gives its diagnosis away before the end."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import promed_env  # noqa: F401  registers the environments
from promed_env.case import Case, Option
from promed_env.datasets import CaseDataset, load_dataset, write_jsonl
from promed_env.datasets.diagnoses import SYSTEMS, WITHHELD, organ_system, overlap
from promed_env.datasets.quality import states

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / ".." / "shared" / "data" / "agentclinic" / "agentclinic_medqa.jsonl"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not RECORDS.is_file(), reason=f"the real data is not there: {RECORDS}"),
]


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    return [json.loads(line)["OSCE_Examination"] for line in RECORDS.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def agentclinic() -> CaseDataset:
    return load_dataset(RECORDS)


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    elif isinstance(value, str):
        yield value


def right(case: Case) -> Option:
    return next(option for option in case.options if option.key == case.answer[0])


def names(text: str, option: Option) -> list[str]:
    """The names of the option that a text holds; an abbreviation only in capitals."""
    return [
        name
        for name in (option.text, *option.aliases)
        if (re.search(rf"\b{re.escape(name)}\b", text) if name.isupper() else states(text, name))
    ]


def test_every_record_becomes_a_case(agentclinic: CaseDataset) -> None:
    assert len(agentclinic) == agentclinic.report.rows == 107
    assert [case.case_id for case in agentclinic] == [f"agentclinic:{number}" for number in range(107)]
    assert agentclinic.licence == "MIT"
    assert {case.world for case in agentclinic} == {"open"}


def test_every_leaf_is_said_and_nothing_else(agentclinic: CaseDataset, records: list[dict[str, Any]]) -> None:
    def words(text: str) -> Counter[str]:
        return Counter(re.findall(r"\w+", text))

    for case, record in zip(agentclinic, records, strict=True):
        told = {part: record[part] for part in record if part not in ("Objective_for_Doctor", "Correct_Diagnosis")}
        said = words(" ".join(fact.text for fact in case.facts))
        missing = words(" ".join(leaves(told))) - said
        if "answer_in_facts" not in case.quality:
            assert not missing, (case.case_id, missing)
        objective = record["Objective_for_Doctor"]
        assert objective not in " ".join(fact.text for fact in case.facts)


def test_sections_follow_the_record(agentclinic: CaseDataset, records: list[dict[str, Any]]) -> None:
    for case, record in zip(agentclinic, records, strict=True):
        count = Counter(fact.section for fact in case.facts)
        assert count["demographics"] == 1
        assert bool(count["exam"]) == any(leaves(record["Physical_Examination_Findings"]))
        assert bool(count["test"]) == any(leaves(record["Test_Results"]))
        assert count["other"] == 0


def test_the_diagnosis_is_masked_wherever_it_is_named(agentclinic: CaseDataset) -> None:
    masked = [case for case in agentclinic if any(WITHHELD in fact.text for fact in case.facts)]
    assert masked == [case for case in agentclinic if "answer_in_facts" in case.quality]
    assert len(masked) == 22
    assert sum(WITHHELD in fact.text for case in masked for fact in case.facts) == 25
    for case in agentclinic:
        for text in (case.presentation, *(fact.text for fact in case.facts)):
            # A syndrome's bare name may be a symptom: "respiratory distress" is not the respiratory distress syndrome.
            assert all(name.lower().endswith("distress") for name in names(text, right(case))), (case.case_id, text)


def test_the_presentation_is_the_person_and_the_complaint(
    agentclinic: CaseDataset, records: list[dict[str, Any]]
) -> None:
    for case, record in zip(agentclinic, records, strict=True):
        patient = record["Patient_Actor"]
        assert case.initial == {0, 1}
        assert case.presentation == f"{case.facts[0].text} {case.facts[1].text}"
        assert patient["Demographics"] in case.presentation
        assert patient["Symptoms"]["Primary_Symptom"].rstrip(".") in case.presentation
    assert sum(case.profile.age is None for case in agentclinic) == 0


def test_every_diagnosis_has_a_system(agentclinic: CaseDataset) -> None:
    systems = Counter(organ_system(right(case).text) for case in agentclinic)
    assert set(systems) == set(SYSTEMS)
    assert min(systems.values()) >= 5


def test_distractors_are_of_the_same_system_and_no_synonyms(agentclinic: CaseDataset) -> None:
    elsewhere = Counter[str]()
    for case in agentclinic:
        texts = [option.text for option in case.options]
        assert len(texts) == 5
        assert [text for text in texts if text == case.raw["OSCE_Examination"]["Correct_Diagnosis"]] == [
            right(case).text
        ]
        pairs = [(one, other) for index, one in enumerate(texts) for other in texts[index + 1 :]]
        assert not [pair for pair in pairs if overlap(*pair)]
        system = organ_system(right(case).text)
        elsewhere.update(system for text in texts if organ_system(text) != system)
    assert not elsewhere


def test_the_slot_of_the_key_says_nothing(agentclinic: CaseDataset) -> None:
    slots = Counter(case.answer[0] for case in agentclinic)
    assert set(slots) == set("ABCDE")
    assert max(slots.values()) <= 0.35 * len(agentclinic)


def test_the_file_survives_the_canonical_format(agentclinic: CaseDataset, tmp_path: Path) -> None:
    write_jsonl(agentclinic, tmp_path / "agentclinic.jsonl")
    assert load_dataset(tmp_path / "agentclinic.jsonl").cases == agentclinic.cases


def test_a_consultation_tells_the_diagnosis_only_at_the_end(agentclinic: CaseDataset) -> None:
    env = gym.make("ProMed-MedQA-v0", dataset=agentclinic, belief=None, reward="diagnosis", show_options="never")
    for case in agentclinic[::4]:
        seen, _ = env.reset(seed=1, options={"case_id": case.case_id})
        for question in ("Tell me more about it.", "What did the examination show?", "What did the tests show?"):
            observation, _, terminated, _, _ = env.step(f"question: {question}")
            assert not terminated
            seen += f"\n{observation}"
        assert all(name.lower().endswith("distress") for name in names(seen, right(case))), case.case_id
        _, reward, terminated, _, info = env.step(f"answer: {right(case).text}")
        assert terminated and info["correct"] and reward > 0


def test_an_open_answer_by_name_or_alias_is_right(agentclinic: CaseDataset) -> None:
    env = gym.make("ProMed-MedQA-v0", dataset=agentclinic, belief=None, reward="diagnosis", show_options="never")
    for case in agentclinic:
        for said in (right(case).text.upper(), *right(case).aliases):
            env.reset(seed=0, options={"case_id": case.case_id})
            assert env.step(f"answer: {said}")[4]["correct"], (case.case_id, said)
        env.reset(seed=0, options={"case_id": case.case_id})
        assert not env.step(f"answer: {case.answer[0]}")[4]["correct"]
