"""Vignettes as people write them: TOML with probabilities, and the rules that every bundled vignette must meet.

The sources are in `vignettes/`; `scripts/build_samples.py` compiles them to the canonical JSON Lines that are shipped.
A fact's row `p` is one judgement per option, in the order of the options: "if this option is the best answer, how
likely is it that the fact is as stated?" A row of equal numbers is a fact without weight.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from promed_env.beliefs import EvidenceBelief, key_log_probability, posteriors
from promed_env.case import Case, Fact, Language, Option, Profile
from promed_env.errors import DatasetError
from promed_env.patients.words import tokenise

__all__ = ["QUESTION_TYPES", "check_sample", "check_vignette", "read_vignettes"]

QUESTION_TYPES = ("management", "cause", "diagnosis", "finding", "prognosis", "pharmacology", "prevention", "ethics")
_REQUIRED = set("id specialty question_type age sex presentation question options answer initial fact".split())
_OPTIONAL = {"prior", "rationale"}
_MISLEADING = 0.25  # nats by which a fact must favour another option over the key
_FUNCTION_WORDS = frozenset("a an and as at by for from in into is of on or that the this to with without".split())


def read_vignettes(path: str | Path, *, source: str, language: Language = "en") -> list[Case]:
    """Read one TOML file of vignettes (its `[[case]]` tables) as cases without Shapley values.

    Args:
        path: The TOML file.
        source: Name of the data set, the first part of every `case_id`.
        language: Language of the texts.

    Raises:
        DatasetError: The file is no TOML, or a case lacks a field, has an unknown one or an inconsistent one; the
            message names file, case and field.
    """
    path = Path(path)
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8")).get("case", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise DatasetError(f"{path}: {error}") from error
    cases = []
    for number, row in enumerate(rows, 1):
        where = f"{path}: case {row.get('id', number)!r}"
        if missing := _REQUIRED - row.keys():
            raise DatasetError(f"{where}: missing field {sorted(missing)[0]!r}")
        if unknown := row.keys() - _REQUIRED - _OPTIONAL:
            raise DatasetError(f"{where}: unknown field {sorted(unknown)[0]!r}")
        try:
            cases.append(_vignette(row, source, language))
        except (DatasetError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{where}: {error!r}") from error
    return cases


def _vignette(row: dict[str, Any], source: str, language: Language) -> Case:
    options = tuple(Option(key, text) for key, text in row["options"].items())
    facts = tuple(
        Fact(fact["text"], fact["section"], fact["ask"], fact.get("status", "present")) for fact in row["fact"]
    )
    table = np.array([fact["p"] for fact in row["fact"]], dtype=np.float64)
    if table.shape != (len(facts), len(options)) or table.min() < 0.01 or table.max() > 0.99:
        raise DatasetError(f"every 'p' needs {len(options)} numbers from 0.01 to 0.99")
    if row["question_type"] not in QUESTION_TYPES:
        raise DatasetError(f"question_type {row['question_type']!r} is none of {', '.join(QUESTION_TYPES)}")
    answer = row["answer"] if isinstance(row["answer"], list) else [row["answer"]]
    return Case(
        case_id=f"{source}:{row['id']}",
        source=source,
        presentation=row["presentation"],
        question=row["question"],
        options=options,
        answer=tuple(answer),
        facts=facts,
        initial=frozenset(row["initial"]),
        language=language,
        profile=Profile(row["age"], row["sex"]),
        evidence=np.log(table),
        prior=np.array(row["prior"]) / np.sum(row["prior"]) if "prior" in row else None,
        raw={name: row[name] for name in ("specialty", "question_type", "rationale") if name in row},
    )


def p_key(case: Case, known: Sequence[int]) -> float:
    """The evidence belief's probability of the key when the facts `known` are known."""
    (posterior,) = posteriors(EvidenceBelief(), [case], [frozenset(known)])
    return float(np.exp(key_log_probability(case, posterior[None])[0]))


