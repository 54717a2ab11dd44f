"""What every command of the command line shares."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

__all__ = ["fail"]


def fail(error: Exception) -> NoReturn:
    """Say in one line what went wrong, and exit with status 1."""
    Console(stderr=True).print(Text.assemble(("Error: ", "bold red"), str(error)))
    raise typer.Exit(1)
