"""The default patient's matcher: clinical concepts, distilled word vectors and sections in a small logistic model.

The model (`data/weights.toml`, fitted by `scripts/fit_static_patient.py`) turns the features of each fact
(`promed_env.patients.features`) into the log-odds that a question asks for it. A fact below the threshold is not told,
so a question that fits nothing is answered with nothing. Chinese cases have features (`promed_env.patients.chinese`)
and weights (`data/weights_zh.toml`) of their own. Numpy only.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promed_env.case import Case, Language
from promed_env.patients import Informant, chinese
from promed_env.patients.embedding import EMBEDDING_DIM, encode
from promed_env.patients.features import FEATURES, features, informant_asked
from promed_env.patients.words import has_chinese

__all__ = ["EMBEDDING_DIM", "Model", "StaticMatcher", "encode"]


class Model(NamedTuple):
    """A logistic model and when to speak.

    Attributes:
        weights: One weight a feature, (n_features,).
        first: Least log-odds of the best fact; below it nothing is told.
        more: Least log-odds of a second or third fact.
        margin: How far, in log-odds, a further fact may lie below the best one.
    """

    weights: NDArray[np.float64]
    first: float
    more: float
    margin: float

    def pick(self, values: NDArray[np.float64], limit: int) -> tuple[int, ...]:
        """Facts to tell, best first, at most `limit`, from their features (n_facts, n_features)."""
        scores = values @ self.weights
        order = np.argsort(-scores, kind="stable")[:limit]
        best = scores[order[0]]
        if best < self.first:
            return ()
        floor = max(self.more, best - self.margin)
        return tuple(int(index) for index in order if scores[index] >= floor)


class StaticMatcher:
    """Matches by concepts, word vectors and sections."""

    name = "static"

    def match(self, question: str, case: Case, limit: int) -> tuple[int, ...]:
        """Facts that the question probably asks for, best first.

        Args:
            question: One question.
            case: The case; its facts are the candidates.
            limit: Most facts.
        """
        if not case.facts:
            return ()
        told_by = chinese.features if case.language == "zh" else features
        return _model(case.language).pick(told_by(question, case.facts), limit)

    def addressee(self, question: str) -> Informant:
        """Who would know."""
        return chinese.informant_asked(question) if has_chinese(question) else informant_asked(question)


@lru_cache(maxsize=2)
def _model(language: Language) -> Model:
    """The shipped model of a language."""
    name, names = ("weights_zh.toml", chinese.FEATURES) if language == "zh" else ("weights.toml", FEATURES)
    data = tomllib.loads(files("promed_env.patients").joinpath("data", name).read_text(encoding="utf-8"))
    weights = np.array([data["weights"][feature] for feature in names], dtype=np.float64)
    return Model(weights, data["first"], data["more"], data["margin"])
