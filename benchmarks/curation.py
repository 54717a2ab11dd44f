"""Measures how well `promed curate` splits vignettes into atomic facts, against 30 that were split by hand.

    python benchmarks/curation.py ../shared/data/medqa-us-test/phrases_no_exclude_test.jsonl
    python benchmarks/curation.py --chinese

`--split test` measures one split, `--model hf:smollm2` a model's checked facts instead of the rules'.

`labels/curation.jsonl` names rows of the file by number and hash and holds no text; `labels/curation_zh.jsonl` holds 20
Chinese questions that were written for this. A gold fact is one or more spans of
characters of the stem; what several facts share ("denies", a duration) is in the spans of each. A gold fact is what a
doctor could learn by one question: who the patient is, one symptom, sign, value, drug or denial, with its own
duration, place and degree. Where the patient presents, and who says so, is in no gold fact; it counts neither for nor
against.

The measures compare content words (`promed_env.datasets.curation.words`) within a sentence. A fact *holds* a gold fact
if it has all its content words, denials among them, and is one of the facts of the gold fact's sentence.

* coverage: share of gold facts that some fact holds.
* precision: share of facts that say nothing by halves: they hold a gold fact, and every other word of theirs that is in
  a gold fact of the sentence is in one they hold. Facts made only of words that no gold fact has are left out.
* atomicity: share of facts that hold exactly one gold fact, of those that hold any.
* question: share of vignettes whose final question starts where the label says.

Intervals are 95% bootstrap over vignettes for the means of the vignettes' shares. On all rows of the file: rows whose
end asks nothing, facts a case, and the words that the facts lose or invent, which must be none.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from promed_agents.statistics import bootstrap_interval

from promed_env.case import Language
from promed_env.datasets.curation import (
    REFUSALS,
    LanguageModelSplitter,
    RuleSplitter,
    Split,
    Splitter,
    curate,
    sentences,
    split_question,
    split_vignette,
)
from promed_env.datasets.curation.words import content_words, invented, lost
from promed_env.datasets.jsonl import Row, read_rows
from promed_env.llm import make_llm

__all__ = ["MEASURES", "Labelled", "chinese_labels", "english_labels", "measure"]

LABELS = Path(__file__).resolve().parent / "labels"
MEASURES = ("coverage", "precision", "atomicity", "question")


@dataclass(frozen=True)
class Labelled:
    """A vignette split by hand.

    Attributes:
        name: Of the row it was made for.
        split: "dev" or "test".
        language: Of the stem.
        stem: Vignette and question.
        question_start: Where the question starts in the stem, in characters.
        facts: The spans of characters, [start, end), of each gold fact.
    """

    name: str
    split: str
    language: Language
    stem: str
    question_start: int
    facts: list[list[list[int]]]


def english_labels(rows: Sequence[Row]) -> list[Labelled]:
    """The labels of rows of MedQA's US test file.

    Raises:
        ValueError: A row's stem is not the one that was labelled.
    """
    found = []
    for label in _lines("curation.jsonl"):
        stem = rows[label["row"]].fields["question"]
        if hashlib.sha256(stem.encode()).hexdigest()[:16] != label["sha256"]:
            raise ValueError(f"row {label['row']} is not the vignette that was labelled; is this MedQA's US test file?")
        found.append(
            Labelled(f"row {label['row']}", label["split"], "en", stem, label["question_start"], label["facts"])
        )
    return found


def chinese_labels() -> list[Labelled]:
    """The labelled Chinese questions."""
    return [
        Labelled(label["id"], label["split"], "zh", label["question"], label["question_start"], label["facts"])
        for label in _lines("curation_zh.jsonl")
    ]


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (LABELS / name).read_text(encoding="utf-8").splitlines()]


def measure(label: Labelled, splitter: Splitter) -> dict[str, float]:
    """The measures of one vignette; NaN where a share has nothing to count.

    Raises:
        ValueError: A label lies in no sentence.
    """
    held = right = told = atomic = touching = 0
    vignette = sentences(label.stem[: label.question_start])
    splits = split_vignette(vignette, splitter, label.language)
    gold_seen = 0
    for sentence, split in zip(vignette, splits, strict=True):
        inside = range(sentence.start, sentence.start + len(sentence.text))
        gold = [
            content_words(" ".join(label.stem[start:end] for start, end in spans))
            for spans in label.facts
            if spans[-1][0] in inside
        ]
        gold_seen += len(gold)
        facts = [content_words(fact) for fact in split.facts]
        known = frozenset().union(*gold)
        held += sum(any(words <= fact for fact in facts) for words in gold)
        for fact in facts:
            holds = [words for words in gold if words <= fact]
            if not fact & known:
                continue
            told += 1
            right += bool(holds) and fact & known <= frozenset().union(*holds)
            touching += bool(holds)
            atomic += len(holds) == 1
    if gold_seen != len(label.facts):
        raise ValueError(f"{label.name}: {len(label.facts) - gold_seen} labels lie in no sentence")
    return {
        "coverage": held / len(label.facts),
        "precision": right / told if told else float("nan"),
        "atomicity": atomic / touching if touching else float("nan"),
        "question": float(split_question(label.stem, label.language).start == label.question_start),
    }


class _Counting:
    """A splitter that counts the sentences left to the rules."""

    def __init__(self, splitter: Splitter) -> None:
        self.splitter, self.name = splitter, splitter.name
        self.refused: Counter[str | None] = Counter()

    def split(self, sentences: Sequence[str], language: Language) -> list[Split]:
        splits = self.splitter.split(sentences, language)
        self.refused.update(split.refused for split in splits)
        return splits


def _print_measures(labels: Sequence[Labelled], splits: Sequence[str], splitter: Splitter) -> None:
    print(f"\n{'split':6}{'vignettes':>10}" + "".join(f"{name:>26}" for name in MEASURES))
    for split in splits:
        counting = _Counting(splitter)
        found = [measure(label, counting) for label in labels if label.split == split]
        cells = []
        for name in MEASURES:
            values = [figures[name] for figures in found if not np.isnan(figures[name])]
            low, high = bootstrap_interval(values)
            cells.append(f"{np.mean(values):.3f} [{low:.3f}, {high:.3f}]")
        print(f"{split:6}{len(found):>10}" + "".join(f"{cell:>26}" for cell in cells))
        if not isinstance(splitter, RuleSplitter):
            reasons = ", ".join(f"{reason} {counting.refused[reason]}" for reason in REFUSALS)
            print(
                f"      the model's facts stand for {counting.refused[None]} of {counting.refused.total()} sentences; "
                f"left to the rules: {reasons}"
            )


def _print_all(rows: Sequence[Row]) -> None:
    start = time.perf_counter()
    cases, report = curate(rows, "medqa")
    seconds = time.perf_counter() - start
    vignettes = [split_question(row.fields["question"]).vignette for row in rows]
    texts = [[fact.text for fact in case.facts] for case in cases]
    losing = sum(bool(lost(vignette, facts)) for vignette, facts in zip(vignettes, texts, strict=True))
    inventing = sum(
        any(invented(fact, vignette) for fact in facts) for vignette, facts in zip(vignettes, texts, strict=True)
    )
    quantiles = np.quantile(report.facts, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])
    print(f"\nall {len(rows)} rows, by rules: {1000 * seconds / len(rows):.1f} ms a row")
    print(f"rows whose end asks nothing: {report.unasked}; rows with no vignette: {report.flags.get('no_facts', 0)}")
    print(
        f"facts a case: mean {np.mean(report.facts):.1f}; quantiles 0, 5, 25, 50, 75, 95, 100%: "
        + ", ".join(f"{value:.0f}" for value in quantiles)
    )
    print(f"facts a sentence: {sum(report.facts) / report.sentences:.2f}")
    print(f"rows that lose a content word: {losing}; rows with an invented one: {inventing}")
    print("flagged: " + (", ".join(f"{flag} {n}" for flag, n in report.flags.items()) or "none"))


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", help="MedQA's US test file, JSON Lines")
    parser.add_argument("--chinese", action="store_true", help="measure the Chinese questions in place of a file's")
    parser.add_argument("--split", choices=("dev", "test"), action="append", help="default: both")
    parser.add_argument("--model", help="measure this model's checked split instead of the rules', such as hf:smollm2")
    parser.add_argument("--labels-only", action="store_true", help="do not curate the whole file")
    arguments = parser.parse_args()
    if (arguments.file is None) != arguments.chinese:
        parser.error("give MedQA's US test file, or --chinese")
    if arguments.chinese and arguments.labels_only:
        parser.error("--labels-only goes with a file; of the Chinese questions there is nothing else to measure")
    splitter: Splitter = LanguageModelSplitter(make_llm(arguments.model)) if arguments.model else RuleSplitter()
    print(f"{datetime.date.today()}, {os.cpu_count()} cores; split by {splitter.name}")
    splits = arguments.split or ("dev", "test")
    if arguments.chinese:
        _print_measures(chinese_labels(), splits, splitter)
        return
    rows = read_rows(arguments.file)
    _print_measures(english_labels(rows), splits, splitter)
    if not arguments.labels_only:
        _print_all(rows)


if __name__ == "__main__":
    _main()
