"""Reward terms: pure functions of two consecutive states of a consultation, which add and scale.

    reward = 2 * SIG() + 3 * Diagnosis() - 0.05 * QuestionCost()
    reward = make_reward("2*sig + 3*diagnosis")           # the same language, as a string that fits into a JSON spec

A term pays at every step (the causal view). `hindsight(final)` tells, after the end, what each turn earned; both views
have the same sum (`docs/rewards.md`). Source of SIG and of the `promed` preset: ProMed,
https://arxiv.org/abs/2508.13514.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from promed_env.beliefs import Belief, key_log_probability, posteriors
from promed_env.case import Case, Game
from promed_env.consultation import Consultation
from promed_env.errors import BeliefRequired
from promed_env.shapley import case_shapley

__all__ = [
    "PRESETS",
    "SIG",
    "BeliefGain",
    "BySIG",
    "Diagnosis",
    "DistributedReward",
    "Distribution",
    "Evenly",
    "FactRecall",
    "Format",
    "InformationGain",
    "PartialCredit",
    "QuestionCost",
    "RewardTerm",
    "TestCost",
    "WeightedSum",
    "Weighting",
    "fact_weights",
    "make_reward",
    "shapley_of",
]

Weighting = Literal["softmax", "signed", "positive", "uniform"]


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
        return WeightedSum((*_parts(self), *_parts(other)))

    def __sub__(self, other: RewardTerm) -> WeightedSum:
        if not isinstance(other, RewardTerm):
            return NotImplemented
        return self + -1.0 * other

    def __mul__(self, weight: float) -> WeightedSum:
        if not isinstance(weight, int | float):
            return NotImplemented
        return WeightedSum(tuple((weight * own, term) for own, term in _parts(self)))

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


def _parts(term: RewardTerm) -> tuple[tuple[float, RewardTerm], ...]:
    return term.parts if isinstance(term, WeightedSum) else ((1.0, term),)


def shapley_of(case: Case, belief: Belief | None, game: Game) -> NDArray[np.float64]:
    """Shapley values of the case's facts, (n_facts,), in nats: from its annotation, or else from the belief.

    Raises:
        BeliefRequired: The case has no annotation of this game, and there is no belief that covers it.
    """
    note = case.shapley
    if note is not None and game in note.values and (belief is None or belief.name == note.belief):
        return note.values[game]
    _require(case, belief, f"SIG (game {game!r})", annotation=True)
    assert belief is not None
    return case_shapley(case, belief, game).values


def _require(case: Case, belief: Belief | None, what: str, *, annotation: bool = False) -> None:
    if belief is None or not belief.covers(case):
        missing = "no belief was given" if belief is None else f"the belief {belief.name!r} does not cover it"
        raise BeliefRequired(
            f"{what} cannot be computed for case {case.case_id!r}: "
            f"{'it carries no Shapley annotation and ' if annotation else ''}{missing}. Three ways out: use a data set "
            "annotated with Shapley values or evidence tables; pass belief=...; or choose another reward, such as "
            "'diagnosis', 'fact_recall' or 'sig_uniform'."
        )


@lru_cache(maxsize=8192)
def fact_weights(
    case: Case, belief: Belief | None, game: Game, weighting: Weighting, temperature: float
) -> tuple[float, ...]:
    """The weight w_i of every fact, length n_facts; facts that are no players of the game weigh 0.

    "softmax" gives exp(phi / temperature), normalised over the players; "signed" phi itself; "positive" max(phi, 0);
    "uniform" 1 / number of players, and needs no belief.

    Raises:
        BeliefRequired: See `shapley_of`.
    """
    players = np.array(case.hidden if game == "presentation" else range(case.n_facts), dtype=np.int64)
    weights = np.zeros(case.n_facts)
    if not len(players):
        return () if not case.n_facts else tuple(weights.tolist())
    if weighting == "uniform":
        weights[players] = 1 / len(players)
    else:
        phi = shapley_of(case, belief, game)[players]
        if weighting == "softmax":
            scaled = np.exp((phi - phi.max()) / temperature)
            weights[players] = scaled / scaled.sum()
        else:
            weights[players] = np.maximum(phi, 0) if weighting == "positive" else phi
    return tuple(weights.tolist())


@dataclass(frozen=True)
class SIG(RewardTerm):
    """Shapley Information Gain: the weights of the facts that a turn made known. A fact is paid once.

    Attributes:
        weights: How Shapley values become weights, see `fact_weights`. Softmax with temperature 2 is the paper's.
        temperature: Temperature of the softmax, in nats.
        game: "all" (the paper) or "presentation", see `promed_env.shapley`.
        potential: Take back at the end what was paid, so that the term shapes without changing the optimal policy.
        belief: Source of the values where the case carries none; set by the environment if None.
    """

    weights: Weighting = "softmax"
    temperature: float = 2.0
    game: Game = "all"
    potential: bool = False
    belief: Belief | None = None

    def __post_init__(self) -> None:
        if self.weights not in get_args(Weighting):
            raise ValueError(f"unknown SIG weights {self.weights!r}; expected one of {', '.join(get_args(Weighting))}")
        if self.game not in get_args(Game):
            raise ValueError(f"unknown game {self.game!r}; expected one of {', '.join(get_args(Game))}")
        if not self.temperature > 0:
            raise ValueError(f"the temperature must be positive, got {self.temperature}")

    @property
    def name(self) -> str:
        """Either `sig` or `sig_` with the weighting."""
        return "sig" if self.weights == "softmax" else f"sig_{self.weights}"

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """SIG of one turn."""
        gain = 0.0
        if new := after.new_since(before):
            weights = self.fact_weights(after.case)
            gain = _weight(new, weights)
        if self.potential and after.finished:
            weights = self.fact_weights(after.case)
            gain -= sum(weights[fact] for fact in sorted(after.known - after.case.initial))
        return gain

    def batch(self, befores: Sequence[Consultation], afters: Sequence[Consultation]) -> Sequence[float]:
        """See `RewardTerm.batch`."""
        if self.potential:
            return list(map(self, befores, afters))
        gained = [0.0] * len(afters)
        for i, after in enumerate(afters):
            if new := after.new_since(befores[i]):
                weights = self.fact_weights(after.case)
                gained[i] = weights[new[0]] if len(new) == 1 else _weight(new, weights)
        return gained

    def hindsight(self, final: Consultation) -> NDArray[np.float64]:
        """What each turn was paid: (n_turns,)."""
        gains = self.gains(final)
        if self.potential and final.finished:
            gains[-1] -= gains.sum()
        return gains

    def gains(self, final: Consultation) -> NDArray[np.float64]:
        """SIG of every turn, (n_turns,), without the potential's return."""
        weights = self.fact_weights(final.case)
        news = [turn.new for turn in final.turns]
        return np.array([weights[new[0]] if len(new) == 1 else _weight(new, weights) for new in news], dtype=np.float64)

    def fact_weights(self, case: Case) -> tuple[float, ...]:
        """The weight of every fact of the case, length n_facts."""
        return fact_weights(case, self.belief, self.game, self.weights, self.temperature)

    def bind(self, belief: Belief | None) -> SIG:
        """See `RewardTerm.bind`."""
        return self if self.belief is not None or belief is None else dataclasses.replace(self, belief=belief)

    def check(self, case: Case) -> None:
        """See `RewardTerm.check`; computes nothing."""
        if self.weights == "uniform" or not case.facts:
            return
        note = case.shapley
        if note is None or self.game not in note.values or (self.belief and self.belief.name != note.belief):
            _require(case, self.belief, f"SIG (game {self.game!r})", annotation=True)


