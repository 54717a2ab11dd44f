"""Frozen splits of real data: which part a case belongs to follows from its vignette alone.

The split is a hash of the source's own words about the patient, never of the question, the options or the answer: two
questions on one vignette fall into the same split, and neither a row's place in a file nor a better wording by a loader
moves a case to another one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from promed_env.actions import normalise
from promed_env.case import Case
from promed_env.datasets.curation.question import split_question

__all__ = ["SPLITS", "SplitName", "split_of", "vignette"]

SplitName = Literal["train", "validation", "test"]

SPLITS: tuple[str, ...] = get_args(SplitName)

_TENTHS: tuple[SplitName, ...] = (*("train",) * 8, "validation", "test")


def split_of(case: Case) -> SplitName:
    """The split of a case: SHA-256 of its normalised vignette, 80 % train, 10 % validation, 10 % test."""
    digest = hashlib.sha256(normalise(vignette(case)).encode("utf-8", "replace")).digest()
    return _TENTHS[int.from_bytes(digest, "big") % len(_TENTHS)]


def vignette(case: Case) -> str:
    """What the source says of the patient; where it is not known how it does, the presentation and the facts."""
    if case.source.startswith("curated-") and isinstance(case.raw.get("question"), str):
        return split_question(case.raw["question"], case.language).vignette
    told = (tell(case.raw) for field, tell in _TELLERS.items() if field in case.raw)
    return next((text for text in told if text), " ".join([case.presentation, *(fact.text for fact in case.facts)]))


def _context(row: Mapping[str, Any]) -> str:
    context = row["context"]
    return " ".join(map(str, context)) if isinstance(context, list) else ""


def _evidences(row: Mapping[str, Any]) -> str:
    return " ".join(row[name] for name in ("AGE", "SEX", "EVIDENCES"))


def _examination(row: Mapping[str, Any]) -> str:
    told = {name: part for name, part in row["OSCE_Examination"].items() if name not in _NOT_THE_PATIENT}
    return json.dumps(told, ensure_ascii=False)


_NOT_THE_PATIENT = ("Objective_for_Doctor", "Correct_Diagnosis")
_TELLERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "context": _context,  # MediQ, CRAFT-MD, ProMed's MedQA
    "EVIDENCES": _evidences,  # DDXPlus
    "OSCE_Examination": _examination,  # AgentClinic
}
