"""Imperfect patients: seeded, confined to what the patient says, and never disclosing what they state wrongly."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium as gym
import pytest

from promed_env.case import Case, Fact
from promed_env.consultation import Consultation
from promed_env.datasets import load_dataset
from promed_env.interview import SCRIPT
from promed_env.patients import make_patient
from promed_env.patients.imperfect import IMPERFECTIONS, Forgetful, Mistaken, Talkative, Terse
from promed_env.rewards import make_reward
from promed_env.testing import check_consultation_env

SAMPLE = load_dataset("medqa")[:12]
TOLD = ("patient", "caregiver")


def replies(patient: Any, case: Case, seed: int = 7) -> list[Any]:
    return [patient.reply(Consultation(case, seed=seed), fact.question_text) for fact in case.facts]


def interviewed(patient: Any, case: Case, seed: int) -> list[Any]:
    return [patient.reply(Consultation(case, seed=seed), question) for question in SCRIPT]


@pytest.mark.parametrize("name", IMPERFECTIONS)
def test_never_imperfect_is_the_patient_itself(name: str) -> None:
    plain, spoilt = make_patient("static"), make_patient(f"{name}(static, 0)")
    assert all(replies(spoilt, case) == replies(plain, case) for case in SAMPLE)


@pytest.mark.parametrize("name", IMPERFECTIONS)
def test_the_same_consultation_hears_the_same(name: str) -> None:
    one, two = make_patient(f"{name}(static, 0.5)"), make_patient(f"{name}(static, 0.5)")
    for case in SAMPLE:
        assert replies(one, case) == replies(two, case)
        states = [Consultation(case, seed=7)] * case.n_facts
        assert one.reply_batch(states, [fact.question_text or "" for fact in case.facts]) == replies(one, case)
    assert any(interviewed(one, case, seed=1) != interviewed(one, case, seed=2) for case in SAMPLE)


@pytest.mark.parametrize("wrapper", [Forgetful, Mistaken])
def test_always_imperfect_discloses_nothing_of_the_patients_own(wrapper: Any) -> None:
    patient, plain = wrapper(make_patient("static"), 1.0), make_patient("static")
    for case in SAMPLE:
        for fact, reply, sound in zip(case.facts, replies(patient, case), replies(plain, case), strict=True):
            if sound.informant in TOLD:
                assert not set(reply.disclosed) & set(sound.disclosed), fact
                assert fact.text not in reply.text
            elif len(sound.disclosed) == 1:
                assert reply == sound  # an examiner or the laboratory does not forget


def test_what_is_forgotten_stays_forgotten() -> None:
    patient = Forgetful(make_patient("static"), 0.5)
    for case in SAMPLE:
        state = Consultation(case, seed=3)
        question = case.facts[0].question_text or ""
        first = patient.reply(state, question)
        assert patient.reply(state.ask(question, first), question).disclosed == first.disclosed


def test_a_terse_patient_tells_one_fact() -> None:
    patient = Terse(make_patient("static"))
    assert patient.rate == 1
    plain = make_patient("static")
    assert any(len(reply.disclosed) > 1 for case in SAMPLE for reply in interviewed(plain, case, 0))
    assert all(len(reply.disclosed) <= 1 for case in SAMPLE for reply in interviewed(patient, case, 0))


def test_a_talkative_patient_adds_a_fact_that_was_not_told() -> None:
    patient, plain = Talkative(make_patient("static"), 1.0), make_patient("static")
    added = 0
    for case in SAMPLE:
        for reply, sound in zip(replies(patient, case), replies(plain, case), strict=True):
            more = set(reply.disclosed) - set(sound.disclosed)
            assert len(more) <= 1
            assert all(case.facts[fact].text in reply.text and fact not in case.initial for fact in more)
            added += len(more)
    assert added


def test_a_mistaken_patient_states_another_number_or_the_opposite() -> None:
    facts = (
        Fact("I smoke 20 cigarettes a day.", "social", "Do you smoke?"),
        Fact("I have no fever.", "symptom", "Do you have a fever?", "absent"),
        Fact("I have a cough.", "symptom", "Do you have a cough?"),
    )
    case = dataclasses.replace(SAMPLE[0], case_id="x:1", facts=facts, initial=frozenset(), evidence=None, shapley=None)
    number, fever, cough = replies(Mistaken(make_patient("static"), 1.0), case)
    assert (
        number.text.startswith("Patient: I smoke ") and "20" not in number.text.split() and "cigarettes" in number.text
    )
    assert (fever.text, cough.text) == ("Patient: Yes, I have.", "Patient: No.")
    assert number.disclosed == fever.disclosed == cough.disclosed == ()


def test_imperfections_nest_in_a_string() -> None:
    patient = make_patient("mistaken(forgetful(static, 0.3), 0.1)")
    assert patient.name == "mistaken(forgetful(static, 0.3), 0.1)"
    assert make_patient("terse(lexical)").name == "terse(lexical, 1)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clumsy(static)", "'clumsy.static.' describes no patient; expected for example 'forgetful.static, 0.3.'"),
        ("forgetful()", "'forgetful..' describes no patient"),
        ("forgetful(static, 2)", "the rate of a forgetful patient is from 0 to 1, got 2.0"),
        ("forgetful(nobody)", "unknown patient 'nobody'"),
    ],
)
def test_bad_descriptions_are_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_patient(text)


@pytest.mark.parametrize("name", IMPERFECTIONS)
def test_every_law_of_the_environment_holds(name: str) -> None:
    check_consultation_env(gym.make("ProMed-MedQA-v0", dataset=SAMPLE, patient=f"{name}(static, 0.5)"))


def test_only_what_a_patient_can_report_is_told_on_request() -> None:
    env = gym.make("ProMed-MedQA-v0", dataset=SAMPLE, reportable_only=True, reward=make_reward("diagnosis - test_cost"))
    for case in SAMPLE:
        env.reset(options={"case_id": case.case_id})
        told = set()
        for fact in [fact for fact in case.facts if fact.section in ("exam", "test")][:10]:
            text, reward, *_, info = env.step(f"question: {fact.question_text}")
            told |= {case.facts[index].section for index in info["disclosed"]}
            assert text.startswith("Patient: You would have to examine or test for that.")
            assert reward == 0
        assert not told


def test_ordering_a_test_has_its_price() -> None:
    env = gym.make("ProMed-MedQA-v0", dataset=SAMPLE, reward="diagnosis - 0.5*test_cost")
    paid = []
    for case in SAMPLE:
        for fact in case.facts:
            env.reset(options={"case_id": case.case_id})
            *_, reward, _, _, info = (None, *env.step(f"question: {fact.question_text}")[1:])
            assert reward == (-0.5 if info["informant"] == "laboratory" else 0)
            paid.append(reward)
    assert -0.5 in paid and 0 in paid
