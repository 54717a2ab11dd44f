"""How much do a planner's questions give away? What it asks first, without the reply, against what the reply says.

    promed plan ProMed-PrimaryCare-v0 --split train --episodes 20000 --simulations 20 --out plans.jsonl
    python benchmarks/leak.py plans.jsonl

A planner that reads the record asks about what it knows to be there. Of dialogues with a question, all but the first
800 are counted: how often each condition's dialogues begin with each question. Those 800 are answered by the exact
posterior given the presentation, given the reply to the first question too, and given the presentation and which
question it was, with those counts for a likelihood and the reply unheard. Printed is how often each is right and the
mean log-probability of the right answer.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from promed_agents.chat import read_chat
from promed_agents.setting import Setting
from promed_agents.statistics import bootstrap_interval

from promed_env.beliefs import EvidenceBelief, posteriors
from promed_env.case import Case

SETTING = Setting("ProMed-PrimaryCare-v0", split="train", reward="diagnosis")
JUDGED = 800
PRIOR = 20.0
"""Weight of the questions of all dialogues beside those of a condition, in dialogues."""


def right_option(case: Case) -> int:
    """Index of the right answer."""
    return next(index for index, option in enumerate(case.options) if option.key in case.answer)


def report(name: str, cases: Sequence[Case], log_posteriors: Sequence[NDArray[np.float64]]) -> None:
    """Print what answering so is worth."""
    right = [float(own.argmax() == right_option(case)) for case, own in zip(cases, log_posteriors, strict=True)]
    told = [own[right_option(case)] for case, own in zip(cases, log_posteriors, strict=True)]
    low, high = bootstrap_interval(right)
    print(f"{name:45} {np.mean(right):.3f} [{low:.3f}, {high:.3f}]  {np.mean(told):6.2f}")


def main() -> None:
    """Count, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plans", type=Path)
    every = SETTING.load_all()
    asked = [
        (every.by_id(dialogue.case_id), dialogue.messages[1].content)
        for dialogue in read_chat(parser.parse_args().plans)
        if len(dialogue.messages) > 2
    ]
    judged, counted = asked[:JUDGED], asked[JUDGED:]
    if not counted:
        raise SystemExit(f"need more than {JUDGED} dialogues with a question, got {len(asked)}")
    conditions = Counter(case.options[right_option(case)].text for case, _ in counted)
    questions = Counter(question for _, question in counted)
    both = Counter((case.options[right_option(case)].text, question) for case, question in counted)

    def likelihood(condition: str, question: str) -> float:
        usual = questions[question] / len(counted)
        return (both[condition, question] + PRIOR * usual + 1e-9) / (conditions[condition] + PRIOR)

    cases = [case for case, _ in judged]
    env = SETTING.make(replace(every[:1], cases=tuple(cases)))
    env.reset(seed=0, options={"case_id": [case.case_id for case in cases]})
    before = posteriors(EvidenceBelief(), cases, [state.known for state in env.consultations])
    env.step([question for _, question in judged])
    after = posteriors(EvidenceBelief(), cases, [state.known for state in env.consultations])
    print(f"{len(judged)} dialogues judged, {len(counted):,} counted{'right':>21} {'log p':>22}")
    report("exact posterior, presentation", cases, before)
    report("exact posterior, presentation and first reply", cases, after)
    hinted = []
    for (case, question), own in zip(judged, before, strict=True):
        joint = own + np.log([likelihood(option.text, question) for option in case.options])
        hinted.append(joint - np.logaddexp.reduce(joint))
    report("presentation and which question, no reply", cases, hinted)


if __name__ == "__main__":
    main()
