"""Fits the weights of the default patient and writes them to `promed_env/patients/data/weights.toml`.

    python scripts/fit_static_patient.py [--cases ../shared/data/mediq/dev_0000-0999.jsonl]

A ridge-penalised logistic regression over pairs of a question and a fact. It learns from the labelled questions in
`benchmarks/labels` (development and training, never the test questions), from the bundled vignettes, whose facts carry
a question each, and from made-up nonsense that no fact answers. The thresholds are those that do best in
cross-validation over cases.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promed_env.case import Case
from promed_env.datasets import load_dataset
from promed_env.patients.embedding import table
from promed_env.patients.features import FEATURES, features
from promed_env.patients.screening import screen
from promed_env.patients.static import Model
from promed_env.patients.words import FUNCTION_WORDS

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 3
"""Facts in one reply."""
RIDGE = 2.0
VIGNETTE_WEIGHT = 0.1
"""A vignette's question is labelled with the one fact it was written for, though others may answer it too."""
MISPLACED_COVERAGE = 0.35
"""A question counts as misplaced in a case where the best fact covers less of what it is about."""
MISPLACED_WEIGHT = 0.3
FIRST = 0.0
"""Log-odds that the best fact must reach: even odds. Cross-validation would choose less, but the labels it sees were
written by those who wrote the lexicon; others' questions are met less well, and in doubt a patient says nothing."""
FOLDS = 5


class Example(NamedTuple):
    """A question with the facts that it asks for."""

    case_id: str
    values: NDArray[np.float64]
    asked: frozenset[int]
    weight: float
    answerable: bool


def main() -> None:
    """Fit, choose thresholds, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cases", type=Path, default=ROOT / "../shared/data/mediq/dev_0000-0999.jsonl", help="MediQ's rows"
    )
    arguments = parser.parse_args()
    if not arguments.cases.exists():
        parser.error(f"{arguments.cases} does not exist; pass MediQ's file of cases with --cases")
    cases = {case.case_id: case for case in load_dataset(arguments.cases)}

    labelled = read_labels(cases)
    known = [cases[case_id] for case_id in sorted({example.case_id for example in labelled})]
    misplaced = misplaced_questions(known, rng=random.Random(2))
    other = [*vignette_questions(), *nonsense(known, count=160, rng=random.Random(1))]
    first, more, margin, report = choose_thresholds([*labelled, *misplaced], other)
    weights = fit([*labelled, *misplaced, *other])
    lines = [
        "# Weights of the default patient's logistic model, written by scripts/fit_static_patient.py.",
        f"# Fitted on {len(labelled)} labelled questions and {len(other)} others. Cross-validated: {report}.",
        "",
        "# In log-odds: the least of the best fact, of a further one, and how far that may lie below the best.",
        f"first = {first}",
        f"more = {more}",
        f"margin = {margin}",
        "",
        "[weights]",
        *(f"{name} = {weight:.3f}" for name, weight in zip(FEATURES, weights, strict=True)),
    ]
    path = ROOT / "promed_env/patients/data/weights.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def read_labels(cases: dict[str, Case]) -> list[Example]:
    """The development and training questions that are not refused."""
    examples = []
    for name in ("questions_dev.jsonl", "questions_train.jsonl"):
        for line in (ROOT / "benchmarks/labels" / name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            heard = screen(row["question"])
            if heard.refusal is None:
                values = features(heard.question, cases[row["case_id"]].facts)
                asked = frozenset(row["facts"])
                examples.append(Example(row["case_id"], values, asked, 1.0, bool(asked)))
    return examples


def vignette_questions() -> list[Example]:
    """The questions that the bundled vignettes' facts carry."""
    return [
        Example(case.case_id, features(fact.question_text, case.facts), frozenset({index}), VIGNETTE_WEIGHT, True)
        for case in load_dataset("medqa")
        for index, fact in enumerate(case.facts)
        if fact.question_text
    ]


