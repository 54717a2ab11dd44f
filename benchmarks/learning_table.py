"""What came out of `learning.py`: a table, shares of gaps, and a plot.

    python benchmarks/learning_table.py
    python benchmarks/learning_table.py --plot docs/images/learning.png

Accuracy is on the first 1,000 test cases, its interval over cases (95%) of the mean over seeds. "informed" is the
accuracy of the exact posterior after the doctor's own questions: what its asking is worth, whoever answers. A share is
(SIG-GRPO - other) / (ceiling - other), of differences paired by case, over the seeds that both have; its interval is
that of the difference, over the gap.
Drawing needs matplotlib (the extra `plot`).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from learning import ABLATIONS, ARMS, BUDGET, ENV_ID, EVERY, OUT_OF_DOMAIN, SHORT, TEST_CASES, VALIDATION_CASES, read
from numpy.typing import NDArray
from promed_agents.statistics import bootstrap_interval, paired_bootstrap

DRAWN = ("reactive", "sft_mcts", "sft_mcts_long", "outcome_grpo", "sig_grpo")


def bits(row: Mapping[str, Any], name: str = "correct") -> NDArray[np.float64]:
    """Case by case, (n,): 1 is right."""
    return np.array(list(map(int, row[name])), dtype=np.float64)


def line(name: str, rows: Sequence[Mapping[str, Any]], minutes: float | None = None) -> str:
    """One row of the table, over seeds."""
    values = np.stack([bits(row) for row in rows])
    low, high = bootstrap_interval(values.mean(axis=0).tolist())
    seeds = " ".join(f"{value:.3f}" for value in values.mean(axis=1)) if len(rows) > 1 else ""
    informed = [bits(row, "informed").mean() for row in rows if "informed" in row]
    return (
        f"{name:26} {values.mean():.3f} [{low:.3f}, {high:.3f}]  {seeds:18}"
        f" {np.mean([row['questions'] for row in rows]):9.1f} {f'{np.mean(informed):.3f}' if informed else '':>9}"
        f" {'' if minutes is None else f'{minutes:.0f}':>8}"
    )


def versus(
    name: str, ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]], ceiling: Mapping[str, Any]
) -> str:
    """How much better one doctor is than another, paired by case."""
    a, b = (np.stack([bits(row) for row in rows]).mean(axis=0) for rows in (ours, theirs))
    low, high = paired_bootstrap(a.tolist(), b.tolist())
    more, gap = a.mean() - b.mean(), bits(ceiling).mean() - b.mean()
    return (
        f"  over {name:21} {more:+.3f} [{low:+.3f}, {high:+.3f}], ratio {more / b.mean():+.1%}, "
        f"share of the gap {more / gap:.2f} [{low / gap:.2f}, {high / gap:.2f}]"
    )


def table() -> None:
    """Print all that was measured."""
    found = read()
    runs: dict[str, list[Any]] = {}
    for row in sorted(found["runs"].values(), key=lambda row: int(row["seed"])):
        runs.setdefault(row["arm"], []).append(row)
    made = {(row["read"], row["optimizer"]) for row in found["runs"].values()}
    if len(made) != 1:
        raise SystemExit(f"the runs differ in reading or optimiser and cannot be compared: {sorted(made)}")
    for name, rows in runs.items():
        if other := {row["budget"] for row in rows} - {EVERY[name].total}:
            raise SystemExit(f"{name} was run with another budget, {sorted(other)}, and cannot be compared")
    print(f"{'doctor':26} accuracy              by seed            questions  informed  minutes")
    reference = found["references"]["test"]
    for name, row in reference.items():
        print(line(name, [row]))
    for title, arms in {
        "arms": ARMS,
        f'"signed" and what differs from it in one thing, {SHORT:,} steps': ABLATIONS,
    }.items():
        print(f"-- {title}")
        for name in arms:
            if name in runs:
                print(line(name, runs[name], float(np.mean([row["seconds"] for row in runs[name]])) / 60))
    for ours, arms in {"sig_grpo": ARMS, "signed": ABLATIONS}.items():
        print(ours)
        for name in arms:
            if name in runs and name != ours and ours in runs:
                both = {row["seed"] for row in runs[name]} & {row["seed"] for row in runs[ours]}
                pair = [[row for row in runs[each] if row["seed"] in both] for each in (ours, name)]
                if both:
                    print(versus(name, *pair, reference["ceiling"]))
    shown = {name: runs[name] for name in OUT_OF_DOMAIN if name in runs}
    for split in ("test-known", "test-held-out"):
        judged = {
            name: [row["held_out"] if split == "test-held-out" else row for row in rows] for name, rows in shown.items()
        }
        if judged and split in found["references"]:
            print(f"-- never saw the held-out conditions; {split}")
            for name, row in found["references"][split].items():
                print(line(name, [row]))
            for name, rows in judged.items():
                print(line(name, rows))
            print("sig_grpo_known")
            for name, rows in judged.items():
                if name != "sig_grpo_known" and "sig_grpo_known" in judged:
                    print(versus(name, judged["sig_grpo_known"], rows, found["references"][split]["ceiling"]))
    print(f"n = {TEST_CASES} test cases; intervals over cases, 95%; {BUDGET:,} steps an arm")


def plot(path: Path) -> None:
    """Draw validation accuracy by environment steps: the last stage of every run."""
    from matplotlib.figure import Figure

    found = read()
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(DRAWN):
        runs = [row for row in found["runs"].values() if row["arm"] == name]
        for row in runs:
            label = f"{name} (seeds: {len(runs)})" if row is runs[0] else None
            x, y = ([point[key] for point in row["curve"]] for key in ("steps", "accuracy"))
            axes.plot(x, y, color=f"C{place}", label=label, linewidth=1.2, alpha=0.9)
    for name, label in {"at_once": "at once, exact posterior", "greedy": "greedy questions, exact posterior"}.items():
        height = found["references"]["test"][name]["accuracy"]
        axes.axhline(height, color="gray", linestyle=":", linewidth=1)
        axes.annotate(label, (0.01, height), xycoords=("axes fraction", "data"), fontsize=7, va="bottom")
    axes.set(xlabel="environment steps after reading, fine-tuning included", ylabel="validation accuracy")
    axes.set_title(
        f"Language models from scratch on {ENV_ID}, synthetic clinic; {VALIDATION_CASES} validation cases\n"
        "(dotted: on test cases)",
        fontsize=9,
    )
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, help="draw to this file in place of printing")
    chosen = parser.parse_args()
    if chosen.plot is None:
        table()
    else:
        plot(chosen.plot)
