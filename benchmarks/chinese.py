"""Measures how patients hear Chinese: pairs of characters against jieba's words, alone and with concepts.

    python benchmarks/chinese.py [--split dev] [--split test]

Over bundled Chinese vignettes, half of them for development. `lexical` is the plain score (shared pieces weighted by
rarity, the threshold chosen on the development questions for each way of cutting); `concepts` is the model of the
default patient, as shipped with pairs of characters and fitted anew with jieba's words (`pip install jieba`; without it
these rows are left out, and that is said). On development cases the models are those of the folds that did not see the
case. `bare` asks of facts that carry no questions of their own, as data other than the bundled vignettes has it.

False disclosures are counted apart: questions about what the case does not mention, near misses (the same topic, but
another person, side or particular), and nonsense. The last lines ask the vignettes' own questions, which others wrote
than wrote the labels, of facts without them.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from promed_env.case import Case
from promed_env.datasets import load_dataset
from promed_env.patients.chinese import Cut, features
from promed_env.patients.model import Model
from promed_env.patients.screening import screen
from promed_env.patients.static import StaticMatcher
from promed_env.patients.words import FUNCTION_WORDS, content_runs, fold, tokenise

__all__ = ["Asked", "Teller", "lexical", "load_labels", "scores"]

ROOT = Path(__file__).resolve().parents[1]
LABELS = ROOT / "benchmarks/labels"
LIMIT = 3
THRESHOLDS = (0.2, 0.25, 0.3, 0.34, 0.4, 0.45, 0.5, 0.6)
KINDS = ("unanswerable", "near_miss", "nonsense")

Teller = Callable[[str, Case], tuple[int, ...]]
"""Finds the facts to tell for a screened question."""


class Asked(NamedTuple):
    """A question with the facts it asks for."""

    case: Case
    question: str
    kind: str
    facts: frozenset[int]


class Scores(NamedTuple):
    """Agreement with the labels: micro over facts, and the share of each kind of empty question that drew a fact."""

    n: int
    recall: float
    precision: float
    f1: float
    interval: tuple[float, float]
    false: dict[str, float]


def load_labels(split: str, cases: dict[str, Case]) -> list[Asked]:
    """The Chinese labelled questions of a split, "dev" or "test", and its near misses."""
    asked = []
    for name in (f"questions_zh_{split}.jsonl", "questions_zh_near.jsonl"):
        for line in (LABELS / name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["split"] == split:
                asked.append(Asked(cases[row["case_id"]], row["question"], row["kind"], frozenset(row["facts"])))
    return asked


def lexical(cut: Cut, threshold: float) -> Teller:
    """The plain score of `promed_env.patients.lexical`, with another way to cut texts and another threshold."""

    def tell(question: str, case: Case) -> tuple[int, ...]:
        asked = frozenset(cut(question)) - FUNCTION_WORDS
        facts = [frozenset(cut(fact.text)) for fact in case.facts]
        counts = Counter(piece for pieces in facts for piece in pieces)
        weight = {piece: math.log((1 + len(facts)) / (1 + counts[piece])) + 1 for piece in asked}
        total = sum(weight.values())
        shares = [sum(weight[piece] for piece in asked & pieces) / total if total else 0.0 for pieces in facts]
        order = sorted(range(len(facts)), key=lambda index: -shares[index])[:LIMIT]
        return tuple(index for index in order if shares[index] >= threshold)

    return tell


def modelled(model_of: Callable[[Case], Model], cut: Cut) -> Teller:
    """The default patient's model, which may depend on the case."""
    return lambda question, case: model_of(case).pick(features(question, case.facts, cut), LIMIT)


def scores(tell: Teller, labels: Sequence[Asked], change: Callable[[Case], Case] = lambda case: case) -> Scores:
    """How well the facts told agree with the labels, with a 95% interval of F1 from resampling cases.

    Near misses count for their own rate only, so that the rest is comparable with the English figures.

    Args:
        tell: What is measured.
        labels: Questions; a question expects at most `LIMIT` of its facts.
        change: What is done to each case before it is asked.
    """
    counts: dict[str, list[int]] = {}
    drew: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    changed = {item.case.case_id: change(item.case) for item in labels}
    n = 0
    for item in labels:
        heard = screen(item.question)
        told = frozenset(tell(heard.question, changed[item.case.case_id]) if heard.refusal is None else ())
        if item.kind in drew:
            drew[item.kind].append(bool(told))
        if item.kind == "near_miss":
            continue
        n += 1
        count = counts.setdefault(item.case.case_id, [0, 0, 0])
        for position, number in enumerate((len(told & item.facts), len(told), min(LIMIT, len(item.facts)))):
            count[position] += number
    table = np.array(list(counts.values()))
    hits, told_facts, wanted = (int(total) for total in table.sum(axis=0))
    resampled = table[np.random.default_rng(0).integers(len(table), size=(2000, len(table)))].sum(axis=1)
    low, high = np.quantile(2 * resampled[:, 0] / (resampled[:, 1] + resampled[:, 2]), [0.025, 0.975])
    return Scores(
        n=n,
        recall=hits / wanted,
        precision=hits / told_facts if told_facts else 0.0,
        f1=2 * hits / (told_facts + wanted),
        interval=(float(low), float(high)),
        false={kind: sum(values) / len(values) if values else float("nan") for kind, values in drew.items()},
    )


