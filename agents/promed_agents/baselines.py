"""Doctors without learning or planning: what any better doctor has to beat.

`reactive`, `random` and `scripted` ask by text and answer by knowledge: with the evidence rows of what they were told,
where the cases carry a table, and else by guessing. `oracle` reads the whole record and shows the ceiling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promed_agents.base import Access, KnowledgeView, episode_rng, state_answer
from promed_env.beliefs import EvidenceBelief
from promed_env.case import Case, Language
from promed_env.interview import CATALOGUES, SCRIPTS

__all__ = ["Oracle", "RandomInterview", "Reactive", "Scripted"]


def _posterior(info: dict[str, Any], seed: int) -> NDArray[np.float64]:
    """p(option | what was disclosed), or a uniform guess where there is no table; (n_options,)."""
    view: KnowledgeView = info["view"]
    posterior = view.posterior()
    if posterior is None:
        posterior = np.full(len(view.options), 1 / len(view.options))
        posterior[int(episode_rng(seed, info["case_id"]).integers(len(view.options)))] += 1e-9
    return posterior


def _answer(info: dict[str, Any], seed: int) -> str:
    view: KnowledgeView = info["view"]
    return state_answer(view.options, _posterior(info, seed), by_key=info["by_key"], several=view.several)


@dataclass
class Reactive:
    """Answers at once, from the presentation alone."""

    seed: int = 0
    name: str = "reactive"
    access: Access = "knowledge"

    def reset(self, n: int) -> None:
        """See `Agent.reset`."""

    def act(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[str]:
        """See `Agent.act`."""
        return [_answer(info, self.seed) for info in infos]

    def leaning(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[NDArray[np.float64]]:
        """See `Leaning.leaning`."""
        return [_posterior(info, self.seed) for info in infos]


@dataclass
class Scripted:
    """Asks a fixed clinical interview in its order, then answers.

    Attributes:
        questions: The interview by language.
    """

    questions: Mapping[Language, Sequence[str]] = field(default_factory=lambda: SCRIPTS)
    seed: int = 0
    name: str = "scripted"
    access: Access = "knowledge"
    _asked: list[int] = field(default_factory=list, repr=False)

    def reset(self, n: int) -> None:
        """See `Agent.reset`."""
        self._asked = [0] * n

    def plan(self, case_id: str, language: Language) -> Sequence[str]:
        """The questions for this case, in order."""
        return self.questions[language]

    def act(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[str]:
        """See `Agent.act`."""
        utterances = []
        for index, info in enumerate(infos):
            plan, asked = self.plan(info["case_id"], info["language"]), self._asked[index]
            if info["must_answer"] or asked >= len(plan):
                utterances.append(_answer(info, self.seed))
            else:
                utterances.append(f"question: {plan[asked]}")
                self._asked[index] += 1
        return utterances

    def leaning(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[NDArray[np.float64]]:
        """See `Leaning.leaning`."""
        return [_posterior(info, self.seed) for info in infos]


@dataclass
class RandomInterview(Scripted):
    """Asks questions of the catalogue in random order, none twice, until it must answer."""

    questions: Mapping[Language, Sequence[str]] = field(default_factory=lambda: CATALOGUES)
    name: str = "random"

    def plan(self, case_id: str, language: Language) -> Sequence[str]:
        """A permutation of the questions that depends on the seed and the case only."""
        questions = self.questions[language]
        return [questions[index] for index in episode_rng(self.seed, case_id).permutation(len(questions))]


@dataclass
class Oracle:
    """Reads all facts and answers at once: the ceiling of the evidence belief, by construction."""

    name: str = "oracle"
    access: Access = "record"

    def reset(self, n: int) -> None:
        """See `Agent.reset`."""

    def act(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[str]:
        """See `Agent.act`.

        Raises:
            BeliefRequired: A case has no evidence table.
        """
        utterances = []
        for info, posterior in zip(infos, self.leaning(observations, infos), strict=True):
            case: Case = info["view"].case
            utterances.append(state_answer(case.options, posterior, by_key=info["by_key"], several=case.several))
        return utterances

    def leaning(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[NDArray[np.float64]]:
        """See `Leaning.leaning`.

        Raises:
            BeliefRequired: A case has no evidence table.
        """
        cases: list[Case] = [info["view"].case for info in infos]
        return [np.exp(EvidenceBelief()(case, np.ones((1, case.n_facts), dtype=bool))[0]) for case in cases]
