"""Fits the model that finds the finding a question in free words asks for (`promed_env.patients.retrieval`).

    python scripts/fit_findings.py

A multinomial logistic regression with a ridge penalty: each labelled question of
`benchmarks/labels/findings_dev.jsonl` and `findings_train.jsonl` is a choice among all findings and "none of them".
It is learnt several times over, each time from other wordings: the labels' author wrote the phrases of
`data/findings.txt` too, so that questions of others are met less well, and a part of the phrases is struck out to
learn what to do without. Every question that has an answer is also learnt from, at less weight, with its own findings
taken away: then it asks for none. The threshold on the probability is chosen by cross-validation over questions, both
with all phrases and with most struck out. Writes `promed_env/patients/data/weights_findings.toml`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promed_env.knowledge import primary_care
from promed_env.patients.retrieval import (
    FEATURES,
    NONE_FEATURES,
    FindingModel,
    FindingRetriever,
    Wordings,
    none_features,
    shipped_wordings,
)

ROOT = Path(__file__).resolve().parents[1]
STRUCK_OUT = (0.0, 0.3, 0.4, 0.6, 0.8)
"""Shares of the phrases that are struck out, one copy of the questions each."""
CHOSEN_ON = (0, 3)
"""The copies on which the threshold is chosen: false disclosures on each, accuracy on the last."""
TAKEN_AWAY = 0.3
"""Weight of a question whose findings are taken away: some other finding may answer it in part."""
RIDGE = 0.3
FOLDS = 10
FALSE_DISCLOSURE = 0.10
"""Most of the questions without an answer that may draw a finding, in cross-validation."""

Floats = NDArray[np.float64]


class Choice(NamedTuple):
    """One question: features of all choices (n_choices, n_features), the acceptable ones, and how much it counts."""

    values: Floats
    accepted: list[int]
    weight: float


def main() -> None:
    """Fit, choose the threshold, write."""
    labels = [ROOT / f"benchmarks/labels/findings_{split}.jsonl" for split in ("dev", "train")]
    rows = [json.loads(line) for path in labels for line in path.read_text(encoding="utf-8").splitlines()]
    copies = []
    for seed, share in enumerate(STRUCK_OUT):
        retriever = FindingRetriever(primary_care(), thinned(share, seed))
        copies.append([choices(retriever, row, 1 / len(STRUCK_OUT)) for row in rows])
    held = cross_validated(copies)
    scores = {
        threshold: [score(answers, threshold) for answers in held]
        for threshold in np.arange(0, 0.9, 0.05).round(2).tolist()
    }
    allowed = [point for point, pairs in scores.items() if all(false <= FALSE_DISCLOSURE for _, false in pairs)]
    threshold = max(allowed, key=lambda point: scores[point][-1][0])
    weights = fit([choice for copy in copies for question in copy for choice in question])
    model = FindingModel(
        weights[: len(FEATURES)].astype(np.float32), weights[len(FEATURES) :].astype(np.float32), threshold
    )
    report = "; ".join(
        f"{STRUCK_OUT[copy]:.0%} of the phrases struck out: top-1 accuracy {accuracy:.3f}, false disclosure {false:.3f}"
        for copy, (accuracy, false) in zip(CHOSEN_ON, scores[threshold], strict=True)
    )
    written = toml(model, [f"Fitted on {len(rows)} labelled questions. Cross-validated:", f"{report}."])
    (ROOT / "promed_env/patients/data/weights_findings.toml").write_text(written, encoding="utf-8")
    print(written, end="")


def thinned(share: float, seed: int) -> Wordings:
    """The shipped phrases without a share of them."""
    rng = random.Random(seed)
    return {
        finding: [phrase for phrase in phrases if rng.random() >= share]
        for finding, phrases in shipped_wordings().items()
    }


def choices(retriever: FindingRetriever, row: dict[str, object], weight: float) -> list[Choice]:
    """A labelled question as a choice, and as one without its findings."""
    index = retriever.knowledge.finding_index
    values = retriever.features(str(row["question"]))
    if row["finding"] is None:
        return [Choice(table(values), [len(values)], weight)]
    also = row["also"]
    assert isinstance(also, list)
    accepted = [index[name] for name in (row["finding"], *also)]
    others = np.delete(values, accepted, axis=0)
    return [Choice(table(values), accepted, weight), Choice(table(others), [len(others)], weight * TAKEN_AWAY)]


def table(values: NDArray[np.float32]) -> Floats:
    """The features of the findings and, in the last row and columns, of none of them."""
    joint = np.zeros((len(values) + 1, len(FEATURES) + len(NONE_FEATURES)))
    joint[:-1, : len(FEATURES)] = values
    joint[-1, len(FEATURES) :] = none_features(values)
    return joint


def fit(examples: Sequence[Choice]) -> Floats:
    """Weights of the features, by Newton's method on the penalised log-likelihood of an acceptable choice."""
    size = examples[0].values.shape[1]
    weights = np.zeros(size)
    for _ in range(25):
        gradient, curvature = RIDGE * weights, RIDGE * np.eye(size)
        for values, accepted, weight in examples:
            p = softmax(values @ weights)
            wanted = np.zeros_like(p)
            wanted[accepted] = p[accepted] / p[accepted].sum()
            gradient -= weight * (wanted - p) @ values
            mean = p @ values
            curvature += weight * ((values * p[:, None]).T @ values - np.outer(mean, mean))
        step = np.linalg.solve(curvature, gradient)
        weights -= step * min(1.0, 3.0 / float(np.abs(step).max()))
        if np.abs(step).max() < 1e-5:
            break
    return weights