def misplaced_questions(cases: Sequence[Case], rng: random.Random) -> list[Example]:
    """The vignettes' questions asked of other cases, one each, that name nothing of what the question is about."""
    coverage, broad, attribute_only = (
        list(FEATURES).index(name) for name in ("core_coverage", "broad", "attribute_only")
    )
    examples = []
    for vignette in load_dataset("medqa"):
        for fact in vignette.facts:
            case = rng.choice(cases)
            values = features(fact.question_text or "", case.facts)
            about_something = not values[0, broad] and not values[0, attribute_only]
            if fact.question_text and about_something and values[:, coverage].max() < MISPLACED_COVERAGE:
                examples.append(Example(case.case_id, values, frozenset(), MISPLACED_WEIGHT, False))
    return examples


def nonsense(cases: Sequence[Case], count: int, rng: random.Random) -> list[Example]:
    """Pairs of random words, and function words in random order: nothing answers them."""
    rare = [piece for row, piece in enumerate(table().ids) if 2000 < row < 20000 and piece.isalpha() and len(piece) > 3]
    common = sorted(word for word in FUNCTION_WORDS if len(word) > 1)
    eligible = [case for case in cases if case.facts]
    examples = []
    for number in range(count):
        words = rng.sample(rare, 2) if number % 2 else rng.sample(common, rng.randint(3, 6))
        case = rng.choice(eligible)
        examples.append(Example(case.case_id, features(" ".join(words) + "?", case.facts), frozenset(), 1.0, False))
    return examples


def fit(examples: Sequence[Example]) -> NDArray[np.float64]:
    """Ridge-penalised logistic regression by Newton's method, (len(FEATURES),)."""
    values = np.concatenate([example.values for example in examples])
    asked = np.concatenate([[i in example.asked for i in range(len(example.values))] for example in examples]).astype(
        float
    )
    weight = np.concatenate([np.full(len(example.values), example.weight) for example in examples])
    penalty = np.eye(len(FEATURES)) * RIDGE
    penalty[0, 0] = 1e-3
    coefficients = np.zeros(len(FEATURES))
    for _ in range(30):
        probability = 1 / (1 + np.exp(-values @ coefficients))
        gradient = values.T @ (weight * (probability - asked)) + penalty @ coefficients
        curvature = weight * probability * (1 - probability)
        coefficients -= np.linalg.solve((values * curvature[:, None]).T @ values + penalty, gradient)
    return coefficients


def choose_thresholds(labelled: Sequence[Example], other: Sequence[Example]) -> tuple[float, float, float, str]:
    """The thresholds with the best F1 less half the false disclosure, on cases that the weights were not fitted on."""
    ids = sorted({example.case_id for example in labelled})
    random.Random(0).shuffle(ids)
    fitted: list[tuple[NDArray[np.float64], Example]] = []
    for fold in range(FOLDS):
        held = set(ids[fold::FOLDS])
        weights = fit([*(example for example in labelled if example.case_id not in held), *other])
        fitted.extend((weights, example) for example in labelled if example.case_id in held)

    def score(first: float, more: float, margin: float) -> tuple[float, float]:
        hits = told = wanted = 0
        false = unanswerable = 0.0
        for weights, example in fitted:
            disclosed = set(Model(weights, first, more, margin).pick(example.values, LIMIT))
            hits += len(disclosed & example.asked)
            told += len(disclosed) if example.weight == 1 else 0
            wanted += min(LIMIT, len(example.asked))
            unanswerable += example.weight * (not example.answerable)
            false += example.weight * (not example.answerable and bool(disclosed))
        return 2 * hits / (told + wanted), false / unanswerable

    grid = [(FIRST, more, margin) for more in (-0.8, -0.6, -0.4, -0.2, 0.0) for margin in (1.5, 2.0, 3.0)]
    scores = {point: score(*point) for point in grid}
    best = max(grid, key=lambda point: scores[point][0] - scores[point][1] / 2)
    f1, false = scores[best]
    return *best, f"F1 {f1:.3f}, false disclosure {false:.3f}"


if __name__ == "__main__":
    main()
