"""The frozen splits of the real files: no vignette in two of them, and sizes that do not move."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from promed_env.actions import normalise
from promed_env.case import Fact, Option
from promed_env.datasets import load_dataset
from promed_env.datasets.splits import SPLITS, split_of, vignette

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".." / "shared" / "data"
MEDIQ = DATA / "mediq" / "dev_0000-0999.jsonl"
AGENTCLINIC = DATA / "agentclinic" / "agentclinic_medqa.jsonl"
DDXPLUS = DATA / "ddxplus" / "fr" / "Project_Train_Data_FewShot_Learning.csv"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not MEDIQ.is_file(), reason=f"the real data is not there: {MEDIQ}"),
]


@pytest.mark.parametrize(
    ("path", "sizes"),
    [(MEDIQ, (788, 106, 106)), (AGENTCLINIC, (87, 10, 10)), (DDXPLUS, (79, 9, 10))],
    ids=["mediq", "agentclinic", "ddxplus"],
)
def test_the_splits_are_frozen(path: Path, sizes: tuple[int, ...]) -> None:
    counts = Counter(split_of(case) for case in load_dataset(path))
    assert tuple(counts[split] for split in SPLITS) == sizes


def test_no_vignette_is_in_two_splits() -> None:
    splits = defaultdict(set)
    for case in load_dataset(MEDIQ):
        splits[normalise(vignette(case))].add(split_of(case))
    assert all(len(found) == 1 for found in splits.values())


@pytest.mark.parametrize("path", [MEDIQ, AGENTCLINIC, DDXPLUS], ids=["mediq", "agentclinic", "ddxplus"])
def test_neither_the_question_nor_the_loaders_wording_moves_a_case(path: Path) -> None:
    for case in load_dataset(path)[:40]:
        other = dataclasses.replace(
            case,
            question="Which test comes next?",
            options=(Option("A", "this"), Option("B", "that")),
            answer=("B",),
            prior=None,
            facts=tuple(Fact(f"{fact.text} (reworded)", fact.section) for fact in case.facts),
        )
        assert split_of(other) == split_of(case)
