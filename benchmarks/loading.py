"""Measures what the loader adds to MediQ's rows, initial facts and sections, against labels made by hand.

    python benchmarks/loading.py [--cases ../shared/data/mediq/dev_0000-0999.jsonl] [--split test]

Prints seconds to load, counts of the flags, sizes of the slices, and, on 40 cases read by hand: how often the set of
initial facts is exactly right and how often a single fact is (beside the plain guesses "the first fact" and "the first
two"), and how often a fact's section is. The rules were written with the split "dev"; the figures to quote are those
of "test", which was not looked at. A fact marked unsure by the reader is left out.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from promed_env.case import SECTIONS, Case
from promed_env.datasets import SLICES, CaseDataset, load_dataset
from promed_env.datasets.slices import names_complaint

__all__ = ["GUESSES", "Agreement", "initial_agreement", "labels", "section_agreement"]

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT / "../shared/data/mediq/dev_0000-0999.jsonl"
LABELS = ROOT / "benchmarks/labels"

GUESSES: dict[str, Callable[[Case], frozenset[int]]] = {
    "aligned (the loader)": lambda case: case.initial,
    "the first fact": lambda case: frozenset(range(min(1, case.n_facts))),
    "the first two facts": lambda case: frozenset(range(min(2, case.n_facts))),
}
"""Name -> which facts of a case count as initial."""


class Agreement(NamedTuple):
    """How initial facts agree with the labels, over cases and over single facts."""

    cases: int
    exact: int
    facts: int
    right: int
    guessed: int
    labelled: int
    both: int

    def __str__(self) -> str:
        return (
            f"exact set {self.exact}/{self.cases} = {self.exact / self.cases:.3f}; facts: accuracy "
            f"{self.right}/{self.facts} = {self.right / self.facts:.3f}, precision {self.both / self.guessed:.3f}, "
            f"recall {self.both / self.labelled:.3f}"
        )


def labels(name: str, split: str) -> list[dict[str, Any]]:
    """The labels of one split: rows with `case_id`, and `initial` and `unsure`, or `sections`."""
    rows = [json.loads(line) for line in (LABELS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["split"] == split]


def initial_agreement(
    dataset: CaseDataset, rows: Iterable[dict[str, Any]], guess: Callable[[Case], frozenset[int]]
) -> Agreement:
    """Compare a guess with the labels; unsure facts count neither way."""
    total = Agreement(0, 0, 0, 0, 0, 0, 0)
    for row in rows:
        case = dataset.by_id(row["case_id"])
        sure = set(range(case.n_facts)) - set(row["unsure"])
        guessed, labelled = guess(case) & sure, set(row["initial"]) & sure
        right = len(sure) - len(guessed ^ labelled)
        one = (1, guessed == labelled, len(sure), right, len(guessed), len(labelled), len(guessed & labelled))
        total = Agreement(*(a + b for a, b in zip(total, one, strict=True)))
    return total


def section_agreement(dataset: CaseDataset, rows: Iterable[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """Number of facts for each (labelled section, section given by the rules)."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        facts = dataset.by_id(row["case_id"]).facts
        counts.update((wanted, fact.section) for wanted, fact in zip(row["sections"], facts, strict=True))
    return counts


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, default=CASES, help="MediQ's rows")
    parser.add_argument("--split", choices=("dev", "test"), default="test", help="which labels to compare with")
    args = parser.parse_args()

    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        dataset = load_dataset(args.cases)
        seconds.append(time.perf_counter() - start)

    print(f"{datetime.date.today()}, {os.cpu_count()} cores: python {' '.join(sys.argv)}")
    print(f"load: {statistics.median(seconds):.2f} s (median of 3); {dataset.report}")
    print("slices: " + ", ".join(f"{name} {len(dataset.filter(keep))}" for name, keep in SLICES.items()))
    patients = dataset.filter(exclude=["not_a_patient"])
    print(f"presentations of patients without a complaint: {sum(not names_complaint(case) for case in patients)}")

    rows = labels("initial_facts", args.split)
    print(f"initial facts, {len(rows)} cases of the split {args.split!r}:")
    for name, guess in GUESSES.items():
        print(f"  {name:22}{initial_agreement(dataset, rows, guess)}")

    counts = section_agreement(dataset, labels("sections", args.split))
    right = sum(count for (wanted, given), count in counts.items() if wanted == given)
    print(f"sections: {right}/{counts.total()} = {right / counts.total():.3f}")
    for section in SECTIONS:
        labelled = sum(count for (wanted, _), count in counts.items() if wanted == section)
        given = sum(count for (_, found), count in counts.items() if found == section)
        hits = counts[section, section]
        recall = f"{hits}/{labelled} = {hits / labelled:.3f}" if labelled else "no such facts"
        print(f"  {section:14}recall {recall}, precision {hits}/{given}")


if __name__ == "__main__":
    main()
