"""Shapley values without the cases they belong to, so that they can be shared where the cases cannot.

A sidecar has one line a case: its id, a hash of what the belief read of it, and the values with their provenance.
"""

from __future__ import annotations

import dataclasses
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from promed_agents.files import write_whole
from promed_env.case import Case, ShapleyAnnotation
from promed_env.datasets import CaseDataset
from promed_env.errors import DatasetError

__all__ = ["apply_sidecar", "text_hash", "write_sidecar"]

_SCHEMA = "promed-shapley/2"  # version 1 did not tell the tables that its values were made with


def text_hash(case: Case, *, tables: bool = False) -> str:
    """SHA-256 of what a case says to a belief: language, question, options, facts, which are initial, and the key.

    Args:
        case: The case.
        tables: Whether the belief reads the case's evidence table and prior too.
    """
    told: list[Any] = [
        case.language,
        case.question,
        [[option.key, option.text] for option in case.options],
        [fact.text for fact in case.facts],
        sorted(case.initial),
        list(case.answer),
    ]
    if tables:
        told += [None if table is None else table.tolist() for table in (case.evidence, case.prior)]
    return sha256(json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def write_sidecar(cases: CaseDataset, notes: dict[str, ShapleyAnnotation], path: str | Path, *, tables: bool) -> None:
    """Write values of cases.

    Args:
        cases: The cases.
        notes: Values by case id; a case that is not among them gets no line.
        path: The file.
        tables: Whether the values were made with the cases' evidence tables and priors.
    """
    lines = [
        {
            "schema": _SCHEMA,
            "case_id": case.case_id,
            "tables": tables,
            "text": text_hash(case, tables=tables),
            "shapley": notes[case.case_id].to_json(),
        }
        for case in cases
        if case.case_id in notes
    ]
    write_whole(Path(path), "".join(json.dumps(line) + "\n" for line in lines))


def apply_sidecar(cases: CaseDataset, path: str | Path) -> CaseDataset:
    """The cases with the values of a sidecar.

    Args:
        cases: The cases that it was made for, or some of them.
        path: The sidecar.

    Returns:
        The cases in their order; those that it does not have as they are.

    Raises:
        DatasetError: The file is no sidecar, was made for another text or table of a case, or has none of the cases.
    """
    notes: dict[str, tuple[str, bool, ShapleyAnnotation]] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            if row["schema"] != _SCHEMA:
                raise ValueError(f"its schema is {row['schema']!r}, not {_SCHEMA!r}; make an older one anew")
            notes[row["case_id"]] = row["text"], row["tables"], ShapleyAnnotation.from_json(row["shapley"])
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{path}:{number} is no line of a sidecar of Shapley values: {error!r}") from error
    if not any(case.case_id in notes for case in cases):
        raise DatasetError(
            f"{path}: none of the {len(cases)} cases is in it; it has values of {len(notes)} others "
            f"({', '.join(list(notes)[:3])}): give the cases that it was made for"
        )
    found = []
    for case in cases:
        if case.case_id in notes:
            text, tables, note = notes[case.case_id]
            if text != text_hash(case, tables=tables):
                raise DatasetError(
                    f"{path}: the values of case {case.case_id!r} were made for another text (question, options, "
                    f"facts, initial facts{', evidence table, prior' if tables else ''} or key differ); annotate "
                    "these cases anew"
                )
            case = dataclasses.replace(case, shapley=note)
        found.append(case)
    return dataclasses.replace(cases, cases=tuple(found))
