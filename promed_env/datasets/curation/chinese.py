"""Cuts a Chinese sentence of a vignette into atomic facts, by rules: at its commas, and every item of a denial.

Chinese vignettes are telegraphic: most stretches between two commas are facts already. A list after a word of denial is
parted ("\u65e0\u53d1\u70ed\u3001\u54b3\u55fd" denies two things), as are age and sex at the start.
"""

from __future__ import annotations

import re

from promed_env.datasets.curation.words import content_words, invented, lost

__all__ = ["split_chinese"]

_COMMA = re.compile(r"(?:[\uff0c\uff1b\u3002]|[,;](?!\d))+\s*")
_PERSON = re.compile(
    r"^(?P<who>(?:\u60a3\u8005|\u75c5\u4eba|\u5b55\u5987|\u60a3\u513f)?)[\uff0c,\s]*(?P<sex>\u7537\u6027?|\u5973\u6027?)(?:[\uff0c,\s]*)(?P<age>\d+(?:\.\d+)?\s*(?:\u5c81|\u4e2a?\u6708|\u5929|\u5468))(?P<rest>.*)$",
    re.DOTALL,
)
_DENIED = re.compile(
    r"^(?P<head>.*?(?:\u5426\u8ba4(?:\u6709)?|\u65e0(?:\u660e\u663e)?|\u672a\u89c1(?:\u660e\u663e)?|\u6ca1\u6709))(?P<list>[^\uff08\uff09()]+(?:\u3001|\u53ca|\u548c|\u6216)[^\uff08\uff09()]+)$",
    re.DOTALL,
)
_ITEM = re.compile(r"\u3001|\u53ca|\u548c|\u6216(?:\u8005)?")


def split_chinese(sentence: str) -> tuple[str, ...]:
    """The atomic facts of a Chinese sentence, in its order; nothing invented and nothing lost.

    Args:
        sentence: One sentence, or a whole vignette.
    """
    sentence = sentence.strip()
    facts: list[str] = []
    rest = sentence
    if person := _PERSON.match(sentence):
        who = person["who"] or "\u60a3\u8005"
        sex, age = person["sex"], re.sub(r"\s", "", person["age"])
        facts += [f"{who}\u662f{sex}", f"{who}{age}"]
        rest = person["rest"]
    for clause in _COMMA.split(rest):
        facts += _denials(clause.strip(" \uff0c\u3002\uff1b,;.\u3001"))
    facts = [fact for fact in facts if fact]
    if not facts or lost(sentence, facts) or any(invented(fact, sentence) for fact in facts):
        return (sentence,) if content_words(sentence) else ()
    return tuple(f"{fact}\u3002" for fact in facts)


def _denials(clause: str) -> list[str]:
    found = _DENIED.match(clause)
    if found is None:
        return [clause]
    return [f"{found['head']}{item.strip()}" for item in _ITEM.split(found["list"]) if item.strip()]
