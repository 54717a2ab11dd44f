"""A patient that is a language model: it is told the facts and asked to use nothing else, and is held to it.

What is no question about the patient's health is refused before the model hears it, as every patient does. What the
model says is then checked sentence by sentence. A sentence stays if it states at least one fact, whole, and has no
content word or number that those facts have not; its facts are disclosed. Every other sentence is dropped, so that what
the doctor reads is what is disclosed: "invented" if it says what no fact does, "partial" if it says no more than a part
of one. The check is one of words, numbers and negation, the same for every case. It errs on the strict side: a true
paraphrase may be dropped, and the patient then says less than it could.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from promed_env.actions import normalise
from promed_env.case import Case, Fact, Language
from promed_env.llm import LanguageModel, make_llm
from promed_env.patients import Reply
from promed_env.patients.facts import informant_of, nothing, refuse, section_of, tell, unreported
from promed_env.patients.screening import screen
from promed_env.patients.static import StaticMatcher
from promed_env.patients.words import FUNCTION_WORDS, has_chinese, stem, tokenise

if TYPE_CHECKING:
    from promed_env.consultation import Consultation

__all__ = [
    "SENTENCE_END",
    "WHOLE",
    "Checked",
    "LanguageModelPatient",
    "Sentence",
    "check",
    "contains",
    "content_words",
    "denies",
]

Verdict = Literal["stated", "partial", "invented", "empty"]

WHOLE = 0.7
"""Least share of a fact's content words that a sentence must say to have stated the fact."""

