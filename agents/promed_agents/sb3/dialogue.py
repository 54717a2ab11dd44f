"""The state of a consultation as somebody can write it down who hears the dialogue only.

A menu's arrays and masks are functions of a `Consultation`. A doctor who sees texts rebuilds one: what was presented,
asked and told, with no hidden fact and no key in it. The menu then reads it as it reads the environment's own, so that
the arrays are the same by construction wherever the texts say what the environment knows.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from functools import lru_cache

from promed_env import phrases
from promed_env.case import Case, Fact, Language, Option
from promed_env.consultation import Consultation
from promed_env.errors import DatasetError
from promed_env.knowledge import KnowledgeBase
from promed_env.patients import Reply

__all__ = ["begin", "hear"]

_OPTION = re.compile(r"^([A-Za-z])\. (.+)$")
_LEFT = re.compile(r"(\d+)\D{0,2}$")
_numbers = itertools.count()  # a case of its own for each dialogue: menus remember what they made of a case


def begin(opening: str, language: Language, knowledge: KnowledgeBase | None) -> Consultation:
    """The state after the opening.

    Args:
        opening: The first observation, with the options shown.
        language: Its language.
        knowledge: The knowledge base whose findings are to be recognised; None on vignettes.

    Raises:
        DatasetError: The opening shows no options, or is not of a case of the knowledge base.
    """
    blocks = opening.rsplit("\n\n", 2)
    lines = blocks[1].split("\n") if len(blocks) == 3 else []
    start = len(lines)
    while start and _OPTION.match(lines[start - 1]):
        start -= 1
    options = tuple(Option(match[1], match[2]) for line in lines[start:] if (match := _OPTION.match(line)))
    if len(options) < 2:
        raise DatasetError(
            f"the opening shows no options, and a menu answers by option: {opening[:80]!r}. "
            "Play with show_options='always'."
        )
    presentation, rules = blocks[0], blocks[2]
    facts: tuple[Fact, ...] = ()
    initial: frozenset[int] = frozenset()
    if knowledge is not None:
        presented = knowledge.presented(presentation)
        if presented is None:
            raise DatasetError(
                f"this opening names no complaint of the knowledge base {knowledge.name!r}: {opening[:80]!r}. "
                "Play the environment that the doctor was trained on."
            )
        complaint = presented[2]
        own = () if complaint.finding is None else ((knowledge.finding_index[complaint.finding], True),)
        facts = _statements(knowledge)
        initial = frozenset(_place(*statement) for statement in (*own, *knowledge.stated(presentation)))
    left = _LEFT.search(rules)
    budget = int(left[1]) if left else 0
    case = Case(
        case_id=f"dialogue:{next(_numbers)}",
        source="dialogue",
        presentation=presentation,
        question="\n".join(lines[:start]),
        options=options,
        answer=(options[0].key,),  # a case needs one; nobody reads it here, and the right one is not known
        facts=facts,
        initial=initial,
        language=language,
    )
    unsaid = dataclasses.replace(case, presentation="")
    if phrases.opening(unsaid, budget, "always") == opening:  # what was read is the environment's own notice
        case = unsaid
    return Consultation(case, (), budget)


def hear(state: Consultation, question: str, observation: str, knowledge: KnowledgeBase | None) -> Consultation:
    """The state after a question and what was said to it."""
    text = observation.rpartition("\n")[0]  # the last line is the budget
    told = [] if knowledge is None else knowledge.stated(text)
    return state.ask(question, Reply(text, tuple(_place(*statement) for statement in told), "patient"))


def _place(finding: int, present: bool) -> int:
    """Index of a statement in `_statements`."""
    return 2 * finding + present


@lru_cache(maxsize=8)
def _statements(knowledge: KnowledgeBase) -> tuple[Fact, ...]:
    """All that can be stated of a patient: every finding as absent and as present. What is known picks among them."""
    return tuple(
        fact
        for finding in knowledge.findings
        for fact in (
            Fact(finding.no, finding.section, finding.ask, "absent"),
            Fact(finding.yes, finding.section, finding.ask, "present"),
        )
    )
