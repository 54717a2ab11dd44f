"""Shapley Information Gain: what the facts that a turn made known matter to the answer, as a reward term."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from promed_env.beliefs import Belief
from promed_env.case import Case, Game
from promed_env.consultation import Consultation
from promed_env.rewards.base import RewardTerm, require_belief
from promed_env.shapley import case_shapley

__all__ = ["SIG", "Weighting", "fact_weights", "shapley_of"]

Weighting = Literal["softmax", "signed", "positive", "uniform"]


def shapley_of(case: Case, belief: Belief | None, game: Game) -> NDArray[np.float64]:
    """Shapley values of the case's facts, (n_facts,), in nats: from its annotation, or else from the belief.

    A belief that covers the case comes before an annotation that another belief made.

    Raises:
        BeliefRequired: The case has no annotation of this game, and there is no belief that covers it.
    """
    if (note := _annotation(case, belief, game)) is not None:
        return note
    require_belief(case, belief, f"SIG (game {game!r})", annotation=True)
    assert belief is not None
    return case_shapley(case, belief, game).values


def _annotation(case: Case, belief: Belief | None, game: Game) -> NDArray[np.float64] | None:
    """The annotated values, unless a belief that covers the case is to be asked and is another one."""
    note = case.shapley
    if note is None or game not in note.values:
        return None
    return note.values[game] if belief is None or belief.name == note.belief or not belief.covers(case) else None


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
        """`sig`, then the weighting unless it is softmax and the game unless it is "all": `sig_signed_presentation`."""
        weights = "" if self.weights == "softmax" else f"_{self.weights}"
        return f"sig{weights}" + ("" if self.game == "all" else f"_{self.game}")

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
        if _annotation(case, self.belief, self.game) is None:
            require_belief(case, self.belief, f"SIG (game {self.game!r})", annotation=True)


def _weight(facts: tuple[int, ...], weights: tuple[float, ...]) -> float:
    """The weight of facts together. Callers take one fact, by far the most frequent, without a call."""
    return sum([weights[fact] for fact in facts])
