"""What the core costs and what its figures are worth: everything that `docs/benchmarks.md` quotes for it.

    python benchmarks/core.py [--mediq PATH] [--json FILE] [SECTION ...]

Sections: import, steps, shapley, sensitivity, recall. `steps` needs the package `textarena`, `recall` the MediQ file.
Timings are medians of several runs in one process, side by side; ratios matter, seconds depend on the machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from patients import LABELS, NONSENSE, recall_of
from promed_agents.statistics import rank_correlation

from promed_env.beliefs import EvidenceBelief
from promed_env.case import Case, Fact, Option
from promed_env.consultation import Consultation
from promed_env.datasets import SLICES, load_dataset
from promed_env.interview import CATALOGUE, SCRIPT
from promed_env.patients import Patient, Reply, make_patient
from promed_env.shapley import case_shapley

MEDIQ = Path(__file__).resolve().parents[2] / "shared" / "data" / "mediq" / "dev_0000-0999.jsonl"


def rates(runs: dict[str, Callable[[int], int]], seconds: float = 0.5, rounds: int = 7) -> dict[str, float]:
    """Median calls per second of each run, which is told how many steps it took so far and takes some more.

    The runs take turns, so that a busy moment of the machine falls on all of them.
    """
    measured: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            done, start = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - start) < seconds:
                done += run(done)
            measured[name].append(done / elapsed)
    return {name: statistics.median(values) for name, values in measured.items()}


def import_time() -> dict[str, float | bool]:
    """Seconds to import in a fresh interpreter, medians of 11 alternating runs."""
    code = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
    times: dict[str, list[float]] = {"gymnasium": [], "promed_env": []}
    for _ in range(11):
        for name, values in times.items():
            done = subprocess.run([sys.executable, "-c", code.format(name)], capture_output=True, text=True, check=True)
            values.append(float(done.stdout))
    check = "import promed_env, sys; print('torch' in sys.modules)"
    torch = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout.strip()
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {**medians, "ratio": medians["promed_env"] / medians["gymnasium"], "torch_loaded": torch == "True"}


class Instant:
    """A patient that thinks about nothing: every other reply discloses the next fact."""

    name = "instant"

    def reply(self, consultation: Consultation, question: str) -> Reply:
        """See `Patient.reply`."""
        fact = consultation.turn // 2
        new = (fact,) if consultation.turn % 2 and fact < consultation.case.n_facts else ()
        return Reply("Patient: I don't know.", new, "patient")

    def reply_batch(self, consultations: Sequence[Consultation], questions: Sequence[str]) -> list[Reply]:
        """See `Patient.reply_batch`."""
        return [self.reply(state, question) for state, question in zip(consultations, questions, strict=True)]


def textarena_game(env_id: str) -> Callable[[int], int]:
    """A run for `rates` that plays one whole game of TextArena; a step is `get_observation` and `step`."""
    import textarena

    guesses = np.random.default_rng(0)

    def play(done: int) -> int:
        game: Any = textarena.make(env_id)  # the wrappers keep a finished game's text, so each game is a new one
        game.reset(num_players=1)
        taken, over = 0, False
        order = guesses.permutation(20)
        while not over:
            game.get_observation()
            over, _ = game.step(f"[{1 + order[taken]}]")
            taken += 1
        return taken

    return play


def steps() -> dict[str, float]:
    """Steps per second, questions never asked before, beside TextArena's GuessTheNumber-v0 in the same process.

    The environment's own price is taken with a patient that thinks about nothing. Both sides play whole episodes,
    resets included; TextArena's step is `get_observation` and `step`.
    """
    game, raw = textarena_game("GuessTheNumber-v0"), textarena_game("GuessTheNumber-v0-raw")
    gc.collect()
    gc.freeze()  # what importing left behind (TextArena brings much) is not scanned again, for either side

    env = gym.make("ProMed-MedQA-v0")
    env.reset(seed=0)
    instant = gym.make("ProMed-MedQA-v0", patient=Instant())
    instant.reset(seed=0)

    def single(env: gym.Env[str, str]) -> Callable[[int], int]:
        def step(done: int) -> int:
            _, _, terminated, _, _ = env.step(f"question: Have you noticed anything odd about item {done}?")
            if terminated:
                env.reset()
            return 1

        return step

    def batched(vector: gym.vector.VectorEnv[Any, Any, Any]) -> Callable[[int], int]:
        vector.reset(seed=0)

        def step(done: int) -> int:
            vector.step([f"question: Have you noticed anything odd about item {done + i}?" for i in range(256)])
            return 256

        return step

    figures = rates(
        {
            "textarena": game,
            "textarena_without_wrappers": raw,
            "one_instant_patient": single(instant),
            "vector_256_instant_patient": batched(gym.make_vec("ProMed-MedQA-v0", num_envs=256, patient=Instant())),
        }
    )
    # Afterwards, because the tables and caches of a real patient are part of its price, not of the environment's.
    figures |= rates(
        {"one": single(env), "vector_256": batched(gym.make_vec("ProMed-MedQA-v0", num_envs=256))}, rounds=5
    )
    micros = {f"{name}_us": 1e6 / value for name, value in figures.items()}
    for name in ("one_instant_patient", "vector_256_instant_patient"):
        micros[f"{name}_over_textarena"] = micros[f"{name}_us"] / micros["textarena_us"]
    return {**{f"{name}_per_s": value for name, value in figures.items()}, **micros}


def _random_case(n_facts: int, n_options: int, seed: int) -> Case:
    rng = np.random.default_rng(seed)
    keys = "ABCDEFGH"[:n_options]
    return Case(
        case_id=f"random:{n_facts}-{seed}",
        source="random",
        presentation="",
        question="?",
        options=tuple(Option(key, key) for key in keys),
        answer=("A",),
        facts=tuple(Fact(f"fact {index}") for index in range(n_facts)),
        evidence=np.log(rng.uniform(0.05, 0.95, (n_facts, n_options))),
    )


def shapley() -> dict[str, Any]:
    """Exact values: seconds. Sampled values: root mean square error against the exact ones over 10 cases x 5 seeds."""
    figures: dict[str, Any] = {}
    for n in (16, 20):
        spent = []
        for seed in range(5):
            case = _random_case(n, 5, seed)
            start = time.perf_counter()
            case_shapley(case, EvidenceBelief(), budget=1 << n, method="exact")
            spent.append(time.perf_counter() - start)
        figures[f"exact_{n}_facts_s"] = statistics.median(spent)
    cases = [_random_case(14, 5, 100 + seed) for seed in range(10)]
    exact = [case_shapley(case, EvidenceBelief()).values for case in cases]
    scale = float(np.mean([np.abs(values).mean() for values in exact]))
    for budget in (100, 300, 1000):
        for method in ("permutation", "kernel", *(["gaussian"] if budget <= 300 else [])):
            errors, z = [], []
            for case, values in zip(cases, exact, strict=True):
                for seed in range(5):
                    estimate = case_shapley(case, EvidenceBelief(), budget=budget, method=method, seed=seed)  # type: ignore[arg-type]
                    errors.append((estimate.values - values) ** 2)
                    z.append((estimate.values - values) / np.maximum(estimate.stderr, 1e-12))
            figures[f"{method}_{budget}"] = {
                "rmse_over_mean_abs": float(np.sqrt(np.mean(errors)) / scale),
                "within_2_stderr": float(np.mean(np.abs(z) < 2)),
            }
    return figures


def sensitivity(draws: int = 20, width: float = 0.5) -> dict[str, Any]:
    """How far the sample's SIG depends on the judgement: every table entry moves by up to `width` nats at random."""
    belief = EvidenceBelief()
    correlations, flips, share_top = [], [], []
    cases = load_dataset("medqa")
    for number, case in enumerate(cases):
        assert case.evidence is not None and case.shapley is not None
        values = case.shapley.values["presentation"][list(case.hidden)]
        everything = np.ones((1, case.n_facts), dtype=bool)
        rng = np.random.default_rng([2026, number])
        for draw in range(draws):
            moved = np.minimum(case.evidence + rng.uniform(-width, width, case.evidence.shape), -1e-3)
            other = dataclasses.replace(case, case_id=f"{case.case_id}#{draw}", evidence=moved, shapley=None)
            now = case_shapley(other, belief, "presentation").values[list(case.hidden)]
            correlations.append(rank_correlation(values, now))
            share_top.append(float(values.argmax() == now.argmax()))
            right = case.keys[int(belief(other, everything)[0].argmax())] in case.answer
            flips.append(float(not right))
    return {
        "cases": len(cases),
        "draws": draws,
        "width_nats": width,
        "rank_correlation_mean": float(np.mean(correlations)),
        "rank_correlation_5th_percentile": float(np.quantile(correlations, 0.05)),
        "same_top_fact": float(np.mean(share_top)),
        "flipped_answers": float(np.mean(flips)),
    }


