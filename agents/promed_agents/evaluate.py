"""Evaluation: play every case once, and sum up what happened.

    result = evaluate(make_agent("scripted"), Setting("ProMed-MedQA-v0", seed=0))
    result.summaries["all"].accuracy, result.summaries["all"].accuracy_interval

Cases are played in the order of the data set through a `ConsultationVectorEnv`; case i gets the seed `seed + i`,
however the cases are batched. Nothing is averaged that was not played to its end. `docs/evaluation.md` says what each
figure means.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import promed_env
from promed_agents.base import Access, Agent, Leaning, chosen_options, view_for
from promed_agents.files import write_whole
from promed_agents.setting import Setting
from promed_agents.statistics import Calibration, bootstrap_interval, calibration, wilson_interval
from promed_env.case import SECTIONS, Case
from promed_env.consultation import Consultation
from promed_env.datasets import SLICES, SOURCES, CaseDataset
from promed_env.dynamics import Dynamics
from promed_env.patients import describe
from promed_env.vector import ConsultationVectorEnv

__all__ = [
    "RESULTS_FILE",
    "RESULTS_VERSION",
    "CaseText",
    "Episode",
    "Evaluation",
    "Summary",
    "evaluate",
    "is_bundled",
    "pack_cases",
    "write_results",
]

RESULTS_FILE = "results.json"
RESULTS_VERSION = 1
"""`schema_version` of the result file."""

_BATCH = 64


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
        turns: What was said: kind, text and reply of each turn, the facts that the reply states ("disclosed") and those
            that it made known ("new"), as indexes.
        answer: The right keys.
        choices: The keys that the agent would have answered before each of its turns, so entry k is after k turns; None
            if the agent cannot tell.
        leanings: Its p(option) then, in the order of the options, to 4 digits.
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
    answer: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...] | None
    leanings: tuple[tuple[float, ...], ...] | None


@dataclass(frozen=True)
class Summary:
    """Means over the cases of one slice.

    Attributes:
        metric: "answer accuracy", or "diagnostic accuracy" on the slice of questions that ask for a diagnosis.
        n: Cases.
        accuracy: Share answered right.
        accuracy_interval: 95% percentile bootstrap interval.
        accuracy_wilson: 95% Wilson interval, which has a width also where all or none are right.
        questions: Mean number of valid questions.
        invalid: Mean number of invalid turns.
        sig: Mean SIG of an episode; None where it cannot be computed.
        fact_recall: Mean share of the hidden facts brought out.
        section_recall: Section -> share of all its hidden facts brought out.
        reward: Mean return.
        calibration: Of the episodes that state a confidence; None if there are none.
        accuracy_by_turn: Accuracy if stopped after k turns, k = 0, 1, ...; consultations that are over keep their
            answer, so the last entry is `accuracy`. None if some choice is not recorded.
    """

    metric: str
    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    accuracy_wilson: tuple[float, float]
    questions: float
    invalid: float
    sig: float | None
    fact_recall: float
    section_recall: dict[str, float]
    reward: float
    calibration: Calibration | None
    accuracy_by_turn: tuple[float, ...] | None


@dataclass(frozen=True)
class CaseText:
    """What a case says, so that its consultations can be read without the data set.

    Attributes:
        language: "en" or "zh".
        presentation: What is said before the first question, when asking is allowed.
        question: The multiple-choice question.
        options: Key and text of every option, in order.
        facts: Section and text of every fact, by index.
        initial: Indexes of the facts that the presentation states.
    """

    language: str
    presentation: str
    question: str
    options: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    initial: tuple[int, ...]


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
        cases: What the cases say, by id; empty in result files of versions that did not keep it.
        versions: Versions of what played them, by name; empty likewise.
    """

    agent: str
    access: Access
    setting: Setting
    dataset: str
    patient: str
    reward: str
    summaries: dict[str, Summary]
    episodes: tuple[Episode, ...]
    cases: dict[str, CaseText] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


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
        for consultation, total, leanings in _play(agent, env, setting.seed + start, progress):
            episodes.append(_episode(consultation, total, leanings, env.dynamics))
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
        cases={case.case_id: _case_text(case) for case in cases},
        versions=_versions(),
    )


def _case_text(case: Case) -> CaseText:
    return CaseText(
        language=case.language,
        presentation=case.presentation,
        question=case.question,
        options=tuple((option.key, option.text) for option in case.options),
        facts=tuple((fact.section, fact.text) for fact in case.facts),
        initial=tuple(sorted(case.initial)),
    )


def _versions() -> dict[str, str]:
    return {
        "promed": promed_env.__version__,
        "python": platform.python_version(),
        "gymnasium": gym.__version__,
        "numpy": np.__version__,
    }


_Leanings = list[tuple[float, ...] | None]


