"""Defect flags: what a reader of a result should know about a row before trusting it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from promed_env.case import FLAGS, Option

__all__ = ["defects", "mentions_image", "states"]

_WORD = re.compile(r"\d+(?:\.\d+)?%?|[^\W\d_]+")
_IMAGE = re.compile(
    r"\b(?:photo(?:graph|micrograph)?s?|diagrams?|scatter ?plots?"
    r"|exhibit (?:(?-i:[A-Z])\b|\d)|(?:the|see|an?) exhibit)\b"
    r"|\b(?:see|the|an?|following|this|attached|accompanying|microscopic|these) (?:\w+ )?(?:image|picture|"
    r"graph)s?\b(?! of health)"
    r"|\b(?:image|figure|panel|graph) (?:(?-i:[A-Z])|\d+)\b|\b(?:in|see) (?:the )?(?:following )?figures?\b"
    r"|\b(?:is|are|as|was|were) (?:\w+ly |also )?(?:shown|seen|given|depicted|displayed|pictured|illustrated|"
    r"provided|demonstrated)"
    r"(?: (?:below|above|here))?\s*[.)]?\s*$"
    r"|\b(?:shown|seen|depicted|displayed|pictured|illustrated) (?:below|here)\b|\b(?:yellow|red|black|"
    r"white) arrows?\b",
    re.IGNORECASE,
)
_TABLE = re.compile(r"\|.*\d|:.*\d")  # Values are given in the text itself.


def defects(
    *,
    texts: Iterable[str],
    presentation: str,
    facts: Sequence[str],
    options: Sequence[Option],
    answer: Sequence[str],
    answer_text: str | None,
    is_patient: bool,
) -> tuple[str, ...]:
    """The flags a row deserves, in the order of `promed_env.case.FLAGS`.

    Args:
        texts: Everything the row says about the case, its question included.
        presentation: What is said first.
        facts: The facts' texts.
        options: The options.
        answer: Keys of the right options.
        answer_text: The right option's text as the row states it beside the key, or None if it does not.
        is_patient: Whether the row is about a patient at all.
    """
    right = [option.text for option in options if option.key in answer]
    found = {
        "no_facts": not facts,
        "answer_conflict": answer_text is not None and _words(answer_text) not in [_words(text) for text in right],
        "answer_in_facts": any(states(text, key) for text in (presentation, *facts) for key in right),
        "duplicate_fact": len({tuple(_words(fact)) for fact in facts}) < len(facts),
        "image_reference": mentions_image(texts),
        "not_a_patient": not is_patient,
    }
    return tuple(flag for flag in FLAGS if found[flag])


def states(text: str, answer: str) -> bool:
    """Whether a text contains the words of an answer, one after the other; case and punctuation do not matter."""
    words, sought = _words(text), _words(answer)
    return bool(sought) and any(words[i : i + len(sought)] == sought for i in range(len(words) - len(sought) + 1))


def mentions_image(texts: Iterable[str]) -> bool:
    """Whether one of the texts refers to a picture that a reader of the text alone cannot see."""
    return any(_IMAGE.search(text) and not _TABLE.search(text) for text in texts)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
