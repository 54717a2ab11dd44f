"""Imperfect patients: wrappers that forget, say little, ramble or are wrong, each seeded.

    patient = Forgetful(make_patient("static"), 0.3)
    env = gym.make("ProMed-MedQA-v0", patient="mistaken(forgetful(static, 0.3), 0.1)")   # the same as a string

They change only what the patient (or a caregiver) says; examinations and tests are reported by others. What a patient
has forgotten or believes wrongly is drawn once a consultation and fact, so that asking again changes nothing; what a
talkative one volunteers is drawn anew at each turn. A wrong statement discloses nothing: the fact stays unknown.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from promed_env.case import Case
from promed_env.patients import Patient, Reply
from promed_env.patients.facts import informant_of, quote, section_of, states
from promed_env.patients.voices import voice_of

if TYPE_CHECKING:
    from promed_env.consultation import Consultation

__all__ = ["IMPERFECTIONS", "Forgetful", "Mistaken", "Talkative", "Terse", "parse_imperfect"]

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d)")
_CALL = re.compile(r"\s*(\w+)\s*\((.*?)(?:,\s*([\d.]+)\s*)?\)\s*")
_FACTORS = (0.25, 0.5, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class _Imperfect:
    """A patient around another one.

    Attributes:
        patient: Who is imperfect; quotes the case's facts, as the built-in patients do.
        rate: How often, from 0 (never) to 1.

    Raises:
        ValueError: The rate is no probability.
    """

    patient: Patient
    rate: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"the rate of a {type(self).__name__.lower()} patient is from 0 to 1, got {self.rate}")

    @property
    def name(self) -> str:
        """The string that makes this patient, for example "forgetful(static, 0.2)"."""
        return f"{type(self).__name__.lower()}({self.patient.name}, {self.rate:g})"

    def reply(self, consultation: Consultation, question: str) -> Reply:
        """The imperfect reply to a question."""
        return self._spoil(consultation, question, self.patient.reply(consultation, question))

    def reply_batch(self, consultations: Sequence[Consultation], questions: Sequence[str]) -> list[Reply]:
        """The replies to one question in each consultation, with one call of the patient within."""
        replies = self.patient.reply_batch(consultations, questions)
        return [self._spoil(*item) for item in zip(consultations, questions, replies, strict=True)]

    def _spoil(self, consultation: Consultation, question: str, reply: Reply) -> Reply:
        raise NotImplementedError

    def _happens(self, consultation: Consultation, fact: int) -> bool:
        """Whether this consultation's patient is imperfect about a fact: always the same."""
        return bool(_rng(self, consultation.seed, fact).random() < self.rate)


class Forgetful(_Imperfect):
    """Has forgotten each fact that only the patient could report with probability `rate`."""

    def _spoil(self, consultation: Consultation, question: str, reply: Reply) -> Reply:
        case = consultation.case
        kept = tuple(fact for fact in reply.disclosed if not (_told(case, fact) and self._happens(consultation, fact)))
        if len(kept) == len(reply.disclosed):
            return reply
        return quote(case, kept) if kept else forgotten(case)


@dataclass(frozen=True)
class Terse(_Imperfect):
    """With probability `rate` says only the first of several facts."""

    rate: float = 1.0

    def _spoil(self, consultation: Consultation, question: str, reply: Reply) -> Reply:
        if len(reply.disclosed) < 2 or not _turn_rng(self, consultation, question).random() < self.rate:
            return reply
        return quote(consultation.case, reply.disclosed[:1])


class Talkative(_Imperfect):
    """With probability `rate` adds a fact that nobody asked for: one not told before, if there is one.

    It is disclosed, as if it had been asked for: a doctor may use it.
    """

    def _spoil(self, consultation: Consultation, question: str, reply: Reply) -> Reply:
        rng = _turn_rng(self, consultation, question)
        if reply.informant not in ("patient", "caregiver") or not rng.random() < self.rate:
            return reply
        case, known = consultation.case, consultation.known.union(reply.disclosed)
        untold = [fact for fact in case.hidden if fact not in known and _told(case, fact)]
        if not untold:
            return reply
        added = quote(case, (int(rng.choice(untold)),))
        text = f"{reply.text}\n{added.text}"
        return Reply(text, (*reply.disclosed, *added.disclosed), reply.informant)


class Mistaken(_Imperfect):
    """Is wrong about each fact that only the patient could report with probability `rate`.

    A number is replaced by another one; anything else is denied if it is so, and affirmed if it is not.
    """

    def _spoil(self, consultation: Consultation, question: str, reply: Reply) -> Reply:
        case = consultation.case
        wrong = [fact for fact in reply.disclosed if _told(case, fact) and self._happens(consultation, fact)]
        if not wrong:
            return reply
        right = tuple(fact for fact in reply.disclosed if fact not in wrong)
        said = [_opposite(case, fact, _rng(self, consultation.seed, fact)) for fact in wrong]
        parts = [*([quote(case, right)] if right else []), states(case, " ".join(said))]
        return Reply("\n".join(part.text for part in parts), right, parts[0].informant)


IMPERFECTIONS: dict[str, type[_Imperfect]] = {
    "forgetful": Forgetful,
    "terse": Terse,
    "talkative": Talkative,
    "mistaken": Mistaken,
}
"""Name -> wrapper, for patients given as a string."""


def parse_imperfect(text: str, make: Callable[[str], Patient]) -> Patient:
    """The patient that a string such as "forgetful(static, 0.3)" describes.

    Args:
        text: A name in `IMPERFECTIONS` around a patient, and optionally a rate.
        make: Makes the patient within from its string.

    Raises:
        ValueError: The string is no such description, or the rate no probability.
    """
    match = _CALL.fullmatch(text)
    if match is None or match[1] not in IMPERFECTIONS or not match[2].strip():
        raise ValueError(
            f"{text!r} describes no patient; expected for example 'forgetful(static, 0.3)', with one of "
            f"{', '.join(IMPERFECTIONS)}"
        )
    wrapper, inner = IMPERFECTIONS[match[1]], make(match[2].strip())
    return wrapper(inner) if match[3] is None else wrapper(inner, float(match[3]))


def forgotten(case: Case) -> Reply:
    """What a patient says who does not remember."""
    return states(case, "I don't remember." if case.language == "en" else "我不记得了。")


def _told(case: Case, fact: int) -> bool:
    """Whether a fact is the patient's (or the caregiver's) to tell."""
    return informant_of(section_of(case.facts[fact])) == "patient" and voice_of(case) != "examiner"


def _opposite(case: Case, fact: int, rng: np.random.Generator) -> str:
    """A wrong statement in place of a fact."""
    stated = case.facts[fact]
    found = _NUMBER.search(stated.text)
    if found is not None and float(found[0]) > 0:
        value = float(found[0])
        wrong = [round(value * factor, 1) for factor in _FACTORS if round(value * factor, 1) not in (0.0, value)]
        number = f"{float(rng.choice(wrong)):g}" if wrong else f"{value + 1:g}"
        return stated.text[: found.start()] + number + stated.text[found.end() :]
    denies = stated.status == "absent"
    if case.language == "zh":
        return "有的。" if denies else "没有。"
    return "Yes, I have." if denies else "No."


def _rng(wrapper: _Imperfect, *key: int) -> np.random.Generator:
    return np.random.default_rng((zlib.crc32(type(wrapper).__name__.encode()), *key))


def _turn_rng(wrapper: _Imperfect, consultation: Consultation, question: str) -> np.random.Generator:
    return _rng(wrapper, consultation.seed, consultation.turn, zlib.crc32(question.encode("utf-8", "surrogatepass")))
