"""The action grammar: what a doctor's utterance means.

    question: Do you smoke?
    answer: C
    <think>anything</think> Answer: [C. Ceftriaxone] (confidence: 0.8)

`parse_action` turns any string into an `Action` and never raises on a string; `resolve_answer` turns the text of an
answer into option keys.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal, NamedTuple

from promed_env.case import Case, Option

__all__ = ["MAX_ACTION_LENGTH", "Action", "Kind", "normalise", "parse_action", "resolve_answer"]

Kind = Literal["question", "answer", "invalid"]

MAX_ACTION_LENGTH = 8192
"""Longer actions, in characters, are invalid."""

_MARK = re.compile(r"\b(question|answer)[ \t*_]*[:\uff1a]", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]+")  # and lone surrogates: no terminal takes them
_THINK = re.compile(r"<(/?)think>", re.IGNORECASE)
_CONFIDENCE = re.compile(  # "(confidence: 0.8)", "[confidence 80%]", ", confidence: high"
    r"(?:[(\[\uff08]\s*confidence\b(?=[^()\[\]]*[\d:=\uff1a])([^()\[\]\uff09]{0,40})[)\]\uff09]"
    r"|[,;]\s*confidence\s*[:=\uff1a]\s*([\w.%]{1,12}))[\s.]*$",
    re.IGNORECASE,
)
_CONFIDENCE_TAIL = 80  # characters at the end of an answer in which a confidence is looked for
_NUMBER = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(%?)")
_DECORATION = " \t\r\n*_#`"
_BOXED = re.compile(r"\\(?:boxed|text|mathrm)\s*\{([^{}]*)\}")
_BRACKETS = str.maketrans("", "", "[]{}<>\u3010\u3011")
_WRAPPING = " \t\r\n.;!$\"'`\u201c\u201d"
_KEY_THEN_TEXT = re.compile(r"\(?([A-Za-z])\)?\s*(?:[.:)\uff1a\u3001,]|\s[-\u2013\u2014]\s|$)\s*(.*)", re.DOTALL)
_KEY_AND_OWN_TEXT = re.compile(r"\(?([A-Za-z])\)?[\s(]+(.+?)\)?", re.DOTALL)
_SEPARATORS = (
    re.compile(r"[;\n\uff1b\u3001]"),
    re.compile(r"[,;\n\uff1b\u3001\uff0c]"),
    re.compile(r"[,;\n\uff1b\u3001\uff0c]|\b(?i:and)\b"),
)
_KEY_LIST = re.compile(r"[A-Za-z](?:\s*(?:[,;/&+\u3001\uff0c]|\b(?i:and)\b)\s*[A-Za-z]|\s+[A-Za-z])*")
_COMPACT_KEYS = re.compile(r"[A-Z]{2,}")
_NOT_WORD = re.compile(r"[^\w%]+")
_PREFACE = re.compile(r"^(?:the\s+)?(?:(?:correct|best|final)\s+)?(?:option|answer|choice)\s+(?:is\s+)?", re.IGNORECASE)


class Action(NamedTuple):
    """One parsed utterance.

    Attributes:
        kind: "question", "answer" or "invalid".
        text: The question, or the answer's text; what was wrong, if invalid.
        confidence: Stated confidence in the answer, from 0 to 1, or None.
    """

    kind: Kind
    text: str
    confidence: float | None = None


def parse_action(utterance: str) -> Action:
    """Parse an utterance; linear in its length, and defined for every string.

    An utterance is `question: ...` or `answer: ...`, case-insensitive, after an optional `<think>...</think>` (what
    comes before a lone `</think>` is thought, too). Several questions are one question turn (the patient hears the
    first); a question and an answer together, several answers, neither, or an empty one are invalid, as is anything
    over `MAX_ACTION_LENGTH` characters.
    """
    if len(utterance) > _REMEMBERED:
        return _parse(utterance)
    return _parse_again(utterance)


def _parse(utterance: str) -> Action:
    if len(utterance) > MAX_ACTION_LENGTH:
        return Action("invalid", f"longer than {MAX_ACTION_LENGTH} characters")
    text = utterance
    if "think>" in text.lower() and (tags := list(_THINK.finditer(text))):
        if not tags[-1][1]:
            return Action("invalid", "unbalanced <think>")
        text = text[tags[-1].end() :]  # all before the last </think> is thought, with or without an opening tag
    if not text.isprintable():
        text = _CONTROL.sub(" ", text)
    first = _MARK.search(text)
    if first is None or text[: first.start()].strip(_DECORATION):
        return Action("invalid", "neither a question nor an answer")
    kind = first[1].lower()
    second = _MARK.search(text, first.end())
    if second is not None:
        others = {mark[1].lower() for mark in _MARK.finditer(text, second.start())}
        if others != {kind}:
            return Action("invalid", "both a question and an answer")
        if kind == "answer":
            return Action("invalid", "more than one answer")
    body = text[first.end() : second.start() if second else len(text)].strip(_DECORATION)
    if kind == "question":
        return Action("question", body) if body else Action("invalid", "an empty question")
    confidence = None
    if stated := _CONFIDENCE.search(body, max(0, len(body) - _CONFIDENCE_TAIL)):
        if number := _NUMBER.search(stated[1] or stated[2] or ""):
            confidence = float(number[1]) / (100 if number[2] else 1)
            confidence = confidence if confidence <= 1 else None
        body = body[: stated.start()].strip(_DECORATION)
    return Action("answer", body, confidence) if body else Action("invalid", "an empty answer")


_REMEMBERED = 256  # characters; doctors with a catalogue say the same short things again and again
_parse_again = lru_cache(maxsize=8192)(_parse)


@lru_cache(maxsize=8192)
def normalise(text: str) -> str:
    """Lower case, compatibility forms folded, punctuation and spacing reduced to single spaces."""
    return _NOT_WORD.sub(" ", unicodedata.normalize("NFKC", text).lower()).strip()


def resolve_answer(text: str, case: Case, *, keys: bool = True) -> tuple[str, ...]:
    """The option keys that an answer names.

    Accepts an option's text, a key ("C", "c)", "[C]", "C. Ceftriaxone", "C (Ceftriaxone)", "option C"), several keys
    ("A, C", "A and C", "ABD") or several texts. An option's aliases count as its text, unless the words are another
    option's own. What names no option of the case gives ().

    Args:
        text: The answer without its marker.
        case: The case that is answered.
        keys: Whether keys are accepted; without them only an option's text is (the doctor has not been shown any keys).

    Returns:
        Distinct keys in the order of the options.
    """
    plain = _BOXED.sub(r"\1", _BOXED.sub(r"\1", text)).translate(_BRACKETS).strip(_WRAPPING)
    if named_by_text := _named(text, case.options) or _named(plain, case.options):
        return (named_by_text,)
    for separator in _SEPARATORS:
        parts = [part for part in separator.split(plain) if part.strip()]
        texts = [_named(part, case.options) for part in parts]
        if len(parts) > 1 and all(texts):
            return tuple(key for key in case.keys if key in texts)
    if not keys:
        return ()
    plain = _PREFACE.sub("", plain)
    known = {option.key.upper(): option.key for option in case.options}
    if plain.upper() in known:
        return (known[plain.upper()],)
    if _KEY_LIST.fullmatch(plain):
        named = [part.upper() for part in re.findall(r"\b[A-Za-z]\b", plain)]
    elif _COMPACT_KEYS.fullmatch(plain):
        named = list(plain)
    elif (match := _KEY_THEN_TEXT.fullmatch(plain)) and _agrees(match[2], match[1], case.options):
        named = [match[1].upper()]
    elif (match := _KEY_AND_OWN_TEXT.fullmatch(plain)) and _named(match[2], case.options) == known.get(
        match[1].upper()
    ):
        named = [match[1].upper()]
    else:
        return ()
    if not set(named) <= known.keys():
        return ()
    return tuple(option.key for option in case.options if option.key.upper() in named)


def _named(text: str, options: tuple[Option, ...]) -> str | None:
    """The key of the one option with this text, to the letter or else in its words ("-0.45" and "0.45" share those).

    Aliases are tried last, so that no other name of an option takes the words that are another option's text.
    """
    for form in (_folded, normalise):
        if wanted := form(text):
            keys = [option.key for option in options if form(option.text) == wanted]
            if len(keys) == 1:
                return keys[0]
    if wanted := normalise(text):
        keys = [option.key for option in options if wanted in map(normalise, (option.text, *option.aliases))]
        if len(keys) == 1:
            return keys[0]
    return None


@lru_cache(maxsize=8192)
def _folded(text: str) -> str:
    """Lower case, compatibility forms folded, spacing reduced, no final full stop; signs and arrows stay."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split()).rstrip(". ")


def _agrees(text: str, key: str, options: tuple[Option, ...]) -> bool:
    """Whether the words after a key do not name another option."""
    named = _named(text, options)
    return named is None or named.upper() == key.upper()
