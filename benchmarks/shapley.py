"""Shapley values of language-model beliefs: error against price, ours and the authors' way, in one process.

    python benchmarks/shapley.py exact    --cases MEDIQ.jsonl --cache ratings.sqlite
    python benchmarks/shapley.py compare  --cases MEDIQ.jsonl --cache ratings.sqlite [--timed 6]
    python benchmarks/shapley.py agree    --cases MEDIQ.jsonl --cache ratings.sqlite [--second FOLDER]
    python benchmarks/shapley.py vllm     --cases MEDIQ.jsonl --model FOLDER      (in an environment that has vLLM)
    python benchmarks/shapley.py table

One set function for all: SmolLM2-135M, `answer_text`, facts in the order of the case, of the first real MediQ cases
with 8, 9 and 10 facts and without quality flags. `exact` enumerates all coalitions (resumable through the cache).
`compare` prints the mean error, as a share of mean |phi|, against coalitions evaluated, tokens read and seconds, for

* the authors' method as their paper and code describe it (https://arxiv.org/abs/2508.13514), re-implemented from that
  description: at most 50 permutations, every coalition anew, one unbatched forward pass each; it stops when the mean
  change of phi falls under 1e-2 after at least 3, and cuts a permutation short once v is within 1e-2 of v(N);
* ours: a Gaussian process at coalitions chosen for it, in one call that reads shared beginnings once;
* antithetic permutations and paired KernelSHAP, as they are here, and KernelSHAP and SVARM of the package `shapiq`.

Errors are worked out on the enumerated values, for many seeds; seconds are measured on some cases, without the cache,
both methods in turn. `agree` prints rank correlations: how far to trust such values; with `--second` those with the
values of another model, too.
Needs the extra `llm`; results are kept in `benchmarks/shapley.json`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from promed_agents.statistics import bootstrap_interval, rank_correlation

from promed_env.beliefs import EvidenceBelief, characteristic
from promed_env.beliefs.lm import LMBelief
from promed_env.case import Case
from promed_env.datasets import load_dataset
from promed_env.llm import make_llm
from promed_env.llm.cache import CachedModel
from promed_env.shapley import case_shapley, shapley_values

CASES = {8: 8, 9: 8, 10: 4}
SEEDS = 10
LEVELS = (0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1)
BUDGETS = (12, 14, 16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 96, 128)
PERMUTATIONS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50)
RESULTS = Path(__file__).with_suffix(".json")
Game = Callable[[NDArray[np.bool_]], NDArray[np.float64]]


def chosen_cases(path: Path) -> list[Case]:
    """The cases of the benchmark."""
    cases = [case for case in load_dataset(str(path)) if not case.quality]
    return [case for n, most in CASES.items() for case in [c for c in cases if c.n_facts == n][:most]]


def every(n: int) -> NDArray[np.bool_]:
    """All coalitions; coalition number c holds the players whose bits are set in c."""
    return (np.arange(1 << n)[:, None] >> np.arange(n) & 1).astype(bool)


def authors(
    value: Callable[[NDArray[np.bool_]], float], n: int, rng: np.random.Generator, most: int = 50, stop: bool = True
) -> tuple[NDArray[np.float64], int]:
    """Shapley values as described, and how often v was evaluated."""
    full, empty = value(np.ones(n, dtype=bool)), value(np.zeros(n, dtype=bool))
    evaluations, total, before = 2, np.zeros(n), np.zeros(n)
    for count in range(1, most + 1):
        coalition, last = np.zeros(n, dtype=bool), empty
        for player in rng.permutation(n):
            coalition[player] = True
            now = last
            if abs(full - last) >= 1e-2:
                now = value(coalition)
                evaluations += 1
            total[player] += now - last
            last = now
        if stop and count >= 3 and np.abs(total / count - before).mean() < 1e-2:
            break
        before = total / count
    return total / count, evaluations


def error(found: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Mean absolute error as a share of the mean absolute value."""
    return float(np.abs(found - truth).mean() / np.abs(truth).mean())


