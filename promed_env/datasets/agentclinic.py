"""AgentClinic-MedQA: records of an objective structured clinical examination (OSCE), with one diagnosis each.

https://github.com/SamuelSchmidgall/AgentClinic. A row is `{"OSCE_Examination": {...}}`, a tree whose leaves are the
facts: what the patient tells, what an examination finds, what a test shows. The objective for the doctor is none of
them. Where a leaf names the diagnosis, the name is masked and the case is flagged `answer_in_facts`.

A doctor may be shown options (the diagnosis and four others of its organ system, drawn from the other records) or not:
then an answer in words is matched with them by name and alias.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from promed_env.case import FLAGS, Case, Fact, Section
from promed_env.datasets.diagnoses import diagnosis_options, drawn, mask, organ_system, overlap
from promed_env.datasets.jsonl import Row, convert_rows
from promed_env.datasets.people import described
from promed_env.datasets.quality import defects
from promed_env.datasets.rows import sentence, text_field
from promed_env.datasets.sections import status_of, tag_section
from promed_env.errors import DatasetError

__all__ = ["N_OPTIONS", "agentclinic_case", "agentclinic_cases", "distractors_for"]

N_OPTIONS = 5
"""Options of a case: the diagnosis and others of its organ system."""

QUESTION = "What is the most likely diagnosis?"

_PATIENT = "Patient_Actor"
_STATED = ((_PATIENT, "Demographics"), (_PATIENT, "Symptoms", "Primary_Symptom"))  # by the presentation
_NARRATIVE = ("History", "Past_Medical_History", "Social_History", "Review_of_Systems")
_ABBREVIATION = re.compile(r"(?:\b(?:Dr|Mr|Mrs|Ms|vs|approx|St|e\.g|i\.e)|\b[A-Z])\.$")
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(\u201c])")

_PLACES: Mapping[str, Section] = {
    "Patient_Actor": "symptom",
    "Physical_Examination_Findings": "exam",
    "Test_Results": "test",
    "Patient_Actor/Demographics": "demographics",
    "Patient_Actor/(?:Past_|Surgical_|Medical_|Allerg)": "history",
    "Patient_Actor/Social": "social",
    "Patient_Actor/.*Family": "family",
    "Patient_Actor/.*(?:Medications?|Drug_History)$": "medication",
}
"""Where a leaf stands in the record -> its section; a later line wins over an earlier one."""

_LABELS = {"Demographics": "Patient", "Primary Symptom": "Chief complaint", "Secondary Symptoms": "Symptom"}


class _Leaf(NamedTuple):
    """A leaf of the record with the names on its way."""

    path: tuple[str, ...]
    text: str


def agentclinic_cases(rows: Sequence[Row], path: Path) -> tuple[Case, ...]:
    """The cases of a file's rows; the options of a case come from the diagnoses of all of them.

    Raises:
        DatasetError: A row is malformed, or the rows do not hold two different diagnoses.
    """
    diagnoses = []
    for row in rows:
        try:
            diagnoses.append(_diagnosis(row.fields))
        except DatasetError as error:
            raise DatasetError(f"{row.place}: {error}") from error
    numbers = iter(range(len(rows)))
    return convert_rows(rows, lambda row: agentclinic_case(row, next(numbers), diagnoses))


def agentclinic_case(row: Mapping[str, Any], number: int, diagnoses: Sequence[str]) -> Case:
    """The case of a record.

    Args:
        row: The record.
        number: Its place in the file, from 0; the record itself has no id.
        diagnoses: Those of all records, for the distractors.

    Raises:
        DatasetError: A part of the record is missing or not of the expected kind.
    """
    case_id = f"agentclinic:{number}"
    diagnosis = _diagnosis(row)
    stated, others = _parts(row["OSCE_Examination"])
    opening = _facts(stated)
    written = [*opening, *_facts(others)]
    facts = [Fact(mask(fact.text, diagnosis), fact.section, None, fact.status) for fact in written]
    masked = any(fact.text != before.text for fact, before in zip(facts, written, strict=True))
    initial = frozenset(range(len(opening)))
    presentation = " ".join(facts[index].text for index in sorted(initial))
    options, key = diagnosis_options(case_id, diagnosis, distractors_for(case_id, diagnosis, diagnoses))
    texts = [fact.text for fact in facts]
    flags = defects(
        texts=texts,
        presentation=presentation,
        facts=texts,
        options=options,
        answer=(key,),
        answer_text=None,
        is_patient=True,
    )
    return Case(
        case_id=case_id,
        source="agentclinic",
        presentation=presentation,
        question=QUESTION,
        options=options,
        answer=(key,),
        facts=tuple(facts),
        initial=initial,
        profile=described(facts[0].text),
        quality=tuple(flag for flag in FLAGS if flag in flags or (masked and flag == "answer_in_facts")),
        raw=row,
    )


def distractors_for(case_id: str, diagnosis: str, diagnoses: Sequence[str]) -> list[str]:
    """Four other diagnoses, or as many as there are, that depend on the case's id alone.

    They are of the diagnosis's organ system, or, where that has too few, of any; none may mean the same as the
    diagnosis or as another one of them.

    Raises:
        DatasetError: There is none.
    """
    chosen: list[str] = []
    candidates = drawn(case_id, diagnoses, "distractor")
    for candidate in sorted(candidates, key=lambda other: organ_system(other) != organ_system(diagnosis)):
        if len(chosen) < N_OPTIONS - 1 and not any(overlap(candidate, other) for other in (diagnosis, *chosen)):
            chosen.append(candidate)
    if not chosen:
        raise DatasetError(f"no other diagnosis than {diagnosis!r} is there to make options of; load more records")
    return chosen


def _diagnosis(row: Mapping[str, Any]) -> str:
    examination = row.get("OSCE_Examination")
    if not isinstance(examination, Mapping):
        raise DatasetError(f"field 'OSCE_Examination': expected an object, got {type(examination).__name__}")
    try:
        return text_field(examination, "Correct_Diagnosis").strip()
    except DatasetError as error:
        raise DatasetError(f"field 'OSCE_Examination': {error}") from error


def _parts(examination: Mapping[str, Any]) -> tuple[list[_Leaf], list[_Leaf]]:
    """The leaves that the presentation states, and all others."""
    patient = examination.get(_PATIENT)
    if not isinstance(patient, Mapping):
        raise DatasetError(f"field '{_PATIENT}': expected an object, got {type(patient).__name__}")
    leaves = [
        leaf
        for part in (_PATIENT, "Physical_Examination_Findings", "Test_Results")
        for leaf in _leaves(examination.get(part, {}), (part,))
    ]
    for path in _STATED:
        if path not in [leaf.path for leaf in leaves]:
            raise DatasetError(f"field '{'.'.join(path)}': is missing or blank")
    stated = [leaf for path in _STATED for leaf in leaves if leaf.path == path]
    return stated, [leaf for leaf in leaves if leaf.path not in _STATED]


def _facts(leaves: Iterable[_Leaf]) -> list[Fact]:
    """The facts that the leaves tell, as they are written."""
    return [Fact(text, _section(leaf, text), None, status_of(text)) for leaf in leaves for text in _statements(leaf)]


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[_Leaf]:
    """The leaves under a value; an item of a list is a leaf of its own."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path)
    elif isinstance(value, bool):
        yield _Leaf(path, "yes" if value else "no")
    elif isinstance(value, str | int | float):
        if str(value).strip():
            yield _Leaf(path, str(value).strip())
    elif value is not None:
        raise DatasetError(f"field '{'.'.join(path)}': expected text, got {type(value).__name__}")


