"""A person's age and sex, from the words in which a source gives them."""

from __future__ import annotations

import re
from typing import Literal

from promed_env.case import Profile

__all__ = ["described", "years"]

_PER_YEAR = {"year": 1.0, "month": 12.0, "week": 365.25 / 7, "day": 365.25, "hour": 365.25 * 24}
_AGE = re.compile(r"(\d+(?:\.\d+)?)[\s-]*(year|month|week|day|hour)?s?\b", re.IGNORECASE)
_NEWBORN = re.compile(r"\b(?:newborn|neonate)\b", re.IGNORECASE)
_AGE_IN_TEXT = re.compile(r"\b(\d+(?:\.\d+)?)[\s-]*(year|month|week|day|hour)s?[\s-]*old\b", re.IGNORECASE)
_SEX = {
    "female": re.compile(r"\b(?:woman|girl|female|lady|she|her|gravida|primigravida|G\dP\d)\b", re.IGNORECASE),
    "male": re.compile(r"\b(?:man|boy|male|gentleman|he|his|him)\b", re.IGNORECASE),
}


def years(text: str) -> float | None:
    """An age field in years: "21 years old", "21", "7 months", "Newborn"; None if it states no age ("Teen", "study").

    A gestational age is not the age of the person: it gives 0 for the newborn it describes.
    """
    if (_NEWBORN.search(text) and not _AGE.search(text)) or "gestational" in text.lower():
        return 0.0
    match = _AGE.search(text)
    return float(match[1]) / _PER_YEAR[(match[2] or "year").lower()] if match else None


def described(text: str) -> Profile:
    """Age and sex of the person a vignette's English text opens with; None where it does not say."""
    match = _AGE_IN_TEXT.search(text)
    age = float(match[1]) / _PER_YEAR[match[2].lower()] if match else 0.0 if _NEWBORN.search(text) else None
    first: dict[str, int] = {sex: found.start() for sex, rule in _SEX.items() if (found := rule.search(text))}
    sex: Literal["female", "male"] | None = None
    if first:
        sex = "female" if min(first, key=first.__getitem__) == "female" else "male"
    return Profile(age, sex)
