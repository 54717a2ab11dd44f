"""What every command of the command line shares."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["fail", "progress_bar"]


def fail(error: Exception) -> NoReturn:
    """Say in one line what went wrong, and exit with status 1."""
    Console(stderr=True).print(Text.assemble(("Error: ", "bold red"), str(error)))
    raise typer.Exit(1)


def progress_bar(console: Console, *, quiet: bool = False) -> Progress:
    """A bar that counts, with the time that has passed and the time that is left."""
    return Progress(
        TextColumn("{task.description:10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet,
    )
