"""Splits the stem of an examination question into the vignette and the question at its end."""

from __future__ import annotations

import re
from typing import NamedTuple

from promed_env.case import Language
from promed_env.datasets.curation.sentences import Sentence, sentences

__all__ = ["Stem", "split_question"]

_ASKS = re.compile(
    r"\?|\bwhich of the\b|\bthe following\b"
    r"|^(?:which|what|who|whose|whom|how|when|where|why|identify|select|choose|name|calculate|determine|explain)\b"
    r"|\b(?:most )?likely (?:to be |to )?(?:diagnosis|due to|caused by|reveal|show|result)\b[^.]*$",
    re.IGNORECASE,
)
_LEADS = re.compile(  # a sentence that belongs to the question after it, not to the patient's story
    r"^(?:assum\w+|suppose|consider|imagine|note that|for this question)\b", re.IGNORECASE
)
_FOLLOWS = re.compile(r"^(?:and|or|if so|why|explain|\(|select|choose)\b", re.IGNORECASE)
_CHINESE_ASKS = re.compile(
    r"\u54ea|\u4f55|\u4ec0\u4e48|\u591a\u5c11|\u600e|\u4e0b\u5217|\u4e0b\u8ff0|\u4ee5\u4e0b|\uff1f|\?|\u6700\u53ef\u80fd|\u6700\u5e94|\u6700\u9002|\u9996\u9009|\u9996\u5148|"
    r"\u5e94(?:\u8be5|\u8003\u8651|\u9996|\u8bca\u65ad|\u91c7|\u7ed9|\u4e3a|\u9009|\u7528)|(?:\u8bca\u65ad|\u8003\u8651|\u8bc1\u578b|\u6cbb\u6cd5|\u65b9\u5242|\u65b9\u836f|\u539f\u56e0|\u5904\u7406)(?:\u662f|\u4e3a|\u5e94)|[\uff08(]\s*[)\uff09]|"
    r"(?:\u662f|\u4e3a|\u6709|\u5305\u62ec|\u9664\u5916)[:\uff1a]?\s*[\u3002.]?\s*$"
)
_VALUE = re.compile(r"^[^%$?]*\w[^$?]*(?:\d|positive|negative|normal)[^$?]*$", re.IGNORECASE)
_FEWEST_VALUES = 3
_BEHIND_VALUE = re.compile(
    r"^(.*\d.*?)(?=\u4e0b\u5217|\u4e0b\u8ff0|\u4ee5\u4e0b|\u54ea\u9879|\u6700\u53ef\u80fd)", re.DOTALL
)
_CLAUSE = re.compile(r"[^\uff0c,\u3002\uff1b;]+[\uff0c,\u3002\uff1b;]*")


class Stem(NamedTuple):
    """A stem in its two parts.

    Attributes:
        vignette: What is told of the patient; may be empty. A table of values behind the question belongs to it.
        question: What is asked.
        start: Where the question starts in the stem.
        found: Whether the end asks something; if not, the last sentence was taken for the question.
    """

    vignette: str
    question: str
    start: int
    found: bool


def split_question(stem: str, language: Language = "en") -> Stem:
    """Split a stem before the question at its end, which may have several sentences.

    Args:
        stem: Vignette and question.
        language: Of the stem. Chinese questions are often the last clause of the last sentence.
    """
    pieces = _clauses(stem) if language == "zh" else sentences(stem)
    if not pieces:
        return Stem("", stem.strip(), 0, False)
    asks = _CHINESE_ASKS if language == "zh" else _ASKS
    last = next((index for index in reversed(range(len(pieces))) if asks.search(pieces[index].text)), None)
    if pieces[-1].text.rstrip('"').endswith((":", "\uff1a")):  # "This patient is most at risk for:"
        last = len(pieces) - 1
    first = len(pieces) - 1 if last is None else last
    if language == "en":
        while first and (
            _LEADS.search(pieces[first - 1].text)
            or pieces[first - 1].text.endswith("?")
            or _FOLLOWS.search(pieces[first].text)
        ):
            first -= 1
    else:
        while first and first == last and len(pieces[first].text) <= 2:
            first -= 1
    start = pieces[first].start
    question, table = _without_table(stem[start:].strip())
    vignette = "\n".join(part for part in (stem[:start].strip(), table) if part)
    return Stem(vignette, question.strip('"').strip() or question, start, last is not None)


def _without_table(question: str) -> tuple[str, str]:
    """The question, and the lines of values behind it."""
    lines = question.splitlines()
    end = next((number for number, line in enumerate(lines, 1) if line.rstrip().endswith("?")), len(lines))
    values = sum(_VALUE.search(line) is not None for line in lines[end:])
    if values < _FEWEST_VALUES:
        return question, ""
    return "\n".join(lines[:end]).strip(), "\n".join(lines[end:]).strip()


def _clauses(stem: str) -> list[Sentence]:
    """The stretches between the commas of a Chinese stem; a question right behind a value is one of its own."""
    found: list[Sentence] = []
    for clause in _CLAUSE.finditer(stem):
        behind = _BEHIND_VALUE.match(clause[0])
        cut = behind.end() if behind else 0
        for start, text in ((0, clause[0][:cut]), (cut, clause[0][cut:])):
            if text.strip():
                found.append(Sentence(clause.start() + start + len(text) - len(text.lstrip()), text.strip()))
    return found
