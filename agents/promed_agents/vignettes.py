"""Vignettes: cases of which a share is told unasked, with the right answer; to read before learning to ask.

Language models come to their first consultation from many complete descriptions of cases. A model from scratch has read
none, and a dialogue teaches it little about answers: one, after what a few questions brought out. A vignette is a
consultation that is answered at once, one environment step. After the opening the other side goes on unasked, in
messages that are worded as replies: a random share of the findings that are there and a few that are not. With
`every_turn` fine-tuning learns the right answer after each message.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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
from promed_env.datasets import CaseDataset
from promed_env.errors import DatasetError
from promed_env.patients.facts import REPORTABLE, informant_of, quote, section_of

__all__ = ["vignettes_of", "volunteered", "write_vignettes"]

_BATCH = 500
_NEGATIVES = 10


def volunteered(
    case: Case, rng: np.random.Generator, facts_per_reply: int = 3, negatives: int = _NEGATIVES
) -> list[tuple[int, ...]]:
    """Some of the facts that are not in the presentation, as replies would tell them, in random order.

    Args:
        case: The case.
        rng: Draws how many, which and in what order.
        facts_per_reply: The patient tells so many at a time; examinations and tests come one by one.
        negatives: At most so many of the facts that deny something; of all others any number.
    """
    chosen: list[int] = []
    for denied, most in ((False, case.n_facts), (True, negatives)):
        left = [index for index in case.hidden if (case.facts[index].status == "absent") == denied]
        chosen += rng.choice(left, size=rng.integers(min(most, len(left)) + 1), replace=False).tolist() if left else []
    chosen = [int(index) for index in rng.permutation(np.array(chosen, dtype=np.int64))]
    own = [index for index in chosen if informant_of(section_of(case.facts[index])) in REPORTABLE]
    replies = [tuple(own[start : start + facts_per_reply]) for start in range(0, len(own), facts_per_reply)]
    replies += [(index,) for index in chosen if index not in own]
    return [replies[place] for place in rng.permutation(len(replies))]


def vignettes_of(setting: Setting, cases: CaseDataset, rng: np.random.Generator) -> list[dict[str, Any]]:
    """One vignette a case, ready for JSON; the right answer is read from the case (access: record)."""
    env = replace(setting, reward="diagnosis").make(cases)
    env.reset(seed=setting.seed)
    env.step([f"answer: {', '.join(case.answer)}" for case in cases])
    found = []
    for final in env.consultations:
        opening, answer = to_messages(final, env.dynamics)
        told = [quote(final.case, facts).text for facts in volunteered(final.case, rng, setting.facts_per_reply)]
        found.append(
            {
                "schema_version": 1,
                "case_id": final.case.case_id,
                "messages": [opening, *({"role": "user", "content": text} for text in told), answer],
                "correct": final.correct,
                "access": "record",
                "provenance": {
                    "promed": __version__,
                    "vignette": True,
                    "dataset": env.dynamics.dataset,
                    "seed": setting.seed,
                },
            }
        )
    return found


def write_vignettes(
    setting: Setting, path: str | Path, episodes: int, *, progress: Callable[[int], None] = lambda made: None
) -> None:
    """Write vignettes of cases that are drawn by the setting's seed; of a data set with an end in whole rounds.

    Args:
        setting: The environment, the split and the seed.
        path: The file, which must not exist.
        episodes: How many.
        progress: Called with the number of vignettes made since the last call.

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
        lines += [json.dumps(row, ensure_ascii=False) + "\n" for row in vignettes_of(setting, batch, rng)]
        progress(len(drawn))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(lines))


def _batches(n: int, wanted: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """So many indexes below n in random order, batch by batch, none twice before all have come."""
    while wanted > 0:
        whole = rng.choice(n, size=min(n, wanted), replace=False)
        yield from (whole[start : start + _BATCH] for start in range(0, len(whole), _BATCH))
        wanted -= len(whole)
