"""What the scripts that fit the patients' models share: a ridge-penalised logistic regression, written as TOML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from promed_env.patients.model import Model

__all__ = ["Example", "fit", "written"]

RIDGE = 2.0


class Example(Protocol):
    """A question with the facts that it asks for: features (n_facts, n_features), their indexes, and its weight."""

    @property
    def values(self) -> NDArray[np.float64]:
        """Features of every fact; the first is the bias."""

    @property
    def asked(self) -> frozenset[int]:
        """The facts that it asks for."""

    @property
    def weight(self) -> float:
        """How much it counts."""


def fit(examples: Sequence[Example]) -> NDArray[np.float64]:
    """Weights of the pairs of a question and a fact, (n_features,), by Newton's method."""
    values = np.concatenate([example.values for example in examples])
    asked = np.concatenate([[i in example.asked for i in range(len(example.values))] for example in examples])
    weight = np.concatenate([np.full(len(example.values), example.weight) for example in examples])
    penalty = np.eye(values.shape[1]) * RIDGE
    penalty[0, 0] = 1e-3
    coefficients = np.zeros(values.shape[1])
    for _ in range(30):
        probability = 1 / (1 + np.exp(-values @ coefficients))
        gradient = values.T @ (weight * (probability - asked)) + penalty @ coefficients
        curvature = weight * probability * (1 - probability)
        coefficients -= np.linalg.solve((values * curvature[:, None]).T @ values + penalty, gradient)
    return coefficients


def written(model: Model, features: Iterable[str], head: Sequence[str]) -> str:
    """A model as `promed_env.patients.model.read_model` reads it; `head` are comment lines."""
    lines = [
        *(f"# {line}" for line in head),
        "",
        "# In log-odds: the least of the best fact, of a further one, and how far that may lie below the best.",
        f"first = {model.first}",
        f"more = {model.more}",
        f"margin = {model.margin}",
        "",
        "[weights]",
        *(f"{name} = {weight:.3f}" for name, weight in zip(features, model.weights, strict=True)),
    ]
    return "\n".join(lines) + "\n"
