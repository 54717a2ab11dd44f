"""The case: everything the environment knows about one patient and one question, as immutable values.

A case is a set of atomic facts of which the presentation states a few, a multiple-choice question with its key, and,
where an expert judged them, a prior and a table of log p(fact | option) (`docs/cases.md`). The canonical file format
is JSON Lines, one case a line, written by `Case.to_json` and read back without loss by `Case.from_json`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promed_env.errors import DatasetError

__all__ = [
    "FLAGS",
    "SCHEMA_VERSION",
    "SECTIONS",
    "Case",
    "Fact",
    "Game",
    "Language",
    "Option",
    "Profile",
    "Section",
    "ShapleyAnnotation",
]

SCHEMA_VERSION = 1

Section = Literal["demographics", "history", "symptom", "exam", "test", "social", "family", "medication", "other"]
Status = Literal["present", "absent"]
Language = Literal["en", "zh"]
World = Literal["open", "closed"]
Game = Literal["all", "presentation"]

SECTIONS: tuple[str, ...] = get_args(Section)
FLAGS = ("no_facts", "answer_conflict", "answer_in_facts", "duplicate_fact", "image_reference", "not_a_patient")

_SEVERAL = re.compile(r"多选|不定项|all that apply|(?:choose|select|pick) (?:two|three|[23])\b", re.IGNORECASE)
T = TypeVar("T")


@dataclass(frozen=True)
class Fact:
    """One atomic statement about the patient.

    Attributes:
        text: The statement, in the third person, as a reply quotes it.
        section: Where in a record it belongs; decides who says it (`informant`).
        question_text: A natural question that asks for it, or None.
        status: Whether the statement affirms or denies a finding.
    """

    text: str
    section: Section = "other"
    question_text: str | None = None
    status: Status = "present"

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            raise DatasetError(f"a fact's text must be a non-empty string, not {self.text!r}")
        if self.question_text is not None and not isinstance(self.question_text, str):
            raise DatasetError(f"a fact's question_text must be a string or null, not {self.question_text!r}")
        if self.section not in SECTIONS:
            raise DatasetError(f"a fact's section must be one of {', '.join(SECTIONS)}, not {self.section!r}")
        if self.status not in get_args(Status):
            raise DatasetError(f"a fact's status must be one of {', '.join(get_args(Status))}, not {self.status!r}")


@dataclass(frozen=True)
class Option:
    """One answer option.

    Attributes:
        key: A single letter ("A").
        text: What it says.
        aliases: Other names of the same thing, which an answer in words may use; never shown.
    """

    key: str
    text: str
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(isinstance(alias, str) and alias.strip() for alias in self.aliases):
            raise DatasetError(f"an option's aliases must be non-empty strings, not {list(self.aliases)!r}")


@dataclass(frozen=True)
class Profile:
    """What is known of the patient as a person; None where the source does not say."""

    age: float | None = None
    sex: Literal["female", "male"] | None = None

    def __post_init__(self) -> None:
        if self.age is not None and (isinstance(self.age, bool) or not isinstance(self.age, int | float)):
            raise DatasetError(f"age must be a number of years or null, not {self.age!r}")
        if self.sex not in (None, "female", "male"):
            raise DatasetError(f"sex must be 'female', 'male' or null, not {self.sex!r}")


def _frozen_array(values: ArrayLike) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class ShapleyAnnotation:
    """Shapley values computed beforehand, in nats, with where they came from.

    Attributes:
        belief: Name of the belief whose log p(key | facts) was shared out.
        values: For each game ("all", "presentation"), an array (n_facts,).
        stderr: For each game, the standard error, an array (n_facts,); zero where exact.
        method: "exact", "permutation", "kernel" or "gaussian".
        evaluations: Coalitions evaluated.
        provenance: Whatever else there is to tell, ready for JSON: what the belief is worth on these cases, for one.
    """

    belief: str
    values: Mapping[Game, NDArray[np.float64]]
    stderr: Mapping[Game, NDArray[np.float64]]
    method: str
    evaluations: int
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("values", "stderr"):
            games = {game: _frozen_array(array) for game, array in getattr(self, name).items()}
            if unknown := set(games) - set(get_args(Game)):
                raise DatasetError(
                    f"shapley.{name} has unknown games {sorted(unknown)}; known are {', '.join(get_args(Game))}"
                )
            object.__setattr__(self, name, MappingProxyType(games))
        if set(self.values) != set(self.stderr):
            raise DatasetError("shapley.values and shapley.stderr must cover the same games")

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {
            "belief": self.belief,
            "method": self.method,
            "evaluations": self.evaluations,
            "values": {game: array.tolist() for game, array in self.values.items()},
            "stderr": {game: array.tolist() for game, array in self.stderr.items()},
            **({"provenance": dict(self.provenance)} if self.provenance else {}),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> ShapleyAnnotation:
        """Read what `to_json` wrote.

        Raises:
            DatasetError: A field is missing or of the wrong kind.
        """
        try:
            return cls(
                row["belief"],
                row["values"],
                row["stderr"],
                row["method"],
                int(row["evaluations"]),
                dict(row.get("provenance", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(f"field 'shapley': {error!r}") from error

    def __reduce__(self) -> tuple[Callable[..., ShapleyAnnotation], tuple[dict[str, Any]]]:
        return ShapleyAnnotation.from_json, (self.to_json(),)


@dataclass(frozen=True, eq=False)
class Case:
    """One consultation's truth. Compared by content, hashed by `case_id`.

    Attributes:
        case_id: "<source>:<row id>", for example "mediq:224".
        source: Name of the data set the case comes from.
        presentation: What is said before the first question; states the facts in `initial`.
        question: The multiple-choice question.
        options: At least two options; a key is a single letter.
        answer: Keys of the right options (several in CMB), in the order of `options`.
        facts: The complete condition; may be empty (flag "no_facts").
        initial: Indexes of the facts that the presentation states.
        language: "en" or "zh": the language of texts and replies.
        profile: Age in years and sex, where known.
        evidence: log p(fact as stated | option is the best answer), array (n_facts, n_options), below 0, or None.
        prior: p(option is the best answer) before any fact, array (n_options,), sums to 1; uniform unless given.
        shapley: Precomputed Shapley values, or None.
        world: "closed" if a fact that is not listed is absent, "open" if it is unknown.
        quality: Defect flags, a subset of `FLAGS`.
        raw: The source's own row, kept as it was.

    Raises:
        DatasetError: A field is inconsistent; the message names it.
    """

    case_id: str
    source: str
    presentation: str
    question: str
    options: tuple[Option, ...]
    answer: tuple[str, ...]
    facts: tuple[Fact, ...]
    initial: frozenset[int] = frozenset()
    language: Language = "en"
    profile: Profile = Profile()
    evidence: NDArray[np.float64] | None = None
    prior: NDArray[np.float64] | None = None  # never None after construction
    shapley: ShapleyAnnotation | None = None
    world: World = "open"
    quality: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.language not in get_args(Language):
            raise DatasetError(f"field 'language': expected 'en' or 'zh', got {self.language!r}")
        if self.world not in get_args(World):
            raise DatasetError(f"field 'world': expected 'open' or 'closed', got {self.world!r}")
        keys = [option.key for option in self.options]
        if len(keys) < 2 or len({key.upper() for key in keys}) != len(keys):
            raise DatasetError(f"field 'options': need at least two with distinct keys, got {keys}")
        if bad := [key for key in keys if not (len(key) == 1 and key.isascii() and key.isalpha())]:
            raise DatasetError(f"field 'options': a key must be a single letter, as the grammar has it; got {bad[0]!r}")
        if not all(option.text.strip() for option in self.options):
            raise DatasetError("field 'options': an option has no text")
        if not self.answer or not set(self.answer) <= set(keys):
            raise DatasetError(f"field 'answer': {list(self.answer)} is not among the option keys {keys}")
        object.__setattr__(self, "answer", tuple(key for key in keys if key in self.answer))
        if any(not 0 <= index < len(self.facts) for index in self.initial):
            raise DatasetError(f"field 'initial': {sorted(self.initial)} are not indexes of {len(self.facts)} facts")
        if unknown := set(self.quality) - set(FLAGS):
            raise DatasetError(f"field 'quality': unknown flags {sorted(unknown)}; known are {', '.join(FLAGS)}")
        n = len(self.options)
        prior = _frozen_array(np.full(n, 1 / n) if self.prior is None else self.prior)
        if prior.shape != (n,) or not np.all(prior > 0) or abs(prior.sum() - 1) > 1e-6:
            raise DatasetError(f"field 'prior': need {n} positive numbers that sum to 1, got {prior.tolist()}")
        object.__setattr__(self, "prior", prior)
        if self.evidence is not None:
            evidence = _frozen_array(self.evidence).reshape(-1, n) if not self.facts else _frozen_array(self.evidence)
            if evidence.shape != (len(self.facts), n) or not np.all(np.isfinite(evidence)) or not np.all(evidence < 0):
                raise DatasetError(
                    f"field 'evidence': need finite log-probabilities below 0 of shape {(len(self.facts), n)}, "
                    f"got shape {evidence.shape}"
                )
            evidence.setflags(write=False)
            object.__setattr__(self, "evidence", evidence)
        if self.shapley is not None:
            shapes = {array.shape for array in (*self.shapley.values.values(), *self.shapley.stderr.values())}
            if not shapes <= {(len(self.facts),)}:
                raise DatasetError(f"field 'shapley': need arrays of shape {(len(self.facts),)}, got {sorted(shapes)}")

    @property
    def several(self) -> bool:
        """Whether the question says that several options may be right ("all that apply", "多选")."""
        return _SEVERAL.search(self.question) is not None

    @property
    def n_facts(self) -> int:
        """Number of facts."""
        return len(self.facts)

    @property
    def keys(self) -> tuple[str, ...]:
        """The options' keys, in order."""
        return tuple(option.key for option in self.options)

    @property
    def hidden(self) -> tuple[int, ...]:
        """Indexes of the facts that the presentation does not state."""
        return tuple(index for index in range(len(self.facts)) if index not in self.initial)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON: equal for equal content, whatever file it came from."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def with_initial(self, initial: frozenset[int], presentation: str | None = None) -> Case:
        """The same case with other initial facts; Shapley values that depended on the old ones are dropped."""
        if initial == self.initial and presentation in (None, self.presentation):
            return self
        shapley = self.shapley
        if shapley is not None and initial != self.initial:
            kept: dict[Game, NDArray[np.float64]] = {
                game: array for game, array in shapley.values.items() if game == "all"
            }
            stderr: dict[Game, NDArray[np.float64]] = {game: shapley.stderr[game] for game in kept}
            shapley = dataclasses.replace(shapley, values=kept, stderr=stderr) if kept else None
        text = self.presentation if presentation is None else presentation
        return dataclasses.replace(self, initial=initial, presentation=text, shapley=shapley)

    def to_json(self) -> dict[str, Any]:
        """The canonical JSON object of this case (`schema_version` 1); `from_json` reads it back without loss.

        The field `aliases` (key -> names) is there only if an option has any.
        """
        assert self.prior is not None
        aliases = {option.key: list(option.aliases) for option in self.options if option.aliases}
        return {
            "schema_version": SCHEMA_VERSION,
            "case_id": self.case_id,
            "source": self.source,
            "language": self.language,
            "profile": dataclasses.asdict(self.profile),
            "presentation": self.presentation,
            "question": self.question,
            "options": {option.key: option.text for option in self.options},
            **({"aliases": aliases} if aliases else {}),
            "answer": list(self.answer),
            "facts": [dict(vars(fact)) for fact in self.facts],
            "initial": sorted(self.initial),
            "evidence": None if self.evidence is None else self.evidence.tolist(),
            "prior": self.prior.tolist(),
            "shapley": None if self.shapley is None else self.shapley.to_json(),
            "world": self.world,
            "quality": list(self.quality),
            "raw": dict(self.raw),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Case:
        """Read a canonical JSON object.

        Raises:
            DatasetError: A field is missing, unknown or of the wrong kind; the message names it.
        """
        if not isinstance(row, Mapping):
            raise DatasetError(f"expected a JSON object, got {type(row).__name__}")
        if row.get("schema_version") != SCHEMA_VERSION:
            raise DatasetError(f"field 'schema_version': expected {SCHEMA_VERSION}, got {row.get('schema_version')!r}")
        known = {item.name for item in dataclasses.fields(cls)} | {"schema_version", "aliases"}
        if unknown := sorted(set(row) - known):
            raise DatasetError(f"unknown field {unknown[0]!r}; the canonical fields are {', '.join(sorted(known))}")

        def read(name: str, convert: Callable[[Any], T], *default: T) -> T:
            if name not in row:
                if default:
                    return default[0]
                raise DatasetError(f"field {name!r} is missing")
            try:
                return convert(row[name])
            except DatasetError as error:
                raise DatasetError(f"field {name!r}: {error}") from error
            except (TypeError, ValueError, AttributeError, KeyError) as error:
                raise DatasetError(f"field {name!r}: {error}") from error

        names = read("options", lambda value: {_text(key): _text(text) for key, text in _object(value).items()})
        aliases: dict[str, tuple[str, ...]] = read("aliases", lambda value: _aliases(value, names), {})
        return cls(
            case_id=read("case_id", _text),
            source=read("source", _text),
            presentation=read("presentation", _text),
            question=read("question", _text),
            options=tuple(Option(key, text, aliases.get(key, ())) for key, text in names.items()),
            answer=read("answer", lambda value: tuple(_text(key) for key in _sequence(value))),
            facts=read("facts", lambda value: tuple(Fact(**_object(fact)) for fact in _sequence(value))),
            initial=read("initial", lambda value: frozenset(_index(item) for item in _sequence(value)), frozenset()),
            language=read("language", lambda value: value, "en"),
            profile=read("profile", lambda value: Profile(**_object(value)), Profile()),
            evidence=read("evidence", lambda value: None if value is None else _frozen_array(value), None),
            prior=read("prior", lambda value: None if value is None else _frozen_array(value), None),
            shapley=read("shapley", lambda value: None if value is None else ShapleyAnnotation.from_json(value), None),
            world=read("world", lambda value: value, "open"),
            quality=read("quality", lambda value: tuple(_sequence(value)), ()),
            raw=read("raw", dict, {}),
        )

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Case) and self.fingerprint == other.fingerprint)

    def __hash__(self) -> int:
        return hash(self.case_id)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise DatasetError(f"expected a string, got {type(value).__name__}")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DatasetError(f"expected an object, got {type(value).__name__}")
    return value


def _aliases(value: Any, names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    aliases = {key: tuple(_text(alias) for alias in _sequence(listed)) for key, listed in _object(value).items()}
    if unknown := sorted(set(aliases) - set(names)):
        raise DatasetError(f"{unknown[0]!r} is not among the option keys {list(names)}")
    return aliases


def _index(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise DatasetError(f"expected a whole number, got {value!r}")
    return value


def _sequence(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise DatasetError(f"expected a list, got {type(value).__name__}")
    return value
