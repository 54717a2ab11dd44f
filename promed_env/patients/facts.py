"""A patient that quotes the case's own facts: a matcher finds those a question asks about, this module says them.

Who speaks follows from a fact's section: examinations are reported by the examiner, tests by the laboratory, the rest
by the patient, or by whoever speaks for a patient who cannot (`promed_env.patients.voices`). What a question must not
be is decided before any matching, by `promed_env.patients.screening`.
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
from promed_env.patients.voices import voice_of

if TYPE_CHECKING:
    from promed_env.consultation import Consultation

__all__ = [
    "REPORTABLE",
    "FactsPatient",
    "Matcher",
    "informant_of",
    "nothing",
    "quote",
    "refuse",
    "section_of",
    "states",
    "tell",
    "unreported",
]

REPORTABLE: frozenset[Informant] = frozenset({"patient", "caregiver"})
"""Whose facts can be had by asking alone, without an examination or a test."""

_SPEAKER: dict[Language, dict[Informant, str]] = {
    "en": {
        "patient": "Patient: ",
        "caregiver": "Caregiver: ",
        "examiner": "On examination: ",
        "laboratory": "Result: ",
    },
    "zh": {
        "patient": "患者\uff1a",
        "caregiver": "家属\uff1a",
        "examiner": "体格检查\uff1a",
        "laboratory": "检查结果\uff1a",
    },
}
_NOTHING: dict[Language, dict[Informant, str]] = {
    "en": {
        "patient": "I don't know.",
        "caregiver": "I don't know.",
        "examiner": "that is not recorded.",
        "laboratory": "that is not recorded.",
    },
    "zh": {
        "patient": "我不清楚。",
        "caregiver": "我不清楚。",
        "examiner": "没有相关记录。",
        "laboratory": "没有相关记录。",
    },
}
_DENIED: dict[Language, dict[Informant, str]] = {  # in a closed world what is not listed is absent
    "en": {"patient": "No.", "caregiver": "No.", "examiner": "nothing abnormal.", "laboratory": "nothing abnormal."},
    "zh": {"patient": "没有。", "caregiver": "没有。", "examiner": "未见异常。", "laboratory": "未见异常。"},
}
_UNREPORTED: dict[Language, str] = {
    "en": "You would have to examine or test for that.",
    "zh": "这需要通过检查才能知道。",
}
_REFUSED: dict[Language, dict[Refusal, str]] = {
    "en": {
        "empty": "I did not hear a question.",
        "vague": "What would you like to know? Please ask a question.",
        "shotgun": "That is too much at once. Please ask about one thing.",
        "stuffing": "That is a list of words. Please ask one question.",
        "extraction": "I can only answer questions about health.",
    },
    "zh": {
        "empty": "我没有听到问题。",
        "vague": "您想知道什么\uff1f请具体提问。",
        "shotgun": "一下子问得太多了\uff0c请一次只问一件事。",
        "stuffing": "您列了太多词\uff0c请只问一个问题。",
        "extraction": "我只能回答与健康有关的问题。",
    },
}


class Matcher(Protocol):
    """Finds the facts that a question asks about.

    One with a model may also offer `prepare(questions, cases)`, called before many questions are matched one by one.
    """

    @property
    def name(self) -> str:
        """Short name, printed with every result."""

    def match(self, question: str, case: Case, limit: int) -> tuple[int, ...]:
        """Indexes of at most `limit` of all the case's facts, best first; () if none of them fits."""

    def addressee(self, question: str) -> Informant:
        """Who would know: the patient, or whoever examined or tested them."""


class FactsPatient:
    """Quotes the facts that a question asks about, or says that there is nothing to say."""

    def __init__(self, matcher: Matcher, facts_per_reply: int = 3, *, reportable_only: bool = False) -> None:
        """Make a patient.

        Args:
            matcher: Finds the facts.
            facts_per_reply: Most facts in one reply, at least 1.
            reportable_only: Findings of examinations and tests are not told: asking brings out only what a patient
                can report.

        Raises:
            ValueError: `facts_per_reply` is below 1.
        """
        if isinstance(facts_per_reply, bool) or not isinstance(facts_per_reply, int) or facts_per_reply < 1:
            raise ValueError(f"facts_per_reply must be a whole number of at least 1, got {facts_per_reply!r}")
        self.matcher = matcher
        self.facts_per_reply = facts_per_reply
        self.reportable_only = reportable_only

    @property
    def name(self) -> str:
        """The matcher's name."""
        return self.matcher.name

    @property
    def figures(self) -> str:
        """How well it hears, as `benchmarks/patients.py --record` measured it on held-out labelled questions."""
        found = {language: patients[self.name] for language, patients in _figures().items() if self.name in patients}
        return "; ".join(f"{language}: {figures}" for language, figures in found.items())

    def reply(self, consultation: Consultation, question: str) -> Reply:
        """The reply to a question; deterministic, and independent of what was asked before."""
        case = consultation.case
        heard = screen(question)
        if heard.refusal is not None:
            return refuse(case, heard.refusal)
        own = _own_questions(case).get(normalise(heard.question))
        disclosed = (own,) if own is not None else self.matcher.match(heard.question, case, self.facts_per_reply)
        if self.reportable_only and disclosed:
            disclosed = tuple(index for index in disclosed if informant_of(section_of(case.facts[index])) == "patient")
            if not disclosed:
                return unreported(case)
        return quote(case, disclosed) if disclosed else nothing(case, self.matcher.addressee(heard.question))

    def reply_batch(self, consultations: Sequence[Consultation], questions: Sequence[str]) -> list[Reply]:
        """The replies to one question in each consultation.

        Raises:
            ValueError: The numbers of consultations and questions differ.
        """
        prepare = getattr(self.matcher, "prepare", None)
        if prepare is not None:
            heard = [screen(question) for question in questions]
            prepare([item.question for item in heard if item.refusal is None], [state.case for state in consultations])
        return [self.reply(state, question) for state, question in zip(consultations, questions, strict=True)]


