"""What a small model makes of findings: the answer asked for in the midst of other doctors' dialogues.

    python benchmarks/reading.py MODEL [MODEL ...] [--dialogues 400]

Validation cases of ProMed-PrimaryCare-v0 are played by greedy information gain with ten questions each. After 0, 3, 6
and 10 of them each model (folders that `promed sft` or `promed grpo` wrote, which answer by the option's text) is asked
for the answer: the options' shares of what it would say next. Printed are the mean surprisal of the right one, in nats,
and how often it is the likeliest, with a 95% bootstrap interval over dialogues; beside them the exact posterior.
Needs the extra `llm`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from promed_agents.answer_forks import begin_alike
from promed_agents.chat import to_messages
from promed_agents.chat_format import ChatFormat
from promed_agents.evaluate import evaluate
from promed_agents.knowledge import KnowledgeDoctor
from promed_agents.models import read_folder
from promed_agents.setting import Setting
from promed_agents.statistics import bootstrap_interval

from promed_env.beliefs import EvidenceBelief, posteriors
from promed_env.consultation import Consultation
from promed_env.dynamics import Dynamics

SETTING = Setting("ProMed-PrimaryCare-v0", split="validation", reward="diagnosis")
AFTER = (0, 3, 6, 10)


def likelihoods(
    model: Any, chat: ChatFormat, dialogues: Sequence[tuple[Consultation, Dynamics]], after: int
) -> list[NDArray[np.float64]]:
    """The options' shares of what the model would say next, after so many questions."""
    found = []
    for final, dynamics in dialogues:
        told = to_messages(final, dynamics)[: 2 * min(after, final.turn - 1) + 1]
        said = [chat.doctor(f"answer: {option.text}") for option in final.case.options]
        alike = begin_alike(said)
        named = [tokens[alike] for tokens in said]
        if len(set(named)) < len(named):
            raise SystemExit(f"options of {final.case.case_id} begin alike and cannot be told by one token")
        answered = chat.tokenize([*told, {"role": "assistant", "content": f"answer: {final.case.options[0].text}"}])
        start = answered.doctor.index(True, len(chat.tokenize(told[:-1]).ids) if len(told) > 1 else 0)
        with torch.inference_mode():
            logits = model(torch.tensor([answered.ids[: start + alike]])).logits[0, -1, named]
        found.append(torch.softmax(logits.double(), -1).numpy())
    return found


def line(name: str, shares: Sequence[NDArray[np.float64]], finals: Sequence[Consultation]) -> str:
    """Surprisal and accuracy."""
    right = [final.case.keys.index(final.case.answer[0]) for final in finals]
    surprisal = [-float(np.log(own[place])) for own, place in zip(shares, right, strict=True)]
    correct = [float(own.argmax() == place) for own, place in zip(shares, right, strict=True)]
    low, high = bootstrap_interval(correct)
    return f"{name:40} {np.mean(surprisal):6.3f}   {np.mean(correct):.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    """Play, ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--dialogues", type=int, default=400)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    dialogues: list[tuple[Consultation, Dynamics]] = []
    evaluate(KnowledgeDoctor(stop_at=1.0), SETTING, SETTING.load(chosen.dialogues), on_finish=dialogues.append)
    finals = [final for final, _ in dialogues]
    models = {str(folder): read_folder(folder) for folder in chosen.models}
    for after in AFTER:
        print(f"after {after} questions{'':23} surprisal accuracy")
        known = [final.prefix(min(after, final.turn - 1)).known for final in finals]
        exact = posteriors(EvidenceBelief(), [final.case for final in finals], known)
        print(line("exact posterior", [np.exp(row) for row in exact], finals))
        for name, (model, tokenizer) in models.items():
            print(line(name, likelihoods(model, ChatFormat(tokenizer), dialogues, after), finals), flush=True)


if __name__ == "__main__":
    main()
