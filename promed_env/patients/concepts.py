"""Clinical concepts: which words mean the same, and what belongs to what (`data/concepts.txt` says how it is written).

English and Chinese have a lexicon each (`data/concepts.txt`, which knows some Chinese too, and `data/concepts_zh.txt`).
A text becomes spans: stretches of words with the concepts they may mean. A span of a question is met by a fact that
means one of these concepts or something more special: "blood tests" is met by "potassium", "potassium" is not met by
"sodium".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple

from promed_env.case import Language, Section
from promed_env.patients.words import FUNCTION_WORDS, content_runs, fold, has_chinese, stem, tokenise

__all__ = ["HOME", "SECTION_CONCEPT", "Concept", "Lexicon", "Reading", "Span", "lexicon"]

Side = Literal["question", "fact"]

HOME: dict[str, Section] = {
    "complaint": "symptom",
    "symptom": "symptom",
    "history": "history",
    "medication": "medication",
    "family": "family",
    "social": "social",
    "demographics": "demographics",
    "exam": "exam",
    "test": "test",
}
"""Kind of a concept -> the section where it is usually found."""
SECTION_CONCEPT: dict[Section, str] = {
    "demographics": "demographics",
    "history": "pmh",
    "symptom": "symptoms",
    "exam": "exam_any",
    "test": "test_any",
    "social": "social_history",
    "family": "family_history",
    "medication": "medications",
}
"""Section -> the concept that any fact in it means."""


@dataclass(frozen=True)
class Concept:
    """One entry of the lexicon.

    Attributes:
        index: Position, and number of its bit in masks.
        kind: The block it stands in ("symptom", "test", ...).
        panel: Whether a report on the whole answers a question about a part.
        ancestors: Mask of the concept itself and all it belongs to.
    """

    name: str
    index: int
    kind: str
    panel: bool
    ancestors: int


class Span(NamedTuple):
    """A stretch of words.

    Attributes:
        mask: The concepts that it may mean, as bits.
        words: The words' stems.
        listed: Whether it goes on a list that the span before it began: "tobacco or alcohol".
    """

    mask: int
    words: tuple[str, ...]
    listed: bool = False


class Reading(NamedTuple):
    """A text read with the lexicon.

    Attributes:
        spans: Stretches that mean something, in order.
        rest: Words that are neither in a span nor function words, as written.
    """

    spans: tuple[Span, ...]
    rest: tuple[str, ...]


class Lexicon:
    """The concepts, and how they are found in texts."""

    def __init__(self, text: str, language: Language = "en") -> None:
        """Parse the lexicon.

        Args:
            text: Its lines.
            language: Whether its phrases are words ("en") or stretches of characters ("zh").

        Raises:
            ValueError: A line has no kind, a name stands twice, or a parent does not exist; the message says which.
        """
        entries = list(_entries(text))
        names = {name: index for index, (name, *_) in enumerate(entries)}
        if len(names) != len(entries):
            raise ValueError("a concept stands twice in the lexicon")
        parents: list[list[int]] = []
        for name, _, _, above, _ in entries:
            if unknown := [parent for parent in above if parent not in names]:
                raise ValueError(f"concept {name!r} belongs to {unknown[0]!r}, which is not in the lexicon")
            parents.append([names[parent] for parent in above])

        def ancestors(index: int) -> int:
            mask = 1 << index
            for parent in parents[index]:
                mask |= ancestors(parent)
            return mask

        self.concepts = tuple(
            Concept(name, index, kind, panel, ancestors(index))
            for index, (name, kind, panel, _, _) in enumerate(entries)
        )
        self.by_name = {concept.name: concept for concept in self.concepts}
        table = _Phrases if language == "en" else _Stretches
        self._tables: dict[Side, _Phrases | _Stretches] = {"question": table(), "fact": table()}
        for index, (*_, phrases) in enumerate(entries):
            for phrase in phrases:
                for side, mark in (("question", "!"), ("fact", "?")):
                    if not phrase.startswith(mark):
                        self._tables[side].add(phrase.lstrip("?!"), 1 << index)  # type: ignore[index]

    def mask(self, *names: str) -> int:
        """The bits of some concepts."""
        return sum(1 << self.by_name[name].index for name in set(names))

    def closure(self, mask: int) -> int:
        """The concepts of a mask and all they belong to."""
        closed = 0
        for concept in self.of(mask):
            closed |= concept.ancestors
        return closed

    def of(self, mask: int) -> Iterator[Concept]:
        """The concepts of a mask."""
        while mask:
            low = mask & -mask
            yield self.concepts[low.bit_length() - 1]
            mask ^= low

    def read(self, text: str, side: Side) -> Reading:
        """Find the concepts of a text; longer phrases win over shorter ones within them."""
        return self._tables[side].read(text)


class _Phrases:
    """Finds phrases as written, or, with two and more content words, with function words in between; and endings."""

    def __init__(self) -> None:
        self.exact: dict[tuple[str, ...], int] = {}
        self.loose: dict[tuple[str, ...], int] = {}
        self.endings: dict[str, int] = {}
        self.chinese = _Stretches()
        self.longest = 1

    def add(self, phrase: str, mask: int) -> None:
        if has_chinese(phrase):
            self.chinese.add(phrase, mask)
            return
        if phrase.startswith("*"):
            self.endings[phrase[1:]] = self.endings.get(phrase[1:], 0) | mask
            return
        tokens = tokenise(phrase)
        stems = tuple(stem(token) for token in tokens)
        self.exact[stems] = self.exact.get(stems, 0) | mask
        self.longest = max(self.longest, len(stems))
        content = tuple(stem(token) for token in tokens if token not in FUNCTION_WORDS)
        if len(content) >= 2:
            key = _unordered(content)
            self.loose[key] = self.loose.get(key, 0) | mask

    def read(self, text: str) -> Reading:
        if has_chinese(text):
            return self.chinese.read(text)
        tokens = tokenise(text)
        stems = tuple(stem(token) for token in tokens)
        content = [
            position for position, token in enumerate(tokens) if token not in FUNCTION_WORDS and not token[0].isdigit()
        ]
        found = self._found(tokens, stems, content)
        taken: set[int] = set()
        for cover in sorted(found, key=lambda cover: (-len(cover), cover[0])):
            if taken.isdisjoint(cover):
                taken.update(cover)
            else:
                del found[cover]
        spans: list[Span] = []
        end = 0
        for cover in sorted(found):
            words = tuple(stems[position] for position in cover if tokens[position] not in FUNCTION_WORDS)
            listed = bool(spans) and _goes_on(tokens[end : cover[0]], "," in text)
            spans.append(Span(found[cover], words, listed))
            end = cover[-1] + 1
        rest = tuple(tokens[position] for position in content if position not in taken)
        return Reading(tuple(spans), rest)

    def _found(self, tokens: tuple[str, ...], stems: tuple[str, ...], content: list[int]) -> dict[tuple[int, ...], int]:
        """Positions that a phrase covers -> what it may mean; phrases may overlap."""
        found: dict[tuple[int, ...], int] = {}
        for size in range(1, min(self.longest, len(stems)) + 1):
            for start in range(len(stems) - size + 1):
                mask = self.exact.get(stems[start : start + size])
                if mask is not None:
                    found[tuple(range(start, start + size))] = mask
        for size in (2, 3, 4):
            for start in range(len(content) - size + 1):
                positions = tuple(content[start : start + size])
                mask = self.loose.get(_unordered(tuple(stems[position] for position in positions)))
                if mask is not None and positions[-1] - positions[0] <= size + 2:
                    found[positions] = found.get(positions, 0) | mask
        for position in content:
            if (position,) not in found and len(tokens[position]) >= _LONG_WORD:
                for ending in _endings(tokens[position]):
                    if ending in self.endings:
                        found[position,] = self.endings[ending]
        return found


class _Stretches:
    """Finds phrases in writing without spaces: from left to right, at each character the longest that begins there."""

    def __init__(self) -> None:
        self.masks: dict[str, int] = {}
        self.longest = 1

    def add(self, phrase: str, mask: int) -> None:
        phrase = fold(phrase)
        self.masks[phrase] = self.masks.get(phrase, 0) | mask
        self.longest = max(self.longest, len(phrase))

    def read(self, text: str) -> Reading:
        folded = fold(text)
        spans: list[Span] = []
        rest: list[str] = []
        start = gap = 0
        while start < len(folded):
            end = self._end(folded, start)
            if end == start:
                start += 1
                continue
            rest.extend(content_runs(folded[gap:start]))
            phrase = folded[start:end]
            listed = bool(spans) and gap < start and _LISTING.issuperset(folded[gap:start])
            spans.append(Span(self.masks[phrase], (phrase,), listed))
            start = gap = end
        rest.extend(content_runs(folded[gap:]))
        return Reading(tuple(spans), tuple(rest))

    def _end(self, text: str, start: int) -> int:
        """Where the longest phrase that begins at `start` ends; `start` if none does."""
        for end in range(min(len(text), start + self.longest), start, -1):
            # An abbreviation counts as a whole word: "pt" is not in "apt".
            if text[start:end] in self.masks and not (_is_inside(text, start) or _is_inside(text, end)):
                return end
        return start


_LISTING = frozenset("、或者和与及")
"""Characters that join the items of a list in Chinese."""


def _is_inside(text: str, position: int) -> bool:
    """Whether the position parts two characters of a Latin word."""
    around = text[max(0, position - 1) : position + 1]
    return position > 0 and len(around) == 2 and around.isascii() and around.isalpha()


def _goes_on(between: tuple[str, ...], commas: bool) -> bool:
    """Whether the words between two spans join them to a list."""
    if not between:
        return commas
    return not _JOINING.isdisjoint(between) and FUNCTION_WORDS.issuperset(between)


_JOINING = frozenset(("or", "and"))


def _unordered(stems: tuple[str, ...]) -> tuple[str, ...]:
    """Two words mean the same in either order: "chest pain", "pain in the chest"."""
    return tuple(sorted(stems)) if len(stems) == 2 else stems


_LONG_WORD = 7
"""Least letters of a word whose ending is looked at."""


def _endings(word: str) -> Iterator[str]:
    return (word[-size:] for size in range(4, 8))


_LINE = re.compile(r"^([a-z0-9_]+)(\*?)\s*(?:<\s*([a-z0-9_, ]+?))?\s*:\s*(.*)$")


def _entries(text: str) -> Iterator[tuple[str, str, bool, list[str], list[str]]]:
    """Name, kind, whether a panel, parents and phrases of each line."""
    kind = ""
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            kind = line.strip("[]")
            continue
        match = _LINE.match(line)
        if match is None or not kind:
            raise ValueError(f"line {number} of the lexicon is not 'name < parents: phrases' under a [kind]: {line!r}")
        name, star, above, phrases = match.groups()
        parents = [parent.strip() for parent in (above or "").split(",") if parent.strip()]
        yield name, kind, bool(star), parents, [phrase.strip() for phrase in phrases.split(",") if phrase.strip()]


@lru_cache(maxsize=2)
def lexicon(language: Language = "en") -> Lexicon:
    """The shipped lexicon of a language."""
    name = "concepts.txt" if language == "en" else "concepts_zh.txt"
    return Lexicon(files("promed_env.patients").joinpath("data", name).read_text(encoding="utf-8"), language)
