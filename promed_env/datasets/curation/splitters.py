"""What cuts sentences into facts: the rules, or a language model whose facts are checked against each sentence.

A model's facts for a sentence are taken only if they pass `check_facts`: nothing invented, nothing lost, denials where
the sentence denies. Where they do not, the rules' facts are taken instead, and the reason is counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, get_args

from promed_env.case import Language
from promed_env.datasets.curation.chinese import split_chinese
from promed_env.datasets.curation.facts import split_sentence
from promed_env.datasets.curation.sentences import Sentence
from promed_env.datasets.curation.words import content_words, denies, invented, lost
from promed_env.datasets.rows import sentence as sentence_of
from promed_env.llm import LanguageModel, Messages

__all__ = [
    "REFUSALS",
    "LanguageModelSplitter",
    "Refusal",
    "RuleSplitter",
    "Split",
    "Splitter",
    "check_facts",
    "split_vignette",
]

Refusal = Literal["silent", "invented", "lost", "denial"]
REFUSALS: tuple[Refusal, ...] = get_args(Refusal)
"""Why a model's facts for a sentence were not taken: none were given, or the first check that they failed."""


class Split(NamedTuple):
    """The facts of one sentence.

    Attributes:
        facts: In the order of the sentence.
        refused: Why these are the rules' facts and not the model's; None if they are what the splitter gave.
    """

    facts: tuple[str, ...]
    refused: Refusal | None = None


class Splitter(Protocol):
    """Cuts sentences into self-contained atomic facts."""

    @property
    def name(self) -> str:
        """For reports."""

    def split(self, sentences: Sequence[str], language: Language) -> list[Split]:
        """The facts of each sentence; the sentences are those of one vignette, in order."""


class RuleSplitter:
    """The rules of `split_sentence` and `split_chinese`; needs no model."""

    name = "rules"

    def split(self, sentences: Sequence[str], language: Language) -> list[Split]:
        """The facts of each sentence."""
        rule = split_chinese if language == "zh" else split_sentence
        return [Split(rule(sentence)) for sentence in sentences]


class LanguageModelSplitter:
    """A language model, checked sentence by sentence, with the rules behind it."""

    def __init__(self, model: LanguageModel, *, max_new_tokens: int = 256) -> None:
        """Make one.

        Args:
            model: Asked once for each sentence, at temperature 0; the sentences of a vignette are one batch.
            max_new_tokens: Longest list of facts for a sentence; a short sentence is given less.
        """
        self.model = model
        self.max_new_tokens = max_new_tokens
        self._rules = RuleSplitter()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    def split(self, sentences: Sequence[str], language: Language) -> list[Split]:
        """The facts of each sentence: the model's where they pass the check, else the rules'.

        Raises:
            BackendError: The model fails.
        """
        by_rules = self._rules.split(sentences, language)
        if not sentences:
            return by_rules
        asked = [_messages(sentence, language) for sentence in sentences]
        longest = max(len(sentence) if language == "zh" else len(sentence.split()) for sentence in sentences)
        said = self.model.chat(asked, max_new_tokens=min(self.max_new_tokens, _TOKENS_PER_WORD * longest + 16))
        splits: list[Split] = []
        for sentence, completion, rules in zip(sentences, said, by_rules, strict=True):
            facts = _listed(completion.text)
            refused = check_facts(sentence, facts, rules.facts)
            splits.append(Split(facts) if refused is None else Split(rules.facts, refused))
        return splits


def split_vignette(vignette: Sequence[Sentence], splitter: Splitter, language: Language) -> list[Split]:
    """The facts of each sentence of a vignette; a row of a table is one fact, with what it stands under.

    Raises:
        BackendError: The splitter's model fails.
    """
    prose = [sentence.text for sentence in vignette if not sentence.above]
    splits = iter(splitter.split(prose, language))
    return [Split((sentence_of(sentence.stated),)) if sentence.above else next(splits) for sentence in vignette]


def check_facts(sentence: str, facts: Sequence[str], by_rules: Sequence[str]) -> Refusal | None:
    """Why facts cannot stand for a sentence; None if they can.

    Every content word and number of a fact must be in the sentence, every content word of the sentence in a fact, and a
    fact must deny what the sentence denies and nothing else: as the rules' fact does that shares most words with it
    (any of them where several share as many).

    Args:
        sentence: What was split.
        facts: The facts to check.
        by_rules: The rules' facts of the sentence, which carry its denials to where they belong.
    """
    if not facts:
        return "silent"
    if any(invented(fact, sentence) for fact in facts):
        return "invented"
    if lost(sentence, facts):
        return "lost"
    for fact in facts:
        words = content_words(fact)
        shared = [len(words & content_words(rule)) / max(len(content_words(rule)), 1) for rule in by_rules]
        nearest = {denies(rule) for rule, share in zip(by_rules, shared, strict=True) if share == max(shared)}
        if nearest and denies(fact) not in nearest:
            return "denial"
    return None


_TASK: dict[Language, str] = {
    "en": (
        "Split the sentence into atomic facts about the patient: one finding each, one fact a line, nothing else. Keep "
        "the sentence's own words, numbers and denials; leave nothing out and add nothing. Each fact must be "
        "understood "
        "by itself: repeat the subject."
    ),
    "zh": (
        "\u628a\u53e5\u5b50\u62c6\u6210\u5173\u4e8e\u60a3\u8005\u7684\u539f\u5b50\u4e8b\u5b9e\uff1a\u6bcf\u884c\u4e00\u6761\uff0c\u6bcf\u6761\u53ea\u8bf4\u4e00\u4ef6\u4e8b\u3002\u4f7f\u7528\u539f\u53e5\u7684\u8bcd\u8bed\u3001\u6570\u5b57\u548c\u5426\u5b9a\uff0c\u4e0d\u8981\u9057\u6f0f\uff0c\u4e0d\u8981\u6dfb\u52a0\u3002"
    ),
}
_EXAMPLE: dict[Language, tuple[str, str]] = {
    "en": (
        "He has had a dry cough for 2 weeks, denies fever or chills, and his pulse is 84/min.",
        "He has had a dry cough for 2 weeks.\nHe denies fever.\nHe denies chills.\nHis pulse is 84/min.",
    ),
    "zh": (
        "\u5e72\u54b32\u5468\uff0c\u65e0\u53d1\u70ed\u3001\u80f8\u75db\u3002",
        "\u60a3\u8005\u5e72\u54b32\u5468\u3002\n\u60a3\u8005\u65e0\u53d1\u70ed\u3002\n\u60a3\u8005\u65e0\u80f8\u75db\u3002",
    ),
}
_TOKENS_PER_WORD = 5  # a fact repeats its subject; a list longer than this is not the sentence's
_BULLET = re.compile(r"^\s*(?:[-*\u2022\u2013]|\(?\d{1,2}[.)\u3001](?!\d))\s*")


def _messages(sentence: str, language: Language) -> Messages:
    example, facts = _EXAMPLE[language]
    return [
        {"role": "user", "content": f"{_TASK[language]}\n\n{example}"},
        {"role": "assistant", "content": facts},
        {"role": "user", "content": sentence},
    ]


def _listed(text: str) -> tuple[str, ...]:
    """The facts of a model's list, without bullets and numbers, each once."""
    lines = (_BULLET.sub("", line).strip() for line in text.splitlines())
    return tuple(dict.fromkeys(line for line in lines if re.search(r"\w", line)))
