"""Evaluations as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from promed_agents.compare import Comparison, GapClosed, compare, main_level
from promed_agents.evaluate import Evaluation, Summary
from promed_agents.setting import Information, Setting
from promed_env.case import SECTIONS
from promed_env.datasets import SOURCES, CaseDataset, load_dataset
from promed_env.datasets.registry import FORMATS
from promed_env.datasets.splits import SPLITS
from promed_env.patients import describe
from promed_env.vector import ConsultationVectorEnv

__all__ = ["comparison_table", "dataset_table", "gap_lines", "heading", "pairs_table", "results_table"]

ACCESS_NOTE = (
    "Asked: questions; recall: share of the hidden facts found; all are means of episodes. "
    "Access: knowledge = evidence rows of facts already disclosed (a guess where there is no table); "
    "record = reads the case (privileged); oracle by construction."
)


COMPARISON_NOTE = (
    "Diff.: accuracy of the first less that of the second, with its paired bootstrap interval; alone: cases that only "
    "the first : only the second got right; p: McNemar's exact test, not corrected for the number of comparisons; "
    "asked: difference of the mean number of questions."
)


def heading(
    setting: Setting, cases: CaseDataset, env: ConsultationVectorEnv, levels: Sequence[Information] = ("interactive",)
) -> Text:
    """What is played, in a few lines: printed above every result."""
    lines = [
        f"{setting.env_id}: {cases.name}, {cases.description}. For research, not for care.",
        f"patient {describe(env.patient)}; at most {setting.facts_per_reply} facts a reply",
        f"reward {setting.reward_for(cases)}; at most {setting.max_questions} questions; options shown: "
        f"{env.dynamics.show_options}; initial facts: {setting.initial}; seed {setting.seed}; n = {len(cases)}",
    ]
    if setting.tracker is not None:
        lines.append(f"known is what {setting.tracker} says")
    if tuple(levels) != ("interactive",):
        lines.append(f"information levels: {', '.join(levels)}; only interactive may ask")
    if setting.reward is None and setting.reward_for(cases) == "diagnosis":
        lines.append("SIG is not available: these cases carry neither Shapley values nor evidence tables.")
    return Text("\n".join(lines))


def results_table(evaluations: Sequence[Evaluation]) -> Group:
    """One table a slice, one row an agent (and information level); then recall, calibration and accuracy by turn."""
    tables: list[Table | Text] = []
    leveled = _leveled(evaluations)
    means = _MEANS[:2] if leveled else _MEANS  # recall and invalid turns say little where nobody may ask
    for name in evaluations[0].summaries:
        first = evaluations[0].summaries[name]
        title = f"{first.metric}, slice {name}, n = {first.n}"
        table = _table(title, (*_who(leveled), "access"), ("accuracy", "95% interval", *means))
        for evaluation in evaluations:
            table.add_row(
                *_label(evaluation, leveled), evaluation.access, *_cells(evaluation.summaries[name])[: 2 + len(means)]
            )
        tables.append(table)
    tables += [_section_table(evaluations), *_calibration_table(evaluations), *_turn_table(evaluations)]
    return Group(*tables, Text(ACCESS_NOTE, style="dim"))


def pairs_table(evaluations: Sequence[Evaluation]) -> Group | None:
    """Every two evaluations of one information level compared case by case; None if there are no two.

    The level is "interactive" if it was played, else the first one.
    """
    members = main_level(evaluations)
    pairs = [compare(a, b) for a, b in combinations(members, 2)]
    where = f", information {members[0].setting.information}" if _leveled(evaluations) else ""
    return comparison_table(pairs, f"Paired comparison on the same cases{where}") if pairs else None


def comparison_table(comparisons: Sequence[Comparison], title: str) -> Group:
    """One row a comparison, and how to read it."""
    table = _table(
        f"{title}, n = {comparisons[0].n}",
        ("first", "second"),
        ("diff.", "95% interval", "alone", "p", "asked"),
    )
    for each in comparisons:
        low, high = each.interval
        table.add_row(
            each.a,
            each.b,
            f"{each.difference:+.3f}",
            f"{low:+.2f} to {high:+.2f}",
            f"{each.only_a} : {each.only_b}",
            "< 0.0001" if each.p_value < 0.0001 else f"{each.p_value:.4f}",
            f"{each.questions:+.1f}",
        )
    return Group(table, Text(COMPARISON_NOTE, style="dim"))


def gap_lines(gaps: Sequence[GapClosed]) -> Text:
    """For every doctor the share of the gap between presentation and all facts that asking closes, a line each."""
    lines = []
    for gap in gaps:
        line = f"{gap.agent}: initial {gap.initial:.3f}, interactive {gap.interactive:.3f}, full {gap.full:.3f}; "
        if gap.share is None:
            line += "knowing everything does not help, so there is no gap to close"
        else:
            line += f"asking closes {gap.share:.0%} of the gap"
            line += (
                " (the gap is too small for an interval)"
                if gap.interval is None
                else f" (95% interval {gap.interval[0]:.0%} to {gap.interval[1]:.0%})"
            )
        lines.append(line)
    return Text("\n".join(lines))


def _leveled(evaluations: Sequence[Evaluation]) -> bool:
    return len({evaluation.setting.information for evaluation in evaluations}) > 1


def _who(leveled: bool) -> tuple[str, ...]:
    return ("doctor", "information") if leveled else ("doctor",)


def _label(evaluation: Evaluation, leveled: bool) -> tuple[str, ...]:
    return (evaluation.agent, evaluation.setting.information) if leveled else (evaluation.agent,)


def _table(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in words:
        table.add_column(column, no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _calibration_table(evaluations: Sequence[Evaluation]) -> list[Table]:
    """How well the confidence agrees with being right, of the doctors that state one."""
    leveled = _leveled(evaluations)
    table = _table("Calibration of the stated confidence", _who(leveled), ("stated", "confidence", "Brier", "ECE"))
    for evaluation in evaluations:
        found = evaluation.summaries["all"].calibration
        if found is not None:
            mean = sum(each.n * each.confidence for each in found.bins) / found.n
            numbers = (str(found.n), f"{mean:.3f}", f"{found.brier:.3f}", f"{found.ece:.3f}")
            table.add_row(*_label(evaluation, leveled), *numbers)
    return [table] if table.row_count else []


def _turn_table(evaluations: Sequence[Evaluation]) -> list[Table]:
    """Accuracy if stopped after k turns, of the doctors that can tell what they would answer and that ask."""
    curves = [
        (evaluation.agent, curve)
        for evaluation in evaluations
        if len(curve := evaluation.summaries["all"].accuracy_by_turn or ()) > 1
    ]
    if not curves:
        return []
    last = max(len(curve) for _, curve in curves) - 1
    turns = sorted({round(last * step / 10) for step in range(11)})
    table = _table("Accuracy if stopped after so many turns", ("doctor",), [str(turn) for turn in turns])
    for agent, curve in curves:
        table.add_row(agent, *(f"{curve[min(turn, len(curve) - 1)]:.2f}" for turn in turns))
    return [table]


def _section_table(evaluations: Sequence[Evaluation]) -> Table:
    """Which share of the hidden facts of each section every doctor brought out."""
    evaluations = main_level(evaluations)
    recalls = [evaluation.summaries["all"].section_recall for evaluation in evaluations]
    sections = [section for section in SECTIONS if any(section in recall for recall in recalls)]
    table = _table("Recall by section of the record", ("doctor",), [section[:7] for section in sections])
    for evaluation, recall in zip(evaluations, recalls, strict=True):
        cells = (f"{recall[section]:.2f}" if section in recall else "-" for section in sections)
        table.add_row(evaluation.agent, *cells)
    return table


_MEANS = ("asked", "SIG", "recall", "invalid")


def _cells(summary: Summary) -> list[str]:
    low, high = summary.accuracy_interval
    return [
        f"{summary.accuracy:.3f}",
        f"{low:.2f} to {high:.2f}",
        f"{summary.questions:.1f}",
        "-" if summary.sig is None else f"{summary.sig:.3f}",
        f"{summary.fact_recall:.3f}",
        f"{summary.invalid:.2f}",
    ]


def dataset_table() -> Group:
    """What can be loaded, from where, with its licence."""
    bundled = Table(title="Bundled (by name)", title_justify="left")
    fetched = Table(title="Fetched (by name, after `promed datasets fetch NAME`)", title_justify="left")
    for column in ("name", "split", "environment", "what it is", "licence"):
        bundled.add_column(column, overflow="fold")
        fetched.add_column(column, overflow="fold")
    for name, source in SOURCES.items():
        for split in source.splits:
            cases = load_dataset(name, split)
            bundled.add_row(name, split, source.env_id, cases.description, cases.licence)
        if source.generate is not None:
            made = source.generate(source.default_split)
            bundled.add_row(name, ", ".join(source.generated_splits), source.env_id, made.description, made.licence)
        if source.file:
            fetched.add_row(name, ", ".join(("all", *SPLITS)), source.env_id, source.description, source.licence)
    files = Table(title="Files (by path; the format is told by the fields)", title_justify="left")
    for column in ("format", "what it is", "licence", "published at"):
        files.add_column(column, overflow="fold")
    for name, form in FORMATS.items():
        files.add_row(name, form.title, form.licence, form.url or "-")
    return Group(bundled, fetched, files)
