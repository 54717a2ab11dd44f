"""Evaluations as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from promed_agents.evaluate import Evaluation, Setting, Summary
from promed_env.datasets import SOURCES, CaseDataset, load_dataset
from promed_env.datasets.registry import FORMATS
from promed_env.datasets.splits import SPLITS
from promed_env.patients import describe
from promed_env.vector import ConsultationVectorEnv

__all__ = ["dataset_table", "heading", "results_table"]

ACCESS_NOTE = (
    "Asked: questions; recall: share of the hidden facts found; all are means of episodes. "
    "Access: knowledge = evidence rows of facts already disclosed (a guess where there is no table); "
    "record = reads the case (privileged); oracle by construction."
)


def heading(setting: Setting, cases: CaseDataset, env: ConsultationVectorEnv) -> Text:
    """What is played, in a few lines: printed above every result."""
    lines = [
        f"{setting.env_id}: {cases.name}, {cases.description}. For research, not for care.",
        f"patient {describe(env.patient)}; at most {setting.facts_per_reply} facts a reply",
        f"reward {setting.reward_for(cases)}; at most {setting.max_questions} questions; options shown: "
        f"{env.dynamics.show_options}; initial facts: {setting.initial}; seed {setting.seed}; n = {len(cases)}",
    ]
    if setting.reward is None and setting.reward_for(cases) == "diagnosis":
        lines.append("SIG is not available: these cases carry neither Shapley values nor evidence tables.")
    return Text("\n".join(lines))


def results_table(evaluations: Sequence[Evaluation]) -> Group:
    """One table a slice, one row an agent."""
    tables: list[Table | Text] = []
    for name in evaluations[0].summaries:
        first = evaluations[0].summaries[name]
        title = f"{first.metric}, slice {name}, n = {first.n}"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for position, column in enumerate(("doctor", "access", "accuracy", "95% interval", *_MEANS)):
            table.add_column(column, justify="left" if position < 2 else "right", no_wrap=True)
        for evaluation in evaluations:
            table.add_row(evaluation.agent, evaluation.access, *_cells(evaluation.summaries[name]))
        tables.append(table)
    return Group(*tables, _section_table(evaluations), Text(ACCESS_NOTE, style="dim"))


def _section_table(evaluations: Sequence[Evaluation]) -> Table:
    """Which share of the hidden facts of each section every doctor brought out."""
    sections = list(evaluations[0].summaries["all"].section_recall)
    table = Table(
        title="Recall by section of the record", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("doctor", no_wrap=True)
    for section in sections:
        table.add_column(section[:7], justify="right", no_wrap=True)
    for evaluation in evaluations:
        recall = evaluation.summaries["all"].section_recall
        table.add_row(evaluation.agent, *(f"{recall[section]:.2f}" for section in sections))
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
