"""The algebra of rewards: terms that add and scale, and the kind that is paid with the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from promed_env.beliefs import Belief
from promed_env.case import Case
from promed_env.consultation import Consultation
from promed_env.errors import BeliefRequired

__all__ = ["FinalTerm", "RewardTerm", "WeightedSum", "parts_of", "require_belief"]


class RewardTerm:
    """Base class of reward terms. A subclass sets `name` and defines `__call__`; it holds no state."""

    @property
    def name(self) -> str:
        """A short name for `info["reward_terms"]` and tables. A subclass may set it as a plain class attribute."""
        raise NotImplementedError(f"{type(self).__name__} must define name")

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """What the step from `before` to `after` pays."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(before, after)")

    def terms(self, before: Consultation, after: Consultation) -> dict[str, float]:
        """The step's reward by name; the values add up to `self(before, after)`."""
        return {self.name: self(before, after)}

    def batch(self, befores: Sequence[Consultation], afters: Sequence[Consultation]) -> Sequence[float]:
        """What each of many steps pays. Override it for a judge that wants many at once."""
        return list(map(self, befores, afters))

    def terms_batch(self, befores: Sequence[Consultation], afters: Sequence[Consultation]) -> dict[str, list[float]]:
        """`terms` of many steps, through `batch`: by name, a value for every step."""
        return {self.name: list(map(float, self.batch(befores, afters)))}

    def hindsight(self, final: Consultation) -> NDArray[np.float64]:
        """What each turn of a consultation earned, seen from its end: (n_turns,). By default what each step paid."""
        states = [final.prefix(turn) for turn in range(final.turn + 1)]
        return np.array([self(states[turn], states[turn + 1]) for turn in range(final.turn)], dtype=np.float64)

    def bind(self, belief: Belief | None) -> RewardTerm:
        """This term with `belief` where it needs one and was given none."""
        return self

    def check(self, case: Case) -> None:
        """Raise `BeliefRequired` if the term cannot be computed for this case."""

    def __add__(self, other: RewardTerm) -> WeightedSum:
        if not isinstance(other, RewardTerm):
            return NotImplemented
        return WeightedSum((*parts_of(self), *parts_of(other)))

    def __sub__(self, other: RewardTerm) -> WeightedSum:
        if not isinstance(other, RewardTerm):
            return NotImplemented
        return self + -1.0 * other

    def __mul__(self, weight: float) -> WeightedSum:
        if not isinstance(weight, int | float):
            return NotImplemented
        return WeightedSum(tuple((weight * own, term) for own, term in parts_of(self)))

    __rmul__ = __mul__

    def __truediv__(self, weight: float) -> WeightedSum:
        return self * (1 / weight)

    def __neg__(self) -> WeightedSum:
        return -1.0 * self


@dataclass(frozen=True)
class WeightedSum(RewardTerm):
    """A weighted sum of terms; what `+` and `*` make."""

    parts: tuple[tuple[float, RewardTerm], ...]

    @property
    def name(self) -> str:
        """The sum in the language of `make_reward`."""
        parts = [
            f"{'-' if weight < 0 else '+'} {'' if abs(weight) == 1 else _number(abs(weight)) + '*'}{term.name}"
            for weight, term in self.parts
        ]
        return " ".join(parts).removeprefix("+ ")

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """What the step pays: the weighted sum of the terms."""
        return sum(self.terms(before, after).values())

    def terms(self, before: Consultation, after: Consultation) -> dict[str, float]:
        """Weighted values by name; terms of the same name are added."""
        values: dict[str, float] = {}
        for name, weight, term in self._named:
            value = weight * term(before, after)
            values[name] = values[name] + value if name in values else value
        return values

    @cached_property
    def _named(self) -> tuple[tuple[str, float, RewardTerm], ...]:
        return tuple((term.name, weight, term) for weight, term in self.parts)

    def batch(self, befores: Sequence[Consultation], afters: Sequence[Consultation]) -> Sequence[float]:
        """See `RewardTerm.batch`; every term gets the whole batch."""
        return list(map(sum, zip(*self.terms_batch(befores, afters).values(), strict=True)))

    def terms_batch(self, befores: Sequence[Consultation], afters: Sequence[Consultation]) -> dict[str, list[float]]:
        """See `RewardTerm.terms_batch`; every term gets the whole batch."""
        columns: dict[str, list[float]] = {}
        for weight, term in self.parts:
            column = [weight * value for value in term.batch(befores, afters)]
            earlier = columns.get(term.name)
            columns[term.name] = column if earlier is None else list(map(sum, zip(earlier, column, strict=True)))
        return columns

    def hindsight(self, final: Consultation) -> NDArray[np.float64]:
        """The weighted sum of the terms' hindsight views."""
        total = np.zeros(final.turn)
        for weight, term in self.parts:
            total += weight * np.asarray(term.hindsight(final), dtype=np.float64)
        return total

    def bind(self, belief: Belief | None) -> WeightedSum:
        """Bind every term."""
        return WeightedSum(tuple((weight, term.bind(belief)) for weight, term in self.parts))

    def check(self, case: Case) -> None:
        """Check every term."""
        for _, term in self.parts:
            term.check(case)


def _number(weight: float) -> str:
    """The shortest text that reads back as the same number."""
    short = f"{weight:g}"
    return short if float(short) == weight else repr(weight)


def parts_of(term: RewardTerm) -> tuple[tuple[float, RewardTerm], ...]:
    """Weights and terms of a sum; of any other term itself with weight 1."""
    return term.parts if isinstance(term, WeightedSum) else ((1.0, term),)


class FinalTerm(RewardTerm):
    """A term that is paid with the answer only, when it is known."""

    def grade(self, final: Consultation) -> float:
        """What the answer earns."""
        raise NotImplementedError(f"{type(self).__name__} must define grade(final)")

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """The grade, at the end."""
        turns = after.turns
        if not turns or turns[-1].chosen is None or before.finished:
            return 0.0
        return self.grade(after)

    def batch(self, befores: Sequence[Consultation], afters: Sequence[Consultation]) -> Sequence[float]:
        """See `RewardTerm.batch`; only what has finished is graded."""
        turns = [after.turns for after in afters]
        ends = [i for i, taken in enumerate(turns) if taken and taken[-1].chosen is not None]
        earned = [0.0] * len(turns)
        for i in ends:
            earned[i] = self(befores[i], afters[i])
        return earned

    def hindsight(self, final: Consultation) -> NDArray[np.float64]:
        """The grade on the last turn: (n_turns,)."""
        earned = np.zeros(final.turn)
        if final.finished:
            earned[-1] = self.grade(final)
        return earned


def require_belief(case: Case, belief: Belief | None, what: str, *, annotation: bool = False) -> None:
    """Raise `BeliefRequired` unless there is a belief that covers the case.

    Args:
        case: The case.
        belief: The belief, or None.
        what: What cannot be computed without it.
        annotation: Whether a Shapley annotation of the case would do as well.
    """
    if belief is None or not belief.covers(case):
        missing = "no belief was given" if belief is None else f"the belief {belief.name!r} does not cover it"
        raise BeliefRequired(
            f"{what} cannot be computed for case {case.case_id!r}: "
            f"{'it carries no Shapley annotation and ' if annotation else ''}{missing}. Three ways out: use a data set "
            "annotated with Shapley values or evidence tables; pass belief=...; or choose another reward, such as "
            "'diagnosis', 'fact_recall' or 'sig_uniform'."
        )
