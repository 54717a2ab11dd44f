"""Which reward teaches a doctor best: the learning curves that `docs/agents/sb3.md` quotes.

    python benchmarks/learning_curves.py [--jobs 1] [--runs DIR] [SECTION ...]

Sections: scales, rewards, algorithms, summary. `scales` measures how much each shaping reward varies from episode to
episode; `rewards` trains MaskablePPO with each of them, three seeds; `algorithms` trains PPO and DQN, one seed each,
by their recipes; `summary` prints what came out and draws it. All rewards pay the same for a right answer, 3. All
that they pay beside it, their shaping part, is scaled to one standard deviation, that of `promed_signed`, over the
same episodes of the same doctor, so that none wins by being louder. All runs are judged on accuracy: on validation
cases as they learn, on test cases in the end.

A finished run is kept in `benchmarks/learning_curves.json` and not done again; one that was interrupted goes on from
its newest checkpoint in DIR. Needs the extra `rl`, and matplotlib to draw.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from promed_agents.evaluate import evaluate
from promed_agents.sb3 import SB3Doctor, read_recipe, train
from promed_agents.setting import Setting
from promed_agents.statistics import bootstrap_interval, paired_bootstrap
from promed_agents.zoo import make_agent

from promed_env.beliefs.knowledge import KnowledgeBelief
from promed_env.consultation import Consultation
from promed_env.dynamics import Dynamics
from promed_env.rewards import make_reward

ENV_ID = "ProMed-PrimaryCare-v0"
OUTCOME = 3
"""What a right answer pays under every reward: gamma of the authors' code."""
SHAPING = {
    "diagnosis": {},
    "promed": {"sig": 2.0, "distributed": 1.0},
    "promed_signed": {"sig_signed": 2.0},
    "information_gain": {"information_gain": 1.0},
}
"""The shaping part of every reward, before scaling. The preset's `format` is left out: a mask forbids invalid turns."""
SEEDS = (0, 1, 2)
STEPS = {"maskable_ppo": 400_000, "ppo": 1_000_000, "dqn": 1_000_000}
EARLY = 100_000
TEST_CASES = 1000
RESULTS = Path(__file__).with_suffix(".json")
PLOT = Path(__file__).parents[1] / "docs" / "images" / "learning-curves.png"


@dataclass(frozen=True)
class Run:
    """One training run: an algorithm, a reward by its name here, and a seed."""

    algo: str
    reward: str
    seed: int

    @property
    def name(self) -> str:
        """What it is called in the results and in the folder of runs."""
        return f"{self.algo}-{self.reward}-{self.seed}"


def scales(n: int = 1000) -> dict[str, Any]:
    """Standard deviation of each shaping part over episodes, and what it is multiplied by to match `promed_signed`.

    The doctor asks ten questions in random order and then answers; it sees the training split. The last entry is for
    comparison: how much the scaled parts vary under a doctor who asks well.
    """
    setting = Setting(ENV_ID, split="train", reward="diagnosis")
    cases = setting.load(n)
    spread: dict[str, dict[str, float]] = {}
    for doctor in ("random", "knowledge"):
        finished: list[tuple[Consultation, Dynamics]] = []
        evaluate(make_agent(doctor, 0), setting, cases, on_finish=finished.append)
        finals = [final for final, _ in finished]
        spread[doctor] = {name: _deviation(_total(weights), finals) for name, weights in SHAPING.items() if weights}
    factor = {name: spread["random"]["promed_signed"] / value for name, value in spread["random"].items()}
    return {
        "n": n,
        "deviation": {name: round(value, 4) for name, value in spread["random"].items()},
        "scale": {name: round(value, 4) for name, value in factor.items()},
        "scaled_deviation_of_greedy": {
            name: round(spread["knowledge"][name] * value, 4) for name, value in factor.items()
        },
    }


def _total(weights: dict[str, float]) -> str:
    return " + ".join(f"{weight:.6f}*{name}" for name, weight in weights.items())


def _deviation(reward: str, finals: Sequence[Consultation]) -> float:
    """Standard deviation over episodes of all that a reward pays in an episode."""
    term = make_reward(reward).bind(KnowledgeBelief())
    return float(np.std([term.hindsight(final).sum() for final in finals]))


