"""Which facts a case's first sentence states: a rule that aligns atomic facts with the sentences they were made from.

Facts are written in the order of the vignette, so the facts of the first sentence are nearly always the first ones. The
rule walks down the facts and compares how much of each fact's content the first sentence covers with how much a later sentence
does. `benchmarks/loading.py` measures it against cases labelled by hand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["initial_facts"]

_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_FUNCTION_WORDS = frozenset(
    "a an and are as at been by for from had has have he her him his in into is it its of on or she s that the their them "
    "these they this to was were which who with patient presents present presented presenting comes come came brought "
    "visits complaining complains complaint complaints because due reports report reported states due being after".split()
)


def initial_facts(first_sentence: str, other_sentences: Sequence[str], facts: Sequence[str]) -> frozenset[int]:
    """Indexes of the facts that the first sentence states.

    Args:
        first_sentence: The sentence that is the presentation.
        other_sentences: The sentences after it, in order.
        facts: The facts' texts, in the order of the sentences, without numbers.
    """
    first = _content(first_sentence)
    others = [_content(text) for text in other_sentences]
    stated, missed = set(), 0
    for index, fact in enumerate(facts):
        words = _content(fact)
        here = _coverage(words, first)
        elsewhere = max((_coverage(words, other) for other in others), default=0.0)
        if here >= 0.5 and here >= elsewhere:
            stated.add(index)
            missed = 0
        elif missed:
            break
        else:
            missed = 1  # one fact in between may be worded too freely to be recognised
    return frozenset(stated)


def _content(text: str) -> set[str]:
    words = (word.casefold() for word in _TOKEN.findall(text))
    return {_stem(word) for word in words if word not in _FUNCTION_WORDS}


def _stem(word: str) -> str:
    for suffix in ("ing", "ed", "es", "s", "e"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word


def _coverage(words: set[str], sentence: set[str]) -> float:
    return len(words & sentence) / len(words) if words else 1.0
