"""What planning is worth and what it costs: everything that `docs/agents/mcts.md` quotes.

    python benchmarks/planners.py [--cases N] [--split test] [--json FILE] [--plot FILE] [SECTION ...]

Sections: speed, simulations. `speed` counts simulations a second of processor time of one core; `simulations` plays
the first cases of ProMed-PrimaryCare-v0 with more and more of them, beside greedy expected information gain on the
same cases, with 95% Wilson intervals and paired bootstrap intervals of the differences. `--plot` draws the latter and
needs matplotlib. The synthetic clinic is exact because findings are independent given the condition; no real clinic
is.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from promed_agents.evaluate import evaluate
from promed_agents.knowledge import KnowledgeDoctor
from promed_agents.mcts import BeliefState, BeliefWorld, Candidates, MCTSDoctor, Search, search
from promed_agents.setting import Setting
from promed_agents.statistics import bootstrap_interval
from worlds import wilson

from promed_env.beliefs.evidence import log_softmax

BUDGETS = (1, 4, 16, 64, 256)


def speed(rounds: int = 15) -> dict[str, Any]:
    """Simulations a second of processor time, median of some rounds: 64 searches side by side, and one alone."""
    rng = np.random.default_rng(0)

    def root() -> BeliefState:
        candidates = Candidates([f"q{i}" for i in range(32)], rng.uniform(0.01, 0.95, size=(32, 5)))
        return BeliefState(candidates, log_softmax(rng.normal(size=5)), frozenset(), 10)

    figures: dict[str, Any] = {}
    for name, many, simulations in (("side_by_side_64", 64, 100), ("alone", 1, 1000)):
        rates = []
        for _ in range(rounds):
            roots = [root() for _ in range(many)]
            start = time.process_time()  # of this process alone, whatever else the machine is doing
            search(BeliefWorld(), roots, Search(simulations, 0.1))
            rates.append(many * simulations / (time.process_time() - start))
        figures[f"{name}_per_s"] = round(statistics.median(rates))
    return figures


def simulations(n: int, split: str) -> dict[str, Any]:
    """Accuracy and questions by simulations, and the paired difference to greedy."""
    setting = Setting("ProMed-PrimaryCare-v0", split=split, reward="diagnosis")
    cases = setting.load(n)
    greedy = evaluate(KnowledgeDoctor(), setting, cases)
    figures: dict[str, Any] = {"n": n, "split": split, "greedy": _row(greedy, greedy)}
    for budget in BUDGETS:
        start = time.perf_counter()
        planned = evaluate(MCTSDoctor(simulations=budget), setting, cases)
        figures[str(budget)] = {**_row(planned, greedy), "seconds": round(time.perf_counter() - start, 1)}
        print(budget, json.dumps(figures[str(budget)]), flush=True)
    return figures


def _row(evaluation: Any, greedy: Any) -> dict[str, Any]:
    right = [episode.correct for episode in evaluation.episodes]
    difference = [float(a) - b.correct for a, b in zip(right, greedy.episodes, strict=True)]
    low, high = bootstrap_interval(difference)
    return {
        "accuracy": wilson(sum(right), len(right)),
        "questions": round(evaluation.summaries["all"].questions, 2),
        "over_greedy": [round(float(np.mean(difference)), 4), round(low, 4), round(high, 4)],
    }


def plot(figures: dict[str, Any], path: Path) -> None:
    """Draw accuracy against simulations."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    middle, low, high = np.array([figures[str(budget)]["accuracy"] for budget in BUDGETS]).T
    axes.plot(BUDGETS, middle, marker="o", color="tab:blue", label="mcts")
    axes.fill_between(BUDGETS, low, high, color="tab:blue", alpha=0.2, linewidth=0)
    value, low_, high_ = figures["greedy"]["accuracy"]
    axes.axhline(value, color="tab:orange", linestyle="--", label="greedy expected information gain")
    axes.axhspan(low_, high_, color="tab:orange", alpha=0.1, linewidth=0)
    axes.set(xlabel="simulations a question", ylabel="answer accuracy", xscale="log", xticks=BUDGETS)
    axes.set_xticklabels([str(budget) for budget in BUDGETS])
    axes.set_title(
        "ProMed-PrimaryCare-v0, synthetic clinic: findings are independent given the condition\n"
        f"n = {figures['n']} {figures['split']} cases a point, at most 10 questions, bands are 95% Wilson intervals",
        fontsize=9,
    )
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run the sections asked for and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", nargs="*", default=["speed", "simulations"])
    parser.add_argument("--cases", type=int, default=2000, help="cases of the split")
    parser.add_argument("--split", default="test", help="split of the clinic (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--plot", type=Path, help="draw accuracy by simulations as this file (PNG, SVG or PDF)")
    args = parser.parse_args()
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        "speed": speed,
        "simulations": lambda: simulations(args.cases, args.split),
    }
    if unknown := [name for name in args.section if name not in sections]:
        parser.error(f"unknown section {unknown[0]!r}; there are {', '.join(sections)}")
    figures: dict[str, Any] = {"date": date.today().isoformat(), "cores": os.cpu_count()}
    print(json.dumps(figures))
    for name in args.section:
        figures[name] = sections[name]()
        print(f"{name}: {json.dumps(figures[name], indent=2)}")
    if args.plot:
        plot(figures.get("simulations") or sections["simulations"](), args.plot)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
