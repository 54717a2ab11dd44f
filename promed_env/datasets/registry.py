"""What can be loaded: one table of sources, and `load_dataset`, which takes a name from it or the path of a file."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from promed_env.case import Case
from promed_env.datasets.dataset import CaseDataset, LoadReport, check_flags
from promed_env.datasets.jsonl import Row, convert_rows, parse_rows, read_rows
from promed_env.datasets.mediq import mediq_case
from promed_env.datasets.promed import cmb_case, promed_medqa_case
from promed_env.errors import DatasetError

__all__ = ["FORMATS", "SOURCES", "Format", "Source", "Split", "load_dataset"]

_PROMED_DATA = (
    "https://github.com/huangbaixiang100/ProMed/tree/b91785160daa9d9d8b2f2f8b722285cf51a6cdac/src/data/dataset"
)


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        convert: Makes a case of a row.
        fields: Fields that every row of the format has and that tell it from the others.
        title: What the rows are.
        licence: Licence of the files that are published in this format, as stated there.
        url: Where they are published.
    """

    convert: Callable[[Mapping[str, Any]], Case]
    fields: tuple[str, ...]
    title: str
    licence: str = "the file's own"
    url: str = ""


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "canonical": Format(Case.from_json, ("schema_version",), "cases in ProMed's canonical format"),
        "mediq": Format(
            mediq_case,
            ("context", "facts", "patient", "answer_idx"),
            "MedQA vignettes with atomic facts, from MediQ",
            licence="CC-BY-4.0",
            url="https://github.com/stellalisy/mediQ/tree/faa2ce62fef0423e35af4c31d7537aad973173eb/data",
        ),
        "promed": Format(
            promed_medqa_case,
            ("context", "facts", "atomic_question", "answer_idx"),
            "MedQA vignettes with atomic facts, from ProMed's authors",
            licence="MIT",
            url=_PROMED_DATA,
        ),
        "cmb": Format(
            cmb_case,
            ("option", "facts", "atomic_question", "is_patient"),
            "CMB questions with atomic facts, from ProMed's authors",
            licence="MIT",
            url=_PROMED_DATA,
        ),
    }
)
"""Name -> file format; the first whose fields a file's first row has is the file's format."""


@dataclass(frozen=True)
class Split:
    """A bundled file of a source.

    Attributes:
        file: Its name in `datasets/samples`.
        description: What it is, with "{n}" for the number of cases.
        licence: Licence of the texts.
    """

    file: str
    description: str
    licence: str


@dataclass(frozen=True)
class Source:
    """A data set that can be loaded, bundled or from files.

    Attributes:
        env_id: The environment registered for it.
        title: Its name for people.
        description: What it is.
        splits: Name -> what is bundled under that name.
        formats: Names of the file formats in which its real data comes.
        licence: Licence of the real data, as stated by its publishers.
        url: Where the real data is published.
    """

    env_id: str
    title: str
    description: str
    splits: Mapping[str, Split] = field(default_factory=dict)
    formats: tuple[str, ...] = ()
    licence: str = ""
    url: str = ""


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "medqa": Source(
            env_id="ProMed-MedQA-v0",
            title="MedQA",
            description="English vignettes with a multiple-choice question of the kind MedQA (USMLE) asks",
            splits=MappingProxyType(
                {
                    "sample": Split(
                        "medqa.jsonl",
                        "{n} synthetic vignettes, not reviewed by clinicians; not comparable with MedQA",
                        "MIT",
                    )
                }
            ),
            formats=("mediq", "promed"),
            licence="CC-BY-4.0 (MediQ), MIT (ProMed)",
            url=FORMATS["mediq"].url,
        ),
    }
)
"""Name -> source, for `load_dataset`."""


