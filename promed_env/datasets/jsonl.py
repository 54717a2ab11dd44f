"""JSON Lines in and out: every error says file, line and field, and writing is atomic.

A file may also hold one JSON array of objects, as ProMed's CMB files do; then places are counted as items. The
canonical format is `Case.to_json`, one case a line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from promed_env.case import Case
from promed_env.errors import DatasetError

__all__ = ["Row", "convert_rows", "parse_rows", "read_rows", "write_jsonl"]


class Row(NamedTuple):
    """One JSON object with its place, "FILE:LINE" or "FILE: item N" of an array."""

    place: str
    fields: dict[str, Any]


def read_rows(path: str | Path) -> list[Row]:
    """Read the objects of a JSON Lines file, or of a JSON array.

    Raises:
        DatasetError: The file is missing, no file, empty, not UTF-8 or not JSON, or a row is no object.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error
    return parse_rows(content, str(path))


def parse_rows(content: bytes, name: str) -> list[Row]:
    """The objects in the content of a file; see `read_rows`. Blank lines are no rows."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    if content.lstrip()[:1] == b"[":
        rows = [Row(f"{name}: item {number}", row) for number, row in enumerate(_decode(content, name, 1), 1)]
    else:
        rows = []
        for number, line in enumerate(content.split(b"\n"), 1):
            if line.strip():
                rows.append(Row(f"{name}:{number}", _decode(line, name, number)))
    if not rows:
        raise DatasetError(f"{name}: holds no rows")
    for row in rows:
        if not isinstance(row.fields, dict):
            raise DatasetError(f"{row.place}: expected a JSON object, got {type(row.fields).__name__}")
    return rows


def convert_rows(rows: Iterable[Row], convert: Callable[[Mapping[str, Any]], Case]) -> tuple[Case, ...]:
    """Make a case of every row.

    Raises:
        DatasetError: A row cannot be converted, or repeats a `case_id`; the message starts with the row's place.
    """
    cases: dict[str, Case] = {}
    places: dict[str, str] = {}
    for row in rows:
        try:
            case = convert(row.fields)
        except DatasetError as error:
            raise DatasetError(f"{row.place}: {error}") from error
        if case.case_id in cases:
            raise DatasetError(
                f"{row.place}: field 'case_id': {case.case_id!r} was already used at {places[case.case_id]}"
            )
        cases[case.case_id], places[case.case_id] = case, row.place
    return tuple(cases.values())


def write_jsonl(cases: Iterable[Case], path: str | Path) -> None:
    """Write cases in the canonical format, one a line; `load_dataset(path)` reads them back without loss.

    The file appears complete or not at all: it is written beside its final place and then renamed.

    Raises:
        DatasetError: The folder does not exist, or a case holds something JSON cannot carry.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise DatasetError(f"{path}: the folder {path.parent} does not exist; create it first")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            for case in cases:
                file.write(_encode(case) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _encode(case: Case) -> bytes:
    try:
        row = case.to_json()
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
        # A lone surrogate has no UTF-8 form, but JSON has an escape for it.
        escaped = any("\ud800" <= character <= "\udfff" for character in text)
        return (json.dumps(row, allow_nan=False) if escaped else text).encode("utf-8")
    except (TypeError, ValueError) as error:
        raise DatasetError(f"case {case.case_id!r} cannot be written as JSON: {error}") from error


def _decode(content: bytes, name: str, line: int) -> Any:
    """The JSON value that starts in this line of the file."""
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        line += content[: error.start].count(b"\n")
        raise DatasetError(f"{name}:{line}: not UTF-8: {error.reason}") from error
    except json.JSONDecodeError as error:
        place = f"{name}:{line + error.lineno - 1}"
        raise DatasetError(f"{place}: not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise DatasetError(f"{name}:{line}: JSON nested too deeply to read") from error
    except DatasetError as error:
        raise DatasetError(f"{name}:{line}: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict; a name that occurs twice would otherwise lose its first value in silence."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise DatasetError(f"field {repeated!r}: occurs twice in one object")
    return fields