def _statements(leaf: _Leaf) -> list[str]:
    """What the leaf says, each statement understandable by itself: with the names on its way, unless it is told."""
    told = leaf.path[0] == _PATIENT and leaf.path[-1] in _NARRATIVE
    parts = _sentences(leaf.text) if told else [leaf.text]
    if leaf.path[-1] == "History":
        return [sentence(part) for part in parts]
    label = ", ".join(_words(name) for name in leaf.path[1:] if name != "Symptoms")
    label = _LABELS.get(label, label)
    return [sentence(f"{label}: {part}") for part in parts]


def _words(name: str) -> str:
    return " ".join(name.replace("_", " ").split())


def _sentences(text: str) -> list[str]:
    """The sentences of a text; an abbreviation or an initial does not end one."""
    sentences: list[str] = []
    for part in _END.split(text):
        if sentences and _ABBREVIATION.search(sentences[-1]):
            sentences[-1] += f" {part}"
        else:
            sentences.append(part)
    return sentences


def _section(leaf: _Leaf, text: str) -> Section:
    """The section of the leaf's place; the words of what the patient tells may say better what it is."""
    path = "/".join(leaf.path)
    place = [section for pattern, section in _PLACES.items() if re.match(pattern, path)][-1]
    if leaf.path[0] != _PATIENT or place == "demographics":
        return place
    if leaf.path[-1] == "History":
        told = tag_section(text)
        return told if told in ("history", "social", "family", "medication") else place
    told = tag_section(text.partition(": ")[2])
    return told if told in ("family", "medication") else place