def softmax(scores: Floats) -> Floats:
    """Probabilities from scores."""
    likely = np.exp(scores - scores.max())
    normalised: Floats = likely / likely.sum()
    return normalised


def cross_validated(copies: Sequence[Sequence[Sequence[Choice]]]) -> list[list[tuple[Floats, list[int]]]]:
    """For each copy of `CHOSEN_ON`, each question's probabilities under weights fitted on others, and what is right."""
    count = len(copies[0])
    order = np.random.default_rng(0).permutation(count).tolist()
    held: list[list[tuple[Floats, list[int]]]] = [[] for _ in CHOSEN_ON]
    for fold in range(FOLDS):
        out = set(order[fold::FOLDS])
        weights = fit([choice for copy in copies for i in range(count) if i not in out for choice in copy[i]])
        for answers, copy in zip(held, CHOSEN_ON, strict=True):
            questions = [copies[copy][i][0] for i in sorted(out)]
            answers.extend((softmax(question.values @ weights), question.accepted) for question in questions)
    return held


def score(held: Sequence[tuple[Floats, list[int]]], threshold: float) -> tuple[float, float]:
    """Top-1 accuracy over the questions with an answer, and how many of the others draw a finding."""
    right: list[bool] = []
    drawn: list[bool] = []
    for p, accepted in held:
        none, best = len(p) - 1, int(p.argmax())
        told = best if best != none and p[best] >= threshold else none
        (drawn if accepted == [none] else right).append(told != none if accepted == [none] else told in accepted)
    return float(np.mean(right)), float(np.mean(drawn))


def toml(model: FindingModel, report: Sequence[str]) -> str:
    """A model as `promed_env.patients.retrieval.read_model` reads it."""
    lines = [
        "# Weights of the model that finds findings, written by scripts/fit_findings.py.",
        *(f"# {line}" for line in report),
        "",
        "# Least probability of a finding that is told.",
        f"threshold = {model.threshold}",
        "",
        "[finding]",
        *(f"{name} = {weight:.3f}" for name, weight in zip(FEATURES, model.weights, strict=True)),
        "",
        "[none]",
        *(f"{name} = {weight:.3f}" for name, weight in zip(NONE_FEATURES, model.none, strict=True)),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
