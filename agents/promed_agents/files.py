"""Files that appear whole or not at all, and files that grow line by line and survive a kill."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from promed_env.errors import DatasetError

__all__ = ["damaged", "kept_lines", "read_unfinished", "write_whole"]


def kept_lines(path: Path) -> list[str]:
    """The lines that an interrupted run left in a file; a last one that was cut off is taken away.

    Raises:
        OSError: The file cannot be read, or not be mended.
    """
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_whole(path, whole)
    return whole.split("\n")[:-1]


def read_unfinished(path: Path, what: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What an interrupted run left: JSON Lines, a header that tells its settings, then what it had finished.

    A last line that was cut off is taken away. The header is to be written with `write_whole`, so that a kill leaves
    a file with a header or none.

    Args:
        path: The file.
        what: What it is, for messages: "an unfinished annotation".

    Returns:
        The header and the rows after it.

    Raises:
        DatasetError: The file is empty, or a whole line of it is no JSON object; it is left as it was.
        OSError: The file cannot be read, or not be mended.
    """
    *lines, cut = path.read_bytes().split(b"\n")
    if not lines:
        raise damaged(path, 1, what, "the header is missing")
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError as error:  # of JSON or of the encoding
            raise damaged(path, number, what, str(error)) from error
        if not isinstance(row, dict):
            raise damaged(path, number, what, f"expected an object, got {type(row).__name__}")
        found.append(row)
    if cut:
        os.truncate(path, path.stat().st_size - len(cut))
    return found[0], found[1:]


def damaged(path: Path, number: int, what: str, why: str) -> DatasetError:
    """The error for a line of a file that an interrupted run left, with the ways out."""
    row = "that line to do its work again, or " if number > 1 else ""
    return DatasetError(f"{path}:{number} is no line of {what} ({why}); remove {row}the file to begin anew")


def write_whole(path: Path, text: str) -> None:
    """Write a file, over an old one if there is one; it is written beside its place and then renamed.

    Raises:
        OSError: The folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