_PROMPT: dict[Language, str] = {
    "en": (
        "You play a patient who talks to a doctor. This is all you know:\n{facts}\n"
        "Reply to the doctor's question in one or two short sentences, with what is written above and in its words. "
        "Say nothing that is not written there. If it is not there, say: I don't know. "
        "You do not know any diagnosis or exam answer; never give one."
    ),
    "zh": (
        "请你扮演一位正在看病的患者。你只知道以下内容\uff1a\n{facts}\n"
        "请用一两句话回答医生的问题\uff0c只说上面写着的内容\uff0c尽量用原话\uff0c不要编造。"
        "如果上面没有\uff0c就说\uff1a我不清楚。你不知道任何诊断或考题答案\uff0c也不要给出。"
    ),
}
SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\.[a-z]\.)\s+|(?<=[。\uff01\uff1f])\s*|\n+")
_NEGATION = re.compile(
    r"\b(?:no|not|never|none|nor|neither|denie[sd]|deny|denying|without|absent|negative|unremarkable)\b|n't\b"
    r"|[无没未非否不]",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(r"\s*(?:yes|no|yeah|nope|是的?|有的?|没有|不是|对)[\s,.!\uff0c。\uff01]*", re.IGNORECASE)
_SPEAKER = re.compile(r"^\s*(?:patient|患者)\s*[:\uff1a]\s*", re.IGNORECASE)


class Sentence(NamedTuple):
    """One sentence that a model said, and what the check found.

    Attributes:
        text: The sentence.
        verdict: "stated", "partial", "invented", or "empty" (it says nothing, as "I don't know" does).
        facts: Indexes of the facts that it states.
    """

    text: str
    verdict: Verdict
    facts: tuple[int, ...]


class Checked(NamedTuple):
    """What a model said to a question, and what becomes of it.

    Attributes:
        said: The model's own words; "" where it was not asked.
        sentences: Them, sentence by sentence.
        reply: What the doctor reads.
    """

    said: str
    sentences: tuple[Sentence, ...]
    reply: Reply


class LanguageModelPatient:
    """A language model as the patient.

    It decodes greedily, or samples with a seed made of the consultation's seed, the turn and the question; so the same
    consultation and question draw the same reply, as far as the backend computes the same in every batch.

    Attributes:
        model: The model.
        facts_per_reply: Most facts in one reply.
        counts: How many replies, refused questions, and sentences of each verdict there were, for diagnosis only.
    """

    def __init__(
        self,
        model: str | LanguageModel,
        facts_per_reply: int = 3,
        *,
        reportable_only: bool = False,
        temperature: float = 0.0,
        max_new_tokens: int = 64,
    ) -> None:
        """Make a patient.

        Args:
            model: The model, or its name for `make_llm`.
            facts_per_reply: Most facts in one reply, at least 1.
            reportable_only: Findings of examinations and tests are not told.
            temperature: 0 for greedy decoding.
            max_new_tokens: Most tokens of a reply.

        Raises:
            ValueError: `facts_per_reply` is below 1.
            BackendError: The model cannot be loaded.
        """
        if isinstance(facts_per_reply, bool) or not isinstance(facts_per_reply, int) or facts_per_reply < 1:
            raise ValueError(f"facts_per_reply must be a whole number of at least 1, got {facts_per_reply!r}")
        self.model = make_llm(model)
        self.facts_per_reply = facts_per_reply
        self.reportable_only = reportable_only
        self.temperature = temperature
        self.max_new_tokens = max_new_tokens
        self.counts: Counter[str] = Counter()
        self._matcher = StaticMatcher()

    @property
    def name(self) -> str:
        """The model's name, marked as a patient's."""
        return f"llm:{self.model.name}"

    def reply(self, consultation: Consultation, question: str) -> Reply:
        """The reply to a question."""
        return self.reply_batch([consultation], [question])[0]

    def reply_batch(self, consultations: Sequence[Consultation], questions: Sequence[str]) -> list[Reply]:
        """The replies to one question in each consultation, with one call of the model.

        Raises:
            ValueError: The numbers of consultations and questions differ.
        """
        checked = self.explain(consultations, questions)
        for each in checked:
            self.counts["replies"] += 1
            self.counts["refused"] += not each.said and not each.sentences
            self.counts.update(sentence.verdict for sentence in each.sentences)
        return [each.reply for each in checked]

    def explain(self, consultations: Sequence[Consultation], questions: Sequence[str]) -> list[Checked]:
        """What the model said, and what of it was kept; counts nothing."""
        if len(consultations) != len(questions):
            raise ValueError(f"{len(consultations)} consultations need as many questions, got {len(questions)}")
        heard = [screen(question) for question in questions]
        asked = [index for index, each in enumerate(heard) if each.refusal is None]
        said = self.model.chat(
            [_chat(consultations[index].case, heard[index].question) for index in asked],
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            seed=[_seed(consultations[index], questions[index]) for index in asked],
        )
        spoken = dict(zip(asked, (completion.text for completion in said), strict=True))
        return [
            Checked("", (), refuse(state.case, each.refusal))
            if each.refusal is not None
            else self._checked(state.case, each.question, spoken[index])
            for index, (state, each) in enumerate(zip(consultations, heard, strict=True))
        ]

    def _checked(self, case: Case, question: str, said: str) -> Checked:
        sentences = check(case, question, said)
        kept: list[tuple[int, str]] = []
        disclosed: dict[int, None] = {}
        withheld = False
        for sentence in sentences:
            if sentence.verdict != "stated":
                continue
            if self.reportable_only and any(
                informant_of(section_of(case.facts[index])) != "patient" for index in sentence.facts
            ):
                withheld = True
                continue
            if len({*disclosed, *sentence.facts}) <= self.facts_per_reply:
                kept.append((sentence.facts[0], sentence.text))
                disclosed.update(dict.fromkeys(sentence.facts))
        if kept:
            reply = tell(case, kept, tuple(disclosed))
        elif withheld:
            reply = unreported(case)
        else:
            reply = nothing(case, self._matcher.addressee(question))
        return Checked(said, sentences, reply)


def check(case: Case, question: str, said: str) -> tuple[Sentence, ...]:
    """Judge a reply sentence by sentence.

    Args:
        case: Its facts are all that may be said.
        question: What was asked. "Yes" and "no" stand for its words.
        said: The reply.
    """
    return tuple(
        _judge(case, question, text.strip())
        for text in SENTENCE_END.split(_SPEAKER.sub("", said))
        if any(character.isalnum() for character in text)
    )


def _judge(case: Case, question: str, text: str) -> Sentence:
    bare = normalise(text)
    same = [index for index, fact in enumerate(case.facts) if contains(bare, normalise(fact.text))]
    words, numbers = content_words(text)
    meant = words
    if short := _YES_OR_NO.match(text):
        meant = words | content_words(question)[0]
    if not meant and not numbers:
        return Sentence(text, "empty", ())
    denied = denies(text[short.end() :]) if short and words else denies(text)
    stated = list(same)
    for index, fact in enumerate(case.facts):
        own, own_numbers = content_words(fact.text)
        if index in same or not own or not own_numbers <= numbers or denies(fact.text) != denied:
            continue
        if len(own & meant) >= WHOLE * len(own):
            stated.append(index)
    known = frozenset().union(*(content_words(case.facts[index].text)[0] for index in stated))
    told = frozenset().union(*(content_words(case.facts[index].text)[1] for index in stated))
    if stated and numbers <= told and words <= known:
        return Sentence(text, "stated", tuple(stated))
    if not words and not numbers:  # a bare yes or no that fits no fact says nothing that can be held against it
        return Sentence(text, "empty", ())
    return Sentence(text, "partial" if _touches(case.facts, words, numbers, denied) else "invented", ())


def _touches(facts: tuple[Fact, ...], words: frozenset[str], numbers: frozenset[str], denied: bool) -> bool:
    """Whether one fact holds all that a sentence says, and more."""
    for fact in facts:
        own, own_numbers = content_words(fact.text)
        if numbers <= own_numbers and words <= own and denies(fact.text) == denied:
            return True
    return False


def contains(text: str, part: str) -> bool:
    """Whether a normalised text holds another, whole words only where there are spaces between words."""
    return part in text if has_chinese(part) else f" {part} " in f" {text} "


@lru_cache(maxsize=16384)
def content_words(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """The stems of a text's content words, and its numbers."""
    tokens = [token for token in tokenise(text) if token not in FUNCTION_WORDS]
    numbers = frozenset(token for token in tokens if token[0].isdigit())
    return frozenset(stem(token) for token in tokens if token not in numbers), numbers


@lru_cache(maxsize=16384)
def denies(text: str) -> bool:
    """Whether a text says that something is not there."""
    return _NEGATION.search(text) is not None


def _chat(case: Case, question: str) -> list[dict[str, str]]:
    facts = "\n".join(f"- {fact.text}" for fact in case.facts)
    return [
        {"role": "system", "content": _PROMPT[case.language].format(facts=facts)},
        {"role": "user", "content": question},
    ]


def _seed(consultation: Consultation, question: str) -> int:
    return zlib.crc32(f"{consultation.seed}|{consultation.turn}|{question}".encode())