def reward_text(name: str, scale: dict[str, float]) -> str:
    """The reward as `promed train --reward` takes it."""
    weights = {term: weight * scale[name] for term, weight in SHAPING[name].items()}
    return _total({**weights, "diagnosis": OUTCOME})


def carry_out(run: Run, reward: str, runs: Path, steps: int) -> dict[str, Any]:
    """Train, or go on training, and judge the result on test cases."""
    folder = runs / run.name
    config = read_recipe(
        run.algo, reward=reward, seed=run.seed, steps=steps, evaluate_every=25_000, validation_cases=500, threads=1
    )
    start = time.perf_counter()
    train(config, folder, resume=any(folder.glob("checkpoint-*")))
    seconds = time.perf_counter() - start
    setting = Setting(ENV_ID, split="test", reward="diagnosis")
    judged = evaluate(SB3Doctor(folder), setting, setting.load(TEST_CASES))
    summary = judged.summaries["all"]
    lines = (folder / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        "algo": run.algo,
        "reward": run.reward,
        "reward_text": reward,
        "seed": run.seed,
        "steps": json.loads(lines[-1])["steps"],
        "seconds": round(seconds, 1),
        "date": date.today().isoformat(),
        "curve": [
            {key: value for key, value in json.loads(line).items() if key in ("steps", "accuracy", "questions")}
            for line in lines
        ],
        "test": {
            "n": summary.n,
            "accuracy": summary.accuracy,
            "interval": [round(end, 4) for end in summary.accuracy_interval],
            "questions": round(summary.questions, 3),
            "right": "".join(str(int(episode.correct)) for episode in judged.episodes),
        },
    }


def do_all(todo: Sequence[Run], runs: Path, jobs: int) -> None:
    """Carry out the runs that are not there yet, and keep each as soon as it is done."""
    scale = _read()["scales"]["scale"]
    todo = [run for run in todo if run.name not in _read()["runs"]]
    with ProcessPoolExecutor(jobs) as pool:
        futures = {
            pool.submit(carry_out, run, reward_text(run.reward, scale), runs, STEPS[run.algo]): run for run in todo
        }
        for future in as_completed(futures):
            found, name = future.result(), futures[future].name
            kept = _read()
            kept["runs"][name] = found
            _write(kept)
            test = found["test"]
            print(
                f"{name}: {found['steps']} steps, {found['seconds']} s, test accuracy {test['accuracy']:.3f} "
                f"{test['interval']}, {test['questions']:.2f} questions",
                flush=True,
            )


def summary() -> dict[str, Any]:
    """By reward: how fast it learns, and how it ends, with differences to `diagnosis` on the same cases."""
    found = _read()["runs"].values()
    figures: dict[str, Any] = {}
    plain = _rights([run for run in found if run["algo"] == "maskable_ppo" and run["reward"] == "diagnosis"])
    for name in SHAPING:
        runs = [run for run in found if run["algo"] == "maskable_ppo" and run["reward"] == name]
        if not runs:
            continue
        rights = _rights(runs)
        early = [_at(run["curve"], EARLY) for run in runs]
        area = [_area(run["curve"]) for run in runs]
        finals = [run["test"]["accuracy"] for run in runs]
        figures[name] = {
            "seeds": len(runs),
            "validation_untrained": round(float(np.mean([run["curve"][0]["accuracy"] for run in runs])), 3),
            f"validation_at_{EARLY}": _spread(early),
            "validation_mean_over_steps": _spread(area),
            "validation_end": _spread([run["curve"][-1]["accuracy"] for run in runs]),
            "test_accuracy": _spread(finals),
            "test_interval_over_cases": _interval(rights.mean(axis=0)),
            "test_over_diagnosis": _interval_of_difference(rights, plain),
            "test_questions": _spread([run["test"]["questions"] for run in runs]),
        }
    for run in found:
        if run["algo"] != "maskable_ppo":
            test = run["test"]
            figures[f"{run['algo']}, {run['reward']}, seed {run['seed']}"] = {
                "steps": run["steps"],
                "seconds": run["seconds"],
                "validation": [run["curve"][0]["accuracy"], run["curve"][-1]["accuracy"]],
                "test_accuracy": [test["accuracy"], *test["interval"]],
                "test_questions": test["questions"],
            }
    return figures


