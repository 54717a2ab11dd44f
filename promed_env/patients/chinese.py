"""How well each fact of a Chinese case answers a question: concepts, pairs of characters, sections; and who is asked.

The counterpart of `promed_env.patients.features` for Chinese, with a lexicon of its own (`data/concepts_zh.txt`) and
pairs of characters in place of word vectors. Where a fact carries a question of its own, as in the bundled vignettes,
a question that resembles it counts for the fact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promed_env.case import Fact, Section
from promed_env.datasets.sections import tag_section
from promed_env.patients import Informant
from promed_env.patients.concepts import HOME, SECTION_CONCEPT, Concept, Lexicon, lexicon
from promed_env.patients.words import tokenise

__all__ = ["FEATURES", "Cut", "features", "informant_asked"]

Floats = NDArray[np.float64]
Cut = Callable[[str], tuple[str, ...]]
"""Cuts a text into pieces to compare."""

FEATURES: dict[str, str] = {
    "bias": "one",
    "coverage": "share of the needs that the fact or its own question meets, by weight",
    "core_coverage": "the same over the specific needs",
    "text_coverage": "the same met by the fact's text alone",
    "unmet_need": "weight of the worst met specific need",
    "coverage_gap": "core coverage less that of the best covered fact",
    "absent": "weight of the worst specific need that no fact meets",
    "pieces": "share of the question's pieces that the fact's text has, by rarity in the case",
    "pieces_gap": "the same less that of the best fact",
    "own_pieces": "overlap (Dice) of the pieces of the question and of the fact's own question",
    "own_pieces_gap": "the same less that of the best fact",
    "own_concepts": "share of the specific needs of the fact's own question that the question names",
    "own": "the fact has a question of its own",
    "section": "the fact stands in a section that the question is about",
    "broad_section": "the same, for a question about a section as a whole",
    "broad": "the question is about a section as a whole",
    "unasked_exam": "the fact is an examination or a test, and the patient is asked",
    "family_missing": "the question is about the family, the fact is not",
    "family_extra": "the fact is about the family, the question is not",
    "complaint": "the question is about the complaint, and the fact is a symptom, best the first one",
    "focus": "share of the fact's own concepts that the question names",
    "details": "number of the fact's own concepts, up to 4, over 4",
    "attribute_only": "the question names nothing but attributes (when, how much)",
    "empty": "the question names nothing at all",
    "side": "the question names one side of the body, the fact only the other",
    "unmet_body": "the question names a part of the body, the fact another one",
    "unmet_word": "weight of the worst met word outside the lexicon",
}
"""Name of a feature -> what it is, in the order of the columns of `features`."""

_BROAD = frozenset(SECTION_CONCEPT.values()) | {"complaint", "lab_any", "imaging", "past", "treatment"}
_WEIGHT = {"attribute": 0.3, "body": 0.6, "complaint": 0.6}
"""Weight of a need by the kind of its concept, else 1."""
_BROAD_WEIGHT = 0.6
_SIDES = frozenset("左右")
_PANEL = 0.6
"""How far "blood count normal" answers a question about the platelets."""


class _Need(NamedTuple):
    """One thing that a question asks for: concepts that it may mean, or pieces outside the lexicon."""

    mask: int
    panels: int
    weight: float
    specific: bool
    pieces: frozenset[str]


class _Question(NamedTuple):
    needs: tuple[_Need, ...]
    sections: frozenset[Section]
    broad: bool
    attribute_only: bool
    family: bool
    complaint: bool
    addressee: Informant
    closure: int
    pieces: frozenset[str]
    sides: frozenset[str]
    body: int


class _Fact(NamedTuple):
    """What a fact means: its text, and its own question."""

    own: int
    closure: int
    specific: tuple[int, ...]
    pieces: frozenset[str]
    characters: frozenset[str]
    question: _Question | None
    section: Section
    sides: frozenset[str]
    body: int


class _Case(NamedTuple):
    facts: tuple[_Fact, ...]
    rarity: dict[str, float]
    complaints: tuple[float, ...]


def features(question: str, facts: tuple[Fact, ...], cut: Cut = tokenise) -> Floats:
    """The features of every fact for a question, (n_facts, len(FEATURES)).

    Args:
        question: One question.
        facts: At least one fact.
        cut: Cuts texts into the pieces that are compared outside the lexicon; pairs of characters by default.
    """
    asked, case = _ask(question, cut), _index(facts, cut)
    in_text = _met(asked.needs, case, own=False)
    met = np.maximum(in_text, _met(asked.needs, case, own=True))
    weights = np.array([need.weight for need in asked.needs])
    specific = np.array([need.weight * need.specific for need in asked.needs])
    n = len(facts)
    out = np.zeros((n, len(FEATURES)))
    out[:, 0] = 1
    if asked.needs:
        out[:, 1] = weights @ met / weights.sum()
        by = specific if specific.any() else weights
        out[:, 2] = by @ met / by.sum()
        out[:, 3] = by @ in_text / by.sum()
        out[:, 4] = (specific[:, None] * (1 - met)).max(axis=0)
        out[:, 6] = (specific * (1 - met.max(axis=1))).max()
        unknown = np.array([need.weight * (not need.mask) for need in asked.needs])
        out[:, 26] = (unknown[:, None] * (1 - met)).max(axis=0)
    out[:, 5] = out[:, 2] - out[:, 2].max()
    everywhere = 1 + np.log(1 + n)
    rarity = {piece: case.rarity.get(piece, everywhere) for piece in asked.pieces}
    total = sum(rarity.values())
    closure = asked.closure
    for row, fact in zip(out, case.facts, strict=True):
        if total:
            row[7] = sum(rarity[piece] for piece in asked.pieces & fact.pieces) / total
        if fact.question is not None:
            theirs = fact.question.pieces
            row[9] = 2 * len(asked.pieces & theirs) / max(1, len(asked.pieces) + len(theirs))
            wanted = [need.mask for need in fact.question.needs if need.specific]
            row[11] = sum(mask & closure != 0 for mask in wanted) / max(1, len(wanted))
            row[12] = 1
        home = fact.section in asked.sections
        is_family = fact.section == "family"
        row[13:20] = (
            home,
            home and asked.broad,
            asked.broad,
            fact.section in ("exam", "test") and asked.addressee == "patient",
            asked.family and not is_family,
            is_family and not asked.family,
            0,
        )
        row[20] = sum(mask & closure != 0 for mask in fact.specific) / max(1, len(fact.specific))
        row[21] = min(len(fact.specific), 4) / 4
        row[24] = bool(asked.sides) and bool(fact.sides) and asked.sides.isdisjoint(fact.sides)
        row[25] = bool(asked.body and fact.body) and not asked.body & fact.body
    out[:, 8] = out[:, 7] - out[:, 7].max()
    out[:, 10] = out[:, 9] - out[:, 9].max()
    if asked.complaint:
        out[:, 19] = case.complaints
    out[:, 22] = asked.attribute_only
    out[:, 23] = not asked.needs
    return out


def informant_asked(question: str) -> Informant:
    """Who would know, by the kinds of the concepts that a question names."""
    return _ask(question, tokenise).addressee


def _met(needs: tuple[_Need, ...], case: _Case, *, own: bool) -> Floats:
    """How far each fact, by its text or by its own question, meets each need, from 0 to 1, (needs, facts)."""
    met = np.zeros((len(needs), len(case.facts)))
    for column, fact in enumerate(case.facts):
        if own and fact.question is None:
            continue
        closure, mine, pieces = (
            (fact.question.closure, 0, fact.question.pieces)
            if own and fact.question is not None
            else (fact.closure, fact.own, fact.pieces | fact.characters)
        )
        for row, need in enumerate(needs):
            if need.mask:
                met[row, column] = 1 if need.mask & closure else _PANEL * (need.panels & mine != 0)
            else:
                met[row, column] = len(need.pieces & pieces) / len(need.pieces)
    return met


class _Masks(NamedTuple):
    broad: int
    family: int
    complaint: int
    panels: int
    specific: int
    filler: int
    body: int


@lru_cache(maxsize=1)
def _masks() -> _Masks:
    words = lexicon("zh")

    def named(keep: Callable[[Concept], bool]) -> int:
        return words.mask(*(concept.name for concept in words.concepts if keep(concept)))

    return _Masks(
        broad=words.mask(*_BROAD),
        family=named(lambda concept: concept.kind == "family"),
        complaint=words.mask("complaint", "symptoms"),
        panels=named(lambda concept: concept.panel and concept.name not in _BROAD),
        specific=named(lambda concept: concept.kind not in (*_WEIGHT, "filler") and concept.name not in _BROAD),
        filler=words.mask("filler"),
        body=named(lambda concept: concept.kind == "body"),
    )


def _weight(concepts: Iterable[Concept]) -> float:
    return max(_BROAD_WEIGHT if concept.name in _BROAD else _WEIGHT.get(concept.kind, 1.0) for concept in concepts)


@lru_cache(maxsize=16384)
def _ask(question: str, cut: Cut) -> _Question:
    """What a question needs."""
    words, masks = lexicon("zh"), _masks()
    reading = words.read(question, "question")
    needs: dict[_Need, None] = {}  # in order, each once
    kinds: list[tuple[float, str]] = []
    mask = 0
    last: _Need | None = None
    for span in reading.spans:
        if span.mask & masks.filler:
            last = None
            continue
        mask |= span.mask
        concepts = list(words.of(span.mask))
        weight = _weight(concepts)
        panels = words.closure(span.mask) & masks.panels & ~span.mask
        need = _Need(span.mask, panels, weight, span.mask & masks.specific != 0, frozenset())
        if span.listed and last is not None and last.specific and need.specific and kinds[-1][1] == concepts[0].kind:
            # A fact on any item of a list answers "fever, chills or sweats".
            del needs[last]
            need = _Need(last.mask | need.mask, last.panels | panels, max(last.weight, weight), True, frozenset())
        needs[need] = None
        last = need
        kinds.append((weight, concepts[0].kind))
    for run in reading.rest:
        pieces = frozenset(cut(run))
        if pieces:
            needs[_Need(0, 0, 0.3 if len(run) == 1 else 0.7, True, pieces)] = None
    specific = any(need.specific for need in needs)
    return _Question(
        needs=tuple(needs),
        sections=frozenset(HOME[kind] for _, kind in kinds if kind in HOME),
        broad=bool(needs) and not specific and mask & masks.broad != 0,
        attribute_only=bool(needs) and not specific and not mask & masks.broad,
        family=mask & masks.family != 0,
        complaint=mask & masks.complaint != 0,
        addressee=_addressee(kinds),
        closure=words.closure(mask),
        pieces=frozenset(cut(question)),
        sides=_SIDES & frozenset(question),
        body=words.closure(mask) & masks.body,
    )


def _addressee(kinds: list[tuple[float, str]]) -> Informant:
    """The laboratory if half of what is asked for are tests, the examiner if most is examined, else the patient."""
    telling = [kind for weight, kind in kinds if weight >= _BROAD_WEIGHT]
    if not telling:
        return "patient"
    if telling.count("test") * 2 >= len(telling):
        return "laboratory"
    return "examiner" if sum(kind in ("exam", "test") for kind in telling) * 2 >= len(telling) else "patient"


@lru_cache(maxsize=2048)
def _index(facts: tuple[Fact, ...], cut: Cut) -> _Case:
    """What the facts of a case mean."""
    read = tuple(_read(fact, lexicon("zh"), cut) for fact in facts)
    counts = Counter(piece for fact in read for piece in fact.pieces)
    rarity = {piece: 1 + float(np.log((1 + len(facts)) / (1 + count))) for piece, count in counts.items()}
    complaints: list[float] = []
    for fact in read:
        earlier = sum(value > 0 for value in complaints)
        complaints.append((fact.section == "symptom") * (1.5 if not earlier else 1.0 if earlier < 3 else 0.5))
    return _Case(read, rarity, tuple(complaints))


def _read(fact: Fact, words: Lexicon, cut: Cut) -> _Fact:
    section = fact.section if fact.section != "other" else tag_section(fact.text)
    masks = _masks()
    spans = [span.mask for span in words.read(fact.text, "fact").spans if not span.mask & masks.filler]
    own = 0
    for mask in spans:
        own |= mask
    told = own | (words.mask(SECTION_CONCEPT[section]) if section in SECTION_CONCEPT else 0)
    return _Fact(
        own=own,
        closure=words.closure(told),
        specific=tuple(mask for mask in spans if mask & masks.specific),
        pieces=frozenset(cut(fact.text)),
        characters=frozenset(fact.text),
        question=_ask(fact.question_text, cut) if fact.question_text else None,
        section=section,
        sides=_SIDES & frozenset(fact.text),
        body=words.closure(own) & masks.body,
    )
