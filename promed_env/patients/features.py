"""Features: how well each fact of a case meets a question, as numbers for a logistic model.

A question is a set of needs: the things it names, by concept (`promed_env.patients.concepts`) or, outside the
lexicon, by word. A fact meets a need by meaning it, by being the report on a whole that the need is part of, or, in
part, by similar words (`promed_env.patients.embedding`). The features compare a fact with the question and with the
other facts of the case.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promed_env.case import Fact, Section
from promed_env.datasets.sections import tag_section
from promed_env.interview import CATALOGUE
from promed_env.patients import Informant
from promed_env.patients.concepts import HOME, SECTION_CONCEPT, Concept, Lexicon, lexicon
from promed_env.patients.embedding import EMBEDDING_DIM, encode, table
from promed_env.patients.words import FUNCTION_WORDS, stem, tokenise

__all__ = ["FEATURES", "features", "informant_asked"]

Floats = NDArray[np.float64]

FEATURES: dict[str, str] = {
    "bias": "one",
    "coverage": "share of the needs that the fact meets, by weight",
    "core_coverage": "the same over the specific needs",
    "best_need": "weight of the best met need",
    "unmet_need": "weight of the worst met specific need",
    "cosine": "cosine of question and fact, both centred",
    "similarity": "how near each word of the question comes to a word of the fact, on average",
    "coverage_gap": "coverage less that of the best covered fact",
    "similarity_gap": "similarity less that of the most similar fact",
    "section": "the fact stands in a section that the question is about",
    "broad_section": "the same, for a question about a section as a whole",
    "broad": "the question is about a section as a whole",
    "unasked_exam": "the fact is an examination or a test, and the patient is asked",
    "family_missing": "the question is about the family, the fact is not",
    "family_extra": "the fact is about the family, the question is not",
    "complaint": "the question is about the complaint, and the fact names a symptom, best the first one",
    "focus": "share of the fact's own concepts that the question names",
    "details": "number of the fact's own concepts, up to 4, over 4",
    "absent": "weight of the specific need that no fact meets at all",
    "attribute_only": "the question names nothing but attributes (when, how often)",
    "performed": "the fact only says that something was done",
    "continued": "coverage of the fact before, if this one goes on about it",
}
"""Name of a feature -> what it is, in the order of the columns of `features`."""

_BROAD = frozenset(SECTION_CONCEPT.values()) | {
    "complaint", "lab_any", "imaging", "plan", "outcome", "treatment_given", "previous_care",
}  # fmt: skip
_WEIGHT = {"attribute": 0.4, "act": 0.3, "body": 0.6, "complaint": 0.6}
"""Weight of a need by the kind of its concept, else 1: a body part or a "when" narrows a question."""
_BROAD_WEIGHT = 0.6
_PANEL = 0.6
"""How far "vital signs are normal" answers a question about the pulse."""

_PERFORMED = re.compile(
    r"\b(?:is|are|was|were) (?:\w+ )?"
    r"(?:performed|obtained|ordered|taken|sent|scheduled|collected|drawn|requested|done)\b",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"^(?:it|they|these|this|there|the "
    r"(?:pain|rash|lesions?|mass|nodules?|episodes?|symptoms?|nuclei|murmur|cells?|bacteri\w+|organism))\b",
    re.IGNORECASE,
)


class _Need(NamedTuple):
    """One thing that a question asks for.

    Attributes:
        mask: The concepts that it may mean; 0 for a word outside the lexicon.
        panels: The panels that it is part of.
        weight: How much it counts.
        specific: Whether it is what the question is about, rather than a section, a body part or an attribute.
        stem: The stem of a word outside the lexicon, else "".
        rows: The rows of its words in the question's word vectors.
    """

    mask: int
    panels: int
    weight: float
    specific: bool
    stem: str
    rows: tuple[int, ...]


class _Question(NamedTuple):
    needs: tuple[_Need, ...]
    weights: Floats
    specific: Floats
    sections: frozenset[Section]
    broad: bool
    attribute_only: bool
    family: bool
    complaint: bool
    addressee: Informant
    closure: int
    vectors: NDArray[np.float32]
    rarity: NDArray[np.float32]
    sentence: NDArray[np.float32]


class _Facts(NamedTuple):
    closures: list[int]
    own: list[int]
    own_specific: list[list[int]]
    stems: list[frozenset[str]]
    sections: list[Section]
    vectors: NDArray[np.float32]
    starts: NDArray[np.intp]
    sentences: NDArray[np.float32]
    fixed: Floats


class _Masks(NamedTuple):
    broad: int
    family: int
    complaint: int
    panels: int
    specific: int
    symptom: int


def features(question: str, facts: tuple[Fact, ...], words: Lexicon | None = None) -> Floats:
    """The features of every fact for a question, (n_facts, len(FEATURES)).

    Args:
        question: One question.
        facts: At least one fact.
        words: The lexicon that the question is read with, if not the whole one: the same concepts with fewer phrases,
            to learn what to do with words that the lexicon lacks.
    """
    asked, case = _ask(question, words), _index(facts)
    n = len(facts)
    near, similarity = _nearness(asked, case)
    met = _met(asked, case, near)
    out = np.empty((n, len(FEATURES)))
    out[:, 0] = 1
    if asked.needs:
        specific_weights = asked.weights * asked.specific
        coverage = asked.weights @ met / asked.weights.sum()
        total = specific_weights.sum()
        core = specific_weights @ met / total if total else coverage
        out[:, 3] = (asked.weights[:, None] * met).max(axis=0)
        out[:, 4] = (specific_weights[:, None] * (1 - met)).max(axis=0)
        out[:, 18] = (asked.specific * (1 - met.max(axis=1))).max()
    else:
        coverage = core = np.zeros(n)
        out[:, 3:5] = 0
        out[:, 18] = 1
    out[:, 1], out[:, 2] = coverage, core
    out[:, 5] = case.sentences @ asked.sentence
    out[:, 6] = similarity
    out[:, 7] = coverage - coverage.max()
    out[:, 8] = similarity - similarity.max()
    fit = np.array([section in asked.sections for section in case.sections], dtype=np.float64)
    out[:, 9] = fit
    out[:, 10] = fit * asked.broad
    out[:, 11] = asked.broad
    family, complaint, examined, counts, performed, goes_on = case.fixed
    out[:, 12] = examined * (asked.addressee == "patient")
    out[:, 13] = asked.family * (1 - family)
    out[:, 14] = (not asked.family) * family
    out[:, 15] = asked.complaint * complaint
    named = [sum(1 for mask in masks if mask & asked.closure) for masks in case.own_specific]
    out[:, 16] = np.array(named) / np.maximum(counts, 1)
    out[:, 17] = np.minimum(counts, 4) / 4
    out[:, 19] = asked.attribute_only
    out[:, 20] = performed
    out[0, 21] = 0
    out[1:, 21] = core[:-1] * goes_on[1:]
    return out


def informant_asked(question: str) -> Informant:
    """Who would know, by the kinds of the concepts that a question names."""
    return _ask(question, None).addressee


def _nearness(asked: _Question, case: _Facts) -> tuple[NDArray[np.float32], Floats]:
    """For each word of the question the cosine of the nearest word of each fact, and the mean weighted by rarity."""
    n = len(case.closures)
    if not len(asked.vectors):
        return np.zeros((0, n), dtype=np.float32), np.zeros(n)
    near = np.maximum.reduceat(asked.vectors @ case.vectors.T, case.starts, axis=1)
    return near, (asked.rarity @ near / max(float(asked.rarity.sum()), 1e-6)).astype(np.float64)


def _met(asked: _Question, case: _Facts, near: NDArray[np.float32]) -> Floats:
    """How far each fact meets each need, from 0 to 1, (needs, facts)."""
    met = np.zeros((len(asked.needs), len(case.closures)))
    for row, need in zip(met, asked.needs, strict=True):
        if need.rows:
            close = near[need.rows[0]] if len(need.rows) == 1 else near[list(need.rows)].mean(axis=0)
            # Similar words stand in for a word outside the lexicon; a concept tells "sodium" from "potassium".
            low, ceiling = (0.5, 0.5) if need.mask else (0.4, 0.9)
            row += np.minimum(np.maximum((close - low) / 0.4, 0), 1) * ceiling
        if need.mask:
            for column, closure in enumerate(case.closures):
                if need.mask & closure:
                    row[column] = 1
                elif need.panels & case.own[column]:
                    row[column] = max(row[column], _PANEL)
        else:
            for column, stems in enumerate(case.stems):
                if need.stem in stems:
                    row[column] = 1
    return met


@lru_cache(maxsize=1)
def _masks() -> _Masks:
    words = lexicon()
    panels = [concept.name for concept in words.concepts if concept.panel and concept.name not in _BROAD]
    specific = [
        concept.name for concept in words.concepts if concept.kind not in _WEIGHT and concept.name not in _BROAD
    ]
    return _Masks(
        broad=words.mask(*_BROAD),
        family=words.mask("family_history"),
        complaint=words.mask("complaint", "symptoms"),
        panels=words.mask(*panels),
        specific=words.mask(*specific),
        symptom=words.mask(*(concept.name for concept in words.concepts if concept.kind == "symptom")),
    )


def _weight(concept: Concept) -> float:
    return _BROAD_WEIGHT if concept.name in _BROAD else _WEIGHT.get(concept.kind, 1.0)


@lru_cache(maxsize=16384)
def _ask(question: str, words: Lexicon | None) -> _Question:
    """What a question needs."""
    words, masks = lexicon() if words is None else words, _masks()
    reading = words.read(question, "question")
    needs: list[_Need] = []
    kinds: list[tuple[float, str]] = []
    vectors: list[str] = []

    def rows(count: int) -> tuple[int, ...]:
        return tuple(range(len(vectors), len(vectors) + count))

    mask = 0
    last_kinds: set[str] = set()
    for span in reading.spans:
        mask |= span.mask
        concepts = list(words.of(span.mask))
        weight = max(_weight(concept) for concept in concepts)
        panels = words.closure(span.mask) & masks.panels & ~span.mask
        need = _Need(span.mask, panels, weight, bool(span.mask & masks.specific), "", rows(len(span.words)))
        own_kinds = {concept.kind for concept in concepts}
        if span.listed and need.specific and needs[-1].specific and own_kinds & last_kinds:
            need = _either(needs.pop(), need)
        needs.append(need)
        last_kinds = own_kinds
        kinds.extend((weight, concept.kind) for concept in concepts)
        vectors.extend(span.words)
    for word in reading.rest:
        if not word[0].isdigit():
            needs.append(_Need(0, 0, 0.2 + 0.6 * table().rarity(word), True, stem(word), rows(1)))
            vectors.append(word)
    specific = [need.specific for need in needs]
    return _Question(
        needs=tuple(needs),
        weights=np.array([need.weight for need in needs]),
        specific=np.array(specific, dtype=np.float64),
        sections=frozenset(HOME[kind] for _, kind in kinds if kind in HOME),
        broad=bool(needs) and not any(specific),
        attribute_only=not any(specific) and not mask & masks.broad,
        family=bool(mask & masks.family),
        complaint=bool(mask & masks.complaint),
        addressee=_addressee(kinds),
        closure=words.closure(mask),
        vectors=_unit([table().word(word) for word in vectors]),
        rarity=np.array([table().rarity(word) for word in vectors], dtype=np.float32),
        sentence=_centred(encode(question)),
    )


def _either(one: _Need, other: _Need) -> _Need:
    """The items of a list as one need: a fact on any of them answers "tobacco or alcohol"."""
    return _Need(
        one.mask | other.mask, one.panels | other.panels, max(one.weight, other.weight), True, "", one.rows + other.rows
    )


def _addressee(kinds: list[tuple[float, str]]) -> Informant:
    """The laboratory if half of what is asked for are tests, the examiner if most is examined, else the patient."""
    telling = [kind for weight, kind in kinds if weight >= _BROAD_WEIGHT] or [kind for _, kind in kinds]
    if not telling:
        return "patient"
    if telling.count("test") * 2 >= len(telling):
        return "laboratory"
    return "examiner" if sum(kind in ("exam", "body", "test") for kind in telling) * 2 > len(telling) else "patient"


@lru_cache(maxsize=2048)
def _index(facts: tuple[Fact, ...]) -> _Facts:
    """What the facts of a case mean."""
    words, masks = lexicon(), _masks()
    sections = [fact.section if fact.section != "other" else tag_section(fact.text) for fact in facts]
    own, own_specific, closures, stems, starts = [], [], [], [], []
    vectors: list[NDArray[np.float32]] = []
    for fact, section in zip(facts, sections, strict=True):
        spans = words.read(fact.text, "fact").spans
        mask = 0
        for span in spans:
            mask |= span.mask
        own.append(mask)
        own_specific.append([span.mask for span in spans if span.mask & masks.specific])
        if section in SECTION_CONCEPT:
            mask |= words.mask(SECTION_CONCEPT[section])
        closures.append(words.closure(mask))
        tokens = [token for token in tokenise(fact.text) if token not in FUNCTION_WORDS and not token[0].isdigit()]
        stems.append(frozenset(stem(token) for token in tokens))
        starts.append(len(vectors))
        vectors.extend(table().word(token) for token in tokens)
        if not tokens:  # `reduceat` needs a row for every fact
            vectors.append(np.zeros(EMBEDDING_DIM, dtype=np.float32))
    counts = [len(spans) for spans in own_specific]
    goes_on = [
        index > 0
        and sections[index] in (sections[index - 1], "other")
        and (not counts[index] or _GOES_ON.search(fact.text) is not None)
        for index, fact in enumerate(facts)
    ]
    fixed = [
        [section == "family" or mask & masks.family != 0 for section, mask in zip(sections, own, strict=True)],
        _complaints(own, sections),
        [section in ("exam", "test") for section in sections],
        counts,
        [_PERFORMED.search(fact.text) is not None for fact in facts],
        goes_on,
    ]
    return _Facts(
        closures=closures,
        own=own,
        own_specific=own_specific,
        stems=stems,
        sections=sections,
        vectors=_unit(vectors),
        starts=np.array(starts, dtype=np.intp),
        sentences=_sentences(facts),
        fixed=np.array(fixed, dtype=np.float64),
    )


def _complaints(own: list[int], sections: list[Section]) -> list[float]:
    """How likely each fact is the complaint: the first symptom that is told most, later ones less."""
    told: list[float] = []
    for mask, section in zip(own, sections, strict=True):
        eligible = section == "symptom" or (
            section in ("history", "other", "demographics") and mask & _masks().symptom != 0
        )
        earlier = sum(value > 0 for value in told)
        told.append((1.5 if not earlier else 1.0 if earlier < 3 else 0.5) * eligible)
    return told


def _sentences(facts: tuple[Fact, ...]) -> NDArray[np.float32]:
    """Unit vectors of the facts, centred on the case: what they share tells none of them apart."""
    vectors = np.stack([encode(fact.text) for fact in facts])
    return _unit(list(vectors - vectors.mean(axis=0) if len(facts) > 2 else vectors))


@lru_cache(maxsize=1)
def _centre() -> NDArray[np.float32]:
    """The mean direction of clinical questions, which tells none of them apart."""
    mean: NDArray[np.float32] = np.mean([encode(question) for question in CATALOGUE], axis=0, dtype=np.float32)
    return mean


def _centred(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = _unit([vector - _centre()])[0]
    return unit


def _unit(vectors: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The vectors at length 1, as rows; zero stays zero."""
    if not vectors:
        return np.zeros((0, EMBEDDING_DIM), dtype=np.float32)
    rows = np.stack(vectors)
    unit: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return unit