def best_threshold(cut: Cut, labels: Sequence[Asked]) -> float:
    """The threshold of the plain score with the best F1 less half the false disclosure (near misses included)."""

    def worth(threshold: float) -> float:
        found = scores(lexical(cut, threshold), labels)
        return found.f1 - (found.false["unanswerable"] + found.false["near_miss"]) / 4

    return max(THRESHOLDS, key=worth)


def cuts() -> dict[str, Cut]:
    """Name of a way to cut Chinese -> the cut; jieba's only where it is installed."""
    known: dict[str, Cut] = {"pairs": tokenise}
    if importlib.util.find_spec("jieba") is not None:
        jieba = importlib.import_module("jieba")
        jieba.setLogLevel("ERROR")

        @lru_cache(maxsize=16384)  # as `tokenise` has
        def words(text: str) -> tuple[str, ...]:
            return tuple(word for word in jieba.lcut(fold(text)) if content_runs(word) == [word] or word[0].isdigit())

        known["jieba"] = words
    return known


def microseconds(tell: Teller, labels: Sequence[Asked]) -> float:
    """Median microseconds a question, cases read before, questions not."""
    spent = []
    for number, item in enumerate(labels):
        start = time.perf_counter_ns()
        tell(f"{item.question[:-1]}呢{number}", item.case)
        spent.append((time.perf_counter_ns() - start) / 1000)
    return float(np.median(spent))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", action="append", choices=["dev", "test"], help="labels to use (default: both)")
    splits = parser.parse_args().split or ["dev", "test"]
    fitting = _script("fit_chinese_patient")
    cases = {case.case_id: case for case in load_dataset("cmb")}
    dev = load_labels("dev", cases)

    print(f"{datetime.date.today()}, {os.cpu_count()} cores: python {' '.join(sys.argv)}")
    known = cuts()
    if "jieba" not in known:
        print("jieba is not installed: its rows are left out")
    rows: dict[str, dict[str, Teller]] = {"dev": {}, "test": {}}
    for name, cut in known.items():
        plain = lexical(cut, best_threshold(cut, dev))
        examples = fitting.examples_of(cases, cut)
        model, _ = fitting.choose_thresholds(examples)
        held = {
            case_id: model._replace(weights=weights) for case_id, weights in fitting.cross_validated(examples).items()
        }
        rows["dev"] |= {
            f"lexical, {name}": plain,
            f"concepts, {name}": modelled(lambda case, held=held: held[case.case_id], cut),  # type: ignore[misc]
        }
        rows["test"] |= {
            f"lexical, {name}": plain,
            f"concepts, {name}": modelled(lambda case, model=model: model, cut),  # type: ignore[misc]
        }
    shipped = StaticMatcher()
    rows["test"]["static, as shipped"] = lambda question, case: shipped.match(question, case, LIMIT)
    for split in splits:
        labels = dev if split == "dev" else load_labels("test", cases)
        near = sum(item.kind == "near_miss" for item in labels)
        print(
            f"\n{split}: {len(labels) - near} labelled questions and {near} near misses "
            f"over {len({item.case.case_id for item in labels})} cases"
        )
        print(
            f"{'patient':26} {'n':>4} {'recall':>6} {'prec.':>6} {'F1':>6} {'95% interval':>14} "
            f"{'absent':>6} {'near':>6} {'nons.':>6} {'us':>6}"
        )
        for name, tell in rows[split].items():
            _print(name, scores(tell, labels), microseconds(tell, labels))
            if not name.startswith("lexical"):
                _print(f"  {name}, bare", scores(tell, labels, fitting.without_questions), None)
        owned = [
            Asked(case, fact.question_text, "own", frozenset({index}))
            for case in {item.case.case_id: item.case for item in labels}.values()
            for index, fact in enumerate(case.facts)
            if fact.question_text
        ]
        print("the vignettes' own questions, of facts without them")
        for name, tell in rows[split].items():
            _print(name, scores(tell, owned, fitting.without_questions), None)


def _print(name: str, s: Scores, spent: float | None) -> None:
    false = " ".join(f"{s.false[kind]:6.3f}" for kind in KINDS)
    print(
        f"{name:26} {s.n:4} {s.recall:6.3f} {s.precision:6.3f} {s.f1:6.3f} {s.interval[0]:6.3f}, {s.interval[1]:6.3f} "
        f"{false} {'' if spent is None else f'{spent:6.0f}'}".rstrip()
    )


def _script(name: str) -> ModuleType:
    """A module of `scripts/`, which is no package."""
    sys.path.insert(0, str(ROOT / "scripts"))  # where it finds the modules beside it
    spec = importlib.util.spec_from_file_location(name, ROOT / f"scripts/{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its named tuples look themselves up there
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
