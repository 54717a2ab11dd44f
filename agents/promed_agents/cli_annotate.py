"""`promed annotate`: Shapley values for the cases of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from promed_agents.annotate import AnnotationSummary, Job, annotate_dataset
from promed_agents.cli_common import fail, progress_bar
from promed_agents.sidecar import apply_sidecar
from promed_agents.worth import Worth
from promed_env.case import Game
from promed_env.datasets import SOURCES, CaseDataset, GeneratedDataset, load_dataset, write_jsonl
from promed_env.errors import DatasetError, ProMedError

__all__ = ["annotate_command"]


_WITH_SIDECAR = {"dataset", "out", "split", "cases", "sidecar_from"}  # what goes together with --from


def annotate_command(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Registered name, or file of cases (JSON Lines).", metavar="DATASET")],
    out: Annotated[Path, typer.Option(help="File to write; must not exist.")],
    belief: Annotated[
        str | None,
        typer.Option(
            help="Whose values: hf:PATH, vllm:PATH, vllm-server:NAME@URL, openai:NAME (option letters); "
            "answer_text(hf:PATH) as in the paper; evidence; knowledge."
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of a registered data set.")] = None,
    cases: Annotated[
        int | None, typer.Option(min=1, help="Only the first N cases. Default: all; 1,000 where they have no end.")
    ] = None,
    game: Annotated[list[str] | None, typer.Option(help="all, presentation; repeat. Default: both.")] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            min=3, help="Most coalitions of a case and game. Default: 64 of a language model; 65,536 of a table."
        ),
    ] = None,
    target_stderr: Annotated[
        float | None, typer.Option(help="Stop a case at this largest standard error, in nats; above 0.")
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="File that keeps the model's ratings for other runs.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each with a model of its own.")] = 1,
    measured: Annotated[int, typer.Option(min=1, help="Cases on which the belief is measured first.")] = 100,
    sidecar: Annotated[bool, typer.Option("--sidecar", help="Write values without the text of the cases.")] = False,
    sidecar_from: Annotated[
        Path | None, typer.Option("--from", help="Take the values from a sidecar instead of computing them.")
    ] = None,
    allow_uninformative: Annotated[
        bool, typer.Option("--allow-uninformative", help="Annotate although the belief is not above chance.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the estimator.")] = 0,
) -> None:
    """Compute what each fact of each case matters, so that SIG can be paid without a model.

    First the belief is measured on the cases; one that is not above chance is refused. A run that was stopped goes on
    with the same command; nothing is lost or done twice.

    Example: promed annotate mediq.jsonl --belief hf:models/my-7b --out mediq-annotated.jsonl
    then: gym.make("ProMed-MedQA-v0", dataset="mediq-annotated.jsonl", reward="promed")
    """
    console = Console()
    kept: tuple[int, int] | None = None
    try:
        chosen = load_dataset(dataset, split)
        if split is not None and dataset not in SOURCES:
            raise ValueError(f"{dataset} is a file, which has no splits; leave --split out")
        if isinstance(chosen, GeneratedDataset):
            chosen = chosen[: cases or 1_000]
        elif cases is not None:
            chosen = chosen[:cases]
        if sidecar_from is not None:
            _only_with_sidecar(context)
            _merge(chosen, sidecar_from, out, console)
            return
        if belief is None:
            raise ValueError("give --belief, such as hf:PATH, or --from SIDECAR")
        job = Job(belief, _games(game), budget, target_stderr, seed, None if cache is None else str(cache))
        with progress_bar(console) as bar:
            task = bar.add_task("measuring the belief", total=None)

            def advance(done: int, of: int) -> None:
                nonlocal kept
                kept = done, of
                bar.update(task, description="annotating", completed=done, total=of)

            summary = annotate_dataset(
                job,
                chosen,
                out,
                sidecar=sidecar,
                workers=workers,
                measured=measured,
                allow_uninformative=allow_uninformative,
                progress=advance,
                on_worth=lambda worth: bar.console.print(_worth_table(worth)),
            )
    except KeyboardInterrupt:
        if kept is None:
            fail(DatasetError(f"stopped before a case was annotated; this run left nothing new beside {out}"))
        fail(DatasetError(f"stopped; {kept[0]} of {kept[1]} cases are kept beside {out}, and the same command goes on"))
    except (ProMedError, ValueError, OSError) as error:
        fail(error)
    _tell(summary, out, console)


def _games(given: list[str] | None) -> tuple[Game, ...]:
    known: dict[str, Game] = {"all": "all", "presentation": "presentation"}
    if unknown := [name for name in given or () if name not in known]:
        raise ValueError(f"unknown game {unknown[0]!r}; expected all or presentation")
    return tuple(known[name] for name in dict.fromkeys(given or known))


def _only_with_sidecar(context: typer.Context) -> None:
    """Raise `ValueError` where an option is given that says how to compute values, which --from does not."""
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name not in _WITH_SIDECAR and source is not None and source.name == "COMMANDLINE":
            raise ValueError(f"--from takes the values as they are, so it does not go with {option.opts[0]}")


def _merge(cases: CaseDataset, sidecar: Path, out: Path, console: Console) -> None:
    if out.exists():
        raise DatasetError(f"{out} exists; choose another name, or remove it")
    merged = apply_sidecar(cases, sidecar)
    write_jsonl(merged, out)
    taken = sum(new is not old for new, old in zip(merged, cases, strict=True))
    console.print(
        Text(f"{taken} of {len(cases)} cases from the sidecar, {len(cases) - taken} keep what they had: {out}")
    )


def _worth_table(worth: Worth) -> Table:
    table = Table(title=f"What {worth.belief} is worth on {worth.cases} cases", title_justify="left")
    table.add_column("measured")
    table.add_column("95% interval")
    table.add_row("accuracy with all facts", f"{worth.accuracy} (chance {worth.chance:.3f})")
    table.add_row("accuracy with no facts", str(worth.accuracy_without))
    table.add_row("v(all facts) < v(no facts)", str(worth.harmed))
    if worth.letters:
        table.add_row("letters chosen", ", ".join(f"{letter} {share:.2f}" for letter, share in worth.letters.items()))
    if worth.order_gap is not None:
        table.add_row("own order of options over others", str(worth.order_gap))
    if worth.continued is not None:
        table.add_row("next words of the case, above chance", str(worth.continued))
    for warning in worth.warnings:
        table.add_row(Text("warning: contamination?", "yellow"), warning)
    return table


def _tell(summary: AnnotationSummary, out: Path, console: Console) -> None:
    minutes, seconds = divmod(round(summary.seconds), 60)
    console.print(
        Text(
            f"{summary.annotated} of {summary.cases} cases annotated ({summary.resumed} by an earlier run, "
            f"{summary.skipped} without facts or not covered), {summary.evaluations:,} coalitions, "
            f"{summary.tokens:,} tokens read, {minutes} min {seconds} s; mean standard error {summary.stderr:.4f} nats"
        )
    )
    if summary.flagged:
        shown = ", ".join(summary.flagged[:5])
        console.print(
            Text(f"{len(summary.flagged)} cases have loose values (raise --budget): {shown}", "yellow"),
        )
    if not summary.worth.informative:
        console.print(
            Text("The belief is not above chance: whatever is trained on these values is plumbing.", "yellow")
        )
    console.print(Text(f"{out}"))