@lru_cache(maxsize=4096)
def _own_questions(case: Case) -> dict[str, int]:
    """The facts' own questions, normalised: asked in these words, a fact is found without matching."""
    return {normalise(fact.question_text): index for index, fact in enumerate(case.facts) if fact.question_text}


@lru_cache(maxsize=1)
def _figures() -> dict[str, dict[str, str]]:
    return tomllib.loads(files("promed_env.patients").joinpath("data", "figures.toml").read_text(encoding="utf-8"))


def informant_of(section: Section) -> Informant:
    """Who reports facts of a section."""
    if section == "exam":
        return "examiner"
    return "laboratory" if section == "test" else "patient"


def section_of(fact: Fact) -> Section:
    """The fact's section; told by its text where the source does not say."""
    return fact.section if fact.section != "other" else tag_section(fact.text)


def quote(case: Case, disclosed: tuple[int, ...]) -> Reply:
    """The reply that states these facts in their own words, grouped by who says them; the first fact's group first.

    Args:
        case: The case.
        disclosed: Indexes of at least one fact.
    """
    if len(disclosed) == 1:  # by far the most frequent; the general way below gives the same
        fact = case.facts[disclosed[0]]
        return _one(fact.text, disclosed, _voice(case, informant_of(section_of(fact))), case.language)
    return tell(case, [(index, case.facts[index].text) for index in disclosed], disclosed)


def tell(case: Case, sentences: Sequence[tuple[int, str]], disclosed: tuple[int, ...]) -> Reply:
    """The reply that says these sentences, grouped by who says them; the first sentence's group first.

    Args:
        case: The case.
        sentences: At least one sentence with the index of a fact that it states, which decides who says it.
        disclosed: Indexes of all facts that the sentences state.
    """
    groups: dict[Informant, list[str]] = {}
    for index, text in sentences:
        informant = _voice(case, informant_of(section_of(case.facts[index])))
        groups.setdefault(informant, []).append(_sentence(text, case.language))
    space = " " if case.language == "en" else ""
    speaker = _SPEAKER[case.language]
    lines = [speaker[informant] + space.join(texts) for informant, texts in groups.items()]
    return Reply("\n".join(lines), disclosed, next(iter(groups)))


def nothing(case: Case, addressee: Informant) -> Reply:
    """The reply to a question that fits no fact: unknown, or, in a closed world, denied."""
    said = _DENIED if case.world == "closed" else _NOTHING
    return _says(case, addressee, said[case.language][_voice(case, addressee)])


def unreported(case: Case) -> Reply:
    """The reply to a question for findings of an examination or a test where only the patient's report is to be had."""
    return _says(case, "patient", _UNREPORTED[case.language])


def refuse(case: Case, refusal: Refusal) -> Reply:
    """The reply to what is no single question about the patient's health."""
    return _says(case, "patient", _REFUSED[case.language][refusal])


def states(case: Case, text: str) -> Reply:
    """The patient's own words, which disclose nothing."""
    return _says(case, "patient", text)


def _voice(case: Case, informant: Informant) -> Informant:
    return voice_of(case) if informant == "patient" else informant


def _says(case: Case, informant: Informant, text: str) -> Reply:
    speaker = _voice(case, informant)
    return Reply(_SPEAKER[case.language][speaker] + text, (), speaker)


@lru_cache(maxsize=16384)
def _one(text: str, disclosed: tuple[int, ...], informant: Informant, language: Language) -> Reply:
    return Reply(_SPEAKER[language][informant] + _sentence(text, language), disclosed, informant)


def _sentence(text: str, language: Language) -> str:
    text = text.strip()
    if text.endswith((".", "!", "?", "。", "\uff01", "\uff1f")):
        return text
    return text + ("." if language == "en" else "。")
