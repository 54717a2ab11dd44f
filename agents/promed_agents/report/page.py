"""The page: what the template shows, put into words and tables.

The template escapes every text; the dialogues go into the page as JSON that cannot end its script element, and
`viewer.js` shows them as text only. The page's own policy forbids it to load anything.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from typing import Any

import promed_env
from promed_agents.compare import GapClosed, compare, gaps_closed, main_level
from promed_agents.evaluate import CaseText, Evaluation, Summary, pack_cases
from promed_agents.files import write_whole
from promed_agents.report.data import Curve, Found, Run, read_folder
from promed_agents.report.plots import (
    Figure,
    Line,
    Table,
    curve_plot,
    interval_bar,
    levels_plot,
    reliability_plot,
)
from promed_env.case import SECTIONS
from promed_env.errors import BackendError

__all__ = ["REPORT_FILE", "write_report"]

REPORT_FILE = "report.html"

_LEVELS = ("none", "initial", "interactive", "full")


def write_report(folder: str | Path, out: str | Path | None = None, *, cases: int = 200) -> Path:
    """Write the report on a folder; the file appears whole or not at all.

    Args:
        folder: What `promed evaluate ... --out` or `promed train ... --out` wrote, or a folder of such folders.
        out: The file; None for `report.html` in the folder.
        cases: Most cases of a run whose consultations the page holds, from the first; the figures are of all.

    Returns:
        The file's path.

    Raises:
        BackendError: The extra `report` is not installed.
        DatasetError: There is nothing to report on, or it cannot be read.
        ValueError: `cases` is negative.
    """
    if cases < 0:
        raise ValueError(f"cases must be at least 0, got {cases}")
    target = Path(folder) / REPORT_FILE if out is None else Path(out)
    page = _rendered(read_folder(folder), cases)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, page)
    return target


def _rendered(found: Found, cases: int) -> str:
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ModuleNotFoundError as error:
        raise BackendError(f'a report needs the package {error.name}: pip install "promed[report]"') from error
    here = files("promed_agents.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((here / "page.html").read_text(encoding="utf-8"))
    dialogues = json.dumps([_dialogues(run, cases) for run in found.runs], ensure_ascii=False, separators=(",", ":"))
    return template.render(
        title=_title(found),
        long=_LONG,
        version=promed_env.__version__,
        runs=[_run_view(run, number, len(found.runs)) for number, run in enumerate(found.runs)],
        budgets=_budget_figure(found.runs),
        learning=_learning_figure(found.curves),
        trained=_trained_table(found.curves),
        shown=[(run.name, *_share_shown(run, cases)) for run in found.runs],
        svg=Markup,
        style=Markup((here / "style.css").read_text(encoding="utf-8")),
        script=Markup((here / "viewer.js").read_text(encoding="utf-8")),
        dialogues=Markup(dialogues.replace("<", "\\u003c")),  # no text can close the script element
    )


def _title(found: Found) -> str:
    played = dict.fromkeys(evaluation.setting.env_id for run in found.runs for evaluation in run.evaluations)
    trained = dict.fromkeys(curve.settings["env_id"] for curve in found.curves if curve.settings is not None)
    return ", ".join(played or trained) or found.folder


@dataclass(frozen=True)
class _RunView:
    """What the template shows of one result file."""

    ident: str
    name: str
    notice: str
    setting: list[tuple[str, str]]
    leveled: bool
    slices: list[dict[str, Any]]
    pairs: list[dict[str, str]]
    pairs_level: str
    gaps: list[tuple[str, str]]
    levels: Figure | None
    turns: Figure | None
    calibration: Figure | None
    calibration_rows: list[tuple[str, ...]]
    sections: list[str]
    recalls: list[tuple[str, list[float | None]]]


def _run_view(run: Run, number: int, runs: int) -> _RunView:
    evaluations = run.evaluations
    leveled = len({evaluation.setting.information for evaluation in evaluations}) > 1
    members = main_level(evaluations)
    names = _names(members)
    ident = f"run{number}"
    judged = [
        (name, style, found)
        for style, (name, each) in enumerate(zip(names, members, strict=True))
        if (found := each.summaries["all"].calibration) is not None
    ]
    found_by = [evaluation.summaries["all"].section_recall for evaluation in members]
    sections = [section for section in SECTIONS if any(section in recall for recall in found_by)]
    return _RunView(
        ident=ident,
        name=run.name or (evaluations[0].setting.env_id if runs > 1 else ""),
        notice=_notice(evaluations),
        setting=_setting(evaluations),
        leveled=leveled,
        slices=[_slice(evaluations, name) for name in evaluations[0].summaries],
        pairs=[_pair(a, b) for a, b in combinations(members, 2)],
        pairs_level=members[0].setting.information if leveled else "",
        gaps=[(gap.agent, _gap_words(gap)) for gap in gaps_closed(evaluations)],
        levels=_levels_figure(ident, evaluations) if leveled else None,
        turns=_turn_figure(ident, members, names),
        calibration=reliability_plot(f"{ident}-calibration", judged) if judged else None,
        calibration_rows=[
            (
                name,
                str(found.n),
                f"{sum(each.n * each.confidence for each in found.bins) / found.n:.3f}",
                f"{found.brier:.3f}",
                f"{found.ece:.3f}",
            )
            for name, _, found in judged
        ],
        sections=sections,
        recalls=[
            (name, [recall.get(section) for section in sections]) for name, recall in zip(names, found_by, strict=True)
        ],
    )


def _names(evaluations: Sequence[Evaluation]) -> list[str]:
    """Names of the agents, numbered where two have the same."""
    seen: Counter[str] = Counter()
    names = []
    for evaluation in evaluations:
        seen[evaluation.agent] += 1
        again = seen[evaluation.agent]
        names.append(evaluation.agent if again == 1 else f"{evaluation.agent} ({again})")
    return names


def _notice(evaluations: Sequence[Evaluation]) -> str:
    synthetic = any("synthetic" in evaluation.dataset.lower() for evaluation in evaluations)
    return "For research, not for care." + (" The cases are synthetic: no patient is behind them." if synthetic else "")


_LONG = ("Cases", "Patient", "Versions")  # settings that take the place of two


def _setting(evaluations: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """What was played; where the evaluations differ, all that occurs."""

    def told(values: Sequence[Any], default: str = "the environment's own") -> str:
        return " / ".join(dict.fromkeys(default if value is None else str(value) for value in values))

    settings = [evaluation.setting for evaluation in evaluations]
    versions = dict.fromkeys(
        ", ".join(f"{name} {version}" for name, version in evaluation.versions.items()) for evaluation in evaluations
    )
    return [
        ("Environment", told([each.env_id for each in settings])),
        ("Cases", told([evaluation.dataset for evaluation in evaluations])),
        ("Split", told([each.split for each in settings], "the data set's own")),
        ("n", told([len(evaluation.episodes) for evaluation in evaluations])),
        ("Patient", told([evaluation.patient for evaluation in evaluations])),
        ("Reward", told([evaluation.reward for evaluation in evaluations])),
        ("Budget", f"{told([each.max_questions for each in settings])} questions"),
        ("Facts a reply", f"at most {told([each.facts_per_reply for each in settings])}"),
        ("Stated at the start", told([each.initial for each in settings])),
        ("Options shown", told([each.show_options for each in settings])),
        ("Information", told([each.information for each in settings])),
        ("Seed", told([each.seed for each in settings])),
        ("Versions", " / ".join(version or "not recorded" for version in versions)),
    ]


def _slice(evaluations: Sequence[Evaluation], name: str) -> dict[str, Any]:
    first = evaluations[0].summaries[name]
    counts = dict.fromkeys(evaluation.summaries[name].n for evaluation in evaluations)
    return {
        "name": name,
        "metric": first.metric,
        "n": " / ".join(map(str, counts)),
        "rows": [
            {
                "agent": evaluation.agent,
                "information": evaluation.setting.information,
                "access": evaluation.access,
                **_cells(evaluation.summaries[name]),
            }
            for evaluation in evaluations
        ],
    }


def _cells(summary: Summary) -> dict[str, str]:
    low, high = summary.accuracy_interval
    wilson = summary.accuracy_wilson
    return {
        "accuracy": f"{summary.accuracy:.3f}",
        "bar": interval_bar(summary.accuracy, *wilson),
        "interval": f"{low:.2f} to {high:.2f}",
        "wilson": f"{wilson[0]:.2f} to {wilson[1]:.2f}",
        "questions": f"{summary.questions:.1f}",
        "sig": "-" if summary.sig is None else f"{summary.sig:.3f}",
        "recall": f"{summary.fact_recall:.3f}",
        "invalid": f"{summary.invalid:.2f}",
        "reward": f"{summary.reward:.3f}",
    }


def _pair(a: Evaluation, b: Evaluation) -> dict[str, str]:
    found = compare(a, b)
    return {
        "first": found.a,
        "second": found.b,
        "difference": f"{found.difference:+.3f}",
        "interval": f"{found.interval[0]:+.2f} to {found.interval[1]:+.2f}",
        "alone": f"{found.only_a} : {found.only_b}",
        "p": "< 0.0001" if found.p_value < 0.0001 else f"{found.p_value:.4f}",
        "questions": f"{found.questions:+.1f}",
    }


def _gap_words(gap: GapClosed) -> str:
    if gap.share is None:
        return "knowing everything does not help, so there is no gap to close"
    words = f"asking closes {gap.share:.0%} of the gap between {gap.initial:.3f} and {gap.full:.3f}"
    if gap.interval is None:
        return f"{words} (too small a gap for an interval)"
    return f"{words} (95% interval {gap.interval[0]:.0%} to {gap.interval[1]:.0%})"


def _levels_figure(ident: str, evaluations: Sequence[Evaluation]) -> Figure:
    rows: dict[str, dict[str, float]] = {}
    for level in _LEVELS:
        members = [each for each in evaluations if each.setting.information == level]
        for name, evaluation in zip(_names(members), members, strict=True):
            rows.setdefault(name, {})[level] = evaluation.summaries["all"].accuracy
    return levels_plot(f"{ident}-levels", list(rows.items()))


def _turn_figure(ident: str, members: Sequence[Evaluation], names: Sequence[str]) -> Figure | None:
    """Accuracy if stopped after k turns, and where every doctor ended."""
    lines = []
    rows: list[tuple[str, ...]] = []
    for style, (name, evaluation) in enumerate(zip(names, members, strict=True)):
        summary = evaluation.summaries["all"]
        low, high = summary.accuracy_wilson
        curve = summary.accuracy_by_turn
        at_end = (summary.questions, summary.accuracy)
        points = tuple((float(turn), share) for turn, share in enumerate(curve)) if curve else (at_end,)
        lines.append(Line(name, points, style, ends=bool(curve), emphasis=(*at_end, low, high)))
        rows.append((name, f"{summary.questions:.1f}", f"{summary.accuracy:.3f}", *(f"{y:.2f}" for _, y in points)))
    if all(len(line.points) == 1 and line.points[0][0] == 0 for line in lines):
        return None  # nobody asked anything
    longest = max(len(row) for row in rows) - 3
    filled = tuple((*row, *[row[-1]] * (longest + 3 - len(row))) for row in rows)
    columns = ("doctor", "questions", "accuracy", *(f"after {turn}" for turn in range(longest)))
    about = (
        "Each line is the accuracy if the doctor were stopped after so many turns; the large mark is its mean number "
        "of questions and its accuracy at the end, with the 95% Wilson interval."
    )
    title = "Accuracy against questions"
    return curve_plot(f"{ident}-turns", title, about, "questions", lines, Table(columns, filled), whole=True)


def _budget_figure(runs: Sequence[Run]) -> Figure | None:
    """Accuracy against the questions allowed, where runs differ in nothing else."""
    series: dict[tuple[str, str], dict[int, Evaluation]] = {}
    for run in runs:
        members = main_level(run.evaluations)
        for name, evaluation in zip(_names(members), members, strict=True):
            setting = evaluation.setting
            if setting.information == "interactive":
                same = {key: value for key, value in asdict(setting).items() if key != "max_questions"}
                alike = json.dumps([same, [episode.case_id for episode in evaluation.episodes]], sort_keys=True)
                series.setdefault((alike, name), {})[setting.max_questions] = evaluation
    several = {key: dict(sorted(found.items())) for key, found in series.items() if len(found) > 1}
    if not several:
        return None
    lines, rows = [], []
    settings = {alike for alike, _ in several}
    for style, ((_, name), found) in enumerate(several.items()):
        setting = next(iter(found.values())).setting
        label = name if len(settings) == 1 else f"{name}, {setting.env_id}"
        sums = {budget: evaluation.summaries["all"] for budget, evaluation in found.items()}
        points = tuple((float(budget), each.accuracy) for budget, each in sums.items())
        lines.append(Line(label, points, style, tuple(each.accuracy_wilson for each in sums.values())))
        for budget, each in sums.items():
            low, high = each.accuracy_wilson
            rows.append(
                (label, str(budget), f"{each.accuracy:.3f}", f"{low:.2f} to {high:.2f}", f"{each.questions:.1f}")
            )
    table = Table(("doctor", "questions allowed", "accuracy", "95% Wilson interval", "questions asked"), tuple(rows))
    about = "Accuracy of runs that differ only in the number of questions allowed, with 95% Wilson intervals."
    title = "Accuracy against the budget"
    return curve_plot("budgets", title, about, "questions allowed", lines, table, whole=True)


def _learning_figure(curves: Sequence[Curve]) -> Figure | None:
    """Validation accuracy against environment steps; runs that differ in the seed only share a line, their mean."""
    begun = [curve for curve in curves if curve.points]
    if not begun:
        return None
    groups: dict[str, list[Curve]] = {}
    for curve in begun:
        groups.setdefault(curve.group, []).append(curve)
    lines = []
    for style, (name, members) in enumerate(groups.items()):
        own = [tuple((float(point.steps), point.accuracy) for point in curve.points) for curve in members]
        if len(own) == 1:
            lines.append(Line(name, own[0], style))
            continue
        lines += [Line("", points, style, faint=True) for points in own]
        by_steps: dict[float, list[float]] = {}
        for points in own:
            for steps, accuracy in points:
                by_steps.setdefault(steps, []).append(accuracy)
        shared = {steps: found for steps, found in by_steps.items() if len(found) == len(own)}
        mean = tuple((steps, sum(found) / len(found)) for steps, found in sorted(shared.items()))
        if mean:
            lines.append(Line(f"{name} (mean of {len(own)})", mean, style))
        else:  # judged at different steps, so there is no mean to draw
            lines += [Line(curve.name, points, style) for curve, points in zip(members, own, strict=True)]
    rows = tuple(
        (curve.name, curve.group, f"{point.steps:,}", f"{point.accuracy:.3f}", f"{point.questions:.1f}", str(point.n))
        for curve in begun
        for point in curve.points
    )
    table = Table(("run", "kind", "steps", "accuracy", "questions", "cases"), rows)
    about = "Accuracy on validation cases against environment steps of training; thin lines are single runs of a mean."
    return curve_plot("learning", "Learning curves", about, "environment steps", lines, table)


def _trained_table(curves: Sequence[Curve]) -> list[dict[str, str]]:
    rows = []
    for curve in curves:
        told = curve.settings or {}
        last = curve.points[-1] if curve.points else None
        best = max(curve.points, key=lambda point: point.accuracy) if curve.points else None
        rows.append(
            {
                "name": curve.name,
                **{key: str(told.get(key, "-")) for key in ("env_id", "algo", "reward", "seed")},
                "steps": f"{last.steps:,}" if last else "none yet",
                "accuracy": f"{last.accuracy:.3f}" if last else "-",
                "questions": f"{last.questions:.1f}" if last else "-",
                "best": f"{best.accuracy:.3f} at {best.steps:,}" if best else "-",
                "n": str(last.n) if last else "-",
            }
        )
    return rows


def _share_shown(run: Run, cases: int) -> tuple[int, int]:
    most = max(len(evaluation.episodes) for evaluation in run.evaluations)
    return min(cases, most), most


def _dialogues(run: Run, cases: int) -> dict[str, Any]:
    """What the viewer shows of one result file."""
    told: dict[str, CaseText] = {}
    doctors = []
    for evaluation in run.evaluations:
        episodes = evaluation.episodes[:cases]
        told |= {each.case_id: evaluation.cases[each.case_id] for each in episodes if each.case_id in evaluation.cases}
        doctors.append(
            {
                "agent": evaluation.agent,
                "access": evaluation.access,
                "information": evaluation.setting.information,
                "episodes": [
                    {
                        "id": each.case_id,
                        "correct": each.correct,
                        "chosen": each.chosen,
                        "answer": each.answer,
                        "confidence": each.confidence,
                        "questions": each.questions,
                        "invalid": each.invalid,
                        "reward": round(each.reward, 4),
                        "recall": round(each.fact_recall, 4),
                        "sig": None if each.sig is None else [round(gain, 4) for gain in each.sig],
                        "turns": each.turns,
                        "leanings": each.leanings,
                    }
                    for each in episodes
                ],
            }
        )
    name = run.name or run.evaluations[0].setting.env_id
    return {"name": name, "doctors": doctors, **pack_cases(told)}
