"""What a report is about: the evaluations and the learning curves that lie in a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from promed_agents.compare import read_results
from promed_agents.evaluate import RESULTS_FILE, Evaluation
from promed_env.errors import DatasetError

__all__ = ["CURVE_FILE", "Curve", "Found", "Point", "Run", "read_folder"]

CURVE_FILE = "evaluations.jsonl"
"""What `promed train` writes: one validation a line."""

_NO_MATTER = {"seed", "steps", "keep", "threads", "evaluate_every", "checkpoint_every", "validation_cases"}
"""Fields of a training configuration that do not make it another kind of run."""

_LONG = 28  # characters; where more sets runs apart, the folder says it better


@dataclass(frozen=True)
class Run:
    """One result file.

    Attributes:
        name: Its folder, relative to the one reported on; "" for that one itself.
        evaluations: At least one.
    """

    name: str
    evaluations: tuple[Evaluation, ...]


@dataclass(frozen=True)
class Point:
    """One validation in training.

    Attributes:
        steps: Environment steps before it.
        accuracy: Share of the cases answered right.
        questions: Mean number of questions.
        n: Cases.
    """

    steps: int
    accuracy: float
    questions: float
    n: int


@dataclass(frozen=True)
class Curve:
    """One training run.

    Attributes:
        name: Its folder, relative to the one reported on; that one's own name for itself.
        group: What it has in common with the runs that differ from it in the seed only; the name if that is not known.
        points: Validations in the order of the steps; none if it has just begun.
        settings: Configuration of its newest checkpoint; None if there is none yet.
    """

    name: str
    group: str
    points: tuple[Point, ...]
    settings: dict[str, Any] | None


@dataclass(frozen=True)
class Found:
    """All that a folder holds.

    Attributes:
        folder: Name of the folder.
        runs: Evaluations, in the order of their folders.
        curves: Training runs, likewise.
    """

    folder: str
    runs: tuple[Run, ...]
    curves: tuple[Curve, ...]


def read_folder(folder: str | Path) -> Found:
    """The evaluations and training runs in a folder and in the folders below it.

    Raises:
        DatasetError: There is no such folder, nothing in it to report on, or a file that cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"{folder}: there is no such folder; give one that `promed evaluate ... --out DIR` wrote")
    runs = []
    for file in sorted(folder.rglob(RESULTS_FILE), key=lambda file: file.parent):
        evaluations = tuple(read_results(file))
        if not evaluations:
            raise DatasetError(f"{file}: holds no evaluation; evaluate again, or take the file away")
        runs.append(Run(_relative(file, folder), evaluations))
    curves = [_curve(file, folder) for file in sorted(folder.rglob(CURVE_FILE), key=lambda file: file.parent)]
    if not runs and not curves:
        raise DatasetError(
            f"{folder}: holds neither {RESULTS_FILE} nor {CURVE_FILE}, directly or below; "
            "`promed evaluate ... --out DIR` and `promed train ... --out DIR` write them"
        )
    return Found(folder.resolve().name, tuple(runs), _grouped(curves))


def _relative(file: Path, folder: Path) -> str:
    name = file.parent.relative_to(folder).as_posix()
    return "" if name == "." else name


def _curve(file: Path, folder: Path) -> Curve:
    points = []
    name = _relative(file, folder) or folder.resolve().name
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            points.append(Point(int(row["steps"]), float(row["accuracy"]), float(row["questions"]), int(row["n"])))
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{file}: line {number}: {error!r}; it should be as `promed train` wrote it") from error
    checkpoints = sorted(file.parent.glob("checkpoint-*/config.json"))
    settings = None
    if checkpoints:
        try:
            settings = dict(json.loads(checkpoints[-1].read_text(encoding="utf-8")))
        except (TypeError, ValueError) as error:
            raise DatasetError(f"{checkpoints[-1]}: {error}; it should be as `promed train` wrote it") from error
    return Curve(name, name, tuple(sorted(points, key=lambda point: point.steps)), settings)


def _grouped(curves: Sequence[Curve]) -> tuple[Curve, ...]:
    """The curves, with those that differ in the seed only named alike, by what sets them apart from the others."""
    known = [curve.settings for curve in curves if curve.settings is not None]
    fields = sorted({field for settings in known for field in settings} - _NO_MATTER)
    telling = [name for name in fields if len({_json(each.get(name)) for each in known}) > 1]
    groups: dict[str, str] = {}
    grouped = []
    for curve in curves:
        group = curve.name
        if curve.settings is not None:
            kind = _json([curve.settings.get(name) for name in fields])
            words = ", ".join(_told(name, curve.settings.get(name)) for name in telling or ("algo", "reward"))
            group = groups.setdefault(kind, words if len(words) <= _LONG else curve.name)
        grouped.append(replace(curve, group=group))
    return tuple(grouped)


def _told(name: str, value: Any) -> str:
    """A setting in few words: names speak for themselves, numbers need theirs."""
    return value if isinstance(value, str) else f"{name} {json.dumps(value)}"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
