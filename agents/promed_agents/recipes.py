"""Settings from a recipe (TOML): a table fills a dataclass, and tables in it fill the dataclasses in its fields."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["from_table", "named_recipe", "read_table"]

Settings = TypeVar("Settings")


def read_table(path: str | Path) -> dict[str, Any]:
    """The table of a recipe.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not TOML.
    """
    path = Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not TOML: {error}") from error


def named_recipe(name: str) -> Path:
    """The path of a recipe that is shipped, by its name without the ending.

    Raises:
        ValueError: There is none of this name.
    """
    folder = Path(str(files("promed_agents"))) / "recipes"
    path = folder / f"{name}.toml"
    if not path.is_file():
        raise ValueError(
            f"no recipe {name!r}; there are {', '.join(sorted(each.stem for each in folder.glob('*.toml')))}"
        )
    return path


def from_table(settings: type[Settings], table: Mapping[str, Any], place: str) -> Settings:
    """A dataclass with these values and the defaults for the rest.

    Args:
        settings: The dataclass.
        table: Field -> value; a nested table for a field that is a dataclass; a list for a tuple; "none" for None.
        place: Where the values come from, for messages.

    Raises:
        ValueError: A field is unknown or does not take the value.
    """
    kinds = typing.get_type_hints(settings)
    for name in table:
        if name not in kinds:
            raise ValueError(f"{place}: unknown field {name!r}; there are {', '.join(kinds)}")
    try:
        return settings(**{name: _value(kinds[name], value, f"{place}: {name}") for name, value in table.items()})
    except (TypeError, ValueError) as error:
        raise ValueError(str(error) if str(error).startswith(place) else f"{place}: {error}") from error


def _value(kind: Any, value: Any, place: str) -> Any:
    if value == "none" and type(None) in typing.get_args(kind):  # TOML has no null
        return None
    choices = [each for each in typing.get_args(kind) if each is not type(None)] or [kind]
    origin = typing.get_origin(kind)
    if origin is tuple and isinstance(value, list):
        return tuple(value)
    if isinstance(value, Mapping):
        nested = [each for each in (kind, *choices) if dataclasses.is_dataclass(each)]
        return from_table(nested[0], value, place) if nested else dict(value)  # type: ignore[arg-type]  # a class
    wanted = {each for each in (kind, *choices) if isinstance(each, type)} & {bool, int, float, str}
    fits = not wanted or type(value) in wanted or (type(value) is int and float in wanted)
    if not fits and value is not None and origin is not typing.Literal:
        raise ValueError(f"{place} must be {' or '.join(sorted(each.__name__ for each in wanted))}, got {value!r}")
    return value
