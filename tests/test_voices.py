"""Who speaks for a patient who cannot."""

from __future__ import annotations

import dataclasses

import pytest

from promed_env.case import Case, Profile
from promed_env.consultation import Consultation
from promed_env.datasets import load_dataset
from promed_env.patients import make_patient
from promed_env.patients.voices import voice_of

CASE = load_dataset("medqa")[0]


def case_of(presentation: str, age: float | None = 40) -> Case:
    return dataclasses.replace(
        CASE, case_id=f"voices:{presentation}{age}", presentation=presentation, profile=Profile(age), shapley=None
    )


@pytest.mark.parametrize(
    ("presentation", "age", "voice"),
    [
        ("A 40-year-old man has a cough.", 40, "patient"),
        ("A 3-day-old boy does not feed.", 0.01, "caregiver"),
        ("A 5-year-old girl has a rash.", 5, "caregiver"),
        ("A 6-year-old girl has a rash.", 6, "patient"),
        ("A newborn does not feed.", None, "caregiver"),
        ("A man is brought in unconscious by his wife.", 50, "caregiver"),
        ("A man is found unresponsive in the street.", 50, "examiner"),
        ("A girl becomes unresponsive for several seconds.", 9, "patient"),
        ("A man was unconscious after a fall and has regained consciousness.", 50, "patient"),
        ("患者男性\uff0c50岁\uff0c昏迷2小时\uff0c由家属送来。", 50, "caregiver"),
        ("患儿\uff0c发热3天。", None, "caregiver"),
    ],
)
def test_the_voice_follows_age_and_presentation(presentation: str, age: float | None, voice: str) -> None:
    assert voice_of(case_of(presentation, age)) == voice


def test_a_caregiver_says_what_the_patient_would_and_nothing_else_changes() -> None:
    patient = make_patient("static")
    adult, child = case_of("A man is ill.", 40), case_of("A man is ill.", 2)
    for fact in CASE.facts:
        own = patient.reply(Consultation(adult), fact.question_text or "")
        spoken = patient.reply(Consultation(child), fact.question_text or "")
        assert spoken.disclosed == own.disclosed
        assert spoken.text == own.text.replace("Patient:", "Caregiver:")
        assert (own.informant, spoken.informant) in {("patient", "caregiver"), ("examiner",) * 2, ("laboratory",) * 2}


def test_in_a_closed_world_what_is_not_listed_is_denied() -> None:
    patient, question = make_patient("static"), "Have you ever kept parrots or pigeons?"
    closed = dataclasses.replace(case_of("A man is ill."), case_id="voices:closed", world="closed")
    assert patient.reply(Consultation(case_of("A man is ill.")), question).text == "Patient: I don't know."
    assert patient.reply(Consultation(closed), question).text == "Patient: No."
