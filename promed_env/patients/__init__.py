"""Patients (interim, replaced by the full module)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from promed_env.consultation import Consultation

__all__ = ["Patient", "Reply", "make_patient"]


class Reply(NamedTuple):
    text: str
    disclosed: tuple[int, ...]
    informant: Literal["patient", "examiner", "laboratory"]


class Patient(Protocol):
    name: str

    def reply(self, consultation: Consultation, question: str) -> Reply: ...

    def reply_batch(self, consultations: Sequence[Consultation], questions: Sequence[str]) -> list[Reply]: ...


class _Interim:
    name = "interim"
    description = "interim"

    def reply(self, consultation: Consultation, question: str) -> Reply:
        words = {w for w in question.lower().replace("?", "").split() if len(w) > 3}
        hit = tuple(i for i, f in enumerate(consultation.case.facts) if words & set(f.text.lower().split()))[:3]
        text = " ".join(consultation.case.facts[i].text for i in hit) or "I do not know."
        return Reply("Patient: " + text, hit, "patient")

    def reply_batch(self, consultations: Sequence[Consultation], questions: Sequence[str]) -> list[Reply]:
        return [self.reply(c, q) for c, q in zip(consultations, questions, strict=True)]


def make_patient(patient: str | Patient, facts_per_reply: int = 3) -> Patient:
    return _Interim() if isinstance(patient, str) else patient
