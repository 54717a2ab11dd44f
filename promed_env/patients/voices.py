"""Voices: who speaks for the patient. A newborn, a small child or somebody unconscious cannot answer questions.

The caregiver speaks for a child, and for an unconscious patient whom somebody brought; else the examiner reports what
is known. Facts stay as they are: only who says them changes.
"""

from __future__ import annotations

import re
from functools import lru_cache

from promed_env.case import Case
from promed_env.patients import Informant

__all__ = ["SPEAKS_FOR_ITSELF", "voice_of"]

SPEAKS_FOR_ITSELF = 6.0
"""Age in years from which a child answers by itself."""

_INFANT = re.compile(r"\b(?:newborn|neonate|infant|toddler)\b|新生儿|婴儿|幼儿|患儿")
_UNCONSCIOUS = re.compile(
    r"(?<!becomes )(?<!became )\b(?:unconscious|unresponsive|comatose|in a coma|obtunded|intubated|sedated|"
    r"found down|not arousable|cannot be (?:roused|woken))\b|昏迷|意识丧失|呼之不应|不省人事"
)
_REGAINED = re.compile(
    r"\b(?:regained consciousness|woke up|is now alert|lost consciousness briefly)\b|意识恢复|已清醒"
)
_BROUGHT = re.compile(
    r"\b(?:husband|wife|spouse|partner|mother|father|parents?|son|daughter|sister|brother|friends?|roommate|family|"
    r"neighbou?r|caregiver|colleagues?|co-?workers?|bystanders?)\b|家属|丈夫|妻子|母亲|父亲|儿子|女儿|朋友|同事|邻居|家人"
)


@lru_cache(maxsize=4096)
def voice_of(case: Case) -> Informant:
    """Who answers what the patient would be asked: "patient", "caregiver" or "examiner"."""
    age, text = case.profile.age, case.presentation
    if age is not None and age < SPEAKS_FOR_ITSELF:
        return "caregiver"
    lowered = text.casefold()
    if age is None and _INFANT.search(lowered):
        return "caregiver"
    if _UNCONSCIOUS.search(lowered) and not _REGAINED.search(lowered):
        return "caregiver" if _BROUGHT.search(lowered) else "examiner"
    return "patient"
