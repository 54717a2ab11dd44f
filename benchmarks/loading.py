"""Measures what the loaders add to real rows: MediQ's against labels made by hand, the other sources by counting.

    python benchmarks/loading.py [--cases ../shared/data/mediq/dev_0000-0999.jsonl] [--split test]
        [--agentclinic FILE] [--ddxplus FILE]

Prints seconds to load, counts of the flags, sizes of the slices, and, on 40 cases read by hand: how often the set of
initial facts is exactly right and how often a single fact is (beside the plain guesses "the first fact" and "the first
two"), and how often a fact's section is. The rules were written with the split "dev"; the figures to quote are those
of "test", which was not looked at. A fact marked unsure by the reader is left out.

Of every file: seconds to load, the flags, facts a case, their sections, the slots of the key and the sizes of the
frozen splits; of AgentClinic also the masked facts, the organ systems and the aliases, of DDXPlus how the questions
became statements and how the right diagnosis ranks in the differential.
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
from promed_env.datasets.diagnoses import WITHHELD, organ_system
from promed_env.datasets.slices import names_complaint
from promed_env.datasets.splits import SPLITS, split_of, vignette

__all__ = ["GUESSES", "Agreement", "initial_agreement", "labels", "loaded", "section_agreement"]

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT / "../shared/data/mediq/dev_0000-0999.jsonl"
AGENTCLINIC = ROOT / "../shared/data/agentclinic/agentclinic_medqa.jsonl"
DDXPLUS = ROOT / "../shared/data/ddxplus/fr/Project_Train_Data_FewShot_Learning.csv"
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


def loaded(path: Path) -> CaseDataset:
    """The cases of a file; prints what holds of a file of any format."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        dataset = load_dataset(path)
        seconds.append(time.perf_counter() - start)
    assert isinstance(dataset, CaseDataset)
    facts = [case.n_facts for case in dataset]
    splits = Counter(split_of(case) for case in dataset)
    print(f"\n{dataset.description}")
    print(f"load: {statistics.median(seconds):.2f} s (median of 3); {dataset.report}")
    print(f"facts a case: median {statistics.median(facts):g}, most {max(facts)}; initial: {_initial(dataset)}")
    print("sections: " + _counted(Counter(fact.section for case in dataset for fact in case.facts)))
    print("slots of the key: " + _counted(Counter(case.answer[0] for case in dataset), by_count=False))
    different = len({vignette(case) for case in dataset})
    print(f"splits: {', '.join(f'{split} {splits[split]}' for split in SPLITS)}; {different} different vignettes")
    return dataset


def _initial(dataset: CaseDataset) -> str:
    return f"{sum(len(case.initial) for case in dataset) / len(dataset):.2f} a case"


def _counted(counts: Counter[str], by_count: bool = True) -> str:
    return ", ".join(
        f"{name} {count}" for name, count in (counts.most_common() if by_count else sorted(counts.items()))
    )


def _right(case: Case) -> str:
    return next(option.text for option in case.options if option.key == case.answer[0])


def _print_agentclinic(dataset: CaseDataset) -> None:
    masked = [sum(WITHHELD in fact.text for fact in case.facts) for case in dataset]
    print(f"masked: {sum(masked)} facts in {sum(count > 0 for count in masked)} cases")
    print("organ systems: " + _counted(Counter(organ_system(_right(case)) for case in dataset)))
    aliased = [len(next(option.aliases for option in case.options if option.key in case.answer)) for case in dataset]
    print(f"aliases of the right diagnosis: {sum(map(bool, aliased))} cases have some, {sum(aliased)} in all")


def _print_ddxplus(dataset: CaseDataset) -> None:
    texts = [fact.text for case in dataset for fact in case.facts[1:]]
    quoted = sum(text.startswith("Asked ") for text in texts)
    print(f"evidences: {len(texts)}, of which {quoted} are quoted as question and answer, the others are statements")
    absent = sum(fact.status == "absent" for case in dataset for fact in case.facts)
    print(f"absent: {absent} evidences that are listed with their default value")
    ranks = Counter([name for name, _ in case.raw["differential"]].index(_right(case)) + 1 for case in dataset)
    print(
        f"rank of the right diagnosis in the differential: {_counted(Counter({str(k): n for k, n in ranks.items()}))}"
    )
    short = sum(len(case.raw["differential"]) < len(case.options) for case in dataset)
    print(f"topped up with the nearest conditions: {short} cases")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, default=CASES, help="MediQ's rows")
    parser.add_argument("--split", choices=("dev", "test"), default="test", help="which labels to compare with")
    parser.add_argument("--agentclinic", type=Path, default=AGENTCLINIC, help="AgentClinic's records")
    parser.add_argument("--ddxplus", type=Path, default=DDXPLUS, help="DDXPlus's patients, its release files beside it")
    args = parser.parse_args()

    print(f"{datetime.date.today()}, {os.cpu_count()} cores: python {' '.join(sys.argv)}")
    _print_agentclinic(loaded(args.agentclinic))
    _print_ddxplus(loaded(args.ddxplus))
    dataset = loaded(args.cases)
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
