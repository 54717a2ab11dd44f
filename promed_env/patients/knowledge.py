"""The patient of a knowledge base: knows every finding, by its canonical question or in free words.

The exact wording of a canonical question is found by a hash look-up. Any other wording goes to
`promed_env.patients.retrieval`, as `benchmarks/findings.py` measures, or to a matcher of the user's. One question
brings out one finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from promed_env.actions import normalise
from promed_env.case import Case, Fact
from promed_env.knowledge import SEXES, KnowledgeBase, Sex, primary_care
from promed_env.patients import Reply
from promed_env.patients.facts import Matcher, informant_of, nothing, quote, refuse, unreported
from promed_env.patients.features import informant_asked
from promed_env.patients.retrieval import find_finding
from promed_env.patients.screening import screen
from promed_env.patients.static import StaticMatcher

if TYPE_CHECKING:
    from promed_env.consultation import Consultation

__all__ = ["KnowledgePatient"]


class KnowledgePatient:
    """Answers any finding question of a knowledge base."""

    name = "knowledge"

    def __init__(
        self, knowledge: KnowledgeBase | None = None, matcher: Matcher | None = None, *, reportable_only: bool = False
    ) -> None:
        """Make a patient.

        Args:
            knowledge: The knowledge base of the cases; by default the one that is shipped.
            matcher: Finds the finding that free words ask for, among all findings stated as present. By default
                `promed_env.patients.retrieval` does for the shipped knowledge base, whose findings have phrases of
                their own, and `StaticMatcher` for any other.
            reportable_only: Findings of examinations and tests are not told.
        """
        self.knowledge = primary_care() if knowledge is None else knowledge
        if matcher is None and self.knowledge is not primary_care():
            matcher = StaticMatcher()
        self.matcher = matcher
        self.reportable_only = reportable_only

    def reply(self, consultation: Consultation, question: str) -> Reply:
        """The reply to a question; deterministic, and independent of what was asked before."""
        case = consultation.case
        finding = self._exact.get(question)
        if finding is None:
            heard = screen(question)
            if heard.refusal is not None:
                return refuse(case, heard.refusal)
            finding = self._find(heard.question)
            if finding is None:
                addressee = informant_asked if self.matcher is None else self.matcher.addressee
                return nothing(case, addressee(heard.question))
        index = self._fact_of(case, finding)
        if index is None:
            return Reply("Patient: That does not apply to me.", (), "patient")
        if self.reportable_only and informant_of(case.facts[index].section) != "patient":
            return unreported(case)
        return quote(case, (index,))

    def reply_batch(self, consultations: Sequence[Consultation], questions: Sequence[str]) -> list[Reply]:
        """The replies to one question in each consultation.

        Raises:
            ValueError: The numbers of consultations and questions differ.
        """
        return [self.reply(state, question) for state, question in zip(consultations, questions, strict=True)]

    def _find(self, question: str) -> int | None:
        """The finding that a question asks for, in its canonical words or by retrieval."""
        finding = self._normalised.get(normalise(question))
        if finding is not None:
            return finding
        if self.matcher is None:
            return find_finding(self.knowledge, question)
        found = self.matcher.match(question, self._record, 1)
        return found[0] if found else None

    def _fact_of(self, case: Case, finding: int) -> int | None:
        """Which fact of the case a finding is; None if it does not apply to the patient."""
        asked = self.knowledge.findings[finding].ask
        usual = self._places.get((case.profile.sex, finding))  # where cases drawn from the knowledge base hold it
        if usual is not None and usual < len(case.facts) and case.facts[usual].question_text == asked:
            return usual
        return _places_of(case).get(asked)

    @cached_property
    def _places(self) -> dict[tuple[Sex | None, int], int]:
        findings = self.knowledge.findings
        applies = {sex: [i for i, finding in enumerate(findings) if finding.sex in (None, sex)] for sex in SEXES}
        return {(sex, finding): place for sex, listed in applies.items() for place, finding in enumerate(listed)}

    @cached_property
    def _exact(self) -> dict[str, int]:
        return dict(self.knowledge.question_index)

    @cached_property
    def _normalised(self) -> dict[str, int]:
        return {normalise(question): index for question, index in self.knowledge.question_index.items()}

    @cached_property
    def _record(self) -> Case:
        """All findings as present facts of one case, for the matcher to search: the same for every patient."""
        from promed_env.case import Option

        return Case(
            case_id=f"{self.knowledge.name}:findings",
            source=self.knowledge.name,
            presentation="",
            question="",
            options=(Option("A", "-"), Option("B", "-")),
            answer=("A",),
            facts=tuple(Fact(item.yes, item.section, item.ask) for item in self.knowledge.findings),
        )


@lru_cache(maxsize=4096)
def _places_of(case: Case) -> dict[str | None, int]:
    return {fact.question_text: index for index, fact in reversed(list(enumerate(case.facts)))}
