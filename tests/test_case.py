"""Cases: consistent or refused, equal by content, and the same after a round trip."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from promed_env.beliefs import EvidenceBelief
from promed_env.case import SCHEMA_VERSION, Case, Fact, Option, ShapleyAnnotation
from promed_env.errors import DatasetError
from promed_env.shapley import annotate
from promed_env.testing import cases

OPTIONS = (Option("A", "a"), Option("B", "b"))


def make(**changes: Any) -> Case:
    values: dict[str, Any] = {
        "case_id": "t:1",
        "source": "t",
        "presentation": "p",
        "question": "q",
        "options": OPTIONS,
        "answer": ("B",),
        "facts": (Fact("one"), Fact("two")),
    }
    return Case(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answer": ("C",)}, r"field 'answer': \['C'\] is not among the option keys \['A', 'B'\]"),
        ({"answer": ()}, "field 'answer'"),
        ({"options": OPTIONS[:1]}, "field 'options': need at least two"),
        ({"options": (OPTIONS[0], OPTIONS[0])}, "distinct keys"),
        ({"options": (*OPTIONS, Option("b", "c"))}, "distinct keys"),
        ({"options": (*OPTIONS, Option("1", "c"))}, "field 'options': a key must be a single letter"),
        ({"options": (*OPTIONS, Option("C", " "))}, "field 'options': an option has no text"),
        ({"initial": frozenset({2})}, "field 'initial'"),
        ({"initial": frozenset({-1})}, "field 'initial'"),
        ({"language": "fr"}, "field 'language': expected 'en' or 'zh', got 'fr'"),
        ({"world": "flat"}, "field 'world'"),
        ({"quality": ("ugly",)}, r"field 'quality': unknown flags \['ugly'\]"),
        ({"prior": [0.5, 0.6]}, "field 'prior'"),
        ({"prior": [1.0, 0.0]}, "field 'prior'"),
        ({"evidence": [[-1.0, -1.0]]}, r"field 'evidence': .* shape \(2, 2\), got shape \(1, 2\)"),
        ({"evidence": [[-1.0, 0.0], [-1.0, -1.0]]}, "field 'evidence'"),
        ({"evidence": [[-1.0, np.nan], [-1.0, -1.0]]}, "field 'evidence'"),
        ({"shapley": ShapleyAnnotation("b", {"all": [0.0]}, {"all": [0.0]}, "exact", 1)}, "field 'shapley'"),
    ],
)
def test_an_inconsistent_case_is_refused_by_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        ({"text": " "}, "text must be a non-empty string"),
        ({"text": "x", "section": "dreams"}, "section must be one of"),
        ({"text": "x", "status": "maybe"}, "status must be one of"),
        ({"text": "x", "question_text": 3}, "question_text must be a string or null, not 3"),
    ],
)
def test_an_inconsistent_fact_is_refused(fact: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        Fact(**fact)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"values": {"some": [0.0]}, "stderr": {}}, "unknown games"),
        ({"values": {"all": [0.0]}, "stderr": {}}, "same games"),
    ],
)
def test_an_inconsistent_annotation_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        ShapleyAnnotation(belief="b", method="exact", evaluations=1, **values)


def test_keys_of_the_answer_are_in_the_order_of_the_options() -> None:
    assert make(answer=("B", "A")).answer == ("A", "B")


def test_the_prior_is_uniform_unless_given_and_arrays_cannot_be_written() -> None:
    case = make(evidence=[[-1.0, -2.0], [-0.5, -0.1]])
    assert case.prior is not None and case.evidence is not None
    assert case.prior.tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="read-only"):
        case.evidence[0, 0] = 0


@given(cases())
def test_a_case_survives_json_and_pickle(case: Case) -> None:
    case = annotate(case, EvidenceBelief())
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case
    copy = pickle.loads(pickle.dumps(case))
    assert copy == case and hash(copy) == hash(case)


@given(cases(min_facts=1))
def test_cases_are_compared_by_content(case: Case) -> None:
    assert dataclasses.replace(case, question="another?") != case
    assert dataclasses.replace(case) == case
    assert case != "case"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": SCHEMA_VERSION + 1}, "field 'schema_version': expected 1, got 2"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"question": None}, "field 'question': expected a string, got NoneType"),
        ({"options": ["a"]}, "field 'options'"),
        ({"facts": [{"text": "x", "smell": "y"}]}, "field 'facts'"),
        ({"facts": "x"}, "field 'facts': expected a list, got str"),
        ({"initial": ["0"]}, "field 'initial': expected a whole number"),
        ({"evidence": "much"}, "field 'evidence'"),
        ({"profile": {"height": 3}}, "field 'profile'"),
        ({"profile": {"age": "old"}}, "field 'profile': age must be a number of years or null, not 'old'"),
        ({"profile": {"sex": "x"}}, "field 'profile': sex must be 'female', 'male' or null, not 'x'"),
        ({"profile": []}, "field 'profile': expected an object, got list"),
        ({"shapley": {"belief": "x"}}, "field 'shapley'"),
    ],
)
def test_a_bad_json_row_is_refused_by_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        Case.from_json({**make().to_json(), **change})


def test_a_missing_field_and_a_row_that_is_no_object_are_refused() -> None:
    row = make().to_json()
    del row["answer"]
    with pytest.raises(DatasetError, match="field 'answer' is missing"):
        Case.from_json(row)
    with pytest.raises(DatasetError, match="expected a JSON object, got list"):
        Case.from_json([])  # type: ignore[arg-type]


def test_other_initial_facts_drop_the_values_that_depended_on_them() -> None:
    case = annotate(make(evidence=[[-1.0, -2.0], [-0.5, -0.1]], initial=frozenset({0})), EvidenceBelief())
    assert case.with_initial(frozenset({0})) is case
    other = case.with_initial(frozenset({1}), "two")
    assert other.shapley is not None and case.shapley is not None
    assert set(other.shapley.values) == {"all"}
    assert other.shapley.values["all"].tolist() == case.shapley.values["all"].tolist()
    assert (other.presentation, other.hidden) == ("two", (0,))