def _play(
    agent: Agent, env: ConsultationVectorEnv, seed: int, progress: Callable[[int], None]
) -> list[tuple[Consultation, float, _Leanings]]:
    """Final state, return and p(option) before each turn of every case."""
    observations, _ = env.reset(seed=seed)
    agent.reset(env.num_envs)
    returns = np.zeros(env.num_envs)
    done = np.zeros(env.num_envs, dtype=bool)
    leanings: list[_Leanings] = [[] for _ in range(env.num_envs)]
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
        told = agent.leaning(observations, infos) if isinstance(agent, Leaning) else [None] * env.num_envs
        for index in np.flatnonzero(~done).tolist():
            now = told[index]
            leanings[index].append(None if now is None else tuple(float(p) for p in now))
        observations, rewards, terminated, _, _ = env.step(agent.act(observations, infos))
        returns += rewards
        progress(int((terminated & ~done).sum()))
        done |= terminated
    return list(zip(env.consultations, returns.tolist(), leanings, strict=True))


def _episode(final: Consultation, total: float, leanings: _Leanings, dynamics: Dynamics) -> Episode:
    case = final.case
    sig = dynamics.sig_for(case)
    known = [leaning for leaning in leanings if leaning is not None]
    told = len(known) == len(leanings)
    turns = tuple(
        {
            "kind": turn.kind,
            "text": turn.text,
            "reply": None if turn.reply is None else turn.reply.text,
            "disclosed": [] if turn.reply is None else list(turn.reply.disclosed),
            "new": list(turn.new),
        }
        for turn in final.turns
    )
    kinds = [turn.kind for turn in final.turns]
    return Episode(
        case_id=case.case_id,
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
        answer=case.answer,
        choices=tuple(_choice(case, leaning) for leaning in known) if told else None,
        leanings=tuple(tuple(round(p, 4) for p in leaning) for leaning in known) if told else None,
    )


def _choice(case: Case, leaning: tuple[float, ...]) -> tuple[str, ...]:
    if len(leaning) != len(case.options):
        raise ValueError(
            f"case {case.case_id!r} has {len(case.options)} options, but the agent's leaning has {len(leaning)} numbers"
        )
    return tuple(case.keys[index] for index in chosen_options(np.array(leaning), several=case.several))


def _accuracy_by_turn(episodes: Sequence[Episode]) -> tuple[float, ...] | None:
    curves: list[list[bool]] = []
    for episode in episodes:
        if episode.choices is None:
            return None
        before = [choice == episode.answer for choice in episode.choices[:-1]]  # the last is when it answered
        curves.append([*before, episode.correct])
    longest = max(map(len, curves))
    return tuple(float(np.mean([curve[min(turn, len(curve) - 1)] for curve in curves])) for turn in range(longest))


def _summary(episodes: Sequence[Episode], metric: str) -> Summary:
    correct = [float(episode.correct) for episode in episodes]
    sections = [section for section in SECTIONS if any(section in episode.section_recall for episode in episodes)]
    counts = {
        section: np.sum([episode.section_recall.get(section, (0, 0)) for episode in episodes], axis=0)
        for section in sections
    }
    stated = [(episode.confidence, episode.correct) for episode in episodes if episode.confidence is not None]
    sums = [sum(episode.sig) for episode in episodes if episode.sig is not None]
    return Summary(
        metric=metric,
        n=len(episodes),
        accuracy=float(np.mean(correct)),
        accuracy_interval=bootstrap_interval(correct),
        accuracy_wilson=wilson_interval(int(sum(correct)), len(correct)),
        questions=float(np.mean([episode.questions for episode in episodes])),
        invalid=float(np.mean([episode.invalid for episode in episodes])),
        sig=float(np.mean(sums)) if len(sums) == len(episodes) else None,
        fact_recall=float(np.mean([episode.fact_recall for episode in episodes])),
        section_recall={section: float(found / hidden) for section, (found, hidden) in counts.items()},
        reward=float(np.mean([episode.reward for episode in episodes])),
        calibration=calibration([share for share, _ in stated], [right for _, right in stated]) if stated else None,
        accuracy_by_turn=_accuracy_by_turn(episodes),
    )


def pack_cases(cases: Mapping[str, CaseText]) -> dict[str, Any]:
    """The texts of cases as JSON: "cases" by id, whose facts are indexes of the list "facts".

    Cases of the clinic have some 270 facts each, of a few hundred texts in all.
    """
    places: dict[tuple[str, str], int] = {}
    rows = {
        case_id: {**asdict(case), "facts": [places.setdefault(fact, len(places)) for fact in case.facts]}
        for case_id, case in cases.items()
    }
    return {"facts": [list(fact) for fact in places], "cases": rows}


def write_results(evaluations: Sequence[Evaluation], folder: str | Path) -> Path:
    """Write evaluations as `results.json` in a folder, made if needed; the file appears whole or not at all.

    `promed_agents.compare.read_results` reads it back.

    Returns:
        The file's path.

    Raises:
        OSError: The folder cannot be written.
        ValueError: A case says one thing in one evaluation and another in another: they are not of one run.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / RESULTS_FILE
    cases: dict[str, CaseText] = {}
    for evaluation in evaluations:
        for case_id, case in evaluation.cases.items():
            if cases.setdefault(case_id, case) != case:
                raise ValueError(f"case {case_id!r} differs between the evaluations; write each run to its own folder")
    rows = [asdict(replace(evaluation, cases={})) for evaluation in evaluations]
    for row in rows:
        del row["cases"]  # once for all, below
    content = {
        "schema_version": RESULTS_VERSION,
        "evaluations": rows,
        **pack_cases(cases),
    }
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    write_whole(target, text + "\n")
    return target
