"""The slices that an evaluation on real cases always prints, because one accuracy over all of them hides what it mixes."""

from __future__ import annotations

import re
from collections.abc import Callable

from promed_env.case import Case

__all__ = ["SLICES", "asks_diagnosis", "is_clinical", "names_complaint"]

_DIAGNOSIS = re.compile(r"\bdiagnosis\b", re.IGNORECASE)


_ROUTINE = re.compile(
    r"\b(?:(?:an?|her|his|the|their)\s+)?"
    r"(?:(?:well(?:ness|[- ]?(?:child|baby|woman|visit))?|annual|yearly|routine|regular|general|normal|scheduled|initial|prenatal|"
    r"antenatal|physical|preoperative|periodic)\s+)*"
    r"(?:(?:health\s+(?:maintenance|check\W?)|medical|prenatal|physical|well\W(?:child|baby))\s+)?"
    r"(?:check\W?\s?ups?|examinations?|exams?|visits?|evaluation|consult(?:ation)?|follow\W?\s?up|vaccin\w+|immuni[sz]ations?|"
    r"physical)\b",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"\b(?:because|due to|owing to|complain\w*|concern\w*|after|following|with(?! (?:his|her|their|no)\b)|"
    r"for(?! (?:the first time|an?\b|his\b|her\b|the\s*$|\W*$))|"
    r"for (?:an?|his|her|the)\s+\w{3,}|report\w*|notes?|notic\w*|sa(?:ys|id)|stat(?:es|ed|ing)|claim\w*|den(?:y|ies)|"
    r"ha[sd] (?:been|had|a|an|not|never|become|noticed|developed|experienced)|ha[sd] \w+ed|"
    r"had|experienc\w*|suffer\w*|develop\w*|diagnos\w*|"
    r"unconscious|unresponsive|confused|collaps\w+|pain\w*|weak\w*|injur\w+|accident|collision|fell|found|smelling|limp\w*|"
    r"yellow|behaviou?ral|fever\w*|bleed\w*|vomit\w*|swell\w*|rash|distress|feel\w*|unable|cannot|refus\w+|ask\w*|request\w*)\b",
    re.IGNORECASE,
)


def names_complaint(case: Case) -> bool:
    """Whether the presentation gives a reason for the visit beyond a routine one, such as a check-up or a birth."""
    if case.language == "zh":
        return bool(case.presentation)
    return bool(_REASON.search(_ROUTINE.sub(" ", case.presentation)))


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
