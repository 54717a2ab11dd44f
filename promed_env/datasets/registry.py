"""What can be loaded: one table of sources, and `load_dataset`, which takes a name from it or the path of a file.

A source is bundled with the package, fetched once to the user's machine, or generated without end; a file may be in any
of the formats of the other table.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from promed_env.case import Case
from promed_env.datasets.agentclinic import agentclinic_cases
from promed_env.datasets.clinic import SPLITS as CLINIC_SPLITS
from promed_env.datasets.clinic import clinic_dataset
from promed_env.datasets.dataset import CaseDataset, GeneratedDataset, LoadReport, check_flags
from promed_env.datasets.ddxplus import ddxplus_cases
from promed_env.datasets.home import dataset_folder
from promed_env.datasets.jsonl import Row, convert_rows, parse_rows, read_rows
from promed_env.datasets.mediq import mediq_case
from promed_env.datasets.promed import cmb_case, promed_medqa_case
from promed_env.datasets.splits import SPLITS, split_of
from promed_env.datasets.tables import read_table
from promed_env.errors import DatasetError

__all__ = ["FORMATS", "SOURCES", "Format", "Source", "Split", "load_dataset"]

Cases = Callable[[Sequence[Row], Path], tuple[Case, ...]]
"""Makes the cases of a file's rows; the path is for formats that have more files beside it."""

