"""Checked access to a source row's fields, and the texts that several sources write alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from promed_env.case import Language, Option
from promed_env.errors import DatasetError

__all__ = ["NO_PRESENTATION", "options_field", "row_id", "sentence", "strings_field", "text_field", "unnumbered"]

NO_PRESENTATION: Mapping[Language, str] = {"en": "No patient is described.", "zh": "没有患者资料。"}
"""The presentation of a row that gives nothing to present."""

_NUMBER = re.compile(r"\s*\d+\.\s+")


def text_field(row: Mapping[str, Any], name: str) -> str:
    """The row's field, a string with something in it.

    Raises:
        DatasetError: It is missing, blank or not a string.
    """
    value = _present(row, name)
    if not isinstance(value, str):
        raise DatasetError(f"field {name!r}: expected a string, got {type(value).__name__}")
    if not value.strip():
        raise DatasetError(f"field {name!r}: is blank")
    return value


def strings_field(row: Mapping[str, Any], name: str) -> list[str]:
    """The row's field, a list of strings, which may be empty.

    Raises:
        DatasetError: It is missing, not a list, or one of its items is blank or not a string.
    """
    values = _present(row, name)
    if not isinstance(values, list):
        raise DatasetError(f"field {name!r}: expected a list of strings, got {type(values).__name__}")
    for number, value in enumerate(values, 1):
        if not isinstance(value, str) or not value.strip():
            raise DatasetError(f"field {name!r}: item {number} is {value!r}; expected a string with something in it")
    return values


def options_field(row: Mapping[str, Any], name: str) -> tuple[Option, ...]:
    """The row's field, an object of at least two options; a blank option (CMB pads with them) is no option.

    Raises:
        DatasetError: It is missing, not an object of strings, or has fewer than two options.
    """
    values = _present(row, name)
    if not isinstance(values, Mapping):
        raise DatasetError(f"field {name!r}: expected an object of key to text, got {type(values).__name__}")
    for key, value in values.items():
        if not isinstance(value, str):
            raise DatasetError(f"field {name!r}: option {key!r} is {value!r}; expected a string")
    options = tuple(Option(key, value.strip()) for key, value in values.items() if value.strip())
    if len(options) < 2:
        raise DatasetError(f"field {name!r}: need at least two options, got {[option.key for option in options]}")
    return options


def row_id(row: Mapping[str, Any]) -> str:
    """The row's field `id`, a whole number or a string, as a string.

    Raises:
        DatasetError: It is missing or something else.
    """
    value = _present(row, "id")
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).strip():
        raise DatasetError(f"field 'id': expected a whole number or a string, got {value!r}")
    return str(value).strip()


def sentence(text: str) -> str:
    """The text without surrounding blanks and with a full stop if it ends in none."""
    text = text.strip()
    return text if text.endswith((".", "!", "?", '"', "\u201d", ":", "\u3002")) else f"{text}."


def unnumbered(text: str) -> str:
    """The text without its "N. " prefix."""
    return _NUMBER.sub("", text, count=1).strip() if _NUMBER.match(text) else text.strip()


def _present(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise DatasetError(f"field {name!r} is missing")
    return row[name]
