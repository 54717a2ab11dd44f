"""From a source's full vignette question to a case that can be played.

rows = read_rows("medqa.jsonl")
curated = curate(rows, "medqa")
write_jsonl(curated.cases, "cases.jsonl")
print(curated.report)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from promed_env.case import Case, Fact, Language, Option, Profile
from promed_env.datasets.curation.question import split_question
from promed_env.datasets.curation.sentences import sentences
from promed_env.datasets.curation.splitters import REFUSALS, RuleSplitter, Splitter, split_vignette
from promed_env.datasets.jsonl import Row
from promed_env.datasets.people import described
from promed_env.datasets.quality import defects
from promed_env.datasets.rows import NO_PRESENTATION, options_field, row_id, text_field
from promed_env.datasets.sections import status_of, tag_section
from promed_env.errors import DatasetError

__all__ = [
    "PRESENTATIONS",
    "SOURCE_FORMATS",
    "CaseCounts",
    "Curated",
    "CurationReport",
    "SourceFormat",
    "SourceQuestion",
    "check_rows",
    "curate",
    "curate_row",
]

PRESENTATIONS: Mapping[str, str] = MappingProxyType(
    {
        "first": "the vignette's first sentence, as MediQ has it",
        "person": "the first fact only: most often age and sex",
        "half": "the first half of the facts, as ProMed has it for CMB",
    }
)
"""Name -> what the patient says first."""


class SourceQuestion(NamedTuple):
    """What every format of examination questions has.

    Attributes:
        stem: Vignette and question.
        options: The options.
        answer: Keys of the right ones.
        answer_text: The right option's text as the row states it beside the key, or None.
        several: Whether the row says that several options may be right.
    """

    stem: str
    options: tuple[Option, ...]
    answer: tuple[str, ...]
    answer_text: str | None = None
    several: bool = False


@dataclass(frozen=True)
class SourceFormat:
    """A format of examination questions.

    Attributes:
        read: Makes a question of a row.
        language: Of the questions.
        fields: What a row must have, for help.
    """

    read: Callable[[Mapping[str, Any]], SourceQuestion]
    language: Language
    fields: str


class CaseCounts(NamedTuple):
    """What curating one row met.

    Attributes:
        sentences: Sentences of the vignette.
        asked: Whether the end of the stem asks something.
        refused: For each of `REFUSALS`, how many sentences a model's facts were refused for, so that the rules' stand.
    """

    sentences: int
    asked: bool
    refused: tuple[int, ...] = (0,) * len(REFUSALS)


@dataclass(frozen=True)
class CurationReport:
    """What curating a file met; nothing is left out of the cases in silence.

    Attributes:
        splitter: What cut the sentences.
        facts: Facts of each case.
        flags: How many cases carry each defect flag.
        unasked: Rows whose end asks nothing: their last sentence was taken for the question.
        sentences: Sentences of all vignettes.
        refused: How many sentences a model's facts were refused for, for each reason; the rules' stand there.
    """

    splitter: str
    facts: tuple[int, ...]
    flags: Mapping[str, int]
    unasked: int
    sentences: int
    refused: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, splitter: str, cases: Sequence[Case], counts: Sequence[CaseCounts]) -> CurationReport:
        """The report on cases and what making each of them met."""
        flags = Counter(flag for case in cases for flag in case.quality)
        sums = [sum(count.refused[index] for count in counts) for index in range(len(REFUSALS))]
        return cls(
            splitter,
            tuple(case.n_facts for case in cases),
            dict(sorted(flags.items())),
            sum(not count.asked for count in counts),
            sum(count.sentences for count in counts),
            dict(zip(REFUSALS, sums, strict=True)),
        )


class Curated(NamedTuple):
    """Cases, and what making them met."""

    cases: tuple[Case, ...]
    report: CurationReport


def curate(
    rows: Sequence[Row],
    format: str,
    *,
    splitter: Splitter | None = None,
    presentation: str = "first",
    done: Mapping[int, tuple[Case, CaseCounts]] = MappingProxyType({}),
    on_case: Callable[[Case, CaseCounts], None] | None = None,
) -> Curated:
    """Make a case of every row; all rows are checked before the first is split.

    Args:
        rows: Rows of a file, as `read_rows` gives them.
        format: A name in `SOURCE_FORMATS`.
        splitter: What cuts sentences into facts; the rules by default.
        presentation: A name in `PRESENTATIONS`.
        done: What an earlier run made of rows, by their place in `rows`, from 0; they are not made again.
        on_case: Called after each case that is made.

    Raises:
        DatasetError: The format or the presentation is unknown, a row is malformed or repeats an id; the message starts
            with the row's place.
        BackendError: The splitter's model fails.
    """
    splitter = RuleSplitter() if splitter is None else splitter
    check_rows(rows, format)
    finished: list[tuple[Case, CaseCounts]] = []
    for number, row in enumerate(rows):
        if number in done:
            finished.append(done[number])
            continue
        try:
            finished.append(curate_row(row.fields, number, format, splitter, presentation))
        except DatasetError as error:
            raise DatasetError(f"{row.place}: {error}") from error
        if on_case is not None:
            on_case(*finished[-1])
    cases, counts = tuple(case for case, _ in finished), [count for _, count in finished]
    return Curated(cases, CurationReport.of(splitter.name, cases, counts))


def check_rows(rows: Sequence[Row], format: str) -> None:
    """Check that every row has the format's fields and an id of its own; nothing is split.

    Raises:
        DatasetError: The format is unknown, a row is malformed or repeats an id; the message starts with the row's
            place.
    """
    seen: set[str] = set()
    for number, row in enumerate(rows):
        try:
            _, case_id = _source(row.fields, number, format)
            if case_id in seen:
                raise DatasetError(f"field 'id': {row.fields.get('id', number)!r} was already used by an earlier row")
        except DatasetError as error:
            raise DatasetError(f"{row.place}: {error}") from error
        seen.add(case_id)


def curate_row(
    row: Mapping[str, Any], number: int, format: str, splitter: Splitter, presentation: str = "first"
) -> tuple[Case, CaseCounts]:
    """The case of one row.

    Args:
        row: The source's row; kept as `raw`.
        number: Its place in the file, from 0; names the case if the row has no `id`.
        format: A name in `SOURCE_FORMATS`.
        splitter: What cuts sentences into facts.
        presentation: A name in `PRESENTATIONS`.

    Raises:
        DatasetError: The format or the presentation is unknown, or a field is missing or malformed.
        BackendError: The splitter's model fails.
    """
    if presentation not in PRESENTATIONS:
        raise DatasetError(f"unknown presentation {presentation!r}; known are {', '.join(PRESENTATIONS)}")
    source, case_id = _source(row, number, format)
    language = SOURCE_FORMATS[format].language
    stem = split_question(source.stem, language)
    stated = sentences(stem.vignette)
    splits = split_vignette(stated, splitter, language)
    profile = _profile(stem.vignette, language)
    told = [
        [_about_patient(fact, profile, stem.vignette[: sentence.start + len(sentence.text)]) for fact in split.facts]
        for sentence, split in zip(stated, splits, strict=True)
    ]
    texts = [fact for facts in told for fact in facts]
    first, initial = _presented(presentation, stated[0].stated if stated else "", told, language)
    question = stem.question
    if source.several and "\u591a\u9009" not in question:
        question = f"{question}\uff08\u591a\u9009\uff09"
    case = Case(
        case_id=case_id,
        source=f"curated-{format}",
        presentation=first,
        question=question,
        options=source.options,
        answer=source.answer,
        facts=tuple(Fact(text, tag_section(text), status=status_of(text)) for text in texts),
        initial=initial,
        language=language,
        profile=profile,
        quality=defects(
            texts=(*(sentence.text for sentence in stated), question),
            presentation=first,
            facts=texts,
            options=source.options,
            answer=source.answer,
            answer_text=source.answer_text,
            is_patient=_is_patient(stem.vignette, language),
        ),
        raw=dict(row),
    )
    refused = Counter(split.refused for split in splits)
    return case, CaseCounts(len(stated), stem.found, tuple(refused[reason] for reason in REFUSALS))


def _source(row: Mapping[str, Any], number: int, format: str) -> tuple[SourceQuestion, str]:
    """The row's question and the id of its case, both checked."""
    if format not in SOURCE_FORMATS:
        raise DatasetError(f"unknown format {format!r}; known are {', '.join(SOURCE_FORMATS)}")
    source = SOURCE_FORMATS[format].read(row)
    case_id = f"curated-{format}:{row_id(row) if 'id' in row else number}"
    Case(case_id, f"curated-{format}", "", source.stem, source.options, source.answer, ())  # checks the options
    return source, case_id


