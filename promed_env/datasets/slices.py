"""The slices that an evaluation on real cases always prints, because one accuracy over all of them hides what it mixes."""

from __future__ import annotations

import re
from collections.abc import Callable

from promed_env.case import Case

__all__ = ["SLICES", "asks_diagnosis", "is_clinical", "names_complaint"]

_DIAGNOSIS = re.compile(r"\bdiagnosis\b", re.IGNORECASE)


def names_complaint(case: Case) -> bool:
    """Whether the presentation names a complaint."""
    return bool(case.presentation)


def is_clinical(case: Case) -> bool:
    """Whether the case is a patient with a complaint and at least four facts."""
    return "not_a_patient" not in case.quality and case.n_facts >= 4 and names_complaint(case)


def asks_diagnosis(case: Case) -> bool:
    """Whether the question literally asks for the diagnosis."""
    return bool(_DIAGNOSIS.search(case.question))


def _everything(case: Case) -> bool:
    return True


SLICES: dict[str, Callable[[Case], bool]] = {
    "all": _everything,
    "clinical": is_clinical,
    "diagnosis": asks_diagnosis,
}
"""Name of a slice -> whether a case belongs to it."""
