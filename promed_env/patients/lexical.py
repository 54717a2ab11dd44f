"""The plain baseline: word overlap between a question and a fact, weighted by how rare a stem is in the case.

It knows no synonyms and no sections. It exists to be beaten, and to show what wording alone gives away.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import lru_cache

from promed_env.case import Case, Fact
from promed_env.patients import Informant
from promed_env.patients.words import FUNCTION_WORDS, stem, tokenise

__all__ = ["LexicalMatcher"]

_THRESHOLD = 0.34
"""Least share of a question's weight that a fact must cover: over a third, so that one word of three is not enough."""


class LexicalMatcher:
    """Matches by idf-weighted stem overlap."""

    name = "lexical"

    def match(self, question: str, case: Case, limit: int) -> tuple[int, ...]:
        """Facts that share at least a third of the question's weight, best first.

        Args:
            question: One question.
            case: The case; its facts are the candidates.
            limit: Most facts.
        """
        asked = _stems(question)
        if not asked or not case.facts:
            return ()
        facts, counts = _index(case.facts)
        weight = {word: math.log((1 + len(facts)) / (1 + counts[word])) + 1 for word in asked}
        total = sum(weight.values())
        scores = [sum(weight[word] for word in asked & words) / total for words in facts]
        order = sorted(range(len(facts)), key=lambda index: -scores[index])
        return tuple(index for index in order[:limit] if scores[index] >= _THRESHOLD)

    def addressee(self, question: str) -> Informant:
        """The patient: overlap of words cannot tell who is asked."""
        return "patient"


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in tokenise(text) if word not in FUNCTION_WORDS)


@lru_cache(maxsize=1024)
def _index(facts: tuple[Fact, ...]) -> tuple[list[frozenset[str]], Counter[str]]:
    words = [_stems(fact.text) for fact in facts]
    return words, Counter(word for stems in words for word in stems)
