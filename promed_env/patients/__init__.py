"""Patients: who hears a free-text question and what they reply.

    patient = make_patient("static", facts_per_reply=3)
    reply = patient.reply(consultation, "Do you smoke?")

A patient is any object with `name`, `reply` and `reply_batch`. The built-in ones quote the case's own facts
(`promed_env.patients.facts`) and differ in how they find the facts that a question asks about. Nothing is loaded
before the first reply.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from promed_env.consultation import Consultation
    from promed_env.patients.facts import Matcher

__all__ = ["PATIENTS", "Informant", "Patient", "Reply", "describe", "make_patient"]

Informant = Literal["patient", "caregiver", "examiner", "laboratory"]


class Reply(NamedTuple):
    """What is said in reply to one question.

    Attributes:
        text: The reply as the doctor reads it.
        disclosed: Indexes of the facts that the text states, best match first; () if none.
        informant: Who speaks (first).
    """

    text: str
    disclosed: tuple[int, ...]
    informant: Informant


class Patient(Protocol):
    """Replies to free-text questions; deterministic given the consultation and the question."""

    @property
    def name(self) -> str:
        """Short name, printed with every result."""

    def reply(self, consultation: Consultation, question: str) -> Reply:
        """The reply to a question of any content, up to 4,000 characters."""

    def reply_batch(self, consultations: Sequence[Consultation], questions: Sequence[str]) -> list[Reply]:
        """The replies to one question in each consultation."""


def _static() -> Matcher:
    from promed_env.patients.static import StaticMatcher

    return StaticMatcher()


def _lexical() -> Matcher:
    from promed_env.patients.lexical import LexicalMatcher

    return LexicalMatcher()


def _semantic() -> Matcher:
    from promed_env.patients.semantic import SemanticMatcher

    return SemanticMatcher()


PATIENTS: dict[str, Callable[[], Matcher]] = {"static": _static, "lexical": _lexical, "semantic": _semantic}
"""Name of a built-in patient -> how its matcher is made."""


def describe(patient: Patient) -> str:
    """The patient's name, with its measured figures where it states them as `figures`: printed with every result."""
    figures = getattr(patient, "figures", "")
    return f"{patient.name} ({figures})" if figures else patient.name


def make_patient(patient: str | Patient, facts_per_reply: int = 3, *, reportable_only: bool = False) -> Patient:
    """The patient of that name, or the object itself.

    Args:
        patient: A name in `PATIENTS`, "knowledge" (answers every finding of the synthetic clinic), "llm:MODEL" (a
            language model, see `promed_env.patients.llm`), one of them in imperfections ("forgetful(static, 0.3)", see
            `promed_env.patients.imperfect`), or a `Patient`.
        facts_per_reply: Most facts in one reply; for a patient given by name.
        reportable_only: Findings of examinations and tests are not told; for a patient given by name.

    Raises:
        ValueError: The name is unknown, or `facts_per_reply` is below 1.
        BackendError: The patient needs an extra that is not installed.
        TypeError: The object lacks a part of the interface.
    """
    if not isinstance(patient, str):
        if not all(hasattr(patient, part) for part in ("name", "reply", "reply_batch")):
            raise TypeError(f"a patient has name, reply and reply_batch; {patient!r} does not")
        return patient
    if "(" in patient:
        from promed_env.patients.imperfect import parse_imperfect

        return parse_imperfect(
            patient, lambda inner: make_patient(inner, facts_per_reply, reportable_only=reportable_only)
        )
    if patient.startswith("llm:"):
        from promed_env.patients.llm import LanguageModelPatient

        return LanguageModelPatient(patient.removeprefix("llm:"), facts_per_reply, reportable_only=reportable_only)
    if patient == "knowledge":
        from promed_env.patients.knowledge import KnowledgePatient

        return KnowledgePatient(reportable_only=reportable_only)
    if patient not in PATIENTS:
        raise ValueError(
            f"unknown patient {patient!r}; choose one of {', '.join(PATIENTS)}, knowledge, llm:MODEL, or pass a Patient"
        )
    from promed_env.patients.facts import FactsPatient

    return FactsPatient(PATIENTS[patient](), facts_per_reply, reportable_only=reportable_only)
