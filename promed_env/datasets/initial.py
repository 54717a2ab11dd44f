"""Which facts a case's first sentence states: a rule that aligns atomic facts with the sentences they were made from.

Facts are written in the order of the vignette, so the facts of the first sentence are nearly always the first ones. The
rule walks down the facts and compares how much of each fact's content the first sentence covers with how much a later
sentence does. `benchmarks/loading.py` measures it against cases labelled by hand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["initial_facts"]

_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_FUNCTION_WORDS = frozenset(
    (
        "a an and are as at been by for from had has have he her him his in into is it its of on or she s that "
        "the their them these they this to was were which who with patient presents present presented presenting "
        "comes come came brought visits complaining complains complaint complaints because due reports report "
        "reported states being after one"
    ).split()
)
_NUMBERS = {word: str(n) for n, word in enumerate("zero one two three four five six seven eight nine ten".split())}
_SAME = {"male": "man", "boy": "man", "female": "woman", "girl": "woman", "yr": "year"}
_SUFFIXES = ("ously", "ations", "ation", "osis", "osed", "ing", "ous", "ion", "ies", "ed", "es", "ly", "s", "e", "y")
_STATED = 0.5  # the share of a fact's content words that a sentence which states it must have,
_OUT_OF_ORDER = 0.75  # and must have if the fact stands behind facts of later sentences,
_LEAD = 0.25  # when it must also have this much more than any later sentence


def initial_facts(first_sentence: str, other_sentences: Sequence[str], facts: Sequence[str]) -> frozenset[int]:
    """Indexes of the facts that the first sentence states.

    A fact is stated if the first sentence has at least half of its content words and all of its numbers, and no later
    sentence has more. Because facts keep the order of the sentences, the walk ends at the second fact in a row that is
    not; a single one in between, worded too freely to be recognised, is taken along unless a later sentence states it.
    Behind that end a fact counts only if the first sentence has three quarters of it, and clearly more than any later
    sentence.

    Args:
        first_sentence: The sentence that is the presentation.
        other_sentences: The sentences after it, in order.
        facts: The facts' texts, in the order of the sentences, without numbers.
    """
    first = _content(first_sentence)
    others = [_content(text) for text in other_sentences]
    stated: set[int] = set()
    doubtful: int | None = None
    in_order = True
    for index, fact in enumerate(facts):
        words = _content(fact)
        here = _coverage(words, first) if _numbers(words) <= first else 0.0
        elsewhere = max((_coverage(words, other) for other in others), default=0.0)
        if in_order and here >= _STATED and here >= elsewhere:
            stated |= {index} if doubtful is None else {doubtful, index}
            doubtful = None
        elif in_order and doubtful is None and elsewhere < _STATED:
            doubtful = index
        else:
            in_order = False
            if here >= _OUT_OF_ORDER and here - elsewhere >= _LEAD:
                stated.add(index)
    return frozenset(stated)


def _content(text: str) -> set[str]:
    words = (word.casefold() for word in _TOKEN.findall(text))
    return {_stem(_SAME.get(word, _NUMBERS.get(word, word))) for word in words if word not in _FUNCTION_WORDS}


def _stem(word: str) -> str:
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word


def _numbers(words: set[str]) -> set[str]:
    return {word for word in words if word[0].isdigit()}


def _coverage(words: set[str], sentence: set[str]) -> float:
    return len(words & sentence) / len(words) if words else 1.0
