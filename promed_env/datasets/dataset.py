"""Data sets: immutable sequences of cases that know what they are.

`CaseDataset` holds its cases in memory, with what loading them met; `GeneratedDataset` makes them on demand, without
end for practical purposes.
"""

from __future__ import annotations

import dataclasses
import difflib
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, overload

from promed_env.case import FLAGS, Case
from promed_env.errors import DatasetError

if TYPE_CHECKING:
    from promed_env.knowledge import KnowledgeBase

__all__ = ["CaseDataset", "GeneratedDataset", "LoadReport", "check_flags"]

_MOST_HELD = 1_000_000


@dataclass(frozen=True)
class LoadReport:
    """What reading a source met and what was taken out afterwards.

    Attributes:
        rows: Rows read; every one became a case.
        flags: How many of those cases carry each defect flag (a case may carry several).
        filtered: How many cases were taken out for each reason (a case counts once).
    """

    rows: int
    flags: Mapping[str, int] = field(default_factory=dict, hash=False)
    filtered: Mapping[str, int] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, cases: Sequence[Case]) -> LoadReport:
        """The report on cases of which none was filtered."""
        counts = Counter(flag for case in cases for flag in case.quality)
        return cls(len(cases), {flag: counts[flag] for flag in FLAGS if counts[flag]})

    @property
    def kept(self) -> int:
        """Rows read less those filtered."""
        return self.rows - sum(self.filtered.values())

    def __str__(self) -> str:
        def listed(counts: Mapping[str, int]) -> str:
            return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"

        return f"{self.rows} rows read; flagged: {listed(self.flags)}; filtered: {listed(self.filtered)}"


@dataclass(frozen=True)
class CaseDataset(Sequence[Case]):
    """Cases in a fixed order, with what a result needs to say about them.

    Indexing gives a `Case`, slicing a `CaseDataset`. Values compare by content and can be pickled.

    Attributes:
        name: Short name, for example "medqa/sample".
        cases: The cases.
        description: What the cases are; printed wherever a result uses them.
        licence: Licence of the texts.
        report: What loading met and what `filter` took out; slicing leaves it as it is.
        knowledge: The knowledge base that the cases were drawn from, if they were.

    Raises:
        DatasetError: Two cases have the same id.
    """

    name: str
    cases: tuple[Case, ...]
    description: str = ""
    licence: str = "unknown"
    report: LoadReport = LoadReport(0)
    knowledge: KnowledgeBase | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "cases", tuple(self.cases))
        if self.report == LoadReport(0):
            object.__setattr__(self, "report", LoadReport.of(self.cases))
        repeated = [case_id for case_id, count in Counter(case.case_id for case in self.cases).items() if count > 1]
        if repeated:
            raise DatasetError(f"data set {self.name!r}: case_id {repeated[0]!r} occurs more than once")

    def __len__(self) -> int:
        return len(self.cases)

    @overload
    def __getitem__(self, index: int) -> Case: ...

    @overload
    def __getitem__(self, index: slice) -> CaseDataset: ...

    def __getitem__(self, index: int | slice) -> Case | CaseDataset:
        if isinstance(index, slice):
            return dataclasses.replace(self, cases=self.cases[index])
        return self.cases[index]

    def __repr__(self) -> str:
        return f"CaseDataset({self.name!r}, {len(self)} cases)"

    def by_id(self, case_id: str) -> Case:
        """The case with this id.

        Raises:
            DatasetError: There is none; the message names the nearest ids.
        """
        try:
            return self._by_id[case_id]
        except KeyError:
            near = difflib.get_close_matches(case_id, self._by_id, n=3, cutoff=0.5) or list(self._by_id)[:3]
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise DatasetError(f"no case {case_id!r} among the {len(self)} of {self.name!r}{hint}") from None

    def filter(
        self,
        predicate: Callable[[Case], bool] | None = None,
        *,
        exclude: Iterable[str] = (),
        reason: str | None = None,
    ) -> CaseDataset:
        """The cases that satisfy the predicate and carry none of the excluded flags; the report counts the others.

        Args:
            predicate: Keeps a case if it returns True; every case if None.
            exclude: Defect flags (`promed_env.case.FLAGS`); a case with several counts under the first given here.
            reason: Under which name the report counts what the predicate rejects; by default "not <its name>".

        Raises:
            DatasetError: A flag is unknown.
        """
        flags = check_flags(exclude)
        rejected = reason or f"not {getattr(predicate, '__name__', 'selected')}"
        kept, filtered = [], Counter(self.report.filtered)
        for case in self.cases:
            if flag := next((flag for flag in flags if flag in case.quality), None):
                filtered[flag] += 1
            elif predicate is not None and not predicate(case):
                filtered[rejected] += 1
            else:
                kept.append(case)
        report = dataclasses.replace(self.report, filtered=dict(filtered))
        return dataclasses.replace(self, cases=tuple(kept), report=report)

    @cached_property
    def _by_id(self) -> dict[str, Case]:
        return {case.case_id: case for case in self.cases}


class GeneratedDataset(Sequence[Case]):
    """Cases made on demand, in a fixed order. All are made alike, so what holds of one holds of all.

    Indexing gives a `Case`, slicing a `CaseDataset` that holds its cases. A subclass defines `make`, `by_id`, `__len__`
    and the attributes.

    Attributes:
        licence: Licence of the texts.
        knowledge: The knowledge base that the cases are drawn from, if they are.
    """

    licence: str
    knowledge: KnowledgeBase | None

    @property
    @abstractmethod
    def name(self) -> str:
        """Short name, for example "primarycare/test"."""

    @property
    @abstractmethod
    def description(self) -> str:
        """What the cases are; printed wherever a result uses them."""

    @abstractmethod
    def make(self, index: int) -> Case:
        """The case at an index from 0 to len - 1."""

    @abstractmethod
    def by_id(self, case_id: str) -> Case:
        """The case with this id.

        Raises:
            DatasetError: There is none.
        """

    @overload
    def __getitem__(self, index: int) -> Case: ...

    @overload
    def __getitem__(self, index: slice) -> CaseDataset: ...

    def __getitem__(self, index: int | slice) -> Case | CaseDataset:
        if isinstance(index, slice):
            rows = range(len(self))[index]
            if len(rows) > _MOST_HELD:
                raise DatasetError(
                    f"data set {self.name!r}: {len(rows):,} cases do not fit in memory; take at most {_MOST_HELD:,}"
                )
            cases = tuple(self.make(row) for row in rows)
            return CaseDataset(self.name, cases, self.description, self.licence, knowledge=self.knowledge)
        if not -len(self) <= index < len(self):
            raise IndexError(f"data set {self.name!r} has cases 0 to {len(self) - 1:,}, not {index:,}")
        return self.make(index % len(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self):,} cases)"


def check_flags(flags: Iterable[str]) -> tuple[str, ...]:
    """The flags as a tuple.

    Raises:
        DatasetError: One of them is unknown, or a string was given in place of a sequence of strings.
    """
    if isinstance(flags, str):
        raise DatasetError(f"exclude takes a sequence of flags, for example ({flags!r},), not the string {flags!r}")
    flags = tuple(flags)
    if unknown := [flag for flag in flags if flag not in FLAGS]:
        raise DatasetError(f"unknown flag {unknown[0]!r} in exclude; known are {', '.join(FLAGS)}")
    return flags
