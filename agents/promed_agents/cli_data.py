"""`promed datasets`: list what can be loaded, and fetch real data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.text import Text

from promed_agents.cli_common import fail
from promed_agents.tables import dataset_table
from promed_env.datasets.fetch import DOWNLOADS, fetch
from promed_env.errors import ProMedError

__all__ = ["datasets_app"]

datasets_app = typer.Typer(help="List what can be loaded, from where, with its licence; fetch real data.")


@datasets_app.callback(invoke_without_command=True)
def datasets_command(context: typer.Context) -> None:
    """List what can be loaded, from where, with its licence; fetch real data."""
    if context.invoked_subcommand is None:
        Console().print(dataset_table())


@datasets_app.command("fetch", no_args_is_help=True)
def fetch_command(
    name: Annotated[str, typer.Argument(help=f"Data set: {', '.join(DOWNLOADS)}.")],
    home: Annotated[
        Path | None, typer.Option(help="Folder of all data sets. Default: PROMED_DATA or ~/.cache/promed.")
    ] = None,
) -> None:
    """Fetch a real data set to this machine, checked and with its licence; continues where it stopped.

    Example: promed datasets fetch mediq
    """
    console = Console()
    tasks: dict[str, TaskID] = {}
    try:
        for each in (name, *(DOWNLOADS[name].also if name in DOWNLOADS else ())):
            if each in DOWNLOADS:
                chosen = DOWNLOADS[each]
                console.print(Text(f"{each}: licence {chosen.licence}; {chosen.source}\n{chosen.citation}"))
        with _download_progress(console) as progress:

            def advance(path: str, done: int, total: int | None) -> None:
                if path not in tasks:
                    tasks[path] = progress.add_task(path, total=total)
                progress.update(tasks[path], completed=done, total=total)

            paths = fetch(name, home=home, progress=advance)
    except (ProMedError, OSError) as error:
        fail(error)
    for path in paths:
        console.print(Text(f"{path}"))
    console.print(Text(f'Licence and source are in NOTICE.txt beside it. Load it with load_dataset("{name}").'))


def _download_progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console
    )
