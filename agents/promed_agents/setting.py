"""What is played and how: the environment, the cases, the patient, the reward, and how much is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import gymnasium as gym

from promed_env.case import Case
from promed_env.datasets import SOURCES, CaseDataset, GeneratedDataset, load_dataset
from promed_env.errors import DatasetError
from promed_env.registration import ENVIRONMENTS
from promed_env.vector import ConsultationVectorEnv

__all__ = ["INFORMATION", "Information", "Setting"]

Information = Literal["none", "initial", "interactive", "full"]
INFORMATION: tuple[Information, ...] = get_args(Information)
"""Information levels, from the least to the most that an answer can be based on."""

_GIVEN = ("patient", "show_options", "tracker")


@dataclass(frozen=True)
class Setting:
    """What is played and how; printed with every result.

    Attributes:
        env_id: The environment.
        dataset: A registered name or the path of a file; None for the environment's own.
        split: Split of a registered data set; None for its default, or "test" where cases have no end.
        patient: Name of the patient; None for the environment's own.
        reward: Reward as a string; None for "promed", or "diagnosis" where SIG cannot be computed.
        facts_per_reply: Most facts in one reply.
        max_questions: Budget of questions.
        show_options: "always", "at_answer" or "never"; None for the environment's own.
        initial: Which facts are stated at the start.
        seed: Base seed.
        information: What the doctor may base its answer on. "none": question and options only; "initial": the
            presentation too; "full": all facts, stated in the presentation; with these three it answers at once.
            "interactive": the presentation, and what asking brings out.
        tracker: Which facts count as known, as "understanding:MODEL"; None for those that replies disclosed.

    Raises:
        ValueError: There is no such information level.
    """

    env_id: str = "ProMed-MedQA-v0"
    dataset: str | None = None
    split: str | None = None
    patient: str | None = None
    reward: str | None = None
    facts_per_reply: int = 3
    max_questions: int = 10
    show_options: str | None = None
    initial: str | int = "dataset"
    seed: int = 0
    information: Information = "interactive"
    tracker: str | None = None

    def __post_init__(self) -> None:
        if self.information not in INFORMATION:
            raise ValueError(f"information must be one of {', '.join(INFORMATION)}, got {self.information!r}")

    def load_all(self) -> CaseDataset | GeneratedDataset:
        """Every case of the data set and split, without end where it has none.

        Raises:
            DatasetError: The environment id is unknown, or the data set cannot be loaded.
        """
        env_id = self.env_id.partition(":")[2] or self.env_id
        if env_id not in ENVIRONMENTS:
            raise DatasetError(f"unknown environment {self.env_id!r}; there are {', '.join(ENVIRONMENTS)}")
        name = self.dataset or ENVIRONMENTS[env_id]["dataset"]
        endless = name in SOURCES and SOURCES[name].generate is not None
        return load_dataset(name, self.split or ("test" if endless else None))

    def load(self, episodes: int | None = None) -> CaseDataset:
        """The cases to play: the first `episodes`, or all; of a data set without end the first 1,000.

        They are the same at every information level; `make` changes what is told of them.

        Raises:
            DatasetError: The environment id is unknown, or the data set cannot be loaded or is too small.
        """
        cases = self.load_all()
        if episodes is None:
            return cases[:1000] if isinstance(cases, GeneratedDataset) else cases
        if not 1 <= episodes <= len(cases):
            raise DatasetError(f"episodes must be 1 to {len(cases)}, the cases of {cases.name}; got {episodes}")
        return cases[:episodes]

    def reward_for(self, cases: Sequence[Case]) -> str:
        """The reward as given; else "promed" if every case has Shapley values or a table; else "diagnosis"."""
        if self.reward is not None:
            return self.reward
        return "promed" if all(case.shapley is not None or case.evidence is not None for case in cases) else "diagnosis"

    @property
    def questions_allowed(self) -> int:
        """Budget of questions at this information level."""
        return self.max_questions if self.information == "interactive" else 0

    def given(self) -> dict[str, Any]:
        """Keyword arguments of the environment in which it differs from its own defaults."""
        return {name: getattr(self, name) for name in _GIVEN if getattr(self, name) is not None}

    def make(self, cases: CaseDataset | GeneratedDataset, num_envs: int | None = None) -> ConsultationVectorEnv:
        """A vector environment of these cases: one slot a case, or `num_envs`."""
        given = self.given()
        if self.information == "none" and all(case.evidence is not None for case in cases):
            given["belief"] = "evidence"  # a belief that reads the presentation has nothing to read
        env = gym.make_vec(
            self.env_id,
            num_envs=num_envs or len(cases),
            dataset=self._informed(cases),
            reward=self.reward_for(cases),
            facts_per_reply=self.facts_per_reply,
            max_questions=self.questions_allowed,
            initial=self.initial if self.information in ("initial", "interactive") else "dataset",
            order="sequential",
            autoreset_mode="Disabled",
            **given,
        )
        assert isinstance(env, ConsultationVectorEnv)
        return env

    def _informed(self, cases: CaseDataset | GeneratedDataset) -> CaseDataset | GeneratedDataset:
        """The cases as this information level presents them."""
        if self.information not in ("none", "full"):
            return cases
        if not isinstance(cases, CaseDataset):
            raise DatasetError(f"{cases.name} has no end; take its first cases for information {self.information!r}")
        tell = _withheld if self.information == "none" else _told
        return replace(cases, cases=tuple(tell(case) for case in cases))


def _withheld(case: Case) -> Case:
    """The case with nothing told; the prior goes too, because it may be given the presentation (as in the clinic)."""
    return replace(case.with_initial(frozenset(), ""), prior=None)


def _told(case: Case) -> Case:
    """The case with everything told: what the presentation states, then the other facts in their order."""
    space = "" if case.language == "zh" else " "
    told = space.join([case.presentation, *(case.facts[index].text for index in case.hidden)])
    return case.with_initial(frozenset(range(case.n_facts)), told)
