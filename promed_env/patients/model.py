"""The logistic model that turns the features of facts into what a patient tells, as shipped in `data/weights*.toml`."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Model", "read_model"]


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


@lru_cache(maxsize=8)
def read_model(name: str, features: tuple[str, ...]) -> Model:
    """A shipped model.

    Args:
        name: Its file among the patients' data.
        features: Names of the features, in the order of the columns that it will be given.
    """
    data = tomllib.loads(files("promed_env.patients").joinpath("data", name).read_text(encoding="utf-8"))
    weights = np.array([data["weights"][feature] for feature in features], dtype=np.float64)
    return Model(weights, data["first"], data["more"], data["margin"])