def _medqa(row: Mapping[str, Any]) -> SourceQuestion:
    stem, options = text_field(row, "question"), options_field(row, "options")
    answer = _keys(options, "answer_idx", (text_field(row, "answer_idx").strip(),))
    return SourceQuestion(stem, options, answer, text_field(row, "answer") if "answer" in row else None)


def _cmb(row: Mapping[str, Any]) -> SourceQuestion:
    stem, options = text_field(row, "question"), options_field(row, "option")
    answer = _keys(options, "answer", tuple(text_field(row, "answer").strip()))
    return SourceQuestion(stem, options, answer, several=row.get("question_type") == "\u591a\u9879\u9009\u62e9\u9898")


def _keys(options: Sequence[Option], name: str, answer: tuple[str, ...]) -> tuple[str, ...]:
    keys = [option.key for option in options]
    if not set(answer) <= set(keys):
        raise DatasetError(f"field {name!r}: {''.join(answer)!r} is not among the option keys {keys}")
    return answer


SOURCE_FORMATS: Mapping[str, SourceFormat] = MappingProxyType(
    {
        "medqa": SourceFormat(_medqa, "en", "question, options, answer_idx"),
        "cmb": SourceFormat(_cmb, "zh", "question, option, answer"),
    }
)
"""Name -> format of examination questions."""


