"""Fits the weights of a patient that hears English and writes them to `promed_env/patients/data`.

    python scripts/fit_patient.py [--matcher semantic] [--cases ../shared/data/mediq/dev_0000-0999.jsonl]

A ridge-penalised logistic regression over pairs of a question and a fact. It learns from the labelled questions in
`benchmarks/labels` (development and training, never the test questions), from the bundled vignettes, whose facts carry
a question each, and from made-up nonsense that no fact answers. The thresholds are those that do best in
cross-validation over cases.

For `semantic` every question is read with the whole lexicon and with thinned ones, from which phrases were struck out
at random. The lexicon was written by those who wrote the labels, so it knows their words better than others'; with
thinned ones the model learns how far to trust the encoder where the lexicon is silent.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from logistic import fit, written
from numpy.typing import NDArray

from promed_env.case import Case, Fact
from promed_env.datasets import load_dataset
from promed_env.patients import features as lexical
from promed_env.patients.concepts import Lexicon
from promed_env.patients.embedding import table
from promed_env.patients.model import Model
from promed_env.patients.screening import screen
from promed_env.patients.words import FUNCTION_WORDS

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 3
"""Facts in one reply."""
THINNED = {"static": (), "semantic": (0.2, 0.35, 0.5)}
"""Shares of the phrases that are struck out, one lexicon each."""
VIGNETTE_WEIGHT = 0.1
"""A vignette's question is labelled with the one fact it was written for, though others may answer it too."""
MISPLACED_COVERAGE = 0.35
"""A question counts as misplaced in a case where the best fact covers less of what it is about."""
MISPLACED_WEIGHT = 0.3
FIRST = 0.0
"""Log-odds that the best fact must reach: even odds. Cross-validation would choose less, but the labels it sees were
written by those who wrote the lexicon; others' questions are met less well, and in doubt a patient says nothing."""
FOLDS = 5

Features = Callable[[str, tuple[Fact, ...], Lexicon | None], NDArray[np.float64]]


class Asked(NamedTuple):
    """A question about a case with the facts that it asks for, and how much it counts."""

    case: Case
    question: str
    asked: frozenset[int]
    weight: float = 1.0


class Example(NamedTuple):
    """The features of a question's facts."""

    case_id: str  # "" if it is learnt from in every fold
    values: NDArray[np.float64]
    asked: frozenset[int]
    weight: float
    labelled: float  # what it counts in cross-validation; 0 if it is only learnt from


def main() -> None:
    """Fit, choose thresholds, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--matcher", choices=list(THINNED), default="static", help="whose weights to fit (default: %(default)s)"
    )
    parser.add_argument(
        "--cases", type=Path, default=ROOT / "../shared/data/mediq/dev_0000-0999.jsonl", help="MediQ's rows"
    )
    arguments = parser.parse_args()
    if not arguments.cases.exists():
        parser.error(f"{arguments.cases} does not exist; pass MediQ's file of cases with --cases")
    features: Features = lexical.features
    names, file = tuple(lexical.FEATURES), "weights.toml"
    if arguments.matcher == "semantic":
        from promed_env.patients import semantic

        features, names, file = semantic.features, tuple(semantic.FEATURES), "weights_semantic.toml"
    cases = {case.case_id: case for case in load_dataset(arguments.cases)}
    labelled = read_labels(cases)
    known = [cases[case_id] for case_id in sorted({item.case.case_id for item in labelled})]
    misplaced = misplaced_questions(known, rng=random.Random(2))
    about_known = {*labelled, *misplaced}
    other = [*vignette_questions(), *nonsense(known, count=160, rng=random.Random(1))]
    lexicons = [None, *(thinned(share, seed) for seed, share in enumerate(THINNED[arguments.matcher]))]
    examples = [
        Example(
            item.case.case_id if item in about_known else "",
            features(item.question, item.case.facts, words),
            item.asked,
            item.weight / len(lexicons),
            item.weight * (words is None and item in about_known),
        )
        for words in lexicons
        for item in [*labelled, *misplaced, *other]
    ]
    first, more, margin, report = choose_thresholds(examples)
    text = written(
        Model(fit(examples), first, more, margin),
        names,
        [
            f"Weights of the logistic model of the patient {arguments.matcher}, written by scripts/fit_patient.py.",
            f"Fitted on {len(labelled)} labelled questions and {len(other)} others. Cross-validated: {report}.",
        ],
    )
    (ROOT / "promed_env/patients/data" / file).write_text(text, encoding="utf-8")
    print(text, end="")


def thinned(share: float, seed: int) -> Lexicon:
    """The lexicon with the same concepts, from which a share of the phrases is struck out."""
    rng = random.Random(seed)
    lines = []
    text = files("promed_env.patients").joinpath("data", "concepts.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        name, colon, phrases = line.partition(":")
        if colon and not line.startswith("#"):
            phrases = ",".join(phrase for phrase in phrases.split(",") if rng.random() >= share)
        lines.append(f"{name}{colon}{phrases}")
    return Lexicon("\n".join(lines))


def read_labels(cases: dict[str, Case]) -> list[Asked]:
    """The development and training questions that are not refused."""
    labelled = []
    for name in ("questions_dev.jsonl", "questions_train.jsonl"):
        for line in (ROOT / "benchmarks/labels" / name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            heard = screen(row["question"])
            if heard.refusal is None:
                labelled.append(Asked(cases[row["case_id"]], heard.question, frozenset(row["facts"])))
    return labelled


def vignette_questions() -> list[Asked]:
    """The questions that the bundled vignettes' facts carry."""
    return [
        Asked(case, fact.question_text, frozenset({index}), VIGNETTE_WEIGHT)
        for case in load_dataset("medqa")
        for index, fact in enumerate(case.facts)
        if fact.question_text
    ]