def _weight(facts: tuple[int, ...], weights: tuple[float, ...]) -> float:
    """The weight of facts together. Callers take one fact, by far the most frequent, without a call."""
    return sum([weights[fact] for fact in facts])


class _FinalTerm(RewardTerm):
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


class Distribution(Protocol):
    """How a final reward is given back to the turns that earned it."""

    def __call__(self, final: Consultation, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of every turn, (n_turns,), from the SIG of every turn, (n_turns,)."""


@dataclass(frozen=True)
class BySIG:
    """The paper's SIG-guided reward distribution: a right answer gives every question its SIG again."""

    def __call__(self, final: Consultation, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Distribution`."""
        return gains if final.correct else np.zeros_like(gains)


@dataclass(frozen=True)
class Evenly:
    """The same sum as `BySIG`, shared evenly among the questions: credit without attribution, for comparison."""

    def __call__(self, final: Consultation, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Distribution`."""
        asked = np.array([turn.kind == "question" for turn in final.turns], dtype=np.float64)
        if not final.correct or not asked.any():
            return np.zeros_like(gains)
        shares: NDArray[np.float64] = asked * (float(gains.sum()) / float(asked.sum()))
        return shares


@dataclass(frozen=True)
class DistributedReward(_FinalTerm):
    """A final reward that depends on how the answer was reached.

    `step` pays its whole sum at the end, when it is known; `hindsight` gives it to the turns as the distribution says.

    Attributes:
        distribution: How it is distributed; replace it to study credit assignment.
        sig: Where the SIG of every turn comes from.
    """

    distribution: Distribution = BySIG()
    sig: SIG = SIG()
    name = "distributed"

    def grade(self, final: Consultation) -> float:
        """The sum of all shares."""
        return float(self.hindsight(final).sum())

    def hindsight(self, final: Consultation) -> NDArray[np.float64]:
        """The share of every turn, (n_turns,); zero before the end."""
        if not final.finished:
            return np.zeros(final.turn)
        shares: NDArray[np.float64] = np.asarray(self.distribution(final, self.sig.gains(final)), dtype=np.float64)
        return shares

    def bind(self, belief: Belief | None) -> DistributedReward:
        """See `RewardTerm.bind`."""
        return dataclasses.replace(self, sig=self.sig.bind(belief))

    def check(self, case: Case) -> None:
        """See `RewardTerm.check`."""
        self.sig.check(case)


@dataclass(frozen=True)
class Diagnosis(_FinalTerm):
    """1 for a right answer, at the end. Right means exactly the right keys."""

    name = "diagnosis"

    def grade(self, final: Consultation) -> float:
        """See the class."""
        return float(final.correct)


@dataclass(frozen=True)
class PartialCredit(_FinalTerm):
    """Keys both chosen and right over keys chosen or right, at the end: for questions with several right options."""

    name = "partial_credit"

    def grade(self, final: Consultation) -> float:
        """See the class."""
        chosen, right = set(final.chosen), set(final.case.answer)
        return len(chosen & right) / len(chosen | right)


@dataclass(frozen=True)
class Format(RewardTerm):
    """-1 for an invalid turn."""

    name = "format"

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """See the class."""
        return -1.0 if after.turns[-1].kind == "invalid" else 0.0

    def batch(self, befores: Sequence[Consultation], afters: Sequence[Consultation]) -> Sequence[float]:
        """See `RewardTerm.batch`."""
        return [-1.0 if after.turns[-1].kind == "invalid" else 0.0 for after in afters]

    def hindsight(self, final: Consultation) -> NDArray[np.float64]:
        """-1 on every invalid turn: (n_turns,)."""
        return np.array([-1.0 if turn.kind == "invalid" else 0.0 for turn in final.turns])


@dataclass(frozen=True)
class QuestionCost(RewardTerm):
    """1 for every turn that is not the final answer; give it a negative weight."""

    name = "question_cost"

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """See the class."""
        return float(not after.finished)


@dataclass(frozen=True)
class TestCost(RewardTerm):
    """1 for every reply that brings a test's result, known or not; give it a negative weight."""

    name = "test_cost"
    __test__ = False  # pytest collects what begins with "Test"

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """See the class."""
        if after is before:
            return 0.0
        reply = after.turns[-1].reply
        return float(reply is not None and reply.informant == "laboratory")


@dataclass(frozen=True)
class FactRecall(RewardTerm):
    """Share of the hidden facts that a turn made known."""

    name = "fact_recall"

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """See the class."""
        new = len(after.new_since(before))
        return new / (after.case.n_facts - len(after.case.initial)) if new else 0.0


@dataclass(frozen=True)
class _BeliefTerm(RewardTerm):
    """A difference of a function of the belief, paid when facts become known."""

    belief: Belief | None = None

    def potential(self, case: Case, log_probabilities: NDArray[np.float64]) -> float:
        """The function, from log p(option), (n_options,)."""
        raise NotImplementedError(f"{type(self).__name__} must define potential(case, log_probabilities)")

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """The rise of the potential from `before` to `after`."""
        return self.batch([before], [after])[0]

    def batch(self, befores: Sequence[Consultation], afters: Sequence[Consultation]) -> Sequence[float]:
        """See `RewardTerm.batch`: one call of the belief for all steps that made facts known."""
        moved = [index for index, after in enumerate(afters) if after.known != befores[index].known]
        values = [0.0] * len(afters)
        if moved:
            states = [befores[index] for index in moved] + [afters[index] for index in moved]
            for state in states:
                self.check(state.case)
            assert self.belief is not None
            beliefs = posteriors(self.belief, [state.case for state in states], [state.known for state in states])
            levels = [self.potential(state.case, row) for state, row in zip(states, beliefs, strict=True)]
            for position, index in enumerate(moved):
                values[index] = levels[len(moved) + position] - levels[position]
        return values

    def bind(self, belief: Belief | None) -> _BeliefTerm:
        """See `RewardTerm.bind`."""
        return self if self.belief is not None or belief is None else dataclasses.replace(self, belief=belief)

    def check(self, case: Case) -> None:
        """See `RewardTerm.check`."""
        _require(case, self.belief, self.name)


@dataclass(frozen=True)
class InformationGain(_BeliefTerm):
    """Decrease of the entropy of the belief over the options, in nats."""

    name = "information_gain"

    def potential(self, case: Case, log_probabilities: NDArray[np.float64]) -> float:
        """Minus the entropy, in nats."""
        return float((np.exp(log_probabilities) * log_probabilities).sum())


@dataclass(frozen=True)
class BeliefGain(_BeliefTerm):
    """Rise of log p(key) under the belief, in nats."""

    name = "belief_gain"

    def potential(self, case: Case, log_probabilities: NDArray[np.float64]) -> float:
        """Log p(key), in nats."""
        return float(key_log_probability(case, log_probabilities[None])[0])


_TERMS: dict[str, Callable[[], RewardTerm]] = {
    "sig": SIG,
    "sig_signed": lambda: SIG("signed"),
    "sig_positive": lambda: SIG("positive"),
    "sig_uniform": lambda: SIG("uniform"),
    "distributed": DistributedReward,
    "diagnosis": Diagnosis,
    "partial_credit": PartialCredit,
    "format": Format,
    "question_cost": QuestionCost,
    "test_cost": TestCost,
    "fact_recall": FactRecall,
    "information_gain": InformationGain,
    "belief_gain": BeliefGain,
}

PRESETS: dict[str, str] = {
    "promed": "2*sig + distributed + 3*diagnosis + format",
    "promed_signed": "2*sig_signed + 3*diagnosis + format",
    "sig": "sig",
    "diagnosis": "diagnosis",
    "information_gain": "information_gain",
    "fact_recall": "fact_recall",
}
"""Named rewards. `promed` has the weights of the authors' code: alpha 2, beta 1, gamma 3, and -1 for an invalid
turn."""

_PART = re.compile(r"\s*([+-]?)\s*(?:(\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+)\s*\*\s*)?([a-z_]+)\s*")


def make_reward(reward: str | RewardTerm) -> RewardTerm:
    """Resolve a reward.

    Args:
        reward: A preset's name, a weighted sum of terms and presets such as "2*information_gain + 3*diagnosis -
            0.05*question_cost", or a term, which is returned as it is.

    Raises:
        ValueError: The string is no such sum; the message lists the names.
        TypeError: The object is no `RewardTerm`.
    """
    if isinstance(reward, RewardTerm):
        return reward
    if not isinstance(reward, str):
        raise TypeError(f"a reward is a string or a RewardTerm, not {type(reward).__name__}; subclass RewardTerm")
    text = PRESETS.get(reward, reward)
    parts: list[tuple[float, RewardTerm]] = []
    position = 0
    while position < len(text) or not parts:
        match = _PART.match(text, position)
        if not match or match[3] not in {*_TERMS, *PRESETS} or (bool(parts) and not match[1]):
            raise ValueError(
                f"unknown reward {reward!r}; expected a preset ({', '.join(PRESETS)}) or a weighted sum such as "
                f"'2*sig + 3*diagnosis' of {', '.join(_TERMS)}"
            )
        weight = float(match[2] or 1) * (-1 if match[1] == "-" else 1)
        term = _TERMS[match[3]]() if match[3] in _TERMS else make_reward(PRESETS[match[3]])
        parts += [(weight * own, part) for own, part in _parts(term)]
        position = match.end()
    return parts[0][1] if len(parts) == 1 and parts[0][0] == 1 else WeightedSum(tuple(parts))
