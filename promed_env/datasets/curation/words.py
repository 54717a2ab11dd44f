"""The words by which a fact is compared with the sentence it was taken from: what it may not invent, and not lose.

Content words are what is left of a text without articles, pronouns, auxiliary verbs, prepositions, conjunctions and
the words that only say who said it ("reports", "the patient"). All words of denial count as one ("denies fever" and
"has no fever" say the same), and endings are cut off, so that a finding may change its form but not its substance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["DENIAL", "content_words", "denies", "invented", "lost"]

DENIAL = "not"
"""The content word that stands for every word of denial."""

_TOKEN = re.compile(
    r"\d+(?:[.,/:\u2013-]\d+)*|[\u4e00-\u9fff]|[^\W\d_\u4e00-\u9fff]+(?:n['\u2019]t\b)?|[<>\u2264\u2265\u2191\u2193\u00b1%+]"
)
_DENIALS = frozenset(
    "no not denies denied deny denying without never none neither nor negative absent absence cannot "
    "\u65e0 \u672a \u4e0d \u6ca1 \u5426".split()
)
_FUNCTION = frozenset(
    (
        "a an the this that these those there it its he she they him her his hers their them himself herself "
        "is are was were be been being am has have had having do does did and or but as well also while although "
        "whereas however of in on at to for from with by into onto than then so which who whom whose "
        "patient patients s reports reported reporting states stated says said saying any such other because due "
        "\u7684 \u4e86 \u60a3 \u8005 \u548c \u4e0e \u53ca \u6216 \u8ba4 \u8bc9 \u662f \u6709 \u4f46 \u800c"
    ).split()
)
_ENDINGS = ("ies", "ing", "ed", "es", "s", "e", "y")


def content_words(text: str) -> frozenset[str]:
    """The content words of a text, without their endings."""
    return frozenset(word for token in _TOKEN.findall(text) if (word := _word(token)))


def denies(text: str) -> bool:
    """Whether a word of denial stands in the text."""
    return DENIAL in content_words(text)


def invented(fact: str, source: str) -> frozenset[str]:
    """Content words of the fact that are not in the source."""
    return content_words(fact) - content_words(source)


def lost(source: str, facts: Iterable[str]) -> frozenset[str]:
    """Content words of the source that are in none of the facts."""
    return content_words(source).difference(*(content_words(fact) for fact in facts))


def _word(token: str) -> str:
    word = token.casefold()
    if word in _DENIALS or word.endswith(("n't", "n\u2019t")):
        return DENIAL
    if word in _FUNCTION:
        return ""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
