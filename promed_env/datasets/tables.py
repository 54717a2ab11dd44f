"""Tables of comma-separated values, read like JSON Lines: rows with their place, and errors that say where."""

from __future__ import annotations

import csv
from pathlib import Path

from promed_env.datasets.jsonl import Row
from promed_env.errors import DatasetError

__all__ = ["read_table"]

_LONGEST_FIELD = 1 << 20


def read_table(path: str | Path) -> list[Row]:
    """Read the rows of a CSV file with a header; a row's place is "FILE:LINE", the line it ends on.

    Raises:
        DatasetError: The file is missing, empty, not UTF-8 or malformed, or a row has more or fewer fields than the
            header.
    """
    path = Path(path)
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
    rows: list[Row] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if repeated := [name for name in header if header.count(name) > 1]:
                raise DatasetError(f"{path}:1: column {repeated[0]!r} occurs twice")
            for values in reader:
                place = f"{path}:{reader.line_num}"
                if values and len(values) != len(header):
                    raise DatasetError(f"{place}: has {len(values)} fields, but the header has {len(header)}")
                if values:
                    rows.append(Row(place, dict(zip(header, values, strict=True))))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8: {error.reason}") from error
    except csv.Error as error:
        raise DatasetError(f"{path}:{reader.line_num}: not CSV: {error}") from error
    if not rows:
        raise DatasetError(f"{path}: holds no rows")
    return rows
