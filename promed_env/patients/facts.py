"""A patient that quotes the case's own facts: a matcher finds those a question asks about, this module says them.

Who speaks follows from a fact's section: examinations are reported by the examiner, tests by the laboratory, the rest
by the patient. What a question must not be is decided before any matching, by `promed_env.patients.screening`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Protocol

from promed_env.actions import normalise
from promed_env.case import Case, Fact, Language, Section
from promed_env.datasets.sections import tag_section
from promed_env.patients import Informant, Reply
from promed_env.patients.screening import Refusal, screen

if TYPE_CHECKING:
    from promed_env.consultation import Consultation

__all__ = ["FactsPatient", "Matcher", "informant_of"]

_SPEAKER: dict[Language, dict[Informant, str]] = {
    "en": {"patient": "Patient:", "examiner": "On examination:", "laboratory": "Result:"},
    "zh": {"patient": "患者\uff1a", "examiner": "体格检查\uff1a", "laboratory": "检查结果\uff1a"},
}
_NOTHING: dict[Language, dict[Informant, str]] = {
    "en": {
        "patient": "Patient: I don't know.",
        "examiner": "On examination: that is not recorded.",
        "laboratory": "Result: that is not recorded.",
    },
    "zh": {
        "patient": "患者\uff1a我不清楚。",
        "examiner": "体格检查\uff1a没有相关记录。",
        "laboratory": "检查结果\uff1a没有相关记录。",
    },
}
_REFUSED: dict[Language, dict[Refusal, str]] = {
    "en": {
        "empty": "Patient: I did not hear a question.",
        "vague": "Patient: What would you like to know? Please ask a question.",
        "shotgun": "Patient: That is too much at once. Please ask about one thing.",
        "stuffing": "Patient: That is a list of words. Please ask one question.",
        "extraction": "Patient: I can only answer questions about my health.",
    },
    "zh": {
        "empty": "患者\uff1a我没有听到问题。",
        "vague": "患者\uff1a您想知道什么\uff1f请具体提问。",
        "shotgun": "患者\uff1a一下子问得太多了\uff0c请一次只问一件事。",
        "stuffing": "患者\uff1a您列了太多词\uff0c请只问一个问题。",
        "extraction": "患者\uff1a我只能回答与我的健康有关的问题。",
    },
}


class Matcher(Protocol):
    """Finds the facts that a question asks about."""

    @property
    def name(self) -> str:
        """Short name, printed with every result."""

    def match(self, question: str, case: Case, limit: int) -> tuple[int, ...]:
        """Indexes of at most `limit` of all the case's facts, best first; () if none of them fits."""

    def addressee(self, question: str) -> Informant:
        """Who would know: the patient, or whoever examined or tested them."""


class FactsPatient:
    """Quotes the facts that a question asks about, or says that there is nothing to say."""

    def __init__(self, matcher: Matcher, facts_per_reply: int = 3) -> None:
        """Make a patient.

        Args:
            matcher: Finds the facts.
            facts_per_reply: Most facts in one reply, at least 1.

        Raises:
            ValueError: `facts_per_reply` is below 1.
        """
        if isinstance(facts_per_reply, bool) or not isinstance(facts_per_reply, int) or facts_per_reply < 1:
            raise ValueError(f"facts_per_reply must be a whole number of at least 1, got {facts_per_reply!r}")
        self.matcher = matcher
        self.facts_per_reply = facts_per_reply

    @property
    def name(self) -> str:
        """The matcher's name."""
        return self.matcher.name

    @property
    def figures(self) -> str:
        """How well it hears, as `benchmarks/patients.py --record` measured it on held-out labelled questions."""
        return _figures().get(self.name, "")

    def reply(self, consultation: Consultation, question: str) -> Reply:
        """The reply to a question; deterministic, and independent of what was asked before."""
        case = consultation.case
        heard = screen(question)
        if heard.refusal is not None:
            return Reply(_REFUSED[case.language][heard.refusal], (), "patient")
        own = _own_questions(case).get(normalise(heard.question))
        disclosed = (own,) if own is not None else self.matcher.match(heard.question, case, self.facts_per_reply)
        if not disclosed:
            informant = self.matcher.addressee(heard.question)
            return Reply(_NOTHING[case.language][informant], (), informant)
        return Reply(_quote(case, disclosed), disclosed, informant_of(_section(case.facts[disclosed[0]])))

    def reply_batch(self, consultations: Sequence[Consultation], questions: Sequence[str]) -> list[Reply]:
        """The replies to one question in each consultation.

        Raises:
            ValueError: The numbers of consultations and questions differ.
        """
        return [self.reply(state, question) for state, question in zip(consultations, questions, strict=True)]


@lru_cache(maxsize=4096)
def _own_questions(case: Case) -> dict[str, int]:
    """The facts' own questions, normalised: asked in these words, a fact is found without matching."""
    return {normalise(fact.question_text): index for index, fact in enumerate(case.facts) if fact.question_text}


@lru_cache(maxsize=1)
def _figures() -> dict[str, str]:
    return tomllib.loads(files("promed_env.patients").joinpath("data", "figures.toml").read_text(encoding="utf-8"))


def informant_of(section: Section) -> Informant:
    """Who reports facts of a section."""
    if section == "exam":
        return "examiner"
    return "laboratory" if section == "test" else "patient"


def _section(fact: Fact) -> Section:
    return fact.section if fact.section != "other" else tag_section(fact.text)


def _quote(case: Case, disclosed: tuple[int, ...]) -> str:
    """The facts' own texts, grouped by who says them; the best match's group comes first."""
    groups: dict[Informant, list[str]] = {}
    for index in disclosed:
        fact = case.facts[index]
        groups.setdefault(informant_of(_section(fact)), []).append(_sentence(fact.text, case.language))
    space = " " if case.language == "en" else ""
    return "\n".join(
        _SPEAKER[case.language][informant] + space + space.join(texts) for informant, texts in groups.items()
    )


def _sentence(text: str, language: Language) -> str:
    text = text.strip()
    if text.endswith((".", "!", "?", "。", "\uff01", "\uff1f")):
        return text
    return text + ("." if language == "en" else "。")
