"""What came out of `learning.py`: tables (Markdown), shares of gaps, and a plot.

    python benchmarks/learning_table.py
    python benchmarks/learning_table.py --plot docs/images/learning.png

Accuracy is on the first 1,000 test cases, its interval over cases (95%) of the mean over seeds. That of the exact
posterior after the doctor's own questions is what its asking is worth, whoever answers. A share is (SIG-GRPO - other) /
(ceiling - other), over the seeds that both have; its interval is that of the ratio, cases resampled.
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
from promed_agents.statistics import bootstrap_interval, gap_closed, paired_bootstrap

LABELS = {
    "ceiling": "ceiling: all facts, exact posterior",
    "greedy": "greedy information gain, exact posterior",
    "mcts": "MCTS, exact posterior",
    "script": "script, exact posterior",
    "at_once": "at once, exact posterior",
    "reactive": "answering at once (`reactive`)",
    "sft_mcts": "SFT on MCTS",
    "sft_random": "SFT on random dialogues",
    "outcome_grpo": "GRPO on the outcome alone",
    "sig_grpo": "SIG-GRPO (`return_to_go`)",
    "sig_grpo_trajectory": "SIG-GRPO (`trajectory`)",
    "sig_grpo_standardized": "SIG-GRPO (`standardized`)",
    "sig_grpo_paper": "SIG-GRPO (`paper`: credit without a return)",
    "signed": "as `sig_grpo`: signed Shapley values",
    "softmax": "softmax weights, at equal deviation",
    "uniform": "uniform weights, at equal deviation",
    "given_presentation": "the game given the presentation, at equal deviation",
    "belief_gain": "gain of log belief in place of SIG, at equal deviation",
    "alpha_0": "alpha 0: the outcome alone",
    "alpha_2": "alpha 2",
    "beta_1": "beta 1: `distributed` too",
    "gamma_1": "gamma 1: a third of what the diagnosis pays",
    "no_sft": "no SFT first",
    "alpha_0_no_sft": "no SFT first, alpha 0",
}
"""What arms and references are called in the tables."""
HEADER = """
| doctor | accuracy | seeds | questions | exact posterior after them | minutes |
|---|---|---|---|---|---|"""
DRAWN = ("reactive", "sft_mcts", "outcome_grpo", "sig_grpo")


def bits(row: Mapping[str, Any], name: str = "correct") -> NDArray[np.float64]:
    """Case by case, (n,): 1 is right."""
    return np.array(list(map(int, row[name])), dtype=np.float64)


def cases(rows: Sequence[Mapping[str, Any]], name: str = "correct") -> NDArray[np.float64]:
    """Case by case, (n,): the share of seeds that were right."""
    return np.asarray(np.mean([bits(row, name) for row in rows], axis=0))


def line(name: str, rows: Sequence[Mapping[str, Any]], minutes: float | None = None) -> str:
    """One row of a table, over seeds."""
    values = np.stack([bits(row) for row in rows])
    low, high = bootstrap_interval(values.mean(axis=0).tolist())
    informed = [bits(row, "informed").mean() for row in rows if "informed" in row]
    cells = (
        LABELS[name],
        f"{values.mean():.3f} [{low:.3f}, {high:.3f}]",
        ", ".join(f"{value:.3f}" for value in values.mean(axis=1)) if len(rows) > 1 else "",
        f"{np.mean([row['questions'] for row in rows]):.1f}",
        f"{np.mean(informed):.3f}" if informed else "",
        "" if minutes is None else f"{minutes:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def versus(
    name: str, ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]], ceiling: Mapping[str, Any]
) -> str:
    """How much better one doctor is than another, paired by case."""
    a, b = cases(ours).tolist(), cases(theirs).tolist()
    more, (low, high) = np.mean(a) - np.mean(b), paired_bootstrap(a, b)
    share, interval = gap_closed(b, a, bits(ceiling).tolist())
    told = f"- over {LABELS[name]}: {more:+.3f} [{low:+.3f}, {high:+.3f}], ratio {more / np.mean(b):+.1%}"
    if share is None or interval is None:
        return f"{told}; the gap to the ceiling is too small for a share"
    return f"{told}, share of the gap {share:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"


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
    reference = found["references"]["test"]
    for ours, arms in {"sig_grpo": ARMS, "signed": ABLATIONS}.items():
        steps = f"{BUDGET if arms is ARMS else SHORT:,} environment steps"
        print(f"\n{LABELS[ours]}, and others; {steps}, where not said otherwise{HEADER}")
        if arms is ARMS:
            for name, row in reference.items():
                print(line(name, [row]))
        for name in arms:
            if name in runs:
                print(line(name, runs[name], float(np.mean([row["seconds"] for row in runs[name]])) / 60))
        print(f"\n{LABELS[ours]}")
        for name in arms:
            if name in runs and name != ours and ours in runs:
                both = {row["seed"] for row in runs[name]} & {row["seed"] for row in runs[ours]}
                a, b = ([row for row in runs[each] if row["seed"] in both] for each in (ours, name))
                if both:
                    print(versus(name, a, b, reference["ceiling"]))
    for kind, what in {"_known": "never saw", "_unmet": "has read of and never met"}.items():
        shown = {name.removesuffix(kind): runs[name] for name in OUT_OF_DOMAIN if name in runs and name.endswith(kind)}
        if {"reactive", "sig_grpo"} <= shown.keys() and "test-held-out" in found["references"]:
            out_of_domain(what, shown, found["references"])
    print(f"\nn = {TEST_CASES} test cases; intervals over cases, 95%")


def out_of_domain(what: str, runs: Mapping[str, Sequence[Any]], references: Mapping[str, Any]) -> None:
    """Print arms that did not meet the held-out conditions, judged on the others and on them alone.

    Args:
        what: How it was with them.
        runs: Arm -> rows, without what tells one such arm from its like in the name.
        references: Split -> reference -> row.
    """
    judged = {
        "test-known": runs,
        "test-held-out": {name: [row["held_out"] for row in rows] for name, rows in runs.items()},
    }
    for split, shown in judged.items():
        print(f"\n{what} the held-out conditions; {split}{HEADER}")
        for name, row in references[split].items():
            print(line(name, [row]))
        for name, rows in shown.items():
            print(line(name, rows))
        print(f"\n{LABELS['sig_grpo']}")
        for name in shown:
            if name != "sig_grpo":
                print(versus(name, shown["sig_grpo"], shown[name], references[split]["ceiling"]))
    print(f"\nof what it is better than {LABELS['reactive']}")
    for measure, called in {"correct": "own answers", "informed": "exact posterior after the questions"}.items():
        gains = [cases(shown["sig_grpo"], measure) - cases(shown["reactive"], measure) for shown in judged.values()]
        print(f"- {called}: {remaining(*gains)}")


def remaining(known: NDArray[np.float64], held_out: NDArray[np.float64]) -> str:
    """How much of a gain on known conditions there is on others; the cases of both are resampled."""
    rng = np.random.default_rng(0)
    a, b = (rng.choice(gains, size=(10_000, len(gains))).mean(axis=1) for gains in (known, held_out))
    low, high = np.quantile(b / a, (0.025, 0.975))
    share = held_out.mean() / known.mean()
    return f"{known.mean():+.3f} known, {held_out.mean():+.3f} held out: {share:.2f} [{low:.2f}, {high:.2f}] remains"


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
    axes.legend(loc="center right", bbox_to_anchor=(1, 0.42), fontsize=8)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, help="draw to this file in place of printing")
    chosen = parser.parse_args()
    if chosen.plot is None:
        table()
    else:
        plot(chosen.plot)
