"""DDXPlus's synthetic patients: a table of evidence codes, decoded through the release's own files.

https://github.com/mila-iqia/ddxplus. A patient is a row of `AGE, SEX, PATHOLOGY, EVIDENCES, INITIAL_EVIDENCE,
DIFFERENTIAL_DIAGNOSIS`; the codes mean something only through `release_evidences.json` and `release_conditions.json`.
There are two releases with other codes, an English one ("E_91_@_V_3") and a French one ("fievre"); the files of both
hold the questions, values and conditions in English. What a row does not list is absent: the world is closed.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from promed_env.case import Case, Fact, Profile, Section
from promed_env.datasets.diagnoses import diagnosis_options
from promed_env.datasets.jsonl import Row, convert_rows
from promed_env.datasets.quality import defects
from promed_env.datasets.rows import text_field
from promed_env.datasets.sections import tag_section
from promed_env.datasets.statements import quoted, stated
from promed_env.errors import DatasetError

__all__ = ["N_OPTIONS", "Condition", "Evidence", "Vocabulary", "ddxplus_case", "ddxplus_cases", "read_vocabulary"]

N_OPTIONS = 5
"""Options of a case: the true pathology and the first others of its differential."""

QUESTION = "What is the most likely diagnosis?"

Entry = TypeVar("Entry")

_EVIDENCES, _CONDITIONS = "release_evidences.json", "release_conditions.json"
_JOINT = "_@_"
_ANSWERS = {"N": "no", "Y": "yes", "NA": "not applicable"}
# The release translates these words from French in another sense than a patient means.
_CORRECTED = {
    "Caraibes": "the Caribbean",
    "a knife stroke": "stabbing",
    "a pulse": "throbbing",
    "haunting": "shooting",
    "heartbreaking": "tearing",
    "ischio jambier": "hamstring",
    "palace": "palate",
    "tedious": "distressing",
}
_SIDES = {"(R)": "right", "(L)": "left"}


@dataclass(frozen=True)
class Evidence:
    """One finding that the release knows.

    Attributes:
        question: The question that asks for it, in English.
        is_antecedent: Whether it belongs to the history.
        default: The code of the value that means it is absent; "" for a finding without values.
        values: Code of a value -> the answer in English; empty for a finding that is there or not.
        is_scale: Whether the values are degrees of a scale.
    """

    question: str
    is_antecedent: bool
    default: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    is_scale: bool = False


@dataclass(frozen=True)
class Condition:
    """One condition that the release knows: its name in English and the codes of its symptoms and antecedents."""

    name: str
    findings: frozenset[str]


@dataclass(frozen=True)
class Vocabulary:
    """The codes of one release: evidence code -> evidence, and condition as the rows name it -> condition."""

    evidences: Mapping[str, Evidence]
    conditions: Mapping[str, Condition]


def ddxplus_cases(rows: Sequence[Row], path: Path) -> tuple[Case, ...]:
    """The cases of a file's rows.

    The files of the release are looked for beside the table, and in `en/` and `../en/`; the one that knows the codes
    of the first row is taken.

    Raises:
        DatasetError: There is no such release, or a row holds what it does not know.
    """
    vocabulary = _vocabulary_for(rows[0], path)
    numbers = iter(range(len(rows)))
    return convert_rows(rows, lambda row: ddxplus_case(row, vocabulary, next(numbers)))


def ddxplus_case(row: Mapping[str, Any], vocabulary: Vocabulary, number: int) -> Case:
    """The case of a patient.

    Args:
        row: The row; its columns beyond the six of the release are kept in `raw` and otherwise ignored.
        vocabulary: The codes it uses.
        number: Its place in the file, from 0: its id, unless its first column has no name and numbers the rows.

    Raises:
        DatasetError: A field is missing, malformed, or holds a code that the vocabulary does not know.
    """
    case_id = f"ddxplus:{row.get('', '').strip() or number}"
    profile = _profile(row)
    evidences = _evidences(row, vocabulary)
    first = text_field(row, "INITIAL_EVIDENCE").strip().partition(_JOINT)[0]
    if first not in evidences:
        raise DatasetError(f"field 'INITIAL_EVIDENCE': {first!r} is not among the evidences of the row")
    right = _condition(text_field(row, "PATHOLOGY").strip(), vocabulary, "PATHOLOGY")
    differential = _differential(row, vocabulary)
    facts = (Fact(_person(profile), "demographics", "How old are you?"), *_facts(evidences, vocabulary))
    initial = frozenset({0, 1 + list(evidences).index(first)})
    presentation = " ".join(facts[index].text for index in sorted(initial))
    others = _nearest(right, [condition for condition, _ in differential], vocabulary.conditions.values())
    options, key = diagnosis_options(case_id, right.name, [other.name for other in others[: N_OPTIONS - 1]])
    return Case(
        case_id=case_id,
        source="ddxplus",
        presentation=presentation,
        question=QUESTION,
        options=options,
        answer=(key,),
        facts=facts,
        initial=initial,
        profile=profile,
        world="closed",
        quality=defects(
            texts=[fact.text for fact in facts],
            presentation=presentation,
            facts=[fact.text for fact in facts],
            options=options,
            answer=(key,),
            answer_text=None,
            is_patient=True,
        ),
        raw={**row, "differential": [[condition.name, probability] for condition, probability in differential]},
    )


def read_vocabulary(folder: str | Path) -> Vocabulary:
    """Read the two files of a release.

    Raises:
        DatasetError: One is missing, not JSON, or an entry lacks a field; the message names file and entry.
    """
    folder = Path(folder)
    return Vocabulary(_entries(folder / _EVIDENCES, _read_evidence), _entries(folder / _CONDITIONS, _read_condition))


def _vocabulary_for(row: Row, path: Path) -> Vocabulary:
    try:
        code = text_field(row.fields, "INITIAL_EVIDENCE").strip().partition(_JOINT)[0]
    except DatasetError as error:
        raise DatasetError(f"{row.place}: {error}") from error
    folders = [path.parent, path.parent / "en", path.parent.parent / "en"]
    found = [folder for folder in folders if (folder / _EVIDENCES).is_file()]
    for folder in found:
        vocabulary = read_vocabulary(folder)
        if code in vocabulary.evidences:
            return vocabulary
    looked = "none has them" if not found else f"those of {', '.join(map(str, found))} do not know it"
    raise DatasetError(
        f"{row.place}: field 'INITIAL_EVIDENCE': no release decodes {code!r}: put the {_EVIDENCES} and {_CONDITIONS} "
        f"of the release whose codes the table uses into {path.parent}, or those of the English release into "
        f"{path.parent / 'en'} ({looked})"
    )


def _entries(path: Path, read: Callable[[Mapping[str, Any]], Entry]) -> dict[str, Entry]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # not JSON, or not UTF-8
        raise DatasetError(f"{path}: not JSON: {error}") from error
    if not isinstance(entries, dict):
        raise DatasetError(f"{path}: expected an object of code to entry, got {type(entries).__name__}")
    read_entries = {}
    for code, entry in entries.items():
        try:
            read_entries[code] = read(entry)
        except DatasetError as error:
            raise DatasetError(f"{path}: entry {code!r}: {error}") from error
        except (AttributeError, KeyError, TypeError) as error:
            raise DatasetError(f"{path}: entry {code!r}: not as the release has it: {error!r}") from error
    return read_entries


def _read_evidence(entry: Mapping[str, Any]) -> Evidence:
    question, is_antecedent = text_field(entry, "question_en").strip(), bool(entry["is_antecedent"])
    possible = [str(value) for value in entry["possible-values"]]
    if not possible:
        return Evidence(question, is_antecedent)
    default, meanings = str(entry["default_value"]), entry["value_meaning"]
    if meanings:
        return Evidence(
            question, is_antecedent, default, {code: _answer(text["en"]) for code, text in meanings.items()}
        )
    scale = {value: f"{value} on a scale of {possible[0]} to {possible[-1]}" for value in possible}
    return Evidence(question, is_antecedent, default, scale, is_scale=True)


def _answer(text: str) -> str:
    """A value in the words of an answer: "cheek(R)" is the right cheek."""
    place, side = text[:-3], _SIDES.get(text[-3:])
    if side is None:
        return _ANSWERS.get(text) or _CORRECTED.get(text, text)
    return f"{side} {_CORRECTED.get(place, place)}"


def _read_condition(entry: Mapping[str, Any]) -> Condition:
    return Condition(text_field(entry, "cond-name-eng").strip(), frozenset({*entry["symptoms"], *entry["antecedents"]}))


def _profile(row: Mapping[str, Any]) -> Profile:
    age, sex = text_field(row, "AGE").strip(), text_field(row, "SEX").strip()
    if not age.isdecimal():
        raise DatasetError(f"field 'AGE': expected a whole number of years, got {age!r}")
    if sex not in ("F", "M"):
        raise DatasetError(f"field 'SEX': expected F or M, got {sex!r}")
    return Profile(float(age), "female" if sex == "F" else "male")


def _person(profile: Profile) -> str:
    """The fact that tells age and sex."""
    assert profile.age is not None
    grown, years = profile.age >= 18, f"{profile.age:.0f}"
    noun = ("woman" if grown else "girl") if profile.sex == "female" else ("man" if grown else "boy")
    if years == "0":
        return f"The patient is a {noun} less than one year old."
    article = "an" if years.startswith("8") or years in ("11", "18") else "a"
    return f"The patient is {article} {years}-year-old {noun}."


def _evidences(row: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, list[str]]:
    """Code of each evidence of the row -> codes of its values, in the order of the row; [] for one without values."""
    listed = _literal(row, "EVIDENCES")
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise DatasetError(f"field 'EVIDENCES': expected a list of strings, got {listed!r:.80}")
    found: dict[str, list[str]] = {}
    for item in listed:
        code, joint, value = item.partition(_JOINT)
        if code not in vocabulary.evidences:
            raise DatasetError(f"field 'EVIDENCES': the release knows no evidence {code!r}")
        values = vocabulary.evidences[code].values
        if bool(joint) != bool(values) or (values and value not in values):
            raise DatasetError(f"field 'EVIDENCES': the release knows no {item!r}")
        if value in found.get(code, ()) or (code in found and not values):
            raise DatasetError(f"field 'EVIDENCES': {item!r} occurs twice")
        found.setdefault(code, []).extend([value] if values else [])
    return found


def _facts(evidences: Mapping[str, Sequence[str]], vocabulary: Vocabulary) -> list[Fact]:
    """A fact for each evidence, with all its values."""
    facts = []
    for code, values in evidences.items():
        evidence = vocabulary.evidences[code]
        absent = set(values) == {evidence.default}
        answers = [evidence.values[value] for value in values] or ["yes"]
        if evidence.is_scale:
            text = quoted(evidence.question, ", ".join(answers))
        else:
            text = stated(evidence.question, answers, absent=absent)
        facts.append(Fact(text, _section(evidence, text), evidence.question, "absent" if absent else "present"))
    return facts


def _section(evidence: Evidence, text: str) -> Section:
    """Where it belongs: the release tells symptoms from antecedents, the words tell which antecedents."""
    if not evidence.is_antecedent:
        return "symptom"
    if "members of your" in evidence.question:
        return "family"
    told = tag_section(text)
    return told if told in ("family", "social", "medication") else "history"


def _condition(name: str, vocabulary: Vocabulary, field_name: str) -> Condition:
    if name not in vocabulary.conditions:
        raise DatasetError(f"field {field_name!r}: the release knows no condition {name!r}")
    return vocabulary.conditions[name]


def _differential(row: Mapping[str, Any], vocabulary: Vocabulary) -> list[tuple[Condition, float]]:
    """The conditions of the differential with their probabilities, the most probable first."""
    name = "DIFFERENTIAL_DIAGNOSIS"
    ranked = []
    listed = _literal(row, name)
    for item in listed if isinstance(listed, list) else [listed]:
        match item:
            case [str(condition), float() | int() as probability] if not isinstance(probability, bool):
                ranked.append((_condition(condition, vocabulary, name), float(probability)))
            case _:
                raise DatasetError(f"field {name!r}: expected a list of [condition, probability], got {item!r:.80}")
    return sorted(ranked, key=lambda pair: -pair[1])


def _nearest(right: Condition, differential: Iterable[Condition], known: Iterable[Condition]) -> list[Condition]:
    """The other conditions, those of the differential in its order, then those that share the most findings."""

    def distance(other: Condition) -> tuple[float, str]:
        return -len(right.findings & other.findings) / max(1, len(right.findings | other.findings)), other.name

    ordered = dict.fromkeys((*differential, *sorted(known, key=distance)))
    return [condition for condition in ordered if condition.name != right.name]


def _literal(row: Mapping[str, Any], name: str) -> Any:
    text = text_field(row, name)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise DatasetError(f"field {name!r}: not a Python literal: {text!r:.80}") from error
