"""Rollouts: a language model plays consultations, and what it said and earned is kept turn by turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from promed_agents.language_policy import Spoken
from promed_env.consultation import Consultation
from promed_env.vector import ConsultationVectorEnv

__all__ = ["Rollout", "Speaker", "play"]


class Speaker(Protocol):
    """A doctor whose dialogues are kept as tokens: `LanguagePolicy`, or one like it."""

    dialogues: list[Spoken]

    def reset(self, n: int, first: int = 0) -> None:
        """Begin n dialogues, of which the first draws as dialogue `first` of a larger batch would."""

    def speak(self, observations: Sequence[str], live: Sequence[int]) -> list[str]:
        """The doctor's next turn in the dialogues that go on; "" in the others."""


@dataclass(frozen=True)
class Rollout:
    """One finished consultation.

    Attributes:
        spoken: Its tokens.
        final: Its last state.
        rewards: What `step` paid for each turn, (n_turns,): the causal view.
        hindsight: The same sum, given back to the turns that earned it, (n_turns,).
        terms: Name of a reward term -> its sum over the turns.
        sig: Its SIG; None where that cannot be computed.
    """

    spoken: Spoken
    final: Consultation
    rewards: NDArray[np.float64]
    hindsight: NDArray[np.float64]
    terms: dict[str, float]
    sig: float | None = None


def play(
    policy: Speaker, env: ConsultationVectorEnv, case_ids: Sequence[str], seeds: Sequence[int], first: int = 0
) -> list[Rollout]:
    """Play one consultation in each environment to its end.

    Args:
        policy: The doctor.
        env: `len(case_ids)` environments with `autoreset_mode="Disabled"`.
        case_ids: The case of each.
        seeds: The seed of each; consultations with the same case and seed meet the same patient.
        first: Number of the first, for the policy's draws (`LanguagePolicy.reset`).
    """
    n = len(case_ids)
    observations, _ = env.reset(seed=list(seeds), options={"case_id": list(case_ids)})
    policy.reset(n, first)
    paid: list[list[float]] = [[] for _ in range(n)]
    terms: list[dict[str, float]] = [{} for _ in range(n)]
    hindsight: list[NDArray[np.float64]] = [np.empty(0)] * n
    sig: list[float | None] = [None] * n
    live = list(range(n))
    while live:
        actions = policy.speak(observations, live)
        observations, rewards, over, _, infos = env.step(actions)
        for index in live:
            paid[index].append(float(rewards[index]))
            for name, column in infos["reward_terms"].items():
                if not name.startswith("_"):
                    terms[index][name] = terms[index].get(name, 0.0) + float(column[index])
            if over[index]:
                hindsight[index] = np.asarray(infos["turn_rewards"][index], dtype=np.float64)
                if "sig_total" in infos:
                    sig[index] = float(infos["sig_total"][index])
        live = [index for index in live if not over[index]]
    finals = env.consultations
    return [
        Rollout(policy.dialogues[i], finals[i], np.array(paid[i]), hindsight[i], terms[i], sig[i]) for i in range(n)
    ]