def recall(mediq: Path) -> dict[str, Any]:
    """Share of the hidden facts that ten fixed questions bring out of clinical MediQ cases, at 1 and 3 facts a reply.

    The rival of the script is found by greedy search over the catalogue and the labelled questions, on the cases with
    id below 500; shares are of the cases from 500.
    """
    cases = load_dataset(mediq).filter(SLICES["clinical"])
    first_half = [case for case in cases if case.hidden and int(case.case_id.partition(":")[2]) < 500]
    second_half = [case for case in cases if case.hidden and int(case.case_id.partition(":")[2]) >= 500]
    asked = [json.loads(line)["question"] for line in (LABELS / "questions_dev.jsonl").read_text("utf-8").splitlines()]
    pool = list(dict.fromkeys([*CATALOGUE, *asked]))
    figures: dict[str, Any] = {"cases": len(second_half), "searched_on": len(first_half), "pool": len(pool)}
    for name in ("static", "lexical"):
        for facts in (1, 3):
            patient = make_patient(name, facts_per_reply=facts)
            figures[f"{name}_nonsense_{facts}_facts"] = recall_of(patient, NONSENSE, second_half)
            figures[f"{name}_script_{facts}_facts"] = recall_of(patient, SCRIPT, second_half)
            if name == "static":
                rival = _greedy_script(patient, pool, first_half)
                figures[f"{name}_rival_{facts}_facts"] = recall_of(patient, rival, second_half)
                figures[f"{name}_rival_{facts}_questions"] = rival
    return figures