def is_misleading(case: Case, fact: int) -> bool:
    """Whether a hidden fact speaks for a wrong option against the key, by at least 0.25 nats."""
    assert case.evidence is not None
    right = [key in case.answer for key in case.keys]
    row = case.evidence[fact]
    best_right = row[right].max()
    return fact not in case.initial and bool(row[~np.array(right)].max() - best_right >= _MISLEADING)


def _words(text: str) -> list[str]:
    """The words of a text; Chinese in pairs of characters."""
    return [word for word in tokenise(text) if word not in _FUNCTION_WORDS]


def check_vignette(case: Case) -> list[str]:
    """What is wrong with one vignette, as sentences; an empty list if nothing is.

    Checks: 8 to 16 facts, 4 or 5 options; with all facts the belief puts at least 0.8 on the key; at least two hidden
    facts without weight; every fact has a question; no fact or presentation states the answer; texts are distinct.
    """
    if case.evidence is None:
        return ["there is no evidence table"]
    problems = []
    if not 8 <= case.n_facts <= 16:
        problems.append(f"has {case.n_facts} facts; need 8 to 16")
    if len(case.options) not in (4, 5):
        problems.append(f"has {len(case.options)} options; need 4 or 5")
    if not case.initial or len(case.hidden) < 6:
        problems.append("needs at least one initial and at least six hidden facts")
    if (full := p_key(case, range(case.n_facts))) < 0.8:
        problems.append(f"with all facts the belief puts {full:.2f} on the key; need 0.80")
    weightless = [i for i in case.hidden if np.ptp(case.evidence[i]) < 1e-9]
    if len(weightless) < 2:
        problems.append(f"has {len(weightless)} hidden facts without weight; need 2")
    for name, texts in (
        ("fact", [fact.text for fact in case.facts]),
        ("question", [fact.question_text or "" for fact in case.facts]),
        ("option", [option.text for option in case.options]),
    ):
        if len({text.lower() for text in texts}) < len(texts) or not all(texts):
            problems.append(f"two {name} texts are equal, or one is missing")
    for option in case.options:
        if option.key in case.answer:
            words = set(_words(option.text))
            for text in (case.presentation, *(fact.text for fact in case.facts)):
                if words and words <= set(_words(text)):
                    problems.append(f"{text!r} states the answer {option.text!r}")
    return problems


def check_sample(cases: Sequence[Case]) -> list[str]:
    """What is wrong with a set of vignettes as a whole, on top of `check_vignette` for each.

    Checks: p(key) given the presentation alone lies between 0.1 and 0.6 in at least 80% of the cases; at least a third
    has a misleading fact; keys are spread over the slots; no two cases are alike (word overlap of presentation and
    facts below 0.5).
    """
    problems = [f"{case.case_id}: {problem}" for case in cases for problem in check_vignette(case)]
    starts = [p_key(case, sorted(case.initial)) for case in cases]
    if (open_cases := sum(0.1 <= p <= 0.6 for p in starts)) < 0.8 * len(cases):
        problems.append(f"the presentation alone leaves p(key) in [0.1, 0.6] in {open_cases} of {len(cases)}; need 80%")
    misleading = sum(any(is_misleading(case, fact) for fact in case.hidden) for case in cases)
    if 3 * misleading < len(cases):
        problems.append(f"{misleading} of {len(cases)} cases have a misleading fact; need a third")
    first = [case.answer[0] for case in cases]
    if len(cases) >= 20 and max(first.count(key) for key in set(first)) > 0.4 * len(cases):
        problems.append("one slot holds the key in more than 40% of the cases")
    bags = [set(_words(" ".join([case.presentation, *(fact.text for fact in case.facts)]))) for case in cases]
    for i, left in enumerate(bags):
        for j, right in enumerate(bags[:i]):
            if len(left & right) / len(left | right) >= 0.5:
                problems.append(f"{cases[i].case_id} and {cases[j].case_id} are alike")
    if len({case.case_id for case in cases}) < len(cases):
        problems.append("two cases have the same id")
    return problems
