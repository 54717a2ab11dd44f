"""Measures how well free words find a finding of the knowledge base: `KnowledgePatient` on labelled questions.

    python benchmarks/findings.py [--split test --split second]

`dev` and `test` paraphrase the canonical questions, of different findings in each. `train` and `second` are halves of
questions that others wrote for the vignettes and for `benchmarks/patients.py`, labelled afterwards; most of them ask
for what no finding answers. The weights are fitted on `dev` and `train`. Prints top-1 accuracy over the questions
with an answer and the share of the others that drew a finding (95% Wilson intervals), and microseconds a question.

One author wrote `dev`, `test` and, later, the phrases of `promed_env/patients/data/findings.txt`, so that `test` is not
blind to these. The row `no phrases for test` lacks the phrases of the findings that `test` asks for, the row `no
phrases` all of them; `static` is the matcher of the vignettes' default patient.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

from promed_env.case import Case, Fact, Option
from promed_env.consultation import Consultation
from promed_env.knowledge import primary_care
from promed_env.patients import Informant, Patient
from promed_env.patients.features import informant_asked
from promed_env.patients.knowledge import KnowledgePatient
from promed_env.patients.retrieval import FindingRetriever, Wordings, shipped_wordings
from promed_env.patients.static import StaticMatcher

__all__ = ["SPLITS", "Labelled", "load_labels", "measure", "wilson"]

LABELS = Path(__file__).resolve().parent / "labels"
SPLITS = ("dev", "train", "test", "second")


class Labelled(NamedTuple):
    """A question with the findings that are acceptable answers; none if no finding answers it."""

    question: str
    accepted: frozenset[str]


class Retrieving:
    """A matcher that retrieves with other phrases than the shipped ones."""

    name = "retrieving"

    def __init__(self, wordings: Wordings) -> None:
        """Make one with these phrases."""
        self.retriever = FindingRetriever(primary_care(), wordings)

    def match(self, question: str, case: Case, limit: int) -> tuple[int, ...]:
        """The finding that the question asks for."""
        found = self.retriever.find(question)
        return () if found is None else (found,)

    def addressee(self, question: str) -> Informant:
        """Who would know."""
        return informant_asked(question)


def load_labels(split: str) -> list[Labelled]:
    """The labelled questions of a split of `SPLITS`."""
    text = (LABELS / f"findings_{split}.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return [
        Labelled(row["question"], frozenset([row["finding"], *row["also"]] if row["finding"] is not None else []))
        for row in rows
    ]


def measure(patient: Patient, split: str) -> dict[str, float]:
    """How a patient answers the labelled questions of a split, each asked alone of somebody with every finding.

    Returns:
        `n`, `answerable`; `accuracy` over the answerable with `accuracy_low` and `accuracy_high`; `false_disclosure`
        over the others with `false_disclosure_low` and `false_disclosure_high`; `microseconds` a reply, each question
        being heard for the first time.
    """
    labels = load_labels(split)
    state = Consultation(_everything())
    patient.reply(state, "Is there a draught in the hall?")  # reads its tables
    start = time.perf_counter()
    replies = [patient.reply(state, item.question) for item in labels]
    seconds = time.perf_counter() - start
    ids = [finding.id for finding in primary_care().findings]
    told = [frozenset(ids[index] for index in reply.disclosed[:1]) for reply in replies]
    right = [bool(found & item.accepted) for found, item in zip(told, labels, strict=True) if item.accepted]
    drawn = [bool(found) for found, item in zip(told, labels, strict=True) if not item.accepted]
    accuracy, false = wilson(sum(right), len(right)), wilson(sum(drawn), len(drawn))
    return {
        "n": len(labels),
        "answerable": len(right),
        "accuracy": sum(right) / len(right),
        "accuracy_low": accuracy[0],
        "accuracy_high": accuracy[1],
        "false_disclosure": sum(drawn) / len(drawn),
        "false_disclosure_low": false[0],
        "false_disclosure_high": false[1],
        "microseconds": seconds / len(labels) * 1e6,
    }


def wilson(count: int, n: int) -> tuple[float, float]:
    """The 95% score interval of a share."""
    z = 1.96
    middle = (count + z * z / 2) / (n + z * z)
    half = z * math.sqrt(count * (n - count) / n + z * z / 4) / (n + z * z)
    return max(0.0, middle - half), min(1.0, middle + half)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", action="append", choices=SPLITS, help="may be given again; by default all")
    splits = parser.parse_args().split or list(SPLITS)
    print(f"{datetime.date.today()}, {os.cpu_count()} cores, {' '.join(['python', *sys.argv])}")
    tested = {name for item in load_labels("test") for name in item.accepted}
    others = {name: phrases for name, phrases in shipped_wordings().items() if name not in tested}
    patients: dict[str, Patient] = {
        "knowledge": KnowledgePatient(),
        "no phrases for test": KnowledgePatient(matcher=Retrieving(others)),
        "no phrases": KnowledgePatient(matcher=Retrieving({})),
        "static": KnowledgePatient(matcher=StaticMatcher()),
    }
    print(f"{'patient':20} {'split':7} {'n':>4}  {'top-1 accuracy':20} {'false disclosure':20} {'us':>6}")
    for split in splits:
        for name, patient in patients.items():
            row = measure(patient, split)
            accuracy, false = (
                f"{row[key]:.3f} [{row[f'{key}_low']:.2f}, {row[f'{key}_high']:.2f}]"
                for key in ("accuracy", "false_disclosure")
            )
            print(f"{name:20} {split:7} {row['n']:4.0f}  {accuracy:20} {false:20} {row['microseconds']:6.0f}")
    retriever = FindingRetriever(primary_care())
    questions = [item.question for split in splits for item in load_labels(split)]
    spent = []
    for _ in range(3):  # from the second round on the words are known, the questions still are not looked up
        start = time.perf_counter()
        for question in questions:
            retriever.find(question)
        spent.append((time.perf_counter() - start) / len(questions) * 1e6)
    print(f"retrieval alone, words known: {min(spent[1:]):.0f} us a question; words new: {spent[0]:.0f}")


def _everything() -> Case:
    """Somebody with every finding, of either sex, in the order of the knowledge base."""
    base = primary_care()
    return Case(
        case_id=f"{base.name}:everything",
        source=base.name,
        presentation="I do not feel well.",
        question="What is the most likely diagnosis?",
        options=(Option("A", "-"), Option("B", "-")),
        answer=("A",),
        facts=tuple(Fact(item.yes, item.section, item.ask) for item in base.findings),
    )


if __name__ == "__main__":
    main()
