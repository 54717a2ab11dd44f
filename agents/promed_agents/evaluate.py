"""Evaluation: play every case once, and sum up what happened.

    result = evaluate(make_agent("scripted"), Setting("ProMed-MedQA-v0", seed=0))
    result.summaries["all"].accuracy, result.summaries["all"].accuracy_interval

Cases are played in the order of the data set through a `ConsultationVectorEnv`; case i gets the seed `seed + i`,
however the cases are batched. Nothing is averaged that was not played to its end.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from promed_agents.base import Access, Agent, view_for
from promed_agents.statistics import bootstrap_interval
from promed_env.case import SECTIONS, Case
from promed_env.consultation import Consultation
from promed_env.datasets import SLICES, SOURCES, CaseDataset, GeneratedDataset, load_dataset
from promed_env.dynamics import Dynamics
from promed_env.errors import DatasetError
from promed_env.patients import describe
from promed_env.registration import ENVIRONMENTS
from promed_env.vector import ConsultationVectorEnv

__all__ = ["Episode", "Evaluation", "Setting", "Summary", "evaluate", "is_bundled", "write_results"]

_BATCH = 64


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

    def load(self, episodes: int | None = None) -> CaseDataset:
        """The cases to play: the first `episodes`, or all; of a data set without end the first 1,000.

        Raises:
            DatasetError: The environment id is unknown, or the data set cannot be loaded or is too small.
        """
        env_id = self.env_id.partition(":")[2] or self.env_id
        if env_id not in ENVIRONMENTS:
            raise DatasetError(f"unknown environment {self.env_id!r}; there are {', '.join(ENVIRONMENTS)}")
        name = self.dataset or ENVIRONMENTS[env_id]["dataset"]
        endless = name in SOURCES and SOURCES[name].generate is not None
        cases = load_dataset(name, self.split or ("test" if endless else None))
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

    def given(self) -> dict[str, Any]:
        """Keyword arguments of the environment in which it differs from its own defaults."""
        return {name: getattr(self, name) for name in ("patient", "show_options") if getattr(self, name) is not None}

    def make(self, cases: CaseDataset) -> ConsultationVectorEnv:
        """A vector environment with one slot per case."""
        env = gym.make_vec(
            self.env_id,
            num_envs=len(cases),
            dataset=cases,
            reward=self.reward_for(cases),
            facts_per_reply=self.facts_per_reply,
            max_questions=self.max_questions,
            initial=self.initial,
            order="sequential",
            autoreset_mode="Disabled",
            **self.given(),
        )
        assert isinstance(env, ConsultationVectorEnv)
        return env


@dataclass(frozen=True)
class Episode:
    """One finished consultation.

    Attributes:
        case_id: The case.
        correct: Whether exactly the right keys were chosen.
        chosen: Keys chosen.
        confidence: Stated confidence, from 0 to 1, or None.
        questions: Valid questions asked.
        invalid: Invalid turns.
        reward: Undiscounted return.
        fact_recall: Share of the hidden facts brought out.
        section_recall: Section -> hidden facts brought out, and hidden facts.
        sig: SIG of every turn; None where it cannot be computed.
        turns: What was said: kind, text, reply and newly known facts of each turn.
    """

    case_id: str
    correct: bool
    chosen: tuple[str, ...]
    confidence: float | None
    questions: int
    invalid: int
    reward: float
    fact_recall: float
    section_recall: dict[str, tuple[int, int]]
    sig: tuple[float, ...] | None
    turns: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Summary:
    """Means over the cases of one slice.

    Attributes:
        metric: "answer accuracy", or "diagnostic accuracy" on the slice of questions that ask for a diagnosis.
        n: Cases.
        accuracy: Share answered right.
        accuracy_interval: 95% percentile bootstrap interval.
        questions: Mean number of valid questions.
        invalid: Mean number of invalid turns.
        sig: Mean SIG of an episode; None where it cannot be computed.
        fact_recall: Mean share of the hidden facts brought out.
        section_recall: Section -> share of all its hidden facts brought out.
        reward: Mean return.
    """

    metric: str
    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    questions: float
    invalid: float
    sig: float | None
    fact_recall: float
    section_recall: dict[str, float]
    reward: float


@dataclass(frozen=True)
class Evaluation:
    """One agent on one set of cases.

    Attributes:
        agent: Its name.
        access: What it may see.
        setting: What was played.
        dataset: What the cases are.
        patient: The patient, with its figures on labelled questions.
        reward: The reward, written out.
        summaries: Slice -> summary. Real data has the slices all, clinical and diagnosis; bundled samples have all.
        episodes: Every consultation, in the order of the cases.
    """

    agent: str
    access: Access
    setting: Setting
    dataset: str
    patient: str
    reward: str
    summaries: dict[str, Summary]
    episodes: tuple[Episode, ...]


def is_bundled(cases: CaseDataset) -> bool:
    """Whether the cases are ones that ProMed ships or makes, rather than real data."""
    name, _, split = cases.name.partition("/")
    return name in SOURCES and (split in SOURCES[name].splits or SOURCES[name].generate is not None)


def evaluate(
    agent: Agent,
    setting: Setting,
    cases: CaseDataset | None = None,
    *,
    progress: Callable[[int], None] = lambda done: None,
    on_finish: Callable[[tuple[Consultation, Dynamics]], None] = lambda finished: None,
) -> Evaluation:
    """Play every case once.

    Args:
        agent: The doctor.
        setting: What is played and how.
        cases: The cases; those of the setting if None.
        progress: Called with the number of consultations finished since the last call.
        on_finish: Called with every finished consultation and the rules it was played by.

    Raises:
        BeliefRequired: The agent or the reward needs evidence tables that the cases lack.
    """
    cases = setting.load() if cases is None else cases
    episodes: list[Episode] = []
    for start in range(0, len(cases), _BATCH):
        env = setting.make(cases[start : start + _BATCH])
        for consultation, total in _play(agent, env, setting.seed + start, progress):
            episodes.append(_episode(consultation, total, env.dynamics))
            on_finish((consultation, env.dynamics))
    slices = ("all",) if is_bundled(cases) else tuple(SLICES)
    summaries = {}
    for name in slices:
        members = [episode for episode, case in zip(episodes, cases, strict=True) if SLICES[name](case)]
        if members:
            summaries[name] = _summary(members, "diagnostic accuracy" if name == "diagnosis" else "answer accuracy")
    return Evaluation(
        agent=agent.name,
        access=agent.access,
        setting=setting,
        dataset=f"{cases.name}: {cases.description}",
        patient=describe(env.patient),
        reward=env.reward.name,
        summaries=summaries,
        episodes=tuple(episodes),
    )


def _play(
    agent: Agent, env: ConsultationVectorEnv, seed: int, progress: Callable[[int], None]
) -> list[tuple[Consultation, float]]:
    observations, _ = env.reset(seed=seed)
    agent.reset(env.num_envs)
    returns = np.zeros(env.num_envs)
    done = np.zeros(env.num_envs, dtype=bool)
    while not done.all():
        infos = [
            {
                "case_id": state.case.case_id,
                "turn": state.turn,
                "must_answer": state.must_answer,
                "questions_left": state.questions_left,
                "by_key": env.dynamics.options_shown(state),
                "language": state.case.language,
                "view": view_for(agent.access, state),
            }
            for state in env.consultations
        ]
        observations, rewards, terminated, _, _ = env.step(agent.act(observations, infos))
        returns += rewards
        progress(int((terminated & ~done).sum()))
        done |= terminated
    return list(zip(env.consultations, returns.tolist(), strict=True))


def _episode(final: Consultation, total: float, dynamics: Dynamics) -> Episode:
    sig = dynamics.sig_for(final.case)
    turns = tuple(
        {
            "kind": turn.kind,
            "text": turn.text,
            "reply": None if turn.reply is None else turn.reply.text,
            "new": list(turn.new),
        }
        for turn in final.turns
    )
    kinds = [turn.kind for turn in final.turns]
    return Episode(
        case_id=final.case.case_id,
        correct=final.correct,
        chosen=final.chosen,
        confidence=final.confidence,
        questions=kinds.count("question"),
        invalid=kinds.count("invalid"),
        reward=total,
        fact_recall=final.fact_recall,
        section_recall=final.section_recall(),
        sig=None if sig is None else tuple(sig.gains(final).tolist()),
        turns=turns,
    )


def _summary(episodes: Sequence[Episode], metric: str) -> Summary:
    correct = [float(episode.correct) for episode in episodes]
    sections = [section for section in SECTIONS if any(section in episode.section_recall for episode in episodes)]
    counts = {
        section: np.sum([episode.section_recall.get(section, (0, 0)) for episode in episodes], axis=0)
        for section in sections
    }
    sums = [sum(episode.sig) for episode in episodes if episode.sig is not None]
    return Summary(
        metric=metric,
        n=len(episodes),
        accuracy=float(np.mean(correct)),
        accuracy_interval=bootstrap_interval(correct),
        questions=float(np.mean([episode.questions for episode in episodes])),
        invalid=float(np.mean([episode.invalid for episode in episodes])),
        sig=float(np.mean(sums)) if len(sums) == len(episodes) else None,
        fact_recall=float(np.mean([episode.fact_recall for episode in episodes])),
        section_recall={section: float(found / hidden) for section, (found, hidden) in counts.items()},
        reward=float(np.mean([episode.reward for episode in episodes])),
    )


def write_results(evaluations: Sequence[Evaluation], folder: str | Path) -> Path:
    """Write evaluations as `results.json` in a folder, made if needed; the file appears whole or not at all.

    Returns:
        The file's path.

    Raises:
        OSError: The folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "results.json"
    text = json.dumps([asdict(evaluation) for evaluation in evaluations], ensure_ascii=False, indent=1, allow_nan=False)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".results-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink()
        raise
    return target
