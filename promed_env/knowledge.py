"""A medical knowledge base: complaints, conditions, findings, and how likely each finding is under each condition.

It is public knowledge, as a doctor has it: a belief, a patient and a doctor may be built on it without a look at a
case. Findings are independent given the condition, so that posteriors are exact (a "synthetic clinic"). The folder
`knowledge_bases/primary_care` holds the one that is shipped; `docs/environments/primarycare.md` describes its format.
For research, not for care.
"""

from __future__ import annotations

import csv
import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from promed_env.case import SECTIONS, Section
from promed_env.errors import DatasetError

__all__ = [
    "AGE_BANDS",
    "SEXES",
    "Complaint",
    "Condition",
    "Finding",
    "KnowledgeBase",
    "Sex",
    "age_band",
    "primary_care",
]

Sex = Literal["female", "male"]
SEXES: tuple[Sex, ...] = get_args(Sex)
AGE_BANDS = ((16, 29), (30, 44), (45, 59), (60, 74), (75, 95))
"""First and last year of each age band."""

_PERSON = re.compile(r"I am a (\d+)-year-old (woman|man)\. ")
_SPEAKER = re.compile(r"^(?:Patient|On examination|Result): ")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_BOUNDS = (0.005, 0.995)
_FINDING_COLUMNS = ("id", "section", "base", "sex", "ask", "yes", "no")


@dataclass(frozen=True)
class Finding:
    """Something that a question, an examination or a test can bring out.

    Attributes:
        id: Its name in the data files.
        section: Where in a record it belongs; decides who reports it.
        base: p(present) in a patient whose condition has nothing to do with it.
        sex: Whom it applies to; None for everybody.
        ask: The canonical question.
        yes: What is said if it is present.
        no: What is said if it is absent.
    """

    id: str
    section: Section
    base: float
    sex: Sex | None
    ask: str
    yes: str
    no: str


@dataclass(frozen=True)
class Condition:
    """A diagnosis.

    Attributes:
        id: Its name in the data files.
        name: Its name as an answer option.
        female: Share of women among its patients.
        age: Share of its patients in each band of `AGE_BANDS`.
        complaints: Complaint id -> how common it is among patients with that complaint (relative).
        p: Finding id -> p(present), where it differs from the finding's base.
    """

    id: str
    name: str
    female: float
    age: tuple[float, ...]
    complaints: Mapping[str, float]
    p: Mapping[str, float]


