"""What a turn did to the belief over the options: classical shaping rewards beside SIG."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from promed_env.beliefs import Belief, key_log_probability, posteriors
from promed_env.case import Case
from promed_env.consultation import Consultation
from promed_env.rewards.base import RewardTerm, require_belief

__all__ = ["BeliefGain", "InformationGain"]


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
        require_belief(case, self.belief, self.name)


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