def _presented(
    presentation: str, sentence: str, told: Sequence[Sequence[str]], language: Language
) -> tuple[str, frozenset[int]]:
    """What is said first, and the facts it states."""
    texts = [fact for facts in told for fact in facts]
    if not texts:
        return NO_PRESENTATION[language], frozenset()
    if presentation == "first" and language == "en":
        return sentence, frozenset(range(len(told[0])))
    n = 1 if presentation == "person" else max(1, len(texts) // 2) if presentation == "half" else _opening(texts)
    return ("" if language == "zh" else " ").join(texts[:n]), frozenset(range(n))


def _opening(texts: Sequence[str]) -> int:
    """How many facts a Chinese opening has: age, sex, and what the patient came for."""
    complaint = next(
        (index for index, text in enumerate(texts) if tag_section(text) not in ("demographics", "other")), 0
    )
    return complaint + 1


_PATIENT = re.compile(
    r"\b\d+[\s-]*(?:year|month|week|day|hour|minute)s?[\s-]*old\b|\b(?:patients?|man|woman|boy|girl|infant|newborn|"
    r"neonate|"
    r"child|baby|gentleman|lady|male|female|toddler|mother|gravida|primigravid\w*)\b",
    re.IGNORECASE,
)
_STUDY = re.compile(
    r"\b(?:investigators?|researchers?|research study|clinical trial|cohort|participants|study|studies|experiments?|"
    r"scientists?|"
    r"epidemiolog\w+|biostatistic\w+|volunteers|subjects|mice|rats|cells are|enzyme is)\b",
    re.IGNORECASE,
)
_PATIENT_ZH = re.compile(
    r"\u60a3\u8005|\u75c5\u4eba|\u60a3\u513f|\u5b55\u5987|\u4ea7\u5987|\u5a74\u513f|\u7537|\u5973|\u5c81|\u513f\u7ae5|"
    r"\u65b0\u751f\u513f"
)
_AGED = re.compile(r"\b\d+[\s-]*(?:year|month|week|day|hour)s?[\s-]*old\b", re.IGNORECASE)


def _is_patient(vignette: str, language: Language) -> bool:
    """Whether the vignette is about a patient, and not about a study, a population or a laboratory."""
    if language == "zh":
        return _PATIENT_ZH.search(vignette) is not None
    patient, study = _PATIENT.search(vignette), _STUDY.search(vignette)
    if patient is None:
        return False
    return study is None or patient.start() < study.start() or _AGED.search(vignette[: study.end() + 60]) is not None


def _profile(vignette: str, language: Language) -> Profile:
    if language == "en":
        return described(vignette)
    age = re.search(r"(\d+(?:\.\d+)?)\s*(\u5c81|\u4e2a\u6708|\u5929)", vignette)
    sex = re.search(r"\u5973|\u5b55\u5987|\u4ea7\u5987|\u7537", vignette)
    per_year = {"\u5c81": 1.0, "\u4e2a\u6708": 12.0, "\u5929": 365.25}
    return Profile(
        float(age[1]) / per_year[age[2]] if age else None,
        None if sex is None else "male" if sex[0] == "\u7537" else "female",
    )


_OTHERS = {  # of whom "she" and "he" may speak as well
    "female": re.compile(
        r"\b(?:mother|wife|daughter|sister|girlfriend|aunt|grandmother|niece|nurse|roommate|partner|caretaker|"
        r"caregiver|"
        r"babysitter|neighbor|friend|teacher|parents?|coworker|colleague|sibling|twin|another|resident|student)\b",
        re.IGNORECASE,
    ),
    "male": re.compile(
        r"\b(?:father|husband|son|brother|boyfriend|uncle|grandfather|nephew|roommate|partner|caretaker|caregiver|"
        r"neighbor|friend|teacher|parents?|coworker|colleague|sibling|twin|another|resident|student|surgeon)\b",
        re.IGNORECASE,
    ),
}
_PRONOUN = {
    "female": re.compile(r"^(?:She\b|Her (?=\w))"),
    "male": re.compile(r"^(?:He\b|His (?=\w))"),
}


def _about_patient(fact: str, profile: Profile, before: str) -> str:
    """The fact with "The patient" for a leading pronoun, if nobody else it could mean has been mentioned before."""
    if profile.sex is None or _OTHERS[profile.sex].search(before):
        return fact
    found = _PRONOUN[profile.sex].match(fact)
    if found is None:
        return fact
    start = "The patient" if found[0] in ("He", "She") else "The patient's "
    return f"{start}{fact[found.end() :]}"