def exact(belief: LMBelief, cases: Sequence[Case]) -> list[NDArray[np.float64]]:
    """The values of all coalitions of each case."""
    tables = []
    for index, case in enumerate(cases):
        tables.append(belief.value(case, every(case.n_facts)))
        print(f"{index + 1}/{len(cases)} {case.case_id}: {1 << case.n_facts} coalitions", flush=True)
    return tables


def curves(tables: Sequence[NDArray[np.float64]]) -> dict[str, list[tuple[float, float]]]:
    """For each method (mean evaluations, mean error) at growing budgets, over cases and seeds."""
    from shapiq import SVARM, KernelSHAP, PermutationSamplingSV

    truth = [shapley_values(game_of(table), size(table), method="exact").values for table in tables]
    found: dict[str, list[tuple[float, float]]] = {}

    def add(name: str, runs: list[tuple[float, float]]) -> None:
        if runs:
            evaluations, errors = np.mean(runs, axis=0)
            found.setdefault(name, []).append((float(evaluations), float(errors)))

    for permutations in PERMUTATIONS:
        runs = []
        for table, phi in zip(tables, truth, strict=True):
            for seed in range(SEEDS):
                rng = np.random.default_rng(seed)
                values, used = authors(one(table), size(table), rng, permutations, stop=False)
                runs.append((used, error(values, phi)))
        add("authors", runs)
    stopped = []
    for table, phi in zip(tables, truth, strict=True):
        for seed in range(SEEDS):
            values, used = authors(one(table), size(table), np.random.default_rng(seed))
            stopped.append((used, error(values, phi)))
    add("authors, where they stop", stopped)
    for budget in BUDGETS:
        for method in ("gaussian", "kernel", "permutation"):
            runs = []
            for table, phi in zip(tables, truth, strict=True):
                if budget < 2 * size(table) + 2 - (size(table) if method == "gaussian" else 0):
                    break
                for seed in range(SEEDS):
                    estimate = shapley_values(game_of(table), size(table), budget=budget, method=method, seed=seed)
                    runs.append((estimate.evaluations, error(estimate.values, phi)))
            else:
                add(method, runs)
        for name, maker in (
            ("shapiq KernelSHAP", lambda n, seed: KernelSHAP(n=n, random_state=seed)),
            ("shapiq SVARM", lambda n, seed: SVARM(n=n, random_state=seed)),
            ("shapiq permutations", lambda n, seed: PermutationSamplingSV(n=n, random_state=seed)),
        ):
            runs = []
            for table, phi in zip(tables, truth, strict=True):
                if budget < 2 * size(table) + 2:
                    break
                for seed in range(SEEDS):
                    values = maker(size(table), seed).approximate(budget, game_of(table))
                    runs.append((budget, error(values.get_n_order_values(1), phi)))
            else:
                add(name, runs)
    return found


def size(table: NDArray[np.float64]) -> int:
    """Players of an enumerated game."""
    return len(table).bit_length() - 1


def game_of(table: NDArray[np.float64]) -> Game:
    """An enumerated game."""
    bits = 1 << np.arange(size(table))
    return lambda coalitions: table[np.atleast_2d(coalitions).astype(bool) @ bits]


def one(table: NDArray[np.float64]) -> Callable[[NDArray[np.bool_]], float]:
    """An enumerated game, one coalition at a time."""
    game = game_of(table)
    return lambda coalition: float(game(coalition[None])[0])


def needed(curve: Sequence[tuple[float, float]], level: float) -> float | None:
    """Evaluations at which a curve comes down to an error, between its points on the logarithm; None if never."""
    for (e0, r0), (e1, r1) in itertools.pairwise(curve):
        if r0 > level >= r1:
            share = (r0 - level) / (r0 - r1)
            return float(np.exp(np.log(e0) + share * (np.log(e1) - np.log(e0))))
    return curve[0][0] if curve and curve[0][1] <= level else None