_PROMED_DATA = (
    "https://github.com/huangbaixiang100/ProMed/tree/b91785160daa9d9d8b2f2f8b722285cf51a6cdac/src/data/dataset"
)


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        cases: Makes the cases of a file's rows.
        fields: Fields that every row of the format has and that tell it from the others.
        title: What the rows are.
        licence: Licence of the files that are published in this format, as stated there.
        url: Where they are published.
        read: Reads the rows of a file.
    """

    cases: Cases
    fields: tuple[str, ...]
    title: str
    licence: str = "the file's own"
    url: str = ""
    read: Callable[[Path], list[Row]] = read_rows


def _each(convert: Callable[[Mapping[str, Any]], Case]) -> Cases:
    """The cases of a format in which every row is a case by itself."""
    return lambda rows, path: convert_rows(rows, convert)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "canonical": Format(_each(Case.from_json), ("schema_version",), "cases in ProMed's canonical format"),
        "mediq": Format(
            _each(mediq_case),
            ("context", "facts", "patient", "answer_idx"),
            "MedQA vignettes with atomic facts, from MediQ",
            licence="CC-BY-4.0",
            url="https://github.com/stellalisy/mediQ/tree/faa2ce62fef0423e35af4c31d7537aad973173eb/data",
        ),
        "promed": Format(
            _each(promed_medqa_case),
            ("context", "facts", "atomic_question", "answer_idx"),
            "MedQA vignettes with atomic facts, from ProMed's authors",
            licence="MIT",
            url=_PROMED_DATA,
        ),
        "cmb": Format(
            _each(cmb_case),
            ("option", "facts", "atomic_question", "is_patient"),
            "CMB questions with atomic facts, from ProMed's authors",
            licence="MIT",
            url=_PROMED_DATA,
        ),
        "agentclinic": Format(
            agentclinic_cases,
            ("OSCE_Examination",),
            "OSCE records with a diagnosis, from AgentClinic",
            licence="MIT",
            url="https://github.com/SamuelSchmidgall/AgentClinic/tree/b6570edefb940857a7c334350656b29f9d984f24",
        ),
        "ddxplus": Format(
            ddxplus_cases,
            ("AGE", "SEX", "PATHOLOGY", "EVIDENCES", "INITIAL_EVIDENCE", "DIFFERENTIAL_DIAGNOSIS"),
            "synthetic patients with a differential diagnosis, from DDXPlus",
            licence="CC-BY-4.0",
            url="https://github.com/mila-iqia/ddxplus",
            read=read_table,
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
    """A data set that can be loaded by name: bundled (`splits`), fetched (`file`) or generated (`generate`).

    Attributes:
        env_id: The environment in which it plays.
        title: Its name for people.
        description: What it is.
        default_split: What is loaded if no split is named.
        splits: Name -> what is bundled under that name.
        formats: Names of the file formats in which its real data comes; a fetched file is in the first.
        licence: Licence of the real data, as stated by its publishers.
        url: Where the real data is published.
        file: Name of the fetched file in `promed_env.datasets.home.dataset_folder`; its splits are "all" and those of
            `promed_env.datasets.splits`.
        generate: Makes the data set of a split out of nothing; raises `DatasetError` if it does not know the split.
        generated_splits: The splits that `generate` knows.
    """

    env_id: str
    title: str
    description: str
    default_split: str = "sample"
    splits: Mapping[str, Split] = field(default_factory=dict)
    formats: tuple[str, ...] = ()
    licence: str = ""
    url: str = ""
    file: str = ""
    generate: Callable[[str], GeneratedDataset] | None = None
    generated_splits: tuple[str, ...] = ()


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
        "cmb": Source(
            env_id="ProMed-CMB-v0",
            title="CMB",
            description="Chinese vignettes with a multiple-choice question of the kind CMB asks, some with many keys",
            splits=MappingProxyType(
                {
                    "sample": Split(
                        "cmb.jsonl",
                        "{n} synthetic Chinese vignettes, not reviewed by clinicians; not comparable with CMB",
                        "MIT",
                    )
                }
            ),
            formats=("cmb",),
            licence=FORMATS["cmb"].licence,
            url=FORMATS["cmb"].url,
        ),
        "primarycare": Source(
            env_id="ProMed-PrimaryCare-v0",
            title="PrimaryCare",
            description="a synthetic clinic: cases without end from an original knowledge base",
            default_split="train",
            generate=clinic_dataset,
            generated_splits=CLINIC_SPLITS,
            licence="MIT",
        ),
        "mediq": Source(
            env_id="ProMed-MedQA-v0",
            title="MediQ",
            description="MedQA's development vignettes broken into atomic facts",
            default_split="all",
            formats=("mediq",),
            licence=FORMATS["mediq"].licence,
            url=FORMATS["mediq"].url,
            file="all_dev_good.jsonl",
        ),
        "craft-md": Source(
            env_id="ProMed-MedQA-v0",
            title="CRAFT-MD",
            description="dermatological vignettes broken into atomic facts, out of MedQA's domain, from MediQ",
            default_split="all",
            formats=("mediq",),
            licence=FORMATS["mediq"].licence,
            url=FORMATS["mediq"].url,
            file="all_craft_md.jsonl",
        ),
        "agentclinic": Source(
            env_id="ProMed-AgentClinic-v0",
            title="AgentClinic-MedQA",
            description="OSCE records: what the patient tells, examinations and tests, and one diagnosis",
            default_split="all",
            formats=("agentclinic",),
            licence=FORMATS["agentclinic"].licence,
            url=FORMATS["agentclinic"].url,
            file="agentclinic_medqa.jsonl",
        ),
        "ddxplus": Source(
            env_id="ProMed-DDXPlus-v0",
            title="DDXPlus",
            description="synthetic patients of 49 pathologies with their differential; what is not listed is absent",
            default_split="all",
            formats=("ddxplus",),
            licence=FORMATS["ddxplus"].licence,
            url=FORMATS["ddxplus"].url,
            file="patients.csv",
        ),
    }
)
"""Name -> source, for `load_dataset`."""


def load_dataset(
    name_or_path: str | Path, split: str | None = None, *, format: str = "auto", exclude: Iterable[str] = ()
) -> CaseDataset | GeneratedDataset:
    """Load a data set by its name in `SOURCES`, or a file of cases.

    Args:
        name_or_path: A registered name ("medqa"), or the path of a file: anything with a suffix or a folder in it.
        split: Which split of a registered name ("sample" of a bundled source; "all", "train", "validation" or "test"
            of a fetched one), by default the source's own; a file has none and ignores it.
        format: Format of a file (a name in `FORMATS`), or "auto" to tell it by the fields of the first row.
        exclude: Defect flags (`promed_env.case.FLAGS`); cases that carry one are left out and counted in the report.

    Returns:
        The cases in memory; of a generated source, the cases on demand.

    Raises:
        DatasetError: The name, split, path, format or a flag is unknown, a source has not been fetched, a row is
            malformed, or no case is left. The message says where, and what there is.
    """
    flags = check_flags(exclude)
    dataset = _load(name_or_path, split, format)
    if isinstance(dataset, GeneratedDataset):
        if flags:
            raise DatasetError(f"data set {dataset.name!r}: its cases are made on demand; none can be excluded")
        return dataset
    kept = dataset.filter(exclude=flags) if flags else dataset
    if not kept:
        without = f" without {', '.join(flags)}" if flags else ""
        raise DatasetError(f"data set {dataset.name!r}: no case is left{without} ({kept.report})")
    return kept


def _load(name_or_path: str | Path, split: str | None, format: str) -> CaseDataset | GeneratedDataset:
    if format != "auto" and format not in FORMATS:
        raise DatasetError(f"unknown format {format!r}; known are auto, {', '.join(FORMATS)}")
    if isinstance(name_or_path, str) and name_or_path in SOURCES:
        return _named(name_or_path, SOURCES[name_or_path].default_split if split is None else split)
    path = Path(name_or_path)
    if path.is_dir():
        raise DatasetError(f"{path}: is a folder; give the path of a file of cases")
    if not path.exists():
        raise DatasetError(_unknown(str(name_or_path)))
    return _file(path, format)


def _named(name: str, split: str) -> CaseDataset | GeneratedDataset:
    source = SOURCES[name]
    if source.generate is not None:
        return source.generate(split)
    known = ("all", *SPLITS) if source.file else tuple(source.splits)
    if split not in known:
        raise DatasetError(f"data set {name!r} has no split {split!r}; it has {', '.join(known)}")
    if not source.file:
        return _bundled(name, split)
    path = dataset_folder(name) / source.file
    if not path.is_file():
        raise DatasetError(
            f"data set {name!r}: {path} does not exist; run `promed datasets fetch {name}`, or give the path of the "
            "file if you have it"
        )
    return _fetched(name, split, path, path.stat().st_mtime_ns)


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


@lru_cache
def _fetched(name: str, split: str, path: Path, changed: int) -> CaseDataset:
    """A split of a fetched file; its cases carry the name of the source, whichever format they come in."""
    if split != "all":
        whole = _fetched(name, "all", path, changed)
        part = whole.filter(lambda case: split_of(case) == split, reason=f"not in the split {split!r}")
        return dataclasses.replace(part, name=f"{name}/{split}")
    source = SOURCES[name]
    dataset = _file(path, source.formats[0])
    cases = tuple(
        dataclasses.replace(case, case_id=f"{name}:{case.case_id.partition(':')[2]}", source=name) for case in dataset
    )
    description = f"{len(cases)} cases: {source.description}"
    return dataclasses.replace(dataset, name=f"{name}/all", cases=cases, description=description)


def _file(path: Path, format: str) -> CaseDataset:
    if format == "auto":
        rows = read_table(path) if path.suffix.lower() == ".csv" else read_rows(path)
        format = _detect(rows[0])
    else:
        rows = FORMATS[format].read(path)
    chosen = FORMATS[format]
    cases = chosen.cases(rows, path)
    return CaseDataset(
        name=f"{format}/{path.stem}",
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