def _rights(runs: Sequence[dict[str, Any]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Whether each run had each test case right: (runs, cases)."""
    return np.array([[float(mark) for mark in run["test"]["right"]] for run in runs])


def _at(curve: Sequence[dict[str, Any]], steps: int) -> float:
    """Accuracy after that many steps, between two evaluations on the line that joins them."""
    return float(np.interp(steps, [point["steps"] for point in curve], [point["accuracy"] for point in curve]))


def _area(curve: Sequence[dict[str, Any]]) -> float:
    """Area under the curve over its length: the mean accuracy while it learnt."""
    steps = [point["steps"] for point in curve]
    return float(np.trapezoid([point["accuracy"] for point in curve], steps) / (steps[-1] - steps[0]))


def _spread(values: Sequence[float]) -> list[float]:
    """Mean, least and most over seeds."""
    return [round(float(value), 4) for value in (np.mean(values), min(values), max(values))]


def _interval(values: Any) -> list[float]:
    return [round(end, 4) for end in bootstrap_interval(values.tolist())]


def _interval_of_difference(rights: Any, plain: Any) -> list[float] | None:
    """Mean difference of the seeds' means on the same cases, with its interval over cases; seeds are not resampled."""
    if not len(plain):
        return None
    a, b = rights.mean(axis=0), plain.mean(axis=0)
    return [round(float((a - b).mean()), 4), *(round(end, 4) for end in paired_bootstrap(a.tolist(), b.tolist()))]


def plot(path: Path) -> None:
    """Draw validation accuracy by steps: mean over seeds, and from the least to the most."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    found = _read()["runs"].values()
    for name, color in zip(SHAPING, ("tab:gray", "tab:orange", "tab:blue", "tab:green"), strict=True):
        curves = [run["curve"] for run in found if run["algo"] == "maskable_ppo" and run["reward"] == name]
        if not curves:
            continue
        steps = [point["steps"] for point in curves[0]]
        values = np.array([[point["accuracy"] for point in curve] for curve in curves])
        axes.plot(steps, values.mean(axis=0), color=color, label=f"{name} ({len(curves)} seeds)")
        axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=color, alpha=0.15, linewidth=0)
    axes.set(xlabel="environment steps", ylabel="validation accuracy")
    axes.set_title(
        "MaskablePPO on ProMed-PrimaryCare-v0, synthetic clinic; 500 validation cases, 10 questions\n"
        "equal pay for a right answer, shaping of equal standard deviation; bands: least to most",
        fontsize=9,
    )
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=120)


def _read() -> dict[str, Any]:
    """What is kept so far."""
    if not RESULTS.exists():
        return {"scales": None, "runs": {}}
    kept: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return kept


def _write(kept: dict[str, Any]) -> None:
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, RESULTS)


def main() -> None:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sections = ["scales", "rewards", "algorithms", "summary"]
    parser.add_argument("section", nargs="*", default=sections, help=f"of {', '.join(sections)}")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each")
    parser.add_argument("--runs", type=Path, default=Path("build/learning_curves"), help="folder of the runs")
    args = parser.parse_args()
    if unknown := [name for name in args.section if name not in sections]:
        parser.error(f"unknown section {unknown[0]!r}; there are {', '.join(sections)}")
    print(json.dumps({"date": date.today().isoformat(), "cores": os.cpu_count()}))
    if _read()["scales"] is None:  # kept with the runs: they must not be trained at different scales
        _write({**_read(), "scales": scales()})
    if "scales" in args.section:
        print(f"scales: {json.dumps(_read()['scales'], indent=2)}", flush=True)
    if "rewards" in args.section:
        do_all([Run("maskable_ppo", name, seed) for seed in SEEDS for name in SHAPING], args.runs, args.jobs)
    if "algorithms" in args.section:
        do_all([Run(algo, "promed_signed", 0) for algo in ("ppo", "dqn")], args.runs, args.jobs)
    if "summary" in args.section:
        print(f"summary: {json.dumps(summary(), indent=2)}")
        plot(PLOT)


if __name__ == "__main__":
    main()
