"""Which finding of a knowledge base a question in free words asks for: the model behind `patients.knowledge`.

Every finding is compared with the question by clinical concepts (`promed_env.patients.concepts`), by words and by
distilled word vectors (`promed_env.patients.embedding`); "none of them" is one more choice. A multinomial logistic
model (`data/weights_findings.toml`, fitted by `scripts/fit_findings.py`) turns these features into the probability of
each choice. A finding is told if it is both the likeliest and likelier than a threshold, so that a question that fits
nothing finds nothing. What concerns the findings alone is computed once a knowledge base. Numpy only.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promed_env.knowledge import KnowledgeBase
from promed_env.patients.concepts import lexicon
from promed_env.patients.embedding import EMBEDDING_DIM, encode, table
from promed_env.patients.screening import MAX_LENGTH
from promed_env.patients.words import FUNCTION_WORDS, stem, tokenise

__all__ = ["FEATURES", "NONE_FEATURES", "FindingModel", "FindingRetriever", "find_finding", "read_model"]

Floats = NDArray[np.float64]

FEATURES: dict[str, str] = {
    "coverage": "share of what the question names that the finding meets, by concept, word or similar word",
    "concepts": "share of the question's concepts that the finding means",
    "stems": "share of the question's words that the finding's own sentences hold",
    "similarity": "how near each word of the question comes to a word of the finding, on average",
    "unmet": "weight of the worst met thing that the question names",
    "focus": "share of the finding's concepts that the question names",
    "echo": "share of the canonical question's words that come back, or nearly, in the question",
    "exact_echo": "the same, for the very words",
    "cosine_ask": "cosine of the question and the canonical question",
    "cosine_yes": "cosine of the question and the sentence that affirms the finding",
    "cosine_name": "cosine of the question and the finding's name",
    "examined": "the finding is an examination or a test, and the patient is addressed",
    "told": "the finding is the patient's to tell, and the patient is not addressed",
    "kind": "the finding stands in a section that the question's concepts belong to",
    "family": "question and finding disagree on being about the family",
}
"""Name of a feature -> what it is, in the order of the columns that a finding has."""

NONE_FEATURES: dict[str, str] = {
    "bias": "one",
    "coverage": "coverage of the best covered finding",
    "similarity": "similarity of the most similar finding",
    "cosine": "cosine of the nearest canonical question",
    "absent": "weight of the thing that the question names and no finding meets",
    "empty": "the question names nothing",
}
"""Name of a feature -> what it is, for the choice that the question asks for none of the findings."""

_KIND_SECTION = {
    "symptom": "symptom",
    "history": "history",
    "medication": "medication",
    "family": "family",
    "social": "social",
    "exam": "exam",
    "test": "test",
}
_ADDRESS = frozenset(("you", "your", "yours", "yourself"))
_SIMILAR = (0.35, 0.5)
"""Cosine of two words from which they count as similar, and the further rise up to which they count as the same."""
_CEILING = 0.9
_REMEMBERED_WORDS = 8192
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

    def probabilities(self, values: Floats, none: Floats) -> Floats:
        """Probability of each finding and, last, of none, (n_findings + 1,)."""
        scores = np.append(values @ self.weights, none @ self.none)
        likely = np.exp(scores - scores.max())
        normalised: Floats = likely / likely.sum()
        return normalised


class FindingRetriever:
    """Finds the finding that a question in free words asks for."""

    def __init__(self, knowledge: KnowledgeBase) -> None:
        """Read the findings.

        Args:
            knowledge: Whose findings are the candidates.
        """
        self.knowledge = knowledge
        findings = knowledge.findings
        names = [finding.id.replace("_", " ") for finding in findings]
        words = [_content(f"{item.ask} {item.yes} {item.no} {name}") for item, name in zip(findings, names, strict=True)]
        vocabulary = sorted({word for own in words for word in own})
        place = {word: index for index, word in enumerate(vocabulary)}
        stems = [stem(word) for word in vocabulary]
        counts = Counter(token for own in words for token in {stem(word) for word in own})
        self._rarity = {token: _rarity(count, len(findings)) for token, count in counts.items()}
        self._unknown = _rarity(0, len(findings))
        self._stems: dict[str, list[int]] = {}
        for index, token in enumerate(stems):
            self._stems.setdefault(token, []).append(index)
        self._vectors = _unit(np.array([table().word(word) for word in vocabulary]))
        self._places = np.array([place[word] for own in words for word in own])
        self._starts = np.cumsum([0, *(len(own) for own in words[:-1])])
        self._echo = np.zeros((len(findings), len(vocabulary)))
        for row, finding in enumerate(findings):
            for word in _content(finding.ask):
                self._echo[row, place[word]] = self._rarity[stem(word)]
        self._echo /= np.maximum(self._echo.sum(axis=1, keepdims=True), 1e-9)
        self._means = np.zeros((len(lexicon().concepts), len(findings)), dtype=bool)
        own_concepts = np.zeros_like(self._means)
        for column, (item, name) in enumerate(zip(findings, names, strict=True)):
            mask = 0
            for text, side in ((item.ask, "question"), (item.yes, "fact"), (name, "question")):
                for span in lexicon().read(text, side).spans:  # type: ignore[arg-type]
                    mask |= span.mask
            for concept in lexicon().of(mask):
                own_concepts[concept.index, column] = True
            for concept in lexicon().of(lexicon().closure(mask)):
                self._means[concept.index, column] = True
        self._concept_rarity = np.array([_rarity(int(count), len(findings)) for count in self._means.sum(axis=1)])
        focus = own_concepts * self._concept_rarity[:, None]
        self._focus = (focus / np.maximum(focus.sum(axis=0), 1e-9)).T
        self._centre = np.mean([encode(item.ask) for item in findings], axis=0)
        texts = ([item.ask for item in findings], [item.yes for item in findings], names)
        self._sentences = [_unit(np.array([encode(text) for text in column]) - self._centre) for column in texts]
        sections = [finding.section for finding in findings]
        self._examined = np.array([section in ("exam", "test") for section in sections], dtype=np.float64)
        self._family = np.array([section == "family" for section in sections])
        self._section = {
            kind: np.array([section == home for section in sections]) for kind, home in _KIND_SECTION.items()
        }
        self._nearness = lru_cache(maxsize=_REMEMBERED_WORDS)(self._near)

    def find(self, question: str) -> int | None:
        """The index of the finding that a question asks for; None if it asks for none of them."""
        model = read_model()
        probabilities = model.probabilities(*self.features(question))
        best = int(probabilities.argmax())
        if best == len(self.knowledge.findings) or probabilities[best] < model.threshold:
            return None
        return best

    def features(self, question: str) -> tuple[Floats, Floats]:
        """What the model sees: (n_findings, len(FEATURES)) and, for none of them, (len(NONE_FEATURES),)."""
        question = question[:MAX_LENGTH]
        n = len(self.knowledge.findings)
        tokens = tokenise(question)
        words = list(dict.fromkeys(token for token in tokens if token not in FUNCTION_WORDS and not token[0].isdigit()))
        reading = lexicon().read(question, "question")
        met = np.empty((len(reading.spans) + len(reading.rest), n))
        weights = np.empty(len(met))
        concept_met = np.zeros(n)
        concept_weight = 0.0
        mask = 0
        kinds: set[str] = set()
        for row, span in enumerate(reading.spans):
            mask |= span.mask
            concepts = [concept.index for concept in lexicon().of(span.mask)]
            kinds.update(concept.kind for concept in lexicon().of(span.mask))
            weights[row] = weight = self._concept_rarity[concepts].max()
            means = self._means[concepts].any(axis=0)
            concept_met += weight * means
            concept_weight += weight
            met[row] = means
            if span.words:
                near = np.mean([self._nearness(word)[1] for word in span.words], axis=0)
                np.maximum(met[row], near, out=met[row])
        for row, word in enumerate(reading.rest, start=len(reading.spans)):
            weights[row] = self._rarity.get(stem(word), self._unknown)
            met[row] = self._nearness(word)[1]
        values = np.zeros((n, len(FEATURES)))
        echo = np.zeros(self._echo.shape[1])
        exact = np.zeros(self._echo.shape[1])
        if words:
            rarity = np.array([self._rarity.get(stem(word), self._unknown) for word in words])
            near_words = np.array([self._nearness(word)[1] for word in words])
            echo = np.max([self._nearness(word)[0] for word in words], axis=0)
            exact = (echo >= 1).astype(np.float64)
            values[:, 2] = rarity @ (near_words >= 1) / rarity.sum()
            values[:, 3] = rarity @ near_words / rarity.sum()
        if len(met):
            values[:, 0] = weights @ met / weights.sum()
            values[:, 4] = (weights[:, None] * (1 - met)).max(axis=0)
        if concept_weight:
            values[:, 1] = concept_met / concept_weight
        named = [concept.index for concept in lexicon().of(lexicon().closure(mask))]
        values[:, 5] = self._focus[:, named].sum(axis=1)
        values[:, 6] = self._echo @ echo
        values[:, 7] = self._echo @ exact
        sentence = _unit((encode(question) - self._centre)[None])[0] if words else np.zeros(EMBEDDING_DIM)
        for column, vectors in enumerate(self._sentences, start=8):
            values[:, column] = vectors @ sentence
        addressed = not _ADDRESS.isdisjoint(tokens)
        values[:, 11] = self._examined * addressed
        values[:, 12] = (1 - self._examined) * (not addressed)
        for kind in kinds & self._section.keys():
            values[self._section[kind], 13] = 1
        values[:, 14] = self._family != ("family" in kinds)
        absent = float((weights * (1 - met.max(axis=1))).max()) if len(met) else 1.0
        best = values.max(axis=0)
        none = np.array([1.0, best[0], best[3], best[8], absent, float(not len(met))])
        return values, none

    def _near(self, word: str) -> tuple[Floats, Floats]:
        """How near a word comes, from 0 to 1, to each word of the vocabulary and to the nearest of each finding."""
        vector = _unit(table().word(word)[None])[0]
        low, rise = _SIMILAR
        near = np.clip((self._vectors @ vector - low) / rise, 0, 1).astype(np.float64) * _CEILING
        near[self._stems.get(stem(word), [])] = 1
        return near, np.maximum.reduceat(near[self._places], self._starts)


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
    text = files("promed_env.patients").joinpath("data", "weights_findings.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    weights = np.array([data["finding"][name] for name in FEATURES], dtype=np.float64)
    none = np.array([data["none"][name] for name in NONE_FEATURES], dtype=np.float64)
    return FindingModel(weights, none, float(data["threshold"]))


def _content(text: str) -> list[str]:
    """The distinct words that say something, in order; all words if none does."""
    tokens = list(dict.fromkeys(tokenise(text)))
    return [token for token in tokens if token not in FUNCTION_WORDS and not token[0].isdigit()] or tokens


def _rarity(count: int, total: int) -> float:
    """Inverse document frequency, from 0 to 1."""
    return float(np.log((total + 1) / (count + 1)) / np.log(total + 1))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return unit