def misplaced_questions(cases: Sequence[Case], rng: random.Random) -> list[Asked]:
    """The vignettes' questions asked of other cases, one each, that name nothing of what the question is about."""
    coverage, broad, attribute_only = (
        list(lexical.FEATURES).index(name) for name in ("core_coverage", "broad", "attribute_only")
    )
    misplaced = []
    for vignette in load_dataset("medqa"):
        for fact in vignette.facts:
            case = rng.choice(cases)
            values = lexical.features(fact.question_text or "", case.facts)
            about_something = not values[0, broad] and not values[0, attribute_only]
            if fact.question_text and about_something and values[:, coverage].max() < MISPLACED_COVERAGE:
                misplaced.append(Asked(case, fact.question_text, frozenset(), MISPLACED_WEIGHT))
    return misplaced


def nonsense(cases: Sequence[Case], count: int, rng: random.Random) -> list[Asked]:
    """Pairs of random words, and function words in random order: nothing answers them."""
    rare = [piece for row, piece in enumerate(table().ids) if 2000 < row < 20000 and piece.isalpha() and len(piece) > 3]
    common = sorted(word for word in FUNCTION_WORDS if len(word) > 1)
    eligible = [case for case in cases if case.facts]
    questions = []
    for number in range(count):
        words = rng.sample(rare, 2) if number % 2 else rng.sample(common, rng.randint(3, 6))
        questions.append(Asked(rng.choice(eligible), " ".join(words) + "?", frozenset()))
    return questions


def choose_thresholds(examples: Sequence[Example]) -> tuple[float, float, float, str]:
    """The thresholds with the best F1 less half the false disclosure, on cases that the weights were not fitted on."""
    ids = sorted({example.case_id for example in examples if example.labelled})
    random.Random(0).shuffle(ids)
    fitted: list[tuple[NDArray[np.float64], Example]] = []
    for fold in range(FOLDS):
        held = set(ids[fold::FOLDS])
        weights = fit([example for example in examples if example.case_id not in held])
        fitted.extend((weights, example) for example in examples if example.labelled and example.case_id in held)

    def score(first: float, more: float, margin: float) -> tuple[float, float]:
        hits = told = wanted = 0
        false = unanswerable = 0.0
        for weights, example in fitted:
            disclosed = set(Model(weights, first, more, margin).pick(example.values, LIMIT))
            hits += len(disclosed & example.asked)
            told += len(disclosed) if example.labelled == 1 else 0
            wanted += min(LIMIT, len(example.asked))
            unanswerable += example.labelled * (not example.asked)
            false += example.labelled * (not example.asked and bool(disclosed))
        return 2 * hits / (told + wanted), false / unanswerable

    grid = [(FIRST, more, margin) for more in (-0.8, -0.6, -0.4, -0.2, 0.0) for margin in (1.5, 2.0, 3.0)]
    scores = {point: score(*point) for point in grid}
    best = max(grid, key=lambda point: scores[point][0] - scores[point][1] / 2)
    f1, false = scores[best]
    return *best, f"F1 {f1:.3f}, false disclosure {false:.3f}"


if __name__ == "__main__":
    main()