def _greedy_script(patient: Patient, pool: Sequence[str], cases: Sequence[Case], length: int = 10) -> list[str]:
    """The fixed sequence that grows by the question that adds most hidden facts."""
    offset, width = {}, 0
    for case in cases:
        offset[case.case_id], width = width, width + case.n_facts
    told = np.zeros((len(pool), width), dtype=bool)
    for case in cases:
        for row, question in enumerate(pool):
            for fact in patient.reply(Consultation(case), question).disclosed:
                told[row, offset[case.case_id] + fact] = fact not in case.initial
    script: list[str] = []
    found = np.zeros(width, dtype=bool)
    for _ in range(length):
        best = int((told & ~found).sum(axis=1).argmax())
        script.append(pool[best])
        found |= told[best]
    return script


def main() -> None:
    """Run the sections asked for and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", nargs="*", default=["import", "steps", "shapley", "sensitivity", "recall"])
    parser.add_argument("--mediq", type=Path, default=MEDIQ, help="the MediQ file")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        "import": import_time,
        "steps": steps,
        "shapley": shapley,
        "sensitivity": sensitivity,
        "recall": lambda: recall(args.mediq),
    }
    if unknown := [name for name in args.section if name not in sections]:
        parser.error(f"unknown section {unknown[0]!r}; there are {', '.join(sections)}")
    figures: dict[str, Any] = {"date": date.today().isoformat(), "cores": os.cpu_count()}
    print(json.dumps(figures))
    for name in args.section:
        figures[name] = sections[name]()
        print(f"{name}: {json.dumps(figures[name], indent=2)}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
