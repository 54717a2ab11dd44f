"""ProMed's own rows: MedQA with atomic facts (JSON Lines) and CMB (a JSON array), as in the authors' repository.

https://github.com/huangbaixiang100/ProMed, `src/data/dataset/`. On MedQA the presentation is the first context
sentence; on CMB it is the first half of the facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promed_env.case import Case, Fact
from promed_env.datasets.initial import initial_facts
from promed_env.datasets.people import described
from promed_env.datasets.quality import defects
from promed_env.datasets.rows import (
    NO_PRESENTATION,
    options_field,
    row_id,
    sentence,
    strings_field,
    text_field,
    unnumbered,
)
from promed_env.datasets.sections import status_of, tag_section
from promed_env.errors import DatasetError

__all__ = ["cmb_case", "promed_medqa_case"]


def promed_medqa_case(row: Mapping[str, Any]) -> Case:
    """The case of one of ProMed's MedQA rows; the question is `atomic_question`, without the vignette.

    Raises:
        DatasetError: A field is missing, of the wrong type, or the key is none of the options; the message names it.
    """
    question = text_field(row, "atomic_question").strip()
    options = options_field(row, "options")
    key = text_field(row, "answer_idx").strip()
    context = [sentence(text) for text in strings_field(row, "context")]
    if not context:
        raise DatasetError("field 'context': is empty; its first sentence is the presentation")
    facts = [unnumbered(text) for text in strings_field(row, "facts")]
    if key not in [option.key for option in options]:
        raise DatasetError(
            f"field 'answer_idx': {key!r} is not among the option keys {[option.key for option in options]}"
        )
    return Case(
        case_id=f"promed-medqa:{row_id(row)}",
        source="promed-medqa",
        presentation=context[0],
        question=question,
        options=options,
        answer=(key,),
        facts=tuple(Fact(sentence(text), tag_section(text), status=status_of(text)) for text in facts),
        initial=initial_facts(context[0], context[1:], facts),
        profile=described(context[0]),
        quality=defects(
            texts=(question, *context, *facts),
            presentation=context[0],
            facts=facts,
            options=options,
            answer=(key,),
            answer_text=text_field(row, "answer"),
            is_patient=True,
        ),
        raw=row,
    )


def cmb_case(row: Mapping[str, Any]) -> Case:
    """The case of one of ProMed's CMB rows; `answer` may hold several keys ("ABD").

    Raises:
        DatasetError: A field is missing, of the wrong type, or a key is none of the options; the message names it.
    """
    question = text_field(row, "atomic_question").strip()
    options = options_field(row, "option")
    answer = tuple(text_field(row, "answer").strip())
    if not set(answer) <= {option.key for option in options}:
        raise DatasetError(
            f"field 'answer': {''.join(answer)!r} is not among the option keys {[option.key for option in options]}"
        )
    if row.get("question_type") == "\u591a\u9879\u9009\u62e9\u9898" and "\u591a\u9009" not in question:
        question = f"{question}\uff08\u591a\u9009\uff09"  # as the examination says; the row says it apart
    facts = [unnumbered(text) for text in strings_field(row, "facts")]
    is_patient = text_field(row, "is_patient").strip()
    if is_patient not in ("\u662f", "\u5426"):
        raise DatasetError(f"field 'is_patient': expected \u662f or \u5426, got {is_patient!r}")
    half = len(facts) // 2
    said = "\uff0c".join(fact.rstrip("\u3002\uff0c ") for fact in facts[:half])
    presentation = f"{said}\u3002" if said else NO_PRESENTATION["zh"]
    return Case(
        case_id=f"promed-cmb:{row_id(row)}",
        source="promed-cmb",
        presentation=presentation,
        question=question,
        options=options,
        answer=answer,
        facts=tuple(Fact(text, tag_section(text), status=status_of(text)) for text in facts),
        initial=frozenset(range(half)),
        language="zh",
        quality=defects(
            texts=(question, *facts),
            presentation=presentation,
            facts=facts,
            options=options,
            answer=answer,
            answer_text=None,
            is_patient=is_patient == "\u662f",
        ),
        raw=row,
    )
