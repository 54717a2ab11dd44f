"""What the worlds are worth and what they cost: everything that `docs/environments/primarycare.md` quotes.

    python benchmarks/worlds.py [--cases N] [--json FILE] [--plot FILE] [SECTION ...]

Sections: throughput, resets, ceiling, doctors, budgets. `throughput` needs the package `textarena` and comes first,
because what the others leave in memory slows it; `--plot` draws `budgets` and needs matplotlib. Accuracies come with
95% Wilson intervals; timings are medians of several runs in one process, side by side: ratios matter, seconds depend on
the machine. The synthetic clinic is exact because findings are independent given the condition; no real clinic is.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from core import rates, textarena_game
from promed_agents.evaluate import evaluate
from promed_agents.setting import Setting
from promed_agents.zoo import make_agent

from promed_env.beliefs.knowledge import KnowledgeBelief
from promed_env.datasets import load_dataset
from promed_env.knowledge import primary_care
from promed_env.shapley import annotate, table_shapley


def wilson(right: int, n: int) -> tuple[float, float, float]:
    """Share and its 95% Wilson score interval."""
    p, z = right / n, 1.959964
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return round(p, 4), round(float(centre - half), 4), round(float(centre + half), 4)


def ceiling(n: int) -> dict[str, Any]:
    """Accuracy of the exact posterior on the test split: with all findings, and with the presentation alone."""
    right: dict[str, dict[str, list[bool]]] = {"presentation": {}, "everything": {}}
    for case in itertools.islice(load_dataset("primarycare", "test"), n):
        assert case.evidence is not None and case.prior is not None
        key, prior = case.keys.index(case.answer[0]), np.log(case.prior)
        for name, rows in (("presentation", case.evidence[sorted(case.initial)]), ("everything", case.evidence)):
            hit = int((prior + rows.sum(axis=0)).argmax()) == key
            right[name].setdefault(case.raw["complaint"], []).append(hit)
    figures: dict[str, Any] = {"n": n}
    for name, hits in right.items():
        everything = [hit for listed in hits.values() for hit in listed]
        figures[name] = wilson(sum(everything), len(everything))
        figures[f"{name}_by_complaint"] = {
            key: round(float(np.mean(listed)), 3) for key, listed in sorted(hits.items())
        }
    return figures


def doctors(n: int) -> dict[str, Any]:
    """Accuracy and questions of doctors on the first test cases, at ten questions."""
    setting = Setting("ProMed-PrimaryCare-v0", reward="diagnosis")
    cases = setting.load(n)
    figures: dict[str, Any] = {"n": n}
    for name in ("reactive", "random", "knowledge"):
        summary = evaluate(make_agent(name, 0), setting, cases).summaries["all"]
        figures[name] = {"accuracy": wilson(round(summary.accuracy * n), n), "questions": round(summary.questions, 2)}
    return figures


def budgets(n: int) -> dict[str, Any]:
    """Accuracy of doctors by the number of questions that they may ask, on the first test cases."""
    figures: dict[str, Any] = {"n": n}
    for name in ("knowledge", "random"):
        figures[name] = {}
        for budget in (0, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20):
            setting = Setting("ProMed-PrimaryCare-v0", reward="diagnosis", max_questions=budget)
            summary = evaluate(make_agent(name, 0), setting, setting.load(n)).summaries["all"]
            figures[name][budget] = wilson(round(summary.accuracy * n), n)
    return figures


def plot(figures: dict[str, Any], ends: dict[str, Any], path: Path) -> None:
    """Draw `budgets` between what the presentation alone and all findings allow."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, colour in (("knowledge", "tab:blue"), ("random", "tab:orange")):
        budget = list(figures[name])
        middle, low, high = np.array([figures[name][key] for key in budget]).T
        axes.plot(budget, middle, marker="o", markersize=4, color=colour, label=f"doctor {name}")
        axes.fill_between(budget, low, high, color=colour, alpha=0.2, linewidth=0)
    for name, label, style in (("everything", "all findings", "--"), ("presentation", "presentation alone", ":")):
        axes.axhline(ends[name][0], color="grey", linestyle=style, label=f"exact posterior, {label}")
    axes.set(xlabel="questions allowed", ylabel="answer accuracy", ylim=(0.4, 1.0), xlim=(0, None), xticks=budget)
    axes.set_title(
        f"ProMed-PrimaryCare-v0, synthetic clinic: findings are independent given the condition\n"
        f"n = {figures['n']} test cases a point, bands are 95% Wilson intervals",
        fontsize=9,
    )
    axes.legend(loc="center right", fontsize=8)
    figure.savefig(path, dpi=120)


