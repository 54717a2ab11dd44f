"""The consultation: one immutable state of the dialogue between a doctor and a patient.

`ask`, `answer` and `fail` return the next state and leave the old one as it was, so a planner steps values and never
copies an environment. A state knows its whole past: `prefix(t)` is the state after t turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from promed_env.actions import Kind, resolve_answer
from promed_env.case import Case
from promed_env.patients import Reply

__all__ = ["Consultation", "Disclosed", "ShowOptions", "Tracker", "Turn"]

ShowOptions = Literal["always", "at_answer", "never"]


class Turn(NamedTuple):
    """One turn of the doctor with what followed.

    Attributes:
        kind: "question", "answer" or "invalid".
        text: The question, the answer's text, or why the turn was invalid.
        reply: The patient's reply to a question, else None.
        known: Indexes of all facts known after this turn.
        chosen: Option keys that an answer chose; () if it named no option; None if this turn chose nothing.
        confidence: The doctor's stated confidence in an answer, from 0 to 1, or None.
        new: Indexes of the facts that this turn made known, in ascending order.
    """

    kind: Kind
    text: str
    reply: Reply | None
    known: frozenset[int]
    chosen: tuple[str, ...] | None = None
    confidence: float | None = None
    new: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Consultation:
    """An immutable state of a consultation.

    Attributes:
        case: The case; its `initial` facts are known from the start.
        turns: The doctor's turns so far.
        max_questions: Turns before the doctor must answer. Invalid turns count.
        seed: Seeds patients that vary, together with the turn and the question.
    """

    case: Case
    turns: tuple[Turn, ...] = ()
    max_questions: int = 10
    seed: int = 0

    @property
    def known(self) -> frozenset[int]:
        """Indexes of the facts known now."""
        return self.turns[-1].known if self.turns else self.case.initial

    @property
    def turn(self) -> int:
        """Number of turns taken."""
        return len(self.turns)

    @property
    def questions_left(self) -> int:
        """Turns left before the doctor must answer."""
        return 0 if self.must_answer else self.max_questions - len(self.turns)

    @property
    def must_answer(self) -> bool:
        """Whether only an answer is accepted now: the questions are used up, or the options were shown on request."""
        turns = self.turns
        taken = len(turns)
        return taken >= self.max_questions or (taken > 0 and turns[-1].kind == "answer")

    def options_shown(self, show_options: ShowOptions) -> bool:
        """Whether the doctor has been shown the options, and so may answer by key."""
        return show_options == "always" or (show_options == "at_answer" and self.must_answer)

    @property
    def finished(self) -> bool:
        """Whether an answer was given, or the turn that had to answer did not."""
        turns = self.turns
        return bool(turns) and turns[-1].chosen is not None

    @property
    def chosen(self) -> tuple[str, ...]:
        """Option keys chosen by the final answer; () without one."""
        return (self.turns[-1].chosen or ()) if self.turns else ()

    @property
    def confidence(self) -> float | None:
        """The confidence stated with the final answer, from 0 to 1, or None."""
        return self.turns[-1].confidence if self.finished else None

    @property
    def correct(self) -> bool:
        """Whether the chosen keys are exactly the right ones."""
        return self.chosen == self.case.answer

    @property
    def fact_recall(self) -> float:
        """Share of the hidden facts that became known, from 0 to 1; 1 if none was hidden."""
        hidden = self.case.n_facts - len(self.case.initial)
        return len(self.known - self.case.initial) / hidden if hidden else 1.0

    def new_since(self, before: Consultation) -> tuple[int, ...]:
        """Indexes of the facts that the turns after an earlier state made known."""
        turns, start = self.turns, len(before.turns)
        if len(turns) == start + 1:
            return turns[-1].new
        return tuple([fact for turn in turns[start:] for fact in turn.new])

    def section_recall(self) -> dict[str, tuple[int, int]]:
        """Of each section with hidden facts, how many of them became known, and how many there are."""
        facts, known = self.case.facts, self.known
        counts: dict[str, tuple[int, int]] = {}
        for index in self.case.hidden:
            found, hidden = counts.get(facts[index].section, (0, 0))
            counts[facts[index].section] = (found + (index in known), hidden + 1)
        return counts

    def ask(self, question: str, reply: Reply, known: frozenset[int] | None = None) -> Consultation:
        """The state after a question and its reply.

        Args:
            question: The doctor's question.
            reply: The patient's reply.
            known: All facts known afterwards (a `Tracker`'s view); by default those known before and those disclosed.

        Raises:
            ValueError: The consultation is over, or only an answer is accepted.
        """
        if self.must_answer or self.finished:
            raise ValueError("this consultation takes no more questions")
        before, new = self.known, reply.disclosed
        if known is None and len(new) == 1:  # by far the most frequent; the general way below gives the same
            new = () if new[0] in before else new
            known = before.union(new) if new else before
        else:
            known = before.union(new) if known is None else known
            new = tuple(sorted(known - before))
            known = known if new else before
        return self._next(Turn("question", question, reply, known, None, None, new))

    def answer(
        self, text: str, confidence: float | None = None, *, keys: bool = True, reveal: bool = False
    ) -> Consultation:
        """The state after an answer.

        Args:
            text: What the doctor answered: a key, several keys or an option's text.
            confidence: Stated confidence, from 0 to 1, or None.
            keys: Whether option keys are accepted (see `resolve_answer`).
            reveal: If the text names no option, show the options instead of ending the consultation.

        Raises:
            ValueError: The consultation is over.
        """
        if self.finished:
            raise ValueError("this consultation is over")
        chosen = resolve_answer(text, self.case, keys=keys)
        if reveal and not chosen:
            return self._next(Turn("answer", text, None, self.known))
        return self._next(Turn("answer", text, None, self.known, chosen, confidence))

    def fail(self, reason: str) -> Consultation:
        """The state after an invalid turn, which ends the consultation if an answer was due.

        Raises:
            ValueError: The consultation is over.
        """
        if self.finished:
            raise ValueError("this consultation is over")
        return self._next(Turn("invalid", reason, None, self.known, () if self.must_answer else None))

    def prefix(self, turns: int) -> Consultation:
        """The state after the first `turns` turns."""
        return Consultation(self.case, self.turns[:turns], self.max_questions, self.seed)

    def _next(self, turn: Turn) -> Consultation:
        return Consultation(self.case, (*self.turns, turn), self.max_questions, self.seed)


class Tracker(Protocol):
    """Decides which facts count as known after a reply."""

    def known(self, before: Consultation, question: str, reply: Reply) -> frozenset[int]:
        """All facts known after the reply; contains `before.known`."""


@dataclass(frozen=True)
class Disclosed:
    """The default tracker: a fact is known once a reply disclosed it."""

    def known(self, before: Consultation, question: str, reply: Reply) -> frozenset[int]:
        """See `Tracker.known`."""
        return before.known.union(reply.disclosed)
