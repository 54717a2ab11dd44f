"""`promed_env.testing` finds what is broken: one faulty component per law."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promed_env.actions import parse_action
from promed_env.case import Case
from promed_env.consultation import Consultation
from promed_env.datasets import CaseDataset, load_dataset
from promed_env.env import ConsultationEnv
from promed_env.patients import Reply
from promed_env.rewards import RewardTerm
from promed_env.testing import actions, cases, check_consultation_env, check_reward_term, episodes


class Patient:
    """A well-behaved patient that tells the next fact; subclasses break it."""

    name = "next"
    figures = ""

    def reply(self, consultation: Consultation, question: str) -> Reply:
        if "teapot" in question:
            return Reply("Patient: I don't know.", (), "patient")
        hidden = [fact for fact in consultation.case.hidden if fact not in consultation.known]
        return Reply(
            f"Patient: {consultation.case.facts[hidden[0]].text}" if hidden else "No.", tuple(hidden[:1]), "patient"
        )

    def reply_batch(self, consultations: Sequence[Consultation], questions: Sequence[str]) -> list[Reply]:
        return [self.reply(state, question) for state, question in zip(consultations, questions, strict=True)]


class Leaky(Patient):
    """Says more than it discloses."""

    def reply(self, consultation: Consultation, question: str) -> Reply:
        return Reply(" ".join(fact.text for fact in consultation.case.facts), (), "patient")


class Moody(Patient):
    """Answers by chance."""

    count = itertools.count()

    def reply(self, consultation: Consultation, question: str) -> Reply:
        return super().reply(consultation, question) if next(self.count) % 3 else Reply("No.", (), "patient")


class Chatterbox(Patient):
    """Goes on without end."""

    def reply(self, consultation: Consultation, question: str) -> Reply:
        return Reply("blah " * 10_000, (), "patient")


class Term(RewardTerm):
    """A broken term; `kind` says how."""

    name = "broken"

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.calls = 0
        self.extra = 1.0

    def __call__(self, before: Consultation, after: Consultation) -> float:
        self.calls += 1
        return {
            "nan": float("nan"),
            "text": "1",
            "state": float(self.calls),
            "pays for asking": float(after.turns[-1].kind == "question"),
            "pickle": self.extra,
        }.get(self.kind, 1.0)  # type: ignore[return-value]

    def __getstate__(self) -> dict[str, Any]:
        if self.kind == "no pickle":
            raise TypeError("no way")
        return {**self.__dict__, "extra": 2.0}

    def batch(self, befores: Sequence[Consultation], afters: Sequence[Consultation]) -> Sequence[float]:
        return [2.0] * len(befores) if self.kind == "batch" else super().batch(befores, afters)

    def terms(self, before: Consultation, after: Consultation) -> dict[str, float]:
        return {"broken": 5.0} if self.kind == "terms" else super().terms(before, after)

    def terms_batch(self, befores: Sequence[Consultation], afters: Sequence[Consultation]) -> dict[str, list[float]]:
        columns = super().terms_batch(befores, afters)
        return {"other": columns["broken"]} if self.kind == "names" else columns

    def hindsight(self, final: Consultation) -> np.ndarray:
        if self.kind == "hindsight":
            return np.zeros(final.turn)
        return np.ones(1) if self.kind == "shape" else super().hindsight(final)


def env(**kwargs: Any) -> gym.Env[Any, Any]:
    return gym.make("ProMed-MedQA-v0", **kwargs)


def test_a_sound_environment_passes() -> None:
    check_consultation_env(env(patient=Patient()), episodes=5)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"patient": Leaky()}, "holds undisclosed fact"),
        ({"patient": Moody()}, "the same actions gave another episode"),
        ({"patient": Chatterbox()}, "the observation is not in its space"),
        ({"patient": Patient(), "reward": Term("nan")}, "the reward is nan"),
        ({"patient": Patient(), "reward": Term("hindsight")}, "hindsight rewards add up to"),
        ({"patient": Patient(), "reward": Term("pays for asking")}, "a useless question earns"),
    ],
)
def test_a_broken_environment_is_found_out(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_consultation_env(env(**kwargs), episodes=8)


class Tampered(ConsultationEnv):
    """An environment that a user broke by overriding `step`; `kind` says how."""

    def __init__(self, kind: str) -> None:
        super().__init__(patient=Patient())
        self.kind = kind
        self.steps = 0

    def reset(self, **kwargs: Any) -> tuple[str, dict[str, Any]]:
        self.steps = 0
        return super().reset(**kwargs)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        observation, reward, terminated, _, info = super().step(action)
        if self.kind == "memory":
            observation += f" (step {self.steps})"
        elif self.kind == "bonus":
            reward += 1
        elif self.kind == "forgets" and self.steps == 3:
            *earlier, last = self.consultation.turns
            forgotten = last._replace(known=self.consultation.case.initial)
            self.consultation = dataclasses.replace(self.consultation, turns=(*earlier, forgotten))
        elif self.kind == "new":
            info["new"] = ()
        return observation, reward, terminated and self.kind != "endless", self.kind == "truncates", info


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("memory", "restoring the snapshot after turn [0-9]+ gave another continuation"),
        ("bonus", "terms add up to .*, the reward is"),
        ("forgets", "known facts were forgotten"),
        ("new", r"info\['new'\] differs from the state"),
        ("truncates", "the environment truncates"),
        ("endless", "the episode outlasts its budget"),
    ],
)
def test_an_environment_broken_in_its_step_is_found_out(kind: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_consultation_env(Tampered(kind), episodes=8)


def test_a_patient_who_takes_the_useless_question_seriously_is_no_fault() -> None:
    class Willing(Patient):
        """Tells the next fact whatever is asked."""

        def reply(self, consultation: Consultation, question: str) -> Reply:
            return super().reply(consultation, "anything")

    check_consultation_env(env(patient=Willing(), reward=Term("pays for asking")), episodes=3)


def test_an_environment_without_questions_passes() -> None:
    check_consultation_env(env(max_questions=0), episodes=5)


def test_without_hypothesis_the_module_names_the_extra_that_brings_it() -> None:
    code = "import sys; sys.modules['hypothesis'] = None; import promed_env.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ImportError: promed_env.testing needs hypothesis: pip install 'promed[dev]'")


def test_other_environments_are_refused() -> None:
    with pytest.raises(TypeError, match="needs a ConsultationEnv"):
        check_consultation_env(gym.make("CartPole-v1"))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nan", "a step pays nan"),
        ("text", "a step pays '1'"),
        ("state", "keeps state or is random"),
        ("batch", r"batch\(befores, afters\) differs from single calls"),
        ("terms", "the terms do not add up to the reward"),
        ("names", "terms_batch and terms name different terms"),
        ("pickle", "the pickled term pays something else"),
        ("no pickle", "cannot be pickled, as worker processes need: no way"),
        ("hindsight", "hindsight adds up to"),
        ("shape", r"hindsight has shape \(1,\)"),
    ],
)
def test_a_broken_term_is_found_out(kind: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_reward_term(Term(kind))


def test_a_term_that_counts_questions_does_not_telescope() -> None:
    report = check_reward_term(Term("pays for asking"))
    assert (report.telescopes, report.smallest, report.largest, report.consultations) == (False, 0.0, 1.0, 36)


@given(cases(min_facts=2, max_facts=4, max_options=3, evidence=False))
def test_drawn_cases_are_as_asked(case: Case) -> None:
    assert 2 <= case.n_facts <= 4 and len(case.options) <= 3 and case.evidence is None


@given(st.data())
def test_drawn_actions_are_strings_and_drawn_episodes_lists_of_them(data: st.DataObject) -> None:
    case = data.draw(cases())
    assert isinstance(data.draw(actions()), str)
    assert all(parse_action(action).kind for action in data.draw(episodes(case, max_turns=4)))


@settings(max_examples=25)
@given(st.data())
def test_drawn_cases_and_episodes_play(data: st.DataObject) -> None:
    case = dataclasses.replace(data.draw(cases()), case_id="drawn:0")
    base = ConsultationEnv(dataset=CaseDataset("drawn", (case,)))
    base.reset(seed=0)
    for action in data.draw(episodes(case)):
        *_, terminated, truncated, info = base.step(action)
        assert (truncated, info["case_id"]) == (False, "drawn:0")
        if terminated:
            break


def test_the_check_passes_on_the_bundled_sample_as_a_list() -> None:
    check_consultation_env(env(dataset=list(load_dataset("medqa")[:4])), episodes=4)
