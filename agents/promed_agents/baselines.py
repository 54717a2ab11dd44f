"""Doctors without learning or planning: what any better doctor has to beat.

`reactive`, `random` and `scripted` ask by text and answer by knowledge: with the evidence rows of what they were told,
where the cases carry a table, and else by guessing. `oracle` reads the whole record and shows the ceiling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from promed_agents.base import Access, KnowledgeView, episode_rng, state_answer
from promed_env.beliefs import EvidenceBelief
from promed_env.case import Case, Language
from promed_env.interview import CATALOGUES, SCRIPTS

__all__ = ["Oracle", "RandomInterview", "Reactive", "Scripted"]


def _answer(info: dict[str, Any], seed: int) -> str:
    """The most probable option, or a uniform guess where there is no table."""
    view: KnowledgeView = info["view"]
    posterior = view.posterior()
    if posterior is None:
        posterior = np.full(len(view.options), 1 / len(view.options))
        posterior[int(episode_rng(seed, info["case_id"]).integers(len(view.options)))] += 1e-9
    return state_answer(view.options, posterior, by_key=info["by_key"], several=view.several)


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
        for info in infos:
            case: Case = info["view"].case
            posterior = np.exp(EvidenceBelief()(case, np.ones((1, case.n_facts), dtype=bool))[0])
            utterances.append(state_answer(case.options, posterior, by_key=info["by_key"], several=case.several))
        return utterances
