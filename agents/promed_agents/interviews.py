"""Interviews: consultations to read before learning to ask, of which only the answers are to be learnt.

Language models come to their first consultation from many descriptions of cases. A model from scratch has read none,
and the dialogues of a planner teach it little about answers: they are few, and end after a question or two. In an
interview somebody who knows the record asks, at random, about findings that are there and about others, and then gives
the right answer. The questions have the weight 0: fine-tuning reads them and does not learn to ask them. With
`every_turn` it learns the right answer at each of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promed_agents.chat import to_messages
from promed_agents.files import write_whole
from promed_agents.setting import Setting
from promed_env import __version__
from promed_env.case import Case
from promed_env.consultation import Consultation
from promed_env.datasets import CaseDataset
from promed_env.errors import DatasetError
from promed_env.interview import CATALOGUES
from promed_env.vector import ConsultationVectorEnv

__all__ = ["aimed_questions", "consult", "interviews_of", "questions_about_findings", "write_interviews"]

_BATCH = 500


def questions_about_findings(case: Case) -> list[str]:
    """Questions for the findings that are there and were not told; a fact without a question is asked in its words."""
    return [
        fact.question_text or fact.text
        for index, fact in enumerate(case.facts)
        if index not in case.initial and fact.status == "present"
    ]


def aimed_questions(case: Case, catalogue: tuple[str, ...], most: int, rng: np.random.Generator) -> list[str]:
    """Questions for one interview, no two alike: a random share of them about findings that are there.

    Args:
        case: The case, whose record is read.
        catalogue: Where the other questions come from.
        most: How many; fewer where there are no more.
        rng: Draws.
    """
    there = questions_about_findings(case)
    wanted = int(rng.binomial(most, rng.random()))
    aimed = dict.fromkeys(there[index] for index in rng.permutation(len(there)))
    asked = list(aimed)[:wanted]
    others = rng.choice(len(catalogue), size=min(most + len(aimed), len(catalogue)), replace=False)
    asked += [catalogue[index] for index in others if catalogue[index] not in aimed]
    return [asked[index] for index in rng.permutation(min(most, len(asked)))]


def consult(env: ConsultationVectorEnv, asked: Sequence[Sequence[str]]) -> Sequence[Consultation]:
    """Ask these questions in environments that have just been reset, then give the right answer.

    Args:
        env: n environments with `autoreset_mode="Disabled"`.
        asked: The questions of each, n rows.

    Returns:
        The consultations, n, finished.
    """
    answers = [f"answer: {', '.join(state.case.answer)}" for state in env.consultations]
    for turn in range(max(map(len, asked)) + 1):
        env.step(
            [f"question: {own[turn]}" if turn < len(own) else last for own, last in zip(asked, answers, strict=True)]
        )
    return env.consultations


def interviews_of(setting: Setting, cases: CaseDataset, rng: np.random.Generator) -> list[dict[str, Any]]:
    """One interview a case, ready for JSON; questions and answer are read from the case (access: record)."""
    env = replace(setting, reward="diagnosis").make(cases)
    env.reset(seed=setting.seed)
    every = cases.knowledge.questions if cases.knowledge is not None else None
    asked = [aimed_questions(case, every or CATALOGUES[case.language], setting.max_questions, rng) for case in cases]
    found = []
    for final in consult(env, asked):
        *messages, answer = to_messages(final, env.dynamics)
        found.append(
            {
                "schema_version": 1,
                "case_id": final.case.case_id,
                "messages": [
                    *({**each, "weight": 0} if each["role"] == "assistant" else each for each in messages),
                    answer,
                ],
                "correct": final.correct,
                "access": "record",
                "provenance": {
                    "promed": __version__,
                    "interview": True,
                    "dataset": env.dynamics.dataset,
                    "seed": setting.seed,
                },
            }
        )
    return found


def write_interviews(
    setting: Setting, path: str | Path, episodes: int, *, progress: Callable[[int], None] = lambda made: None
) -> None:
    """Write interviews about cases that are drawn by the setting's seed; of a data set with an end in whole rounds.

    Args:
        setting: The environment, the split, the number of questions and the seed.
        path: The file, which must not exist.
        episodes: How many.
        progress: Called with the number of interviews made since the last call.

    Raises:
        DatasetError: The file exists.
        ValueError: There are to be none.
    """
    path = Path(path)
    if path.exists():
        raise DatasetError(f"{path} exists; choose another name, or remove it")
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    cases, rng = setting.load_all(), np.random.default_rng(setting.seed)
    lines: list[str] = []
    for drawn in _batches(len(cases), episodes, rng):
        batch = replace(cases[:1], cases=tuple(cases[int(index)] for index in drawn))
        lines += [json.dumps(row, ensure_ascii=False) + "\n" for row in interviews_of(setting, batch, rng)]
        progress(len(drawn))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(lines))


def _batches(n: int, wanted: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """So many indexes below n in random order, batch by batch, none twice before all have come."""
    while wanted > 0:
        whole = rng.choice(n, size=min(n, wanted), replace=False)
        yield from (whole[start : start + _BATCH] for start in range(0, len(whole), _BATCH))
        wanted -= len(whole)
