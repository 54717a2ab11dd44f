"""Where fetched data sets lie on the user's machine."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["data_home", "dataset_folder"]


def data_home() -> Path:
    """The folder of all fetched data: the environment variable PROMED_DATA, else ~/.cache/promed."""
    chosen = os.environ.get("PROMED_DATA")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "promed"


def dataset_folder(name: str) -> Path:
    """The folder of one data set, whether or not it has been fetched."""
    return data_home() / name
