"""Measures the patients that reply to free text: do they answer what is asked, and only that.

    python benchmarks/patients.py [--cases ../shared/data/mediq/dev_0000-0999.jsonl] [--split dev --split test]

Prints, for `lexical` and `static`: on labelled questions micro F1, precision and recall over facts (three facts at
most, so at most three of a question's facts are expected) with a 95% interval from resampling cases, and how often
questions that the case does not answer, adversarial ones and nonsense still drew a fact; over 100 clinical cases
which share of the hidden facts ten nonsense questions and fixed scripts bring out; microseconds a reply.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from promed_env.case import Case
from promed_env.consultation import Consultation
from promed_env.datasets import load_dataset
from promed_env.datasets.slices import is_clinical
from promed_env.interview import CATALOGUE, SCRIPT
from promed_env.patients import PATIENTS, Patient, make_patient

__all__ = ["LABELS", "Labelled", "Scores", "evaluate", "load_labels", "recall_of"]

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT / "../shared/data/mediq/dev_0000-0999.jsonl"
LABELS = ROOT / "benchmarks/labels"
FIGURES = ROOT / "promed_env/patients/data/figures.toml"
LIMIT = 3

NONSENSE = (
    "Which shelf does the thunder sleep on?",
    "How many violins are needed to boil a Thursday?",
    "Does the letter Q prefer the mountains or jazz?",
    "What is a good recipe for onion soup?",
    "Who won the cup final in 1987?",
    "wibble trask oonpl fenn?",
    "Seventeen of because ladder the whenever?",
    "Can a bicycle be elected to parliament?",
    "If green is louder than eleven, why do the curtains whisper?",
    "Please translate the wallpaper into cubic meters.",
)
FUNCTION_WORDS = (
    "What about it?",
    "And then?",
    "How so?",
    "Which one?",
    "Is it?",
    "Do you?",
    "Why?",
    "Anything?",
    "Really?",
    "Who?",
)
GENERIC = (
    "symptoms",
    "history",
    "patient",
    "problem",
    "information",
    "finding",
    "results",
    "condition",
    "case",
    "record",
)


class Labelled(NamedTuple):
    """A question with the facts it asks for."""

    case: Case
    question: str
    kind: str
    facts: frozenset[int]


class Scores(NamedTuple):
    """Agreement with the labels.

    Attributes:
        f1: Micro F1 over facts; a question expects at most `LIMIT` of its facts.
        interval: 95% bootstrap interval of `f1`, resampling cases.
        uncapped_f1: The same where a question expects all its facts.
        false_disclosure: Share of unanswerable questions that drew a fact.
        adversarial: Share of adversarial questions that drew a fact.
        nonsense: Share of nonsense questions that drew a fact.
    """

    n: int
    f1: float
    interval: tuple[float, float]
    precision: float
    recall: float
    uncapped_f1: float
    false_disclosure: float
    adversarial: float
    nonsense: float

    def __str__(self) -> str:
        return (
            f"F1 {self.f1:.2f} [{self.interval[0]:.2f}, {self.interval[1]:.2f}], "
            f"false disclosure {self.false_disclosure:.2f}, {self.n} held-out questions"
        )


def load_labels(split: str, cases: dict[str, Case]) -> list[Labelled]:
    """The labelled questions of a split: "dev", "test" or "train"."""
    path = LABELS / f"questions_{split}.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Labelled(cases[row["case_id"]], row["question"], row["kind"], frozenset(row["facts"])) for row in rows]


def evaluate(patient: Patient, labels: Sequence[Labelled]) -> Scores:
    """How well a patient that tells at most `LIMIT` facts agrees with the labels."""
    replies = [frozenset(patient.reply(Consultation(item.case), item.question).disclosed) for item in labels]
    counts: dict[str, list[int]] = {}
    for item, told in zip(labels, replies, strict=True):
        count = counts.setdefault(item.case.case_id, [0, 0, 0, 0])
        found = (len(told & item.facts), len(told), min(LIMIT, len(item.facts)), len(item.facts))
        counts[item.case.case_id] = [a + b for a, b in zip(count, found, strict=True)]
    table = np.array(list(counts.values()))
    rng = np.random.default_rng(0)
    resampled = table[rng.integers(len(table), size=(2000, len(table)))].sum(axis=1)
    low, high = np.quantile(2 * resampled[:, 0] / (resampled[:, 1] + resampled[:, 2]), [0.025, 0.975])
    hits, told_facts, wanted, all_wanted = table.sum(axis=0)

    def drew(kind: str) -> float:
        drawn = [bool(told) for item, told in zip(labels, replies, strict=True) if item.kind == kind]
        return sum(drawn) / len(drawn) if drawn else float("nan")

    return Scores(
        n=len(labels),
        f1=float(2 * hits / (told_facts + wanted)),
        interval=(float(low), float(high)),
        precision=float(hits / told_facts) if told_facts else 0.0,
        recall=float(hits / wanted),
        uncapped_f1=float(2 * hits / (told_facts + all_wanted)),
        false_disclosure=drew("unanswerable"),
        adversarial=drew("adversarial"),
        nonsense=drew("nonsense"),
    )


def recall_of(patient: Patient, questions: Iterable[str], cases: Sequence[Case]) -> float:
    """Share of the hidden facts of all cases that the questions bring out."""
    asked = tuple(questions)
    found = 0
    for case in cases:
        told = {fact for question in asked for fact in patient.reply(Consultation(case), question).disclosed}
        found += len(told - case.initial)
    return found / sum(len(case.hidden) for case in cases)


def clinical_sample(cases: Iterable[Case], count: int = 200) -> list[Case]:
    """A fixed random sample of the clinical cases that hide something, in random order."""
    eligible = [case for case in cases if is_clinical(case) and case.hidden]
    return random.Random(0).sample(eligible, min(count, len(eligible)))


def microseconds(name: str, cases: Sequence[Case]) -> tuple[float, float]:
    """Median microseconds of the first reply of a case and of later ones, to questions never asked before."""
    patient = make_patient(name)
    patient.reply(Consultation(cases[0]), "Is the table loaded?")
    first: list[float] = []
    later: list[float] = []
    for number, case in enumerate(cases[1:]):
        for turn, question in enumerate(CATALOGUE[:6]):
            text = f"{question[:-1]}, in week {number}?"
            start = time.perf_counter_ns()
            patient.reply(Consultation(case), text)
            (later if turn else first).append((time.perf_counter_ns() - start) / 1000)
    return statistics.median(first), statistics.median(later)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, default=CASES, help="MediQ's rows (default: %(default)s)")
    parser.add_argument(
        "--split", action="append", choices=["dev", "test", "train"], help="labels to use (default: dev, test)"
    )
    parser.add_argument("--record", action="store_true", help="write the test figures where the patients state them")
    arguments = parser.parse_args()
    if not arguments.cases.exists():
        parser.error(f"{arguments.cases} does not exist; pass MediQ's file of cases with --cases")
    dataset = load_dataset(arguments.cases)
    cases = {case.case_id: case for case in dataset}
    sample = clinical_sample(dataset)
    # Facts are read once a case, so cases whose facts were not read yet are kept for the timing.
    sample, fresh = sample[:100], sample[100:]

    print(f"{datetime.date.today()}, {os.cpu_count()} cores: python {' '.join(sys.argv)}")
    recorded = []
    for split in arguments.split or ["dev", "test"]:
        labels = load_labels(split, cases)
        print(f"\n{split}: {len(labels)} labelled questions over {len({item.case.case_id for item in labels})} cases")
        print(
            f"{'patient':8} {'F1':>6} {'95% interval':>14} {'prec.':>6} {'recall':>6} {'F1 all':>6} "
            f"{'false':>6} {'adv.':>6} {'nons.':>6}"
        )
        for name in PATIENTS:
            s = evaluate(make_patient(name, LIMIT), labels)
            print(
                f"{name:8} {s.f1:6.3f} {s.interval[0]:6.3f}, {s.interval[1]:6.3f} {s.precision:6.3f} {s.recall:6.3f} "
                f"{s.uncapped_f1:6.3f} {s.false_disclosure:6.3f} {s.adversarial:6.3f} {s.nonsense:6.3f}"
            )
            if split == "test":
                recorded.append(f'{name} = "{s}"')
    if arguments.record and recorded:
        header = "# How well each patient hears, written by benchmarks/patients.py --record.\n"
        FIGURES.write_text(header + "\n".join(recorded) + "\n", encoding="utf-8")
    print(f"\nshare of the hidden facts brought out by ten questions, {len(sample)} clinical cases")
    scripts = {
        "nonsense": NONSENSE,
        "function words": FUNCTION_WORDS,
        "generic words": GENERIC,
        "scripted": SCRIPT,
    }
    print(f"{'patient':8} {'facts':>5} " + " ".join(f"{title:>14}" for title in scripts))
    for name in PATIENTS:
        for limit in (1, LIMIT):
            patient = make_patient(name, limit)
            shares = " ".join(f"{recall_of(patient, questions, sample):14.3f}" for questions in scripts.values())
            print(f"{name:8} {limit:5} {shares}")
    print("\nmedian microseconds a reply, questions never asked before")
    for name in PATIENTS:
        first, later = microseconds(name, fresh)
        print(f"{name:8} first of a case {first:.0f}, later {later:.0f}")


if __name__ == "__main__":
    main()