def timed(belief: LMBelief, cases: Sequence[Case], tables: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    """Seconds and tokens of one evaluation: the authors' one by one, ours for budgets, in turns, without the cache."""
    model: Any = belief.model
    rows = []
    for case, table in zip(cases, tables, strict=True):
        truth = shapley_values(game_of(table), case.n_facts, method="exact").values
        read, started = model.tokens_rated, time.perf_counter()
        values, used = authors(lambda c, case=case: float(belief.value(case, c[None])[0]), case.n_facts, rng(0))
        seconds, tokens = time.perf_counter() - started, model.tokens_rated - read
        row: dict[str, Any] = {
            "case": case.case_id,
            "authors": {"evaluations": used, "seconds": seconds, "tokens": tokens, "error": error(values, truth)},
        }
        for budget in (16, 24, 40):
            read, started = model.tokens_rated, time.perf_counter()
            estimate = case_shapley.__wrapped__(case, belief, "all", budget=budget, method="gaussian")
            row[f"ours {budget}"] = {
                "evaluations": estimate.evaluations,
                "seconds": time.perf_counter() - started,
                "tokens": model.tokens_rated - read,
                "error": error(estimate.values, truth),
            }
        rows.append(row)
        print(json.dumps(row), flush=True)
    return {"rows": rows}


def rng(seed: int) -> np.random.Generator:
    """A generator."""
    return np.random.default_rng(seed)


def agree(belief: LMBelief, cases: Sequence[Case], n: int, second: LMBelief | None) -> dict[str, Any]:
    """Mean rank correlation of the facts' values, case by case, with bootstrap intervals over cases."""
    letters = LMBelief(belief.model, "option_letter", rotations=1)
    sample = [case for case in load_dataset("medqa")][:n]
    chosen = list(cases)[:n]

    def values(who: Any, case: Case, game: Any = "all") -> NDArray[np.float64]:
        return case_shapley(case, who, game, budget=32).values

    pairs = {
        "two characteristic functions, MediQ": [(values(belief, c), values(letters, c)) for c in chosen],
        "two games, MediQ": [
            (values(belief, c)[list(c.hidden)], values(belief, c, "presentation")[list(c.hidden)]) for c in chosen
        ],
        "answer_text and evidence tables, bundled sample": [
            (values(belief, c), case_shapley(c, EvidenceBelief(), "all").values) for c in sample
        ],
        "option_letter and evidence tables, bundled sample": [
            (values(letters, c), case_shapley(c, EvidenceBelief(), "all").values) for c in sample
        ],
    }
    if second is not None:
        pairs[f"{belief.name} and {second.name}, MediQ"] = [(values(belief, c), values(second, c)) for c in chosen]
    found = {}
    for name, both in pairs.items():
        told = [rank_correlation(a, b) for a, b in both if len(a) > 2]
        low, high = bootstrap_interval(told)
        found[name] = {"cases": len(told), "correlation": float(np.mean(told)), "low": low, "high": high}
        print(f"{name}: {np.mean(told):.2f} [{low:.2f}, {high:.2f}], {len(told)} cases", flush=True)
    ends = [characteristic(belief, c, every(c.n_facts)[[0, -1]]) for c in cases]
    harmed = float(np.mean([full < empty for empty, full in ends]))
    print(f"answer_text, MediQ: v(all) < v(none) in {harmed:.0%} of {len(ends)} cases")
    return {**found, "harmed": harmed}


def with_vllm(cases: Sequence[Case], folder: str) -> dict[str, Any]:
    """The same coalitions through Transformers and through vLLM: largest difference, and throughput."""
    how: dict[str, dict[str, Any]] = {
        "hf": {"device": "cpu"},
        "vllm": {"max_model_len": 2048, "dtype": "float32", "enforce_eager": True},
    }
    found: dict[str, Any] = {}
    values = {}
    for backend, settings in how.items():
        belief = LMBelief(make_llm(f"{backend}:{folder}", **settings), "answer_text")
        belief.value(cases[0], every(cases[0].n_facts)[:8])  # warm up
        started = time.perf_counter()
        values[backend] = np.concatenate([belief.value(case, every(case.n_facts)) for case in cases])
        seconds = time.perf_counter() - started
        found[backend] = {"coalitions": len(values[backend]), "seconds": seconds}
        print(f"{backend}: {len(values[backend])} coalitions in {seconds:.1f} s", flush=True)
    found["difference"] = float(np.abs(values["hf"] - values["vllm"]).max())
    print(f"largest difference of v: {found['difference']:.1e}")
    return found


def keep(name: str, value: Any) -> None:
    """Add to the results."""
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    found[name] = value
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def table() -> None:
    """Print what was measured."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    curves_ = {name: [tuple(point) for point in points] for name, points in found["curves"].items()}
    for name, points in curves_.items():
        print(f"{name:26} " + "  ".join(f"{used:.0f}: {wrong:.2f}" for used, wrong in points))
    print("\nevaluations needed for a mean error of a share of mean |phi|")
    print(f"{'error':>6} {'authors':>8} {'ours':>6} {'ratio':>6}")
    for level in LEVELS:
        theirs, ours = needed(curves_["authors"], level), needed(curves_["gaussian"], level)
        ratio = "never" if theirs is None else f"{theirs / ours:.1f}" if ours else ""
        print(f"{level:6.2f} {theirs or float('nan'):8.0f} {ours or float('nan'):6.0f} {ratio:>6}")
    if "timed" in found:
        rows = found["timed"]["rows"]
        print(f"\n{'':12} {'evaluations':>11} {'seconds':>8} {'s an evaluation':>15} {'tokens':>8} {'error':>6}")
        price = {}
        for name in [key for key in rows[0] if key != "case"]:
            told = [row[name] for row in rows]
            used, seconds = sum(t["evaluations"] for t in told), sum(t["seconds"] for t in told)
            price[name] = seconds / used
            tokens, wrong = sum(t["tokens"] for t in told), np.mean([t["error"] for t in told])
            print(f"{name:12} {used:11} {seconds:8.1f} {price[name]:15.3f} {tokens:8} {wrong:6.2f}")
        for level in LEVELS:
            theirs, ours = needed(curves_["authors"], level), needed(curves_["gaussian"], level)
            if theirs and ours:
                near = min(("ours 16", "ours 24", "ours 40"), key=lambda name: abs(int(name.split()[1]) - ours))
                ratio = theirs * price["authors"] / (ours * price[near])
                print(f"error {level:.2f}: {ratio:.0f} times less wall time")
    for name in ("agree", "vllm"):
        if name in found:
            print(f"\n{name}: {json.dumps(found[name], indent=1)}")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=["exact", "compare", "agree", "vllm", "table"])
    parser.add_argument("--cases", type=Path, help="MediQ's rows (JSON Lines)")
    parser.add_argument("--cache", type=Path, default=Path("ratings.sqlite"), help="file that keeps ratings")
    parser.add_argument(
        "--model", default="smollm2", help="folder of the model, for vllm (`scripts/smollm2.py` writes it)"
    )
    parser.add_argument("--timed", type=int, default=6, help="cases on which seconds are measured")
    parser.add_argument("--agreeing", type=int, default=12, help="cases of each rank correlation")
    parser.add_argument("--second", help="another model, such as hf:FOLDER, for agree")
    chosen = parser.parse_args()
    if chosen.section == "table":
        table()
        return
    if chosen.cases is None:
        parser.error("--cases is needed")
    cases = chosen_cases(chosen.cases)
    if chosen.section == "vllm":
        keep("vllm", with_vllm(cases[:2], chosen.model))
        return
    model = make_llm("hf:smollm2")
    cached = LMBelief(CachedModel(model, chosen.cache), "answer_text")
    if chosen.section == "agree":
        second = LMBelief(make_llm(chosen.second), "answer_text") if chosen.second else None
        keep("agree", agree(cached, cases, chosen.agreeing, second))
        return
    tables = exact(cached, cases)
    if chosen.section == "compare":
        keep("curves", curves(tables))
        step = max(1, len(cases) // chosen.timed)
        keep("timed", timed(LMBelief(model, "answer_text"), cases[::step], tables[::step]))
        table()


if __name__ == "__main__":
    main()
