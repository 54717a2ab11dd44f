"""The slices that an evaluation on real cases always prints: one accuracy over all of them hides what it mixes."""

from __future__ import annotations

import re
from collections.abc import Callable

from promed_env.case import Case

__all__ = ["SLICES", "asks_diagnosis", "is_clinical", "names_complaint"]

# What may stand between "which of the following" and "diagnosis" in a question that asks for nothing else. "Which test
# would confirm the diagnosis" and "the best treatment for the most likely diagnosis" ask for something else.
_DIAGNOSIS = re.compile(
    r"\b(?:what|which(?: one)? of the following)\s+(?:(?:best|most|is|was|are|would|be|describes?|represents?|"
    r"explains?|likely|"
    r"probable|correct|appropriate|underlying|primary|single|suspected|possible|working|the|this|his|her|your|a|an|"
    r"(?:this |the )?(?:patient|woman|man|boy|girl|child|infant)['\u2019]s)\s+)*diagnosis\b(?!\s+of\b)"
    r"|\bdiagnosis of which of the following\b|\bmost (?:likely|probably) (?:has|have|"
    r"diagnosed with) which of the following\b",
    re.IGNORECASE,
)
_VISIT = re.compile(  # A visit that is its own reason, with what leads up to it.
    r"\b(?:(?:for|at|during|to|undergoes?|undergoing|undergo|schedules|requesting|in)\s+)?(?:(?:an?|her|his|the|"
    r"their)\s+)?"
    r"(?:(?:well|wellness|annual|yearly|monthly|routine|regular|general|normal|healthy?|maintenance|scheduled|first|"
    r"initial|"
    r"prenatal|antenatal|obstetric|gynecologic|physical|preoperative|periodic|medical|postpartum|child|baby|woman|"
    r"adult|"
    r"pregnancy)[\s-]+)*"
    r"(?:check[\s-]?ups?|exam(?:ination)?s?|visits?|evaluation|appointment|consult(?:ation)?|follow[\s-]?up|"
    r"vaccin\w+|screening|"
    r"counseling|physical|immuni[sz]ations?)\b(?:\s+(?:exam(?:ination)?|evaluation|appointment|visit|care)\b)?"
    r"(?!\s+of\b)(?:\s+(?:required|necessary|requested)\b.*)?",
    re.IGNORECASE,
)
_BIRTH = re.compile(
    r"\b(?:newborn|infant|boy|girl)\b.*\b(?:is|was) (?:born|delivered)\b.*|\bshortly after birth\b", re.IGNORECASE
)
_COMPANY = re.compile(
    r"\bwith (?:(?:his|her|their|an?|no)\s+(?:\w+\s+){0,3}?)(?:wife|husband|mother|father|parents?|son|daughter|"
    r"friend|partner|"
    r"family|"
    r"problems|(?<!recent )history(?! of (?:recurrent|severe|worsening|progressive)))\b",
    re.IGNORECASE,
)
_COMPLAINT = re.compile(
    r"\b(?:because|due to|owing to|complain\w*|concern\w*|worr\w+|after|following|with|for(?! the \w+ time\b)|"
    r"report\w*|"
    r"noti(?:c|ng)\w*|notes?|say(?:s|ing)|said|stat(?:es|ed|ing)|claim\w*|den(?:ies|ying)|"
    r"(?:year|month|week|day|hour)s?[\s-]+history|history of (?:recurrent|severe)|experienc\w*|suffer\w*|develop\w*|"
    r"becom\w+|"
    r"unconscious|unresponsive|confus\w+|collaps\w+|pain\w*|weak\w*|injur\w+|fractur\w*|accident|collision|fell|"
    r"found|smelling|"
    r"limp\w*|yellow|fever\w*|bleed\w*|vomit\w*|swell\w*|rash|distress|feel\w*|forget\w*|unable|cannot|refus\w+|"
    r"labor|begun|"
    r"ha[sd](?! (?:no\b|been told\b)))\b",
    re.IGNORECASE,
)


def names_complaint(case: Case) -> bool:
    """Whether the presentation names a complaint: a reason for the visit other than routine, a birth or no reason."""
    if case.language == "zh":
        return bool(case.initial)
    text = case.presentation
    for pattern in (_VISIT, _BIRTH, _COMPANY):
        text = pattern.sub(" ", text)
    return bool(_COMPLAINT.search(text))


def is_clinical(case: Case) -> bool:
    """Whether the case is a patient with a complaint and at least four facts."""
    return "not_a_patient" not in case.quality and case.n_facts >= 4 and names_complaint(case)


def asks_diagnosis(case: Case) -> bool:
    """Whether the question literally asks which diagnosis it is."""
    if case.language == "zh":
        return "诊断" in case.question
    return bool(_DIAGNOSIS.search(case.question))


def _everything(case: Case) -> bool:
    return True


SLICES: dict[str, Callable[[Case], bool]] = {
    "all": _everything,
    "clinical": is_clinical,
    "diagnosis": asks_diagnosis,
}
"""Name of a slice -> whether a case belongs to it."""
