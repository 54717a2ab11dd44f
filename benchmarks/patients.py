"""Measures the patients that reply to free text: do they answer what is asked, and only that.

    python benchmarks/patients.py [--cases ../shared/data/mediq/dev_0000-0999.jsonl] [--split dev --split test]

Prints, for every patient that hears free text and for `static` in imperfections: on labelled questions micro F1,
precision and recall over facts (three facts at most, so at most three of a question's facts are expected) with a 95%
interval from resampling cases, and how often questions that the case does not answer, adversarial ones (in Chinese:
near misses) and nonsense still drew a fact; recall by section of the record; over 100 clinical cases which share of the
hidden facts ten nonsense questions and fixed scripts bring out; microseconds a reply. The knowledge base's patient is
measured by `benchmarks/findings.py`, ways of cutting Chinese by `benchmarks/chinese.py`.
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
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from promed_env.case import Case
from promed_env.consultation import Consultation
from promed_env.datasets import load_dataset
from promed_env.datasets.slices import is_clinical
from promed_env.errors import BackendError
from promed_env.interview import CATALOGUE, SCRIPT
from promed_env.patients import PATIENTS, Patient, make_patient
from promed_env.patients.facts import section_of

__all__ = ["LABELS", "Labelled", "Scores", "evaluate", "load_labels", "recall_of"]

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT / "../shared/data/mediq/dev_0000-0999.jsonl"
LABELS = ROOT / "benchmarks/labels"
FIGURES = ROOT / "promed_env/patients/data/figures.toml"
LIMIT = 3
IMPERFECT = ("forgetful(static, 0.2)", "terse(static)", "talkative(static, 0.2)", "mistaken(static, 0.2)")

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
        adversarial: Share of adversarial questions (of Chinese ones: near misses) that drew a fact.
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
    """The labelled questions of a split: "dev", "test" or "train"; "zh_dev" and "zh_test" are Chinese."""
    names = [f"questions_{split}.jsonl", *(["questions_zh_near.jsonl"] if split.startswith("zh_") else [])]
    rows = [json.loads(line) for name in names for line in (LABELS / name).read_text(encoding="utf-8").splitlines()]
    return [
        Labelled(cases[row["case_id"]], row["question"], row["kind"], frozenset(row["facts"]))
        for row in rows
        if row.get("split", split) in (split, split.removeprefix("zh_"))
    ]


def _heard(patient: Patient, labels: Sequence[Labelled]) -> list[frozenset[int]]:
    """What each question drew, of a consultation with a seed of its own for every case."""
    states = [Consultation(item.case, seed=zlib.crc32(item.case.case_id.encode())) for item in labels]
    replies = patient.reply_batch(states, [item.question for item in labels])
    return [frozenset(reply.disclosed) for reply in replies]


def section_recall(patient: Patient, labels: Sequence[Labelled]) -> dict[str, tuple[float, int]]:
    """Of the facts of each section that are asked for, the share that is told, and how many there are."""
    counts: dict[str, list[int]] = {}
    for item, told in zip(labels, _heard(patient, labels), strict=True):
        for fact in item.facts:
            count = counts.setdefault(section_of(item.case.facts[fact]), [0, 0])
            count[0] += fact in told
            count[1] += 1
    return {section: (found / n, n) for section, (found, n) in sorted(counts.items())}


def evaluate(patient: Patient, labels: Sequence[Labelled]) -> Scores:
    """How well a patient that tells at most `LIMIT` facts agrees with the labels."""
    replies = _heard(patient, labels)
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
        adversarial=drew("near_miss" if any(item.kind == "near_miss" for item in labels) else "adversarial"),
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


def print_scores(split: str, labels: Sequence[Labelled], names: Sequence[str]) -> dict[str, Scores]:
    """The table of a split."""
    near = "near" if split.startswith("zh_") else "adv."
    print(f"\n{split}: {len(labels)} labelled questions over {len({item.case.case_id for item in labels})} cases")
    print(
        f"{'patient':22} {'F1':>6} {'95% interval':>14} {'prec.':>6} {'recall':>6} {'F1 all':>6} "
        f"{'false':>6} {near:>6} {'nons.':>6}"
    )
    scores = {name: evaluate(make_patient(name, LIMIT), labels) for name in names}
    for name, s in scores.items():
        print(
            f"{name:22} {s.f1:6.3f} {s.interval[0]:6.3f}, {s.interval[1]:6.3f} {s.precision:6.3f} {s.recall:6.3f} "
            f"{s.uncapped_f1:6.3f} {s.false_disclosure:6.3f} {s.adversarial:6.3f} {s.nonsense:6.3f}"
        )
    print("recall by section")
    by_name = {name: section_recall(make_patient(name, LIMIT), labels) for name in names if "(" not in name}
    sections = next(iter(by_name.values()))
    print(f"{'patient':22} " + " ".join(f"{section[:8]:>8}" for section in sections))
    print(f"{'facts asked for':22} " + " ".join(f"{n:8}" for _, n in sections.values()))
    for name, found in by_name.items():
        print(f"{name:22} " + " ".join(f"{share:8.2f}" for share, _ in found.values()))
    return scores


def installed() -> list[str]:
    """The patients that can be made here; says which cannot."""
    names = []
    for name in PATIENTS:
        try:
            make_patient(name)
            names.append(name)
        except BackendError as error:
            print(f"left out: {error}")
    return names


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, default=CASES, help="MediQ's rows (default: %(default)s)")
    splits = ["dev", "test", "train", "zh_dev", "zh_test"]
    parser.add_argument("--split", action="append", choices=splits, help="labels to use (default: test, zh_test)")
    parser.add_argument("--record", action="store_true", help="write the test figures where the patients state them")
    arguments = parser.parse_args()
    if not arguments.cases.exists():
        parser.error(f"{arguments.cases} does not exist; pass MediQ's file of cases with --cases")
    dataset = load_dataset(arguments.cases)
    cases = {case.case_id: case for case in [*dataset, *load_dataset("cmb")]}
    sample = clinical_sample(dataset, 100 + 40 * (len(PATIENTS) + len(IMPERFECT)))
    sample, fresh = sample[:100], sample[100:]

    print(f"{datetime.date.today()}, {os.cpu_count()} cores: python {' '.join(sys.argv)}")
    names = installed()
    measured = {
        split: print_scores(split, load_labels(split, cases), [*names, *IMPERFECT])
        for split in arguments.split or ["test", "zh_test"]
    }
    if arguments.record:
        lines = ["# How well each patient hears, written by benchmarks/patients.py --record."]
        for split, language in (("test", "English"), ("zh_test", "Chinese")):
            lines += ["", f"[{language}]"]
            for name in names:
                near = f", near misses {measured[split][name].adversarial:.2f}" if language == "Chinese" else ""
                lines.append(f'{name} = "{measured[split][name]}{near}"')
        FIGURES.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"\nshare of the hidden facts brought out by ten questions, {len(sample)} clinical cases")
    scripts = {
        "nonsense": NONSENSE,
        "function words": FUNCTION_WORDS,
        "generic words": GENERIC,
        "scripted": SCRIPT,
    }
    print(f"{'patient':22} {'facts':>5} " + " ".join(f"{title:>14}" for title in scripts))
    for name in [*names, *IMPERFECT]:
        for limit in (1, LIMIT):
            patient = make_patient(name, limit)
            shares = " ".join(f"{recall_of(patient, questions, sample):14.3f}" for questions in scripts.values())
            print(f"{name:22} {limit:5} {shares}")
    print("\nmedian microseconds a reply, questions never asked before")
    for number, name in enumerate([*names, *IMPERFECT]):  # on cases of its own, because facts are read once a case
        first, later = microseconds(name, fresh[40 * number : 40 * (number + 1)])
        print(f"{name:22} first of a case {first:.0f}, later {later:.0f}")


if __name__ == "__main__":
    main()
