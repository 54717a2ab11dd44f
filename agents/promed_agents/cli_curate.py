"""`promed curate`: from full vignette questions to cases that can be played."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from promed_agents.cli_common import fail, progress_bar
from promed_agents.files import damaged, read_unfinished, write_whole
from promed_env.case import Case
from promed_env.datasets.curation import (
    PRESENTATIONS,
    SOURCE_FORMATS,
    CaseCounts,
    Curated,
    CurationReport,
    LanguageModelSplitter,
    RuleSplitter,
    Splitter,
    check_rows,
    curate,
)
from promed_env.datasets.jsonl import Row, read_rows, write_jsonl
from promed_env.errors import DatasetError, ProMedError
from promed_env.llm import make_llm

__all__ = ["curate_command"]

_FORMATS = "; ".join(f"{name}: {chosen.fields}" for name, chosen in SOURCE_FORMATS.items())
_PRESENTATIONS = "; ".join(f"{name}: {what}" for name, what in PRESENTATIONS.items())

Finished = dict[int, tuple[Case, CaseCounts]]
"""What was made of rows, by their place among those asked for."""

_UNFINISHED = "an unfinished curation"


def curate_command(
    file: Annotated[Path, typer.Argument(help="Questions with their vignettes: JSON Lines, or one JSON array.")],
    out: Annotated[Path, typer.Option(help="File of cases to write; must not exist yet.")],
    format: Annotated[str, typer.Option(help=f"The fields of a row. {_FORMATS}.")] = "medqa",
    model: Annotated[
        str | None,
        typer.Option(
            help="Language model that splits the sentences, such as hf:smollm2 or openai:NAME; every sentence is "
            "checked, and where the check fails the rules' split is taken and counted. Default: rules, no model."
        ),
    ] = None,
    presentation: Annotated[str, typer.Option(help=f"What the patient says first. {_PRESENTATIONS}.")] = "first",
    limit: Annotated[int | None, typer.Option(min=1, help="Curate the first N rows only. Default: all.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a stopped run with a model.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Make cases that can be played of full vignette questions: who the patient is, atomic facts, and the question.

    The final question is split from the vignette, the vignette into self-contained facts ("denies fever or chills"
    gives two denials); nothing is invented and nothing lost. Rows with defects are flagged, never dropped.

    Example: promed curate medqa.jsonl --format medqa --out cases.jsonl
    then: promed evaluate ProMed-MedQA-v0 --dataset cases.jsonl --reward diagnosis

    From Python: gym.make("ProMed-MedQA-v0", dataset="cases.jsonl", reward="diagnosis"). CMB's questions are played
    in ProMed-CMB-v0.
    """
    console = Console()
    try:
        if out.exists():
            raise DatasetError(f"{out}: exists already; remove it or give another --out")
        if not out.parent.is_dir():
            raise DatasetError(f"{out}: the folder {out.parent} does not exist; create it first")
        for given, known in ((format, SOURCE_FORMATS), (presentation, PRESENTATIONS)):
            if given not in known:
                raise DatasetError(f"unknown name {given!r}; known are {', '.join(known)}")
        rows = read_rows(file)[:limit]
        check_rows(rows, format)
        # Rules take seconds for a thousand rows; only a model's work is worth keeping half done.
        kept = None if model is None else out.with_name(f".{out.name}.partial")
        if kept is not None and kept.exists() and not resume:
            raise DatasetError(f"{kept}: a stopped run left this; continue it with --resume, or remove it")
        splitter: Splitter = RuleSplitter() if model is None else LanguageModelSplitter(make_llm(model))
        settings = {"format": format, "presentation": presentation, "splitter": splitter.name}
        keys = [_key(row, number) for number, row in enumerate(rows)]
        done = {} if kept is None else _begin(kept, settings, keys)
        with progress_bar(console, quiet=quiet) as progress:
            task = progress.add_task("curating", total=len(rows), completed=len(done))
            log = None if kept is None else kept.open("a", encoding="utf-8")
            try:
                left = (key for number, key in enumerate(keys) if number not in done)

                def finished(case: Case, counts: CaseCounts) -> None:
                    if log is not None:
                        _keep(log, {"row": next(left), "case": case.to_json(), "counts": counts})
                    progress.advance(task)

                made = curate(rows, format, splitter=splitter, presentation=presentation, done=done, on_case=finished)
            finally:
                if log is not None:
                    log.close()
        write_jsonl(made.cases, out)
        if kept is not None:
            kept.unlink()
    except KeyboardInterrupt:
        fail(RuntimeError("stopped" if model is None else "stopped; continue with the same command and --resume"))
    except (ProMedError, ValueError, OSError) as error:
        fail(error)
    _tell(console, made, out, model is not None)


def _key(row: Row, number: int) -> str:
    """A hash of what a row's case is made of; a row without an id is named after its place."""
    made_of = row.fields if "id" in row.fields else [number, row.fields]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


def _begin(kept: Path, settings: dict[str, str], keys: Sequence[str]) -> Finished:
    """What an earlier run finished of the rows with these keys; without one, its file is begun."""
    if not kept.exists():
        write_whole(kept, json.dumps(settings) + "\n")
        return {}
    header, rows = read_unfinished(kept, _UNFINISHED)
    if header != settings:
        raise DatasetError(f"{kept}: was begun with other options; repeat them, or remove it")
    places = {key: number for number, key in enumerate(keys)}
    done: Finished = {}
    for line, row in enumerate(rows, start=2):
        try:
            key, (sentences, asked, refused) = str(row["row"]), row["counts"]
            made = Case.from_json(row["case"]), CaseCounts(sentences, asked, tuple(refused))
        except (KeyError, TypeError, ValueError, DatasetError) as error:
            raise damaged(kept, line, _UNFINISHED, repr(error)) from error
        if key not in places:
            raise DatasetError(
                f"{kept}:{line}: {made[0].case_id} is finished, but its row is not among those asked for: it has "
                "changed, or --limit is too small; remove that line to drop its work, or the file to begin anew"
            )
        done[places[key]] = made
    return done


def _keep(file: IO[str], row: dict[str, Any]) -> None:
    file.write(json.dumps(row) + "\n")
    file.flush()


def _tell(console: Console, made: Curated, out: Path, by_model: bool) -> None:
    report = made.report
    table = Table(show_header=False, box=None, title=f"{len(made.cases)} cases, split by {report.splitter}")
    for name, value in _summary(report, by_model):
        table.add_row(name, value)
    console.print(table)
    environment = "ProMed-CMB-v0" if made.cases[0].language == "zh" else "ProMed-MedQA-v0"
    console.print(Text(f"{out}: for research, not for care; the licence is the source file's"))
    console.print(Text(f"play it: promed evaluate {environment} --dataset {out} --reward diagnosis"))


def _summary(report: CurationReport, by_model: bool) -> Sequence[tuple[str, str]]:
    low, middle, high = np.quantile(report.facts, [0.05, 0.5, 0.95])
    rows = [
        ("facts a case", f"mean {np.mean(report.facts):.1f}, median {middle:.0f}, 5 to 95%: {low:.0f} to {high:.0f}"),
        ("sentences", f"{report.sentences}"),
        ("rows that ask nothing at the end", f"{report.unasked}"),
        ("flagged", ", ".join(f"{flag} {n}" for flag, n in report.flags.items()) or "none"),
    ]
    if by_model:
        refused = sum(report.refused.values())
        reasons = ", ".join(f"{reason} {n}" for reason, n in report.refused.items())
        rows.append(("sentences left to the rules", f"{refused} of {report.sentences} ({reasons})"))
    return rows