@dataclass(frozen=True)
class Complaint:
    """What brings a patient.

    Attributes:
        id: Its name in the data files.
        says: First sentence of the presentation.
        finding: Id of the finding that it affirms, if there is one.
        volunteered: Ids of findings that patients with it mention, or deny, unasked.
    """

    id: str
    says: str
    finding: str | None
    volunteered: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class KnowledgeBase:
    """Complaints, conditions and findings; compared by identity.

    Attributes:
        name: Short name; the first part of a case's id.
        version: Changes whenever a figure changes, so that results can be told apart.
        complaints: What brings patients.
        conditions: The diagnoses.
        findings: What can be asked, examined and tested.
        held_out: Named sets of condition ids, for tests out of domain.

    Raises:
        DatasetError: Ids are repeated or unknown, or a number is out of range; the message names the item.
    """

    name: str
    version: str
    complaints: tuple[Complaint, ...]
    conditions: tuple[Condition, ...]
    findings: tuple[Finding, ...]
    held_out: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def load(cls, folder: str | Path | Traversable) -> KnowledgeBase:
        """Read a folder: `base.toml`, `complaints.toml`, `findings.csv` and `conditions/*.toml`.

        Raises:
            DatasetError: A file is missing or malformed; the message names file, item and field.
        """
        root = Path(folder) if isinstance(folder, str) else folder
        about = _toml(root / "base.toml")
        try:
            name, version = about["name"], about["version"]
            held_out = {key: frozenset(ids) for key, ids in about.get("held_out", {}).items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"{root / 'base.toml'}: {error!r}; it needs name, version and may have held_out"
            ) from error
        complaints = [_complaint(row, place) for row, place in _tables(root / "complaints.toml", "complaint")]
        files = root / "conditions"
        if not files.is_dir():
            raise DatasetError(f"{files}: there is no such folder; it holds the conditions, one TOML table each")
        paths = sorted((path for path in files.iterdir() if path.name.endswith(".toml")), key=lambda path: path.name)
        conditions = [_condition(row, place) for path in paths for row, place in _tables(path, "condition")]
        return cls(
            name=name,
            version=version,
            complaints=tuple(complaints),
            conditions=tuple(conditions),
            findings=tuple(_findings(root / "findings.csv")),
            held_out=held_out,
        )

    @cached_property
    def finding_index(self) -> Mapping[str, int]:
        """Finding id -> column of `probabilities`."""
        return {finding.id: index for index, finding in enumerate(self.findings)}

    @cached_property
    def condition_index(self) -> Mapping[str, int]:
        """Condition id -> row of `probabilities`."""
        return {condition.id: index for index, condition in enumerate(self.conditions)}

    @cached_property
    def complaint_index(self) -> Mapping[str, int]:
        """Complaint id -> row of the first axis of `joint`."""
        return {complaint.id: index for index, complaint in enumerate(self.complaints)}

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """p(finding present | condition), (n_conditions, n_findings), read-only."""
        table = np.tile([finding.base for finding in self.findings], (len(self.conditions), 1))
        for row, condition in enumerate(self.conditions):
            for finding, p in condition.p.items():
                table[row, self.finding_index[finding]] = p
        return _frozen(table)

    @cached_property
    def joint(self) -> NDArray[np.float64]:
        """p(condition, age band, sex | complaint), (n_complaints, n_conditions, n_bands, 2), read-only.

        The product of p(condition | complaint), p(band | condition) and p(sex | condition); sexes as in `SEXES`.
        """
        shares = np.array(
            [
                [condition.complaints.get(complaint.id, 0.0) for condition in self.conditions]
                for complaint in self.complaints
            ]
        )
        shares /= shares.sum(axis=1, keepdims=True)
        ages = np.array([condition.age for condition in self.conditions], dtype=np.float64)
        ages /= ages.sum(axis=1, keepdims=True)
        female = np.array([condition.female for condition in self.conditions])
        sexes = np.stack([female, 1 - female], axis=1)
        return _frozen(shares[:, :, None, None] * ages[:, :, None] * sexes[:, None, :])

    def prior(self, complaint: str, age: float, sex: Sex) -> NDArray[np.float64]:
        """p(condition | complaint, age, sex), (n_conditions,).

        Raises:
            DatasetError: The complaint is unknown, or nobody of that age and sex has it.
        """
        if complaint not in self.complaint_index:
            raise DatasetError(f"unknown complaint {complaint!r}; known are {', '.join(self.complaint_index)}")
        weights = self.joint[self.complaint_index[complaint], :, age_band(age), SEXES.index(sex)]
        if not weights.any():
            raise DatasetError(f"no condition brings a {sex} of age {age:g} with the complaint {complaint!r}")
        normalised: NDArray[np.float64] = weights / weights.sum()
        return normalised

    @cached_property
    def questions(self) -> tuple[str, ...]:
        """The canonical questions, in the order of the findings."""
        return tuple(finding.ask for finding in self.findings)

    @cached_property
    def question_index(self) -> Mapping[str, int]:
        """Canonical question -> finding."""
        return {question: index for index, question in enumerate(self.questions)}

    @cached_property
    def name_index(self) -> Mapping[str, int]:
        """Name of a condition -> condition."""
        return {condition.name: index for index, condition in enumerate(self.conditions)}

    def presented(self, text: str) -> tuple[int, Sex, Complaint] | None:
        """Age in years, sex and complaint that a presentation states at its beginning; None if it does not."""
        person = _PERSON.match(text)
        if person is None:
            return None
        rest = text[person.end() :]
        complaint = next((item for item in self.complaints if rest.startswith(item.says)), None)
        if complaint is None:
            return None
        return int(person[1]), "female" if person[2] == "woman" else "male", complaint

    def stated(self, text: str) -> list[tuple[int, bool]]:
        """The findings that a text states in the knowledge base's own sentences, in order: (finding, present).

        Sentences are looked up whole, after a speaker's label such as "Patient:" is taken off.
        """
        sentences = (sentence for line in text.splitlines() for sentence in _SENTENCE.split(_SPEAKER.sub("", line)))
        return [self._sentences[sentence] for sentence in sentences if sentence in self._sentences]

    @cached_property
    def _sentences(self) -> Mapping[str, tuple[int, bool]]:
        spoken: dict[str, tuple[int, bool]] = {}
        for index, finding in enumerate(self.findings):
            spoken[finding.yes], spoken[finding.no] = (index, True), (index, False)
        return spoken

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every figure and sentence: what `version` stands for."""
        digest = hashlib.sha256(repr((self.complaints, self.findings)).encode())
        for condition in self.conditions:
            parts = (condition.id, condition.name, sorted(condition.complaints.items()))
            digest.update(repr(parts).encode())
        digest.update(self.probabilities.tobytes() + self.joint.tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        counts = f"{len(self.conditions)} conditions, {len(self.complaints)} complaints, {len(self.findings)} findings"
        return f"KnowledgeBase({self.name!r}, version {self.version}: {counts})"

    def __reduce__(self) -> Any:
        if self is primary_care():  # keeps its identity, and a pickle of a case or an environment small
            return primary_care, ()
        return super().__reduce__()


@lru_cache(maxsize=1)
def primary_care() -> KnowledgeBase:
    """The knowledge base of ProMed-PrimaryCare-v0, loaded once."""
    return KnowledgeBase.load(resources.files("promed_env") / "knowledge_bases" / "primary_care")


def age_band(age: float) -> int:
    """Index of the band of `AGE_BANDS` that holds an age in years; the last one for anybody older.

    Raises:
        DatasetError: The age is below the first band.
    """
    if age < AGE_BANDS[0][0]:
        raise DatasetError(f"age {age:g}: the knowledge base holds adults from {AGE_BANDS[0][0]} years on")
    return max(band for band, (first, _) in enumerate(AGE_BANDS) if age >= first)


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.setflags(write=False)
    return array


def _read(path: Path | Traversable) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: {error}") from error


def _toml(path: Path | Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as error:
        raise DatasetError(f"{path}: {error}") from error


def _tables(path: Path | Traversable, kind: str) -> list[tuple[dict[str, Any], str]]:
    rows = _toml(path).get(kind, [])
    if not isinstance(rows, list) or not rows:
        raise DatasetError(f"{path}: holds no [[{kind}]] table")
    return [(row, f"{path}: {kind} {row.get('id', number)!r}") for number, row in enumerate(rows, 1)]


def _fields(row: Mapping[str, Any], place: str, required: str, optional: str = "") -> None:
    if missing := [name for name in required.split() if name not in row]:
        raise DatasetError(f"{place}: missing field {missing[0]!r}")
    if unknown := sorted(row.keys() - set(required.split()) - set(optional.split())):
        raise DatasetError(f"{place}: unknown field {unknown[0]!r}")


def _complaint(row: Mapping[str, Any], place: str) -> Complaint:
    _fields(row, place, "id says volunteered", "finding")
    return Complaint(row["id"], row["says"], row.get("finding"), tuple(row["volunteered"]))


def _condition(row: Mapping[str, Any], place: str) -> Condition:
    _fields(row, place, "id name female age complaints p")
    try:
        age = tuple(float(share) for share in row["age"])
        complaints = {str(key): float(weight) for key, weight in row["complaints"].items()}
        p = {str(key): float(value) for key, value in row["p"].items()}
        return Condition(row["id"], row["name"], float(row["female"]), age, complaints, p)
    except (TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{place}: {error}") from error


def _findings(path: Path | Traversable) -> list[Finding]:
    reader = csv.DictReader(_read(path).splitlines(), strict=True)
    if tuple(reader.fieldnames or ()) != _FINDING_COLUMNS:
        raise DatasetError(f"{path}:1: the columns must be {','.join(_FINDING_COLUMNS)}, not {reader.fieldnames}")
    findings = []
    for row in reader:
        place = f"{path}:{reader.line_num}: finding {row['id']!r}"
        if None in row or None in row.values():
            raise DatasetError(f"{place}: needs {len(_FINDING_COLUMNS)} columns")
        if row["section"] not in SECTIONS:
            raise DatasetError(f"{place}: section {row['section']!r} is none of {', '.join(SECTIONS)}")
        if row["sex"] not in ("", *SEXES):
            raise DatasetError(f"{place}: sex {row['sex']!r} is neither empty nor one of {', '.join(SEXES)}")
        try:
            base = float(row["base"])
        except ValueError as error:
            raise DatasetError(f"{place}: base: {error}") from error
        section, sex, texts = row["section"], row["sex"] or None, (row["ask"], row["yes"], row["no"])
        findings.append(Finding(row["id"], section, base, sex, *texts))  # type: ignore[arg-type]
    return findings


def _check(base: KnowledgeBase) -> None:
    """What every knowledge base must meet; the loader's messages say where, these what."""
    name = f"knowledge base {base.name!r}"
    for kind, values in (
        ("complaint", [complaint.id for complaint in base.complaints]),
        ("condition", [condition.id for condition in base.conditions]),
        ("condition name", [condition.name for condition in base.conditions]),
        ("finding", [finding.id for finding in base.findings]),
        ("question", [finding.ask for finding in base.findings]),
        ("sentence", [text for finding in base.findings for text in (finding.yes, finding.no)]),
    ):
        if not values or not all(isinstance(value, str) and value.strip() for value in values):
            raise DatasetError(f"{name}: every {kind} needs a text, and there must be at least one")
        if repeated := _repeated(values):
            raise DatasetError(f"{name}: {kind} {repeated!r} occurs more than once")
    findings = {finding.id: finding for finding in base.findings}
    complaints = {complaint.id for complaint in base.complaints}
    for finding in base.findings:
        _probability(finding.base, f"{name}: finding {finding.id!r}: base")
        if not finding.yes.strip() or not finding.no.strip() or finding.yes == finding.no:
            raise DatasetError(f"{name}: finding {finding.id!r}: needs two sentences that differ")
    for condition in base.conditions:
        place = f"{name}: condition {condition.id!r}"
        if not 0 <= condition.female <= 1:
            raise DatasetError(f"{place}: female must lie between 0 and 1, not {condition.female:g}")
        if len(condition.age) != len(AGE_BANDS) or min(condition.age) < 0 or abs(sum(condition.age) - 1) > 0.011:
            raise DatasetError(f"{place}: age needs {len(AGE_BANDS)} shares that add up to 1, not {condition.age}")
        if not condition.complaints or min(condition.complaints.values()) <= 0:
            raise DatasetError(f"{place}: needs a positive weight for at least one complaint")
        for key in condition.complaints:
            if key not in complaints:
                raise DatasetError(f"{place}: unknown complaint {key!r}")
        for key, value in condition.p.items():
            if key not in findings:
                raise DatasetError(f"{place}: unknown finding {key!r}")
            _probability(value, f"{place}: p({key})")
    for complaint in base.complaints:
        place = f"{name}: complaint {complaint.id!r}"
        for key in (*complaint.volunteered, *([complaint.finding] if complaint.finding else [])):
            if key not in findings:
                raise DatasetError(f"{place}: unknown finding {key!r}")
            if findings[key].sex is not None:
                raise DatasetError(f"{place}: finding {key!r} does not apply to both sexes")
        if len(complaint.volunteered) < 2 or complaint.finding in complaint.volunteered:
            raise DatasetError(f"{place}: needs at least two volunteered findings beside its own")
    for key, ids in base.held_out.items():
        if unknown := ids - {condition.id for condition in base.conditions}:
            raise DatasetError(f"{name}: held_out {key!r}: unknown condition {sorted(unknown)[0]!r}")


def _repeated(values: Sequence[str]) -> str | None:
    seen: set[str] = set()
    return next((value for value in values if value in seen or seen.add(value)), None)  # type: ignore[func-returns-value]


def _probability(value: float, place: str) -> None:
    low, high = _BOUNDS
    if not low <= value <= high:
        raise DatasetError(f"{place} must lie between {low} and {high}, not {value:g}")
