"""Training data: the best paths of a planner as chat-format JSON Lines, one dialogue a line.

`promed plan ENV --out FILE` writes them. A run that is interrupted goes on where it stopped: finished dialogues are
kept beside the file until all are there; then the file appears, whole, filtered and without duplicates.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from promed_agents.chat import to_messages
from promed_agents.files import kept_lines, write_whole
from promed_agents.llm import LLMProposer
from promed_agents.mcts import (
    PAPER,
    CatalogueProposer,
    FactProposer,
    Plan,
    Proposer,
    RecordWorld,
    Search,
    plan_consultations,
)
from promed_agents.setting import Setting
from promed_env import __version__
from promed_env.datasets import CaseDataset
from promed_env.errors import DatasetError
from promed_env.llm import make_llm
from promed_env.rewards import RewardTerm, make_reward

__all__ = ["Job", "keep", "plan_cases", "write_trajectories"]

PROPOSERS = ("facts", "catalogue", "llm:MODEL")
_BATCH = 16  # cases that are planned side by side


@dataclass(frozen=True)
class Job:
    """How trajectories are made; written into each of them.

    Attributes:
        setting: What is played; its reward is what the search maximises on the way.
        search: The search before each question.
        proposer: Where candidate questions come from: "facts" (the case's own), "catalogue", or "llm:MODEL", a language
            model that reads the dialogue.
        width: Most candidates considered in a state.
        right: What a right answer is worth to the search.
    """

    setting: Setting = field(default_factory=Setting)
    search: Search = PAPER
    proposer: str = "facts"
    width: int = 8
    right: float = 2.0

    def __post_init__(self) -> None:
        if self.proposer not in PROPOSERS and not self.proposer.startswith("llm:"):
            raise ValueError(f"proposer must be one of {', '.join(PROPOSERS)}, got {self.proposer!r}")

    def reward(self) -> RewardTerm:
        """What the search maximises on the way, the final answer apart."""
        return make_reward(self.setting.reward or "2*sig")

    @property
    def fingerprint(self) -> str:
        """What distinguishes the trajectories of this job from others'."""
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def plan_cases(job: Job, cases: CaseDataset) -> list[dict[str, Any]]:
    """Plan cases and give their trajectories, ready for JSON.

    Raises:
        BeliefRequired: The reward cannot be computed for a case.
    """
    rows = []
    for start in range(0, len(cases), _BATCH):
        batch = cases[start : start + _BATCH]
        env = job.setting.make(batch)
        reward = job.reward().bind(env.belief)
        for case in batch:
            reward.check(case)
        knowledge = env.dataset.knowledge
        proposer: Proposer = FactProposer(env.dynamics)
        if job.proposer == "catalogue":
            proposer = CatalogueProposer(knowledge)
        elif job.proposer.startswith("llm:"):
            proposer = LLMProposer(make_llm(job.proposer.removeprefix("llm:")), env.dynamics)
        covered = env.belief is not None and all(env.belief.covers(case) for case in batch)
        world = RecordWorld(
            env.dynamics, proposer, reward, env.belief if covered else None, right=job.right, width=job.width
        )
        env.reset(seed=job.setting.seed + start)
        roots = [state.prefix(0) for state in env.consultations]
        for plan in plan_consultations(world, roots, job.search):
            rows.append(_row(job, plan, world))
    return rows


def _row(job: Job, plan: Plan, world: RecordWorld) -> dict[str, Any]:
    final, dynamics = plan.final, world.dynamics
    steps = [(final.prefix(turn), final.prefix(turn + 1)) for turn in range(final.turn)]
    paid = [float(world.reward(before, after)) for before, after in steps]
    sig = dynamics.sig_for(final.case)
    return {
        "schema_version": 1,
        "case_id": final.case.case_id,
        "messages": to_messages(final, dynamics),
        "turn_sig": None if sig is None else sig.gains(final).tolist(),
        "turn_reward": paid,
        "return": sum(paid) + world.right * final.correct,
        "correct": final.correct,
        "access": "record",
        "provenance": {
            "promed": __version__,
            "job": job.fingerprint,
            "search": asdict(job.search),
            "proposer": job.proposer,
            "width": job.width,
            "reward": world.reward.name,
            "patient": dynamics.patient.name,
            "dataset": dynamics.dataset,
            "case": final.case.fingerprint,
            "seed": job.setting.seed,
        },
    }


def keep(
    rows: Iterable[Mapping[str, Any]],
    *,
    correct_only: bool = False,
    quantile: float = 0.0,
    questions_only: bool = False,
) -> list[Mapping[str, Any]]:
    """The rows worth keeping, in their order, no dialogue twice.

    Args:
        rows: Trajectories.
        correct_only: Leave out those with a wrong answer.
        quantile: Leave out those whose return lies below this quantile of what is left.
        questions_only: Give the answers the weight 0, so that fine-tuning does not learn them, and leave out dialogues
            without a question.

    Raises:
        ValueError: The quantile is not from 0 to 1.
    """
    if not 0 <= quantile <= 1:
        raise ValueError(f"the quantile of returns must be from 0 to 1, got {quantile}")
    distinct: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        distinct.setdefault(json.dumps(row["messages"], sort_keys=True), row)
    kept = [row for row in distinct.values() if row["correct"] or not correct_only]
    if kept and quantile:
        least = float(np.quantile([row["return"] for row in kept], quantile))
        kept = [row for row in kept if row["return"] >= least]
    return [_without_answer(row) for row in kept if len(row["messages"]) > 2] if questions_only else kept


def _without_answer(row: Mapping[str, Any]) -> Mapping[str, Any]:
    *messages, answer = row["messages"]
    return {**row, "messages": [*messages, {**answer, "weight": 0}]}


def write_trajectories(
    job: Job,
    path: str | Path,
    episodes: int | None = None,
    *,
    workers: int = 1,
    correct_only: bool = False,
    quantile: float = 0.0,
    questions_only: bool = False,
    progress: Callable[[int], None] = lambda planned: None,
) -> tuple[int, int]:
    """Plan the first cases of a setting and write their trajectories; goes on with a run that was interrupted.

    Args:
        job: How.
        path: The file, which must not exist.
        episodes: How many cases; None for all, or as `Setting.load` says.
        workers: Processes.
        correct_only: See `keep`.
        quantile: See `keep`.
        questions_only: See `keep`.
        progress: Called with the number of cases planned since the last call.

    Returns:
        Trajectories made, and written.

    Raises:
        DatasetError: The file exists, or what is beside it was made in another way.
        ValueError: An argument is out of range.
    """
    path = Path(path)
    if path.exists():
        raise DatasetError(f"{path} exists; choose another name, or remove it")
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    keep([], quantile=quantile)
    cases = job.setting.load(episodes)
    part = path.with_name(f".{path.name}.part")
    done = _finished(part, job)
    todo = [case for case in cases if case.case_id not in done]
    progress(len(done))
    batches = [
        dataclasses.replace(cases, cases=tuple(todo[start : start + _BATCH])) for start in range(0, len(todo), _BATCH)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("a", encoding="utf-8") as stream:

            def add(rows: list[dict[str, Any]]) -> None:
                for row in rows:
                    done[row["case_id"]] = row
                    stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                stream.flush()
                progress(len(rows))

            if workers == 1:
                for batch in batches:
                    add(plan_cases(job, batch))
            else:
                with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                    for rows in pool.map(plan_cases, [job] * len(batches), batches):
                        add(rows)
    finally:
        if not done:  # nothing to go on from: leave nothing
            part.unlink(missing_ok=True)
    made = [done[case.case_id] for case in cases]
    kept = keep(made, correct_only=correct_only, quantile=quantile, questions_only=questions_only)
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept))
    part.unlink()
    return len(made), len(kept)


def _finished(part: Path, job: Job) -> dict[str, dict[str, Any]]:
    """Trajectories of an interrupted run; a last line that was cut off is taken away."""
    if not part.exists():
        return {}
    rows = [json.loads(line) for line in kept_lines(part)]
    if any(row["provenance"]["job"] != job.fingerprint for row in rows):
        raise DatasetError(f"{part} was made with other settings; finish that run with them, or remove the file")
    return {row["case_id"]: row for row in rows}