def load_dataset(
    name_or_path: str | Path, split: str = "sample", *, format: str = "auto", exclude: Iterable[str] = ()
) -> CaseDataset:
    """Load a data set by its name in `SOURCES`, or a file of cases.

    Args:
        name_or_path: A registered name ("medqa"), or the path of a file: anything with a suffix or a folder in it.
        split: Which bundled split of a registered name; a file has none and ignores it.
        format: Format of a file (a name in `FORMATS`), or "auto" to tell it by the fields of the first row.
        exclude: Defect flags (`promed_env.case.FLAGS`); cases that carry one are left out and counted in the report.

    Raises:
        DatasetError: The name, split, path, format or a flag is unknown, a row is malformed, or no case is left. The
            message says where, and what there is.
    """
    flags = check_flags(exclude)
    dataset = _load(name_or_path, split, format)
    kept = dataset.filter(exclude=flags) if flags else dataset
    if not kept:
        raise DatasetError(f"data set {dataset.name!r}: no case is left without {', '.join(flags)} ({kept.report})")
    return kept


def _load(name_or_path: str | Path, split: str, format: str) -> CaseDataset:
    if format != "auto" and format not in FORMATS:
        raise DatasetError(f"unknown format {format!r}; known are auto, {', '.join(FORMATS)}")
    if isinstance(name_or_path, str) and name_or_path in SOURCES:
        return _bundled(name_or_path, split)
    path = Path(name_or_path)
    if path.is_dir():
        raise DatasetError(f"{path}: is a folder; give the path of a file of cases")
    if not path.exists():
        raise DatasetError(_unknown(str(name_or_path)))
    return _file(path, format)


@lru_cache
def _bundled(name: str, split: str) -> CaseDataset:
    splits = SOURCES[name].splits
    if split not in splits:
        raise DatasetError(f"data set {name!r} has no split {split!r}; it has {', '.join(splits)}")
    chosen = splits[split]
    file = resources.files("promed_env.datasets") / "samples" / chosen.file
    if not file.is_file():
        raise DatasetError(
            f"data set {name!r}: its bundled file {chosen.file} is missing; reinstall the package, or, in a "
            "checkout, run python scripts/build_samples.py"
        )
    cases = convert_rows(parse_rows(file.read_bytes(), chosen.file), Case.from_json)
    return CaseDataset(
        name=f"{name}/{split}",
        cases=cases,
        description=chosen.description.format(n=len(cases)),
        licence=chosen.licence,
        report=LoadReport.of(cases),
    )


def _file(path: Path, format: str) -> CaseDataset:
    rows = read_rows(path)
    name = _detect(rows[0]) if format == "auto" else format
    chosen = FORMATS[name]
    cases = convert_rows(rows, chosen.convert)
    return CaseDataset(
        name=f"{name}/{path.stem}",
        cases=cases,
        description=f"{len(cases)} {chosen.title} ({path.name}){_notice(cases)}",
        licence=chosen.licence,
        report=LoadReport.of(cases),
    )


def _notice(cases: Sequence[Case]) -> str:
    """What must be said of bundled cases wherever they go, if some of the cases are."""
    synthetic = sum(case.source.endswith("-sample") for case in cases)
    return f"; {synthetic} of them synthetic vignettes, not reviewed by clinicians" if synthetic else ""


def _detect(row: Row) -> str:
    for name, format in FORMATS.items():
        if set(format.fields) <= row.fields.keys():
            return name
    expected = "; ".join(f"{name}: {', '.join(format.fields)}" for name, format in FORMATS.items())
    raise DatasetError(
        f"{row.place}: the fields {', '.join(sorted(row.fields)) or '(none)'} are those of no known format; a row "
        f"needs, for {expected}; or say which it is with format=..."
    )


def _unknown(name: str) -> str:
    known = ", ".join(SOURCES)
    if Path(name).suffix or Path(name).name != name:
        return f"{name}: there is no such file; give the path of a file of cases, or one of the names {known}"
    near = difflib.get_close_matches(name, SOURCES, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown data set {name!r}; {hint}Known are {known}; anything else must be the path of a file of cases"
