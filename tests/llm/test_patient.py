"""The patient that is a language model: what it may say is what the facts say, whatever the model says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from promed_env.actions import normalise
from promed_env.case import Case, Fact, Option
from promed_env.consultation import Consultation
from promed_env.datasets import load_dataset
from promed_env.llm import Completion, LanguageModel, Likelihood, Messages
from promed_env.llm.hf import HFModel
from promed_env.patients import make_patient
from promed_env.patients.llm import LanguageModelPatient, check

CASE = Case(
    case_id="t:1",
    source="t",
    presentation="A 40-year-old man is tired.",
    question="What is it?",
    options=(Option("A", "asbestosis"), Option("B", "asthma")),
    answer=("A",),
    facts=(
        Fact("He has smoked 20 cigarettes a day for 15 years.", "social"),
        Fact("He has no chest pain.", "symptom", None, "absent"),
        Fact("He coughs in the morning.", "symptom"),
        Fact("Serum sodium is 131 mmol/L.", "test"),
    ),
)
MEDQA = load_dataset("medqa")
CMB = load_dataset("cmb")


class Parrot:
    """Says what it is given."""

    name = "parrot"

    def __init__(self, text: str) -> None:
        self.text = text
        self.heard: list[Messages] = []

    def chat(
        self,
        batch: Sequence[Messages],
        *,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        seed: int | Sequence[int] = 0,
        stop: Sequence[str] = (),
    ) -> list[Completion]:
        self.heard += batch
        return [Completion(self.text, 1)] * len(batch)

    def choice_logprobs(
        self, batch: Sequence[Messages], letters: Sequence[Sequence[str]], prefix: str = ""
    ) -> list[NDArray[np.float64]]:
        raise NotImplementedError

    def logprob(self, contexts: Sequence[Messages], continuations: Sequence[str]) -> list[Likelihood]:
        raise NotImplementedError


def verdicts(said: str, question: str = "Do you smoke?") -> list[tuple[str, tuple[int, ...]]]:
    return [(sentence.verdict, sentence.facts) for sentence in check(CASE, question, said)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("He has smoked 20 cigarettes a day for 15 years.", [("stated", (0,))]),
        ("I have been smoking 20 cigarettes every day, for 15 years.", [("stated", (0,))]),
        ("I have smoked 40 cigarettes a day for 15 years.", [("invented", ())]),
        ("I smoke cigarettes.", [("partial", ())]),
        ("I have chest pain.", [("invented", ())]),
        ("I have no chest pain and I cough in the morning. I fly at night.", [("invented", ()), ("invented", ())]),
        ("I have no chest pain. I cough in the morning.", [("stated", (1,)), ("stated", (2,))]),
        ("Patient: I don't know.", [("empty", ())]),
        ("The sodium is 131 mmol/L and the potassium is 7.", [("invented", ())]),
        ("It is asbestosis.", [("invented", ())]),
        ("", []),
    ],
)
def test_each_sentence_is_judged_by_words_numbers_and_negation(
    said: str, expected: list[tuple[str, tuple[int, ...]]]
) -> None:
    assert verdicts(said) == expected


def test_yes_and_no_stand_for_the_question() -> None:
    assert verdicts("No.", "Do you have chest pain?") == [("stated", (1,))]
    assert verdicts("Yes.", "Do you cough in the morning?") == [("stated", (2,))]
    assert verdicts("Yes.", "Do you have chest pain?") == [("empty", ())]


def test_what_the_doctor_reads_is_what_is_disclosed() -> None:
    parrot = Parrot("I cough in the morning. My cat is blue. Sodium is 131 mmol/L. I have no chest pain.")
    patient = LanguageModelPatient(parrot, 2)
    reply = patient.reply(Consultation(CASE), "How are you feeling?")
    assert reply.disclosed == (2, 3)
    assert reply.text == "Patient: I cough in the morning.\nResult: Sodium is 131 mmol/L."
    assert patient.counts == {"replies": 1, "refused": 0, "stated": 3, "invented": 1}
    quiet = LanguageModelPatient(Parrot("My cat is blue."))
    assert quiet.reply(Consultation(CASE), "How are you feeling?") == ("Patient: I don't know.", (), "patient")
    asked = LanguageModelPatient(Parrot("Sodium is 131 mmol/L."), reportable_only=True)
    assert asked.reply(Consultation(CASE), "What is the sodium?").disclosed == ()


def test_the_key_is_refused_before_the_model_hears_of_it() -> None:
    parrot = Parrot("The answer is A.")
    patient = LanguageModelPatient(parrot)
    assert patient.reply(Consultation(CASE), "What is the correct answer?").disclosed == ()
    assert parrot.heard == [] and patient.counts["refused"] == 1
    assert patient.reply(Consultation(CASE), "Do you smoke?").text == "Patient: I don't know."
    told = parrot.heard[0][0]["content"]
    assert all(fact.text in told for fact in CASE.facts)
    assert "asbestosis" not in told and CASE.question not in told


@given(st.data())
def test_only_facts_are_disclosed_and_all_of_them_are_said(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from([*MEDQA[:6], *CMB[:6]]))
    noise = st.sampled_from(["My cat is blue.", "It is cancer.", "答案是A。", "Yes.", "I don't know."])
    pieces = data.draw(st.lists(st.sampled_from([fact.text for fact in case.facts]) | noise, max_size=5))
    patient = LanguageModelPatient(Parrot(" ".join(pieces)), 4)
    (checked,) = patient.explain(
        [Consultation(case)], ["Do you have any pain?" if case.language == "en" else "疼吗\uff1f"]
    )
    assert len(set(checked.reply.disclosed)) == len(checked.reply.disclosed) <= 4
    for index in checked.reply.disclosed:
        assert normalise(case.facts[index].text) in normalise(checked.reply.text)
    assert "cat" not in checked.reply.text and "cancer" not in checked.reply.text and "答案" not in checked.reply.text
    assert (
        checked
        == patient.explain([Consultation(case)], ["Do you have any pain?" if case.language == "en" else "疼吗\uff1f"])[
            0
        ]
    )


@pytest.mark.parametrize("cases", [MEDQA, CMB], ids=["en", "zh"])
def test_a_model_that_says_a_fact_in_its_own_words_discloses_it(cases: Sequence[Case]) -> None:
    for case in cases:
        for index, fact in enumerate(case.facts):
            patient = LanguageModelPatient(Parrot(fact.text), 9)
            question = fact.question_text or "How are you?"
            assert index in patient.reply(Consultation(case), question).disclosed, fact.text


def test_bad_arguments_are_named() -> None:
    assert isinstance(Parrot(""), LanguageModel)
    with pytest.raises(ValueError, match="facts_per_reply must be a whole number of at least 1, got 0"):
        LanguageModelPatient(Parrot(""), 0)
    with pytest.raises(ValueError, match="1 consultations need as many questions, got 2"):
        LanguageModelPatient(Parrot("")).reply_batch([Consultation(CASE)], ["a?", "b?"])
    assert LanguageModelPatient(Parrot("")).name == "llm:parrot"


def test_a_batch_is_as_each_alone_and_the_same_again(tiny: HFModel) -> None:
    for temperature in (0.0, 1.0):
        patient = LanguageModelPatient(tiny, temperature=temperature, max_new_tokens=8)
        states = [Consultation(CASE, seed=seed) for seed in range(4)]
        together = patient.explain(states, ["Do you smoke?"] * 4)
        assert together == [patient.explain([state], ["Do you smoke?"])[0] for state in states]


@pytest.mark.llm
def test_smollm2_answers_from_the_facts(smollm2: HFModel) -> None:
    patient = LanguageModelPatient(smollm2)
    (checked,) = patient.explain([Consultation(CASE)], ["Do you smoke?"])
    assert checked.said
    assert set(checked.reply.disclosed) <= set(range(len(CASE.facts)))
    assert make_patient("static").reply(Consultation(CASE), "Do you smoke?").disclosed == (0,)
