"""Which finding of a knowledge base a question in free words asks for: the model behind `patients.knowledge`.

A finding has several wordings: its canonical question, the sentence that affirms it, its name and, for the shipped
knowledge base, the phrases of `data/findings.txt`. Each is compared with the question by clinical concepts
(`promed_env.patients.concepts`), by words and by distilled word vectors (`promed_env.patients.embedding`), and a
finding comes as near as its nearest wording. "None of them" is one more choice. A multinomial logistic model
(`data/weights_findings.toml`, fitted by `scripts/fit_findings.py`) turns these features into the probability of each
choice; a finding is told if it is the likeliest and likelier than a threshold, so that a question that fits nothing
finds nothing. What concerns the findings alone is computed once a knowledge base. Numpy only.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promed_env.knowledge import KnowledgeBase, primary_care
from promed_env.patients.concepts import lexicon
from promed_env.patients.embedding import encode, table
from promed_env.patients.screening import MAX_LENGTH
from promed_env.patients.words import FUNCTION_WORDS, stem, tokenise

__all__ = [
    "FEATURES",
    "NONE_FEATURES",
    "FindingModel",
    "FindingRetriever",
    "Wordings",
    "find_finding",
    "none_features",
    "read_model",
    "shipped_wordings",
]

Floats = NDArray[np.float32]
Wordings = Mapping[str, Sequence[str]]
"""Finding id -> phrases that ask for it."""

FEATURES: dict[str, str] = {
    "coverage": "share of what the question names that the wording meets, by concept, word or similar word",
    "words": "share of the question's words that are, or nearly are, in the wording",
    "exact_words": "share of the question's words that are in the wording",
    "all_words": "share of the question's words that are, or nearly are, in any wording of the finding",
    "echo": "share of the wording's words that come back, or nearly, in the question",
    "overlap": "harmonic mean of words and echo",
    "concepts": "share of the question's concepts that the wording means",
    "focus": "share of the wording's concepts that the question names",
    "concept_overlap": "harmonic mean of concepts and focus",
    "cosine": "cosine of the question and the wording",
    "cosine_ask": "cosine of the question and the canonical question",
    "examined": "the finding is an examination or a test, and the patient is addressed",
    "told": "the finding is the patient's to tell, and the patient is not addressed",
    "kind": "the finding stands in a section that the question's concepts belong to",
    "family": "question and finding disagree on being about the family",
}
"""Name of a feature -> what it is, in the order of the columns that a finding has; the best over its wordings."""

NONE_FEATURES: dict[str, str] = {
    "bias": "one",
    "coverage": "coverage of the best covered finding",
    "all_words": "the same for all_words",
    "overlap": "the same for overlap",
    "cosine": "the same for cosine",
    "empty": "the question names nothing",
}
"""Name of a feature -> what it is, for the choice that the question asks for none of the findings."""

(
    _COVERAGE, _WORDS, _EXACT_WORDS, _ALL_WORDS, _ECHO, _OVERLAP, _CONCEPTS, _FOCUS, _CONCEPT_OVERLAP, _COSINE,
    _COSINE_ASK, _EXAMINED, _TOLD, _KIND, _FAMILY,
) = range(len(FEATURES))  # fmt: skip
_KINDS = ("symptom", "history", "medication", "family", "social", "exam", "test")
"""Kinds of concepts that are named after the section where they are found."""
_ADDRESS = frozenset(("you", "your", "yours", "yourself"))
_SIMILAR = (0.45, 0.5)
"""Cosine of two words from which they count as similar, and the further rise up to which they count as the same."""
_CEILING = 0.9
_SAME_BEGINNING = 6
"""Letters in common, from the first on, that make words similar: "prostate", "prostatic"."""
_AMERICAN = re.compile("(?:ae|oe)(?=[a-z]{2})")
_REMEMBERED_WORDS = 2048
_REMEMBERED_QUESTIONS = 16384


class FindingModel(NamedTuple):
    """Weights of the logistic model and when to speak.

    Attributes:
        weights: One weight a feature of `FEATURES`.
        none: One weight a feature of `NONE_FEATURES`.
        threshold: Least probability of a finding that is told.
    """

    weights: Floats
    none: Floats
    threshold: float

    def pick(self, values: Floats) -> int | None:
        """The finding to tell, from the features (n_findings, len(FEATURES)); None for none of them."""
        scores = np.append(values @ self.weights, none_features(values) @ self.none)
        likely = np.exp(scores - scores.max())
        best = int(likely.argmax())
        return None if best == len(values) or likely[best] < self.threshold * likely.sum() else best


class FindingRetriever:
    """Finds the finding that a question in free words asks for."""

    def __init__(self, knowledge: KnowledgeBase, wordings: Wordings | None = None) -> None:
        """Read the findings.

        Args:
            knowledge: Whose findings are the candidates.
            wordings: Further phrases; by default those shipped, for the shipped knowledge base, else none.
        """
        if wordings is None:
            wordings = shipped_wordings() if knowledge is primary_care() else {}
        self.knowledge = knowledge
        findings = knowledge.findings
        phrases = [[item.ask, item.yes, item.id.replace("_", " "), *wordings.get(item.id, ())] for item in findings]
        # A rectangle of texts, the first of every finding, the second of every finding, ...; gaps repeat the question.
        self._shape = (max(len(own) for own in phrases), len(findings))
        texts = [own[rank] if rank < len(own) else own[0] for rank in range(self._shape[0]) for own in phrases]
        self._read_words(phrases, texts)
        self._read_concepts(texts)
        self._centre = np.mean([encode(item.ask) for item in findings], axis=0)
        self._sentences = _unit(np.array([encode(text) for text in texts]) - self._centre)
        sections = [finding.section for finding in findings]
        self._examined = np.array([section in ("exam", "test") for section in sections])
        self._section = {kind: np.array([section == kind for section in sections]) for kind in _KINDS}
        self._nearness = lru_cache(maxsize=_REMEMBERED_WORDS)(self._near)

    def _read_words(self, phrases: list[list[str]], texts: list[str]) -> None:
        contents = [_content(text) for text in texts]
        counts = Counter(key for own in phrases for key in {_key(word) for text in own for word in _content(text)})
        self._rarity = {key: _rarity(count, len(phrases)) for key, count in counts.items()}
        self._unknown = _rarity(0, len(phrases))
        self._vocabulary = {key: index for index, key in enumerate(counts)}
        spelt = {_key(word): word for words in contents for word in words}
        self._beginnings: dict[str, list[int]] = {}
        for key, index in self._vocabulary.items():
            self._beginnings.setdefault(key[:_SAME_BEGINNING], []).append(index)
        self._vectors = _unit(np.array([table().word(_spelling(spelt[key])) for key in counts]))
        self._places = np.array([self._vocabulary[_key(word)] for words in contents for word in words])
        self._words = np.cumsum([0, *(len(words) for words in contents[:-1])])  # first word of each text
        weights = np.array([self._rarity[_key(word)] for words in contents for word in words], dtype=np.float32)
        totals = np.add.reduceat(weights, self._words)
        self._shares = weights / np.repeat(np.maximum(totals, 1e-6), [len(words) for words in contents])

    def _read_concepts(self, texts: list[str]) -> None:
        words = lexicon()
        self._means = np.zeros((len(words.concepts), len(texts)), dtype=np.float32)
        own = np.zeros_like(self._means)
        for column, text in enumerate(texts):
            mask = 0
            for span in words.read(text, "question").spans:
                mask |= span.mask
            own[[concept.index for concept in words.of(mask)], column] = 1
            self._means[[concept.index for concept in words.of(words.closure(mask))], column] = 1
        counts = self._best(self._means).sum(axis=1)
        self._concept_rarity = np.array([_rarity(int(count), self._shape[1]) for count in counts], dtype=np.float32)
        focus = own * self._concept_rarity[:, None]
        self._focus = focus / np.maximum(focus.sum(axis=0), 1e-6)

    def find(self, question: str) -> int | None:
        """The index of the finding that a question asks for; None if it asks for none of them."""
        return read_model().pick(self.features(question))

    def features(self, question: str) -> Floats:
        """What the model sees of each finding, (n_findings, len(FEATURES))."""
        question = question[:MAX_LENGTH]
        tokens = tokenise(question)
        words = [word for word in dict.fromkeys(tokens) if word not in FUNCTION_WORDS and not word[0].isdigit()]
        texts = np.zeros((len(FEATURES), len(self._sentences)), dtype=np.float32)
        kinds = self._compare_concepts(texts, question)
        if words:
            self._compare_words(texts, words)
            texts[_COSINE] = self._sentences @ _unit((encode(question) - self._centre)[None])[0]
        values = self._best(texts)
        if words:
            values[_ALL_WORDS] = self._weights(words) @ np.array([self._nearness(word)[2] for word in words])
        values[_COSINE_ASK] = texts[_COSINE, : self._shape[1]]  # the canonical questions come first
        addressed = not _ADDRESS.isdisjoint(tokens)
        values[_EXAMINED] = self._examined & addressed
        values[_TOLD] = ~self._examined & (not addressed)
        for kind in kinds & self._section.keys():
            values[_KIND, self._section[kind]] = 1
        values[_FAMILY] = self._section["family"] != ("family" in kinds)
        return values.T

    def _compare_concepts(self, texts: Floats, question: str) -> set[str]:
        """Fill in, for every text, what rests on concepts; the kinds of the concepts that the question names."""
        known = lexicon()
        reading = known.read(question, "question")
        needs: list[Floats] = []
        weights: list[float] = []
        kinds: set[str] = set()
        mask = 0
        total = 0.0
        for span in reading.spans:
            mask |= span.mask
            concepts = list(known.of(span.mask))
            kinds.update(concept.kind for concept in concepts)
            indexes = [concept.index for concept in concepts]
            weight = float(self._concept_rarity[indexes].max())
            met = self._means[indexes].max(axis=0)
            texts[_CONCEPTS] += weight * met
            total += weight
            if span.words:
                similar = sum(self._nearness(word)[1] for word in span.words) / np.float32(len(span.words))
                met = np.maximum(met, similar)
            needs.append(met)
            weights.append(weight)
        for word in reading.rest:
            needs.append(self._nearness(word)[1])
            weights.append(self._rarity.get(_key(word), self._unknown))
        if sum(weights):
            texts[_COVERAGE] = np.array(weights, dtype=np.float32) / np.float32(sum(weights)) @ np.array(needs)
        if total:
            texts[_CONCEPTS] /= total
            texts[_FOCUS] = self._focus[[concept.index for concept in known.of(known.closure(mask))]].sum(axis=0)
            texts[_CONCEPT_OVERLAP] = _harmonic(texts[_CONCEPTS], texts[_FOCUS])
        return kinds

    def _compare_words(self, texts: Floats, words: list[str]) -> None:
        """Fill in, for every text, what rests on words."""
        weights = self._weights(words)
        near = np.array([self._nearness(word)[1] for word in words])
        texts[_WORDS] = weights @ near
        texts[_EXACT_WORDS] = weights @ (near >= 1)
        echoed = np.max([self._nearness(word)[0] for word in words], axis=0)
        texts[_ECHO] = np.add.reduceat(self._shares * echoed[self._places], self._words)
        texts[_OVERLAP] = _harmonic(texts[_WORDS], texts[_ECHO])

    def _weights(self, words: list[str]) -> Floats:
        """The share of each word of a question in what it says, by rarity."""
        rarity = np.array([self._rarity.get(_key(word), self._unknown) for word in words], dtype=np.float32)
        weights: Floats = rarity / max(float(rarity.sum()), 1e-6)
        return weights

    def _best(self, values: Floats) -> Floats:
        """The best over the texts of each finding, (rows, n_findings), from (rows, n_texts)."""
        best: Floats = values.reshape(len(values), *self._shape).max(axis=1)
        return best

    def _near(self, word: str) -> tuple[Floats, Floats, Floats]:
        """How near a word comes, from 0 to 1, to each word of the vocabulary, the nearest of each text and finding."""
        key = _key(word)
        vector = _unit(table().word(_spelling(word))[None])[0]
        low, rise = _SIMILAR
        near: Floats = np.clip((self._vectors @ vector - low) / rise, 0, 1) * np.float32(_CEILING)
        if len(key) >= _SAME_BEGINNING:
            near[self._beginnings.get(key[:_SAME_BEGINNING], [])] = _CEILING
        if key in self._vocabulary:
            near[self._vocabulary[key]] = 1
        texts: Floats = np.maximum.reduceat(near[self._places], self._words)
        return near, texts, texts.reshape(self._shape).max(axis=0)


def none_features(values: Floats) -> Floats:
    """What the model sees of the choice "none of them", (len(NONE_FEATURES),), from the features of the findings."""
    coverage, words, overlap, cosine = values[:, [_COVERAGE, _ALL_WORDS, _OVERLAP, _COSINE]].max(axis=0)
    return np.array([1, coverage, words, overlap, cosine, coverage == cosine == 0], dtype=np.float32)


@lru_cache(maxsize=_REMEMBERED_QUESTIONS)
def find_finding(knowledge: KnowledgeBase, question: str) -> int | None:
    """`FindingRetriever.find`, remembered; a knowledge base is read once."""
    return _retriever(knowledge).find(question)


@lru_cache(maxsize=4)
def _retriever(knowledge: KnowledgeBase) -> FindingRetriever:
    return FindingRetriever(knowledge)


@lru_cache(maxsize=1)
def read_model() -> FindingModel:
    """The shipped model."""
    data = tomllib.loads(_read("weights_findings.toml"))
    weights = np.array([data["finding"][name] for name in FEATURES], dtype=np.float32)
    none = np.array([data["none"][name] for name in NONE_FEATURES], dtype=np.float32)
    return FindingModel(weights, none, float(data["threshold"]))


@lru_cache(maxsize=1)
def shipped_wordings() -> Wordings:
    """The phrases of `data/findings.txt`.

    Raises:
        ValueError: A line is not "finding: phrase; phrase"; the message says which.
    """
    wordings: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(_read("findings.txt").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, phrases = line.partition(":")
        if not colon or name in wordings:
            raise ValueError(
                f"line {number} of findings.txt is not 'finding: phrase; phrase', or stands twice: {line!r}"
            )
        wordings[name] = tuple(phrase.strip() for phrase in phrases.split(";") if phrase.strip())
    return wordings


def _read(name: str) -> str:
    return files("promed_env.patients").joinpath("data", name).read_text(encoding="utf-8")


def _content(text: str) -> list[str]:
    """The distinct words that say something, in order; all words if none does, and never nothing."""
    tokens = list(dict.fromkeys(tokenise(text)))
    return [token for token in tokens if token not in FUNCTION_WORDS and not token[0].isdigit()] or tokens or [""]


def _spelling(word: str) -> str:
    """A word in American spelling, as the word vectors know it: "haemoptysis", "oedema", "leucocytes"."""
    return _AMERICAN.sub("e", word).replace("leuco", "leuko").replace("tumour", "tumor") if len(word) > 5 else word


@lru_cache(maxsize=16384)
def _key(word: str) -> str:
    return stem(_spelling(word))


def _harmonic(one: Floats, other: Floats) -> Floats:
    mean: Floats = 2 * one * other / np.maximum(one + other, np.float32(1e-6))
    return mean


def _rarity(count: int, total: int) -> float:
    """Inverse document frequency, from 0 to 1."""
    return float(np.log((total + 1) / (count + 1)) / np.log(total + 1))


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-6))
    return unit