def resets(n: int = 200) -> dict[str, Any]:
    """Milliseconds to draw a case and to compute its Shapley values, with their standard errors.

    The error against the truth is measured on the same cases against 4,096 pairs.
    """
    data = load_dataset("primarycare", "validation")
    start = time.perf_counter()
    cases = [data[index] for index in range(n)]
    drawn = (time.perf_counter() - start) / n
    belief, figures = KnowledgeBelief(), {"draw_ms": round(1e3 * drawn, 3)}
    tables = [belief.table(case) for case in cases]
    keys = [[case.keys.index(case.answer[0])] for case in cases]
    spent, estimates = [], []
    for (evidence, prior), key in zip(tables, keys, strict=True):
        start = time.perf_counter()
        estimates.append(table_shapley(evidence, prior, key))
        spent.append(time.perf_counter() - start)
    errors = []
    for (evidence, prior), key, estimate in itertools.islice(zip(tables, keys, estimates, strict=True), 20):
        errors.append(estimate.values - table_shapley(evidence, prior, key, pairs=4096, seed=1).values)
    figures |= {
        "shapley_64_pairs_ms": round(1e3 * statistics.median(spent), 3),
        "informative_findings_mean": round(float(np.mean([np.count_nonzero(e.values) for e in estimates])), 1),
        "largest_stderr_nats_median": round(float(np.median([e.stderr.max() for e in estimates])), 4),
        "rms_stderr_nats": round(float(np.sqrt(np.mean([np.mean(e.stderr**2) for e in estimates]))), 5),
        "rms_error_nats": round(float(np.sqrt(np.mean(np.square(np.concatenate(errors))))), 5),
        "mean_abs_value_nats": round(float(np.mean([np.abs(e.values).mean() for e in estimates])), 5),
    }
    return figures


def pool_of(n: int) -> Any:
    """The first training cases, annotated beforehand."""
    belief, pool = KnowledgeBelief(), load_dataset("primarycare", "train")[:n]
    return dataclasses.replace(pool, cases=tuple(annotate(case, belief, ["all"]) for case in pool))


def throughput() -> dict[str, Any]:
    """Steps per second with canonical questions, beside TextArena's GuessTheNumber-v0 in the same process.

    Whole episodes, resets included. "pool": from 1,024 cases annotated beforehand, reward `promed`; "fresh": new cases
    without end, with SIG computed anew for each; "no_sig": with reward `diagnosis`.
    """
    pool = pool_of(1024)
    asked = np.random.default_rng(0).integers(len(primary_care().questions), size=1 << 16)
    questions = [f"question: {primary_care().questions[index]}" for index in asked]
    gc.collect()
    gc.freeze()  # what importing left behind is not scanned again, for either side

    def single(env: gym.Env[str, str]) -> Callable[[int], int]:
        env.reset(seed=0)
        text = itertools.cycle(questions)

        def step(done: int) -> int:
            _, _, terminated, _, _ = env.step(next(text))
            if terminated:
                env.reset()
            return 1

        return step

    def batched(vector: gym.vector.VectorEnv[Any, Any, Any]) -> Callable[[int], int]:
        vector.reset(seed=0)
        text = itertools.cycle(questions)

        def step(done: int) -> int:
            vector.step(list(itertools.islice(text, vector.num_envs)))
            return vector.num_envs

        return step

    env_id, game = "ProMed-PrimaryCare-v0", textarena_game("GuessTheNumber-v0")
    pooled: dict[str, Callable[[int], int]] = {
        "one_pool": single(gym.make(env_id, dataset=pool)),
        "vector_1024_pool": batched(gym.make_vec(env_id, num_envs=1024, dataset=pool)),
        "one_pool_no_sig": single(gym.make(env_id, dataset=pool, reward="diagnosis")),
    }
    figures = _beside(game, pooled)
    fresh: dict[str, Callable[[int], int]] = {  # afterwards, because the cases that it remembers are its own price
        "one_fresh": single(gym.make(env_id)),
        "vector_1024_fresh": batched(gym.make_vec(env_id, num_envs=1024)),
        "one_fresh_no_sig": single(gym.make(env_id, reward="diagnosis")),
    }
    return figures | _beside(game, fresh)


def _beside(game: Callable[[int], int], runs: dict[str, Callable[[int], int]]) -> dict[str, float]:
    """Steps per second of each run, and over those of the game that takes turns with them."""
    measured = rates({"textarena": game, **runs})
    figures: dict[str, float] = {f"{name}_per_s": round(value) for name, value in measured.items()}
    for name in runs:
        figures[f"{name}_over_textarena"] = round(measured[name] / measured["textarena"], 3)
    return figures


def main() -> None:
    """Run the sections asked for and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", nargs="*", default=["throughput", "resets", "ceiling", "doctors", "budgets"])
    parser.add_argument("--cases", type=int, default=5000, help="test cases for accuracies")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--plot", type=Path, help="draw accuracy by budget as this file (PNG, SVG or PDF)")
    args = parser.parse_args()
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        "ceiling": lambda: ceiling(args.cases),
        "doctors": lambda: doctors(min(args.cases, 2000)),
        "budgets": lambda: budgets(min(args.cases, 2000)),
        "resets": resets,
        "throughput": throughput,
    }
    if unknown := [name for name in args.section if name not in sections]:
        parser.error(f"unknown section {unknown[0]!r}; there are {', '.join(sections)}")
    base = primary_care()
    figures: dict[str, Any] = {
        "date": date.today().isoformat(),
        "cores": os.cpu_count(),
        "knowledge_base": repr(base),
        "fingerprint": base.fingerprint[:16],
    }
    print(json.dumps(figures))
    for name in args.section:
        figures[name] = sections[name]()
        print(f"{name}: {json.dumps(figures[name], indent=2)}")
    if args.plot:
        plot(
            figures.get("budgets") or sections["budgets"](), figures.get("ceiling") or sections["ceiling"](), args.plot
        )
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
