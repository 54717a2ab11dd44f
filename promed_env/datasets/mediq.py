"""MediQ's rows: MedQA vignettes broken into context sentences and atomic facts (https://github.com/stellalisy/mediQ).

A row has `id, question, context, options, answer, answer_idx, facts, patient`. The presentation is the first context
sentence; which facts it states is decided by `initial_facts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from promed_env.case import Case, Fact, Profile
from promed_env.datasets.initial import initial_facts
from promed_env.datasets.people import years
from promed_env.datasets.quality import defects
from promed_env.datasets.rows import NO_PRESENTATION, options_field, row_id, strings_field, text_field, unnumbered
from promed_env.datasets.sections import status_of, tag_section
from promed_env.errors import DatasetError

__all__ = ["mediq_case"]

_NOBODY = frozenset({"study", "experiment", "not applicable", "n/a", "none"})


def mediq_case(row: Mapping[str, Any]) -> Case:
    """The case of a MediQ row.

    Correctness comes from the key `answer_idx`. A row without context opens with its first fact; one without facts
    either, with `NO_PRESENTATION`.

    Raises:
        DatasetError: A field is missing, of the wrong type, or the key is none of the options; the message names it.
    """
    case_id = row_id(row)
    question = text_field(row, "question").strip()
    options = options_field(row, "options")
    key = text_field(row, "answer_idx").strip()
    answer_text = text_field(row, "answer")
    context = [text.strip() for text in strings_field(row, "context")]
    facts = [unnumbered(text) for text in strings_field(row, "facts")]
    if "" in facts:
        raise DatasetError(f"field 'facts': item {facts.index('') + 1} holds nothing but a number")
    if key not in [option.key for option in options]:
        raise DatasetError(
            f"field 'answer_idx': {key!r} is not among the option keys {[option.key for option in options]}"
        )
    gender, profile = _patient(row)
    if context:
        presentation, initial = context[0], initial_facts(context[0], context[1:], facts)
    elif facts:
        presentation, initial = facts[0], frozenset({0})
    else:
        presentation, initial = NO_PRESENTATION["en"], frozenset()
    return Case(
        case_id=f"mediq:{case_id}",
        source="mediq",
        presentation=presentation,
        question=question,
        options=options,
        answer=(key,),
        facts=tuple(Fact(text, tag_section(text), status=status_of(text)) for text in facts),
        initial=initial,
        profile=profile,
        quality=defects(
            texts=(question, *context, *facts),
            presentation=presentation,
            facts=facts,
            options=options,
            answer=(key,),
            answer_text=answer_text,
            is_patient=gender not in _NOBODY,
        ),
        raw=row,
    )


def _patient(row: Mapping[str, Any]) -> tuple[str, Profile]:
    """What `patient.gender` says, and the person's age and sex."""
    patient = row.get("patient")
    if not isinstance(patient, Mapping):
        raise DatasetError(f"field 'patient': expected an object, got {type(patient).__name__}")
    try:
        gender, age = text_field(patient, "gender").strip().lower(), patient.get("age")
    except DatasetError as error:
        raise DatasetError(f"field 'patient': {error}") from error
    sex: Literal["female", "male"] | None = None
    if gender in ("female", "male"):
        sex = "female" if gender == "female" else "male"
    return gender, Profile(None if age is None else years(str(age)), sex)
