"""Files that appear whole or not at all, and files that grow line by line and survive a kill."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["kept_lines", "write_whole"]


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
