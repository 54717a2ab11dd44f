"""Reward terms: pure functions of two consecutive states of a consultation, which add and scale.

    reward = 2 * SIG() + 3 * Diagnosis() - 0.05 * QuestionCost()
    reward = make_reward("2*sig + 3*diagnosis")           # the same language, as a string that fits into a JSON spec

A term pays at every step (the causal view). `hindsight(final)` tells, after the end, what each turn earned; both views
have the same sum (`docs/rewards.md`). Source of SIG and of the `promed` preset: ProMed,
https://arxiv.org/abs/2508.13514.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import get_args

from promed_env.case import Game
from promed_env.rewards.base import FinalTerm, RewardTerm, WeightedSum, parts_of
from promed_env.rewards.distributed import BySIG, DistributedReward, Distribution, Evenly
from promed_env.rewards.gain import BeliefGain, InformationGain
from promed_env.rewards.outcome import (
    Diagnosis,
    FactRecall,
    Format,
    FutileQuestion,
    PartialCredit,
    QuestionCost,
    TestCost,
)
from promed_env.rewards.sig import SIG, Weighting, fact_weights, shapley_of

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
    "FinalTerm",
    "Format",
    "FutileQuestion",
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

_TERMS: dict[str, Callable[[], RewardTerm]] = {
    **{
        term.name: partial(replace, term)
        for term in (SIG(weights, game=game) for weights in get_args(Weighting) for game in get_args(Game))
    },
    "distributed": DistributedReward,
    "diagnosis": Diagnosis,
    "partial_credit": PartialCredit,
    "format": Format,
    "question_cost": QuestionCost,
    "futile_question": FutileQuestion,
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
        parts += [(weight * own, part) for own, part in parts_of(term)]
        position = match.end()
    return parts[0][1] if len(parts) == 1 and parts[0][0] == 1 else WeightedSum(tuple(parts))
