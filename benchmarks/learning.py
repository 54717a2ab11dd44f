"""Does the method work? Small language models from scratch on ProMed-PrimaryCare-v0, arm by arm and seed by seed.

    python benchmarks/learning.py data --runs DIR
    python benchmarks/learning.py run --runs DIR [--arm ARM ...] [--seed SEED ...]
    python benchmarks/learning.py judge --runs DIR
    python benchmarks/learning.py references
    python benchmarks/learning_table.py [--plot FILE]

`data` makes what fine-tuning learns from: interviews to read, one-turn answers, random interviews of ten questions,
and the plans of MCTS that reads the case (`promed plan`, the paper's first stage). `run` trains arms that are not yet
in `benchmarks/learning.json` and adds them; one that was interrupted goes on from its newest checkpoint in DIR.
`judge` plays the test cases again with the doctors that are in DIR. `learning_table.py` prints what came out.

All arms of a seed begin as one model (`TINY`), from scratch, that has read the same interviews, of which it has learnt
the answers and not the questions (`READ`, each once: in place of what a language model knows of medicine). From there
all have one budget of environment steps (`BUDGET`, each pass over a turn counted; two that are at their end long before
have less, see `ARMS`); the simulations that the planner makes on top are counted apart. Judged is the checkpoint with
the highest accuracy on 500 validation cases. Ablations have a budget of their own (`SHORT`) and "signed" to be compared
with. Arms that end in "_known" never see the held-out conditions and are judged with them and without; those that end
in "_unmet" have read of them, as all others have, and learn to consult without them.

Needs the extra `llm`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from promed_agents.chat import to_messages
from promed_agents.evaluate import evaluate
from promed_agents.files import write_whole
from promed_agents.interviews import consult, write_interviews
from promed_agents.language_policy import LanguagePolicy
from promed_agents.rollout import play
from promed_agents.setting import Setting
from promed_agents.sft import SFTSettings, fine_tune
from promed_agents.sig_grpo.settings import GRPOSettings
from promed_agents.sig_grpo.trainer import train
from promed_agents.zoo import make_agent

from promed_env.beliefs import EvidenceBelief, posteriors

ENV_ID = "ProMed-PrimaryCare-v0"
TINY = {"hidden": 96, "layers": 3, "length": 2048}
READ = 100_000
"""Interviews of ten questions that all arms have read before."""
BUDGET = 700_000
"""Environment steps (turns of a doctor) that each arm learns from then on, fine-tuning included."""
SHORT = 400_000
"""The same of ablations."""
OPTIMIZER = "muon"
TEST_CASES, VALIDATION_CASES = 1_000, 500
SIMULATIONS = 20
QUESTIONS = 10
INTERVIEWS = {"reactive": (200_000, 0), "random": (40_000, QUESTIONS)}
"""Name -> how many of how many questions."""
UPDATES = 4_000  # more than the budget allows
GRPO: Mapping[str, Any] = {
    "updates": UPDATES,
    "evaluations": UPDATES // 20,
    "cases": 32,
    "group_size": 8,
    "minibatches": 4,
    "answer_loss": 1.0,
    "answers": "words",
    "optimizer": OPTIMIZER,
    "learning_rate": 5e-4,
    "max_new_tokens": 4,
    "no_repeat": True,
    "validation_episodes": VALIDATION_CASES,
    "tiny": TINY,
    "cpu": True,
}
RESULTS = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Arm:
    """One way to train, after reading.

    Attributes:
        data: Dialogues to fine-tune on: "reactive", "random" or "mcts"; None for none.
        steps: Environment steps of the dialogues that fine-tuning learns from, with repetition.
        budget: Environment steps in all, where GRPO follows.
        reward: What GRPO learns from; None for fine-tuning alone. "MATCHED*term" scales the term so that its sum in an
            episode has the standard deviation that `ALPHA`*sig_signed has among the dialogues that GRPO starts from.
        advantage: Of GRPO.
        known: Does not meet the held-out conditions: learns from the split "train-known", is judged on "test-known"
            and, out of domain, on "test-held-out".
        well_read: Has read of them all the same.
    """

    data: str | None
    steps: int = BUDGET
    reward: str | None = None
    budget: int = BUDGET
    advantage: str = "return_to_go"
    known: bool = False
    well_read: bool = False

    @property
    def train(self) -> str:
        """The split it learns from."""
        return "train-known" if self.known else "train"

    @property
    def total(self) -> int:
        """Environment steps in all."""
        return self.steps if self.reward is None else self.budget

    @property
    def reader(self) -> Arm:
        """The arm whose reading it begins with."""
        return replace(self, known=self.known and not self.well_read, well_read=False)

    def file(self, data: str) -> str:
        """The name of a file of dialogues, without its ending."""
        return f"known_{data}" if self.known else data

    def fine_tuned(self, data: str, steps: int, seed: int) -> str:
        """The folder of a model that learnt from so many turns of a file."""
        return f"{'unmet_' if self.well_read else ''}{self.file(data)}-{steps}-{seed}"

    def folder(self, name: str, seed: int) -> str:
        """The folder of its last model."""
        if self.reward is not None:
            return f"{name}-{seed}"
        assert self.data is not None
        return self.fine_tuned(self.data, self.steps, seed)


FIRST = 100_000  # environment steps of fine-tuning before GRPO
ALPHA = 8
OUTCOME, SIGNED = "3*diagnosis + format", f"{ALPHA}*sig_signed + 3*diagnosis + format"
ARMS: dict[str, Arm] = {
    "reactive": Arm("reactive", 200_000),  # less than the others: its curve is flat by then, and its bound is 0.480
    "sft_mcts": Arm("mcts"),
    "outcome_grpo": Arm("mcts", FIRST, OUTCOME),
    "sig_grpo": Arm("mcts", FIRST, SIGNED),
    "sig_grpo_trajectory": Arm("mcts", FIRST, SIGNED, advantage="trajectory"),
    "sig_grpo_standardized": Arm("mcts", FIRST, SIGNED, advantage="standardized"),
    "sig_grpo_paper": Arm("mcts", FIRST, SIGNED, 200_000, "paper"),  # less too: it has long ceased to ask
    "sft_random": Arm("random"),
}
ABLATIONS: dict[str, Arm] = {
    **{
        name: Arm("mcts", FIRST, reward, SHORT)
        for name, reward in {
            "signed": SIGNED,
            "softmax": "MATCHED*sig + 3*diagnosis + format",
            "uniform": "MATCHED*sig_uniform + 3*diagnosis + format",
            "given_presentation": "MATCHED*sig_signed_presentation + 3*diagnosis + format",
            "belief_gain": "MATCHED*belief_gain + 3*diagnosis + format",
            "alpha_0": OUTCOME,
            "alpha_2": "2*sig_signed + 3*diagnosis + format",
            "beta_1": f"{ALPHA}*sig_signed + distributed + 3*diagnosis + format",
            "gamma_1": f"{ALPHA}*sig_signed + diagnosis + format",
        }.items()
    },
    "no_sft": Arm(None, 0, SIGNED, SHORT),
    "alpha_0_no_sft": Arm(None, 0, OUTCOME, SHORT),
}
"""Arms to be compared with "signed", which is `sig_grpo` with fewer steps; run only when they are named."""
OUT_OF_DOMAIN: dict[str, Arm] = {
    f"{name}_{kind}": replace(ARMS[name], known=True, well_read=kind == "unmet")
    for kind in ("known", "unmet")
    for name in ("reactive", "outcome_grpo", "sig_grpo")
}
"""Arms that are judged on conditions they never met; run only when they are named."""
EVERY = {**ARMS, **ABLATIONS, **OUT_OF_DOMAIN}


def make_data(runs: Path) -> None:
    """Write the dialogues to learn from, those that are not there yet."""
    runs.mkdir(parents=True, exist_ok=True)
    for arm, names in (
        (ARMS["sig_grpo"], ("read", "reactive", "random", "mcts")),
        (OUT_OF_DOMAIN["sig_grpo_known"], ("read", "reactive", "mcts")),
    ):
        for name in names:
            path = runs / f"{arm.file(name)}.jsonl"
            if path.exists():
                pass
            elif name == "read":
                write_interviews(Setting(ENV_ID, split=arm.train, seed=7), path, READ)
            elif name in INTERVIEWS:
                _interviews(path, arm.train, *INTERVIEWS[name])
            else:
                raise SystemExit(
                    f"first: promed plan {ENV_ID} --split {arm.train} --episodes 20000 --preset paper "
                    f"--reward '2*sig' --simulations {SIMULATIONS} --out {path}"
                )
            with path.open(encoding="utf-8") as stream:
                turns = [line.count('"role": "assistant"') for line in stream]
            print(f"{path.stem:15} {len(turns):,} dialogues, {sum(turns):,} turns")


def _interviews(path: Path, split: str, n: int, length: int, batch: int = 512) -> None:
    """So many random canonical questions, then the right answer (which is read: access record)."""
    setting = Setting(ENV_ID, split=split, reward="diagnosis")
    cases = setting.load_all()
    assert cases.knowledge is not None
    questions, rng = cases.knowledge.questions, np.random.default_rng(1)
    env = setting.make(cases, num_envs=batch)
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as stream:
        for start in range(0, n, batch):
            drawn = [cases[index] for index in range(start, start + batch)]
            env.reset(seed=start, options={"case_id": [case.case_id for case in drawn]})
            asked = [rng.choice(len(questions), size=length, replace=False) for _ in drawn]
            for final in consult(env, [[questions[index] for index in own] for own in asked]):
                row = {"case_id": final.case.case_id, "messages": to_messages(final, env.dynamics), "access": "record"}
                stream.write(json.dumps(row) + "\n")
    part.replace(path)


def run(name: str, seed: int, runs: Path) -> dict[str, Any]:
    """Train one arm and play the test cases."""
    torch.set_num_threads(1)
    arm = EVERY[name]
    model, seconds = _fine_tuned(runs, arm.reader, "read", READ * (QUESTIONS + 1), seed, "tiny")
    if arm.data is not None:
        model, more = _fine_tuned(runs, arm, arm.data, arm.steps, seed, model)
        seconds += more
    if arm.reward is not None:
        folder, begun = runs / arm.folder(name, seed), time.perf_counter()
        reward = matched(arm.reward, LanguagePolicy.load(model, temperature=1.0, max_new_tokens=4, no_repeat=True))
        settings = GRPOSettings(
            model=model,
            setting=Setting(ENV_ID, split=arm.train, reward=reward, seed=1_000 * seed),
            validation_split=arm.train.replace("train", "validation"),
            advantage=arm.advantage,
            seed=seed,
            environment_steps=arm.budget - arm.steps,
            **GRPO,
        )
        train(settings, folder, resume=any(folder.glob("checkpoint-*")), quiet=True)
        seconds += time.perf_counter() - begun
        model = str(folder)
    provenance = json.loads((Path(model) / "promed.json").read_text(encoding="utf-8"))
    return {
        "arm": name,
        "seed": seed,
        "budget": arm.total,
        "read": READ,
        "optimizer": OPTIMIZER,
        "reward": arm.reward if arm.reward is None else reward,
        "advantage": arm.advantage if arm.reward else None,
        "seconds": round(seconds, 1),
        "date": date.today().isoformat(),
        "validation": provenance["validation"],
        "curve": drawn(arm, Path(model)),
        **judged(arm, model),
    }


def drawn(arm: Arm, model: Path) -> list[dict[str, float]]:
    """The curve of an arm's last stage."""
    if arm.reward is None:
        return curve_of(model, 0, arm.steps)
    return curve_of(model, arm.steps, arm.budget - arm.steps)


def judged(arm: Arm, model: str) -> dict[str, Any]:
    """What a doctor does on the test cases of its arm."""
    policy = LanguagePolicy.load(model, max_new_tokens=4, no_repeat=True)
    if arm.known:
        return {**judge(policy, "test-known"), "held_out": judge(policy, "test-held-out")}
    return judge(policy, "test")


def _fine_tuned(runs: Path, arm: Arm, data: str, steps: int, seed: int, model: str) -> tuple[str, float]:
    """The folder of a model that learnt from so many turns of a file, trained if it is not there; and the seconds."""
    folder = runs / arm.fine_tuned(data, steps, seed)
    if not (folder / "seconds.json").exists():
        path, turns = _first(runs / f"{arm.file(data)}.jsonl", steps)
        settings = SFTSettings(
            data=(str(path),),
            model=model,
            setting=Setting(ENV_ID, split=arm.train, reward="diagnosis"),
            validation_split=arm.train.replace("train", "validation"),
            answers="words",
            every_turn=data != "reactive",
            epochs=steps / turns,
            batch_size=16,
            optimizer=OPTIMIZER,
            learning_rate=1.5e-3 if model == "tiny" else 1e-3,
            validation_episodes=VALIDATION_CASES,
            evaluations=6,
            max_new_tokens=4,
            no_repeat=True,
            seed=seed,
            tiny=TINY,
            cpu=True,
        )
        begun = time.perf_counter()
        fine_tune(settings, folder, resume=any(folder.glob("checkpoint-*")), quiet=True)
        (folder / "seconds.json").write_text(json.dumps(time.perf_counter() - begun))
    return str(folder), json.loads((folder / "seconds.json").read_text())


def _first(path: Path, steps: int) -> tuple[Path, int]:
    """A file of the first dialogues that have together so many turns, or of all; and how many turns it has."""
    chosen, turns = path.with_name(f"{path.stem}-{steps}.jsonl"), 0
    lines = []
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if turns >= steps:
                break
            lines.append(line)
            turns += line.count('"role": "assistant"')
    if not chosen.exists():
        write_whole(chosen, "".join(lines))
    return chosen, turns


def curve_of(folder: Path, before: int, steps: int) -> list[dict[str, float]]:
    """Validation accuracy and questions by environment steps.

    Args:
        folder: Of the last stage.
        before: Environment steps before it.
        steps: Its own. GRPO logs how many it has taken, each figure the mean since the one before.
    """
    newest = max(folder.glob("checkpoint-*/trainer_state.json"), key=lambda path: int(path.parent.name.split("-")[1]))
    state, counted = json.loads(newest.read_text(encoding="utf-8")), "rollouts/environment_steps"
    history, last = state["log_history"], state["global_step"]
    logged = [(entry["step"], entry[counted]) for entry in history if counted in entry and entry["step"] < last]
    ends = [0, *(step for step, _ in logged)]
    x = [0.0, *((first + end) / 2 for first, end in pairwise(ends)), last]
    y = [0.0, *(mean for _, mean in logged), steps]
    return [
        {
            "steps": round(before + float(np.interp(entry["step"], x, y))),
            "accuracy": entry["eval_accuracy"],
            "questions": entry["eval_questions"],
        }
        for entry in history
        if "eval_accuracy" in entry
    ]


def matched(reward: str, policy: LanguagePolicy) -> str:
    """The reward with a weight in the place of "MATCHED"; see `Arm`."""
    if "MATCHED" not in reward:
        return reward
    term = reward.partition("MATCHED*")[2].split()[0]
    setting = Setting(ENV_ID, split="validation", reward=f"{ALPHA}*sig_signed + {term}")
    cases = setting.load(256)
    played = play(policy, setting.make(cases), [case.case_id for case in cases], list(range(256)))
    ours, theirs = (np.std([rollout.terms[name] for rollout in played]) for name in ("sig_signed", term))
    return reward.replace("MATCHED", f"{ours / theirs:.4g}")


def judge(policy: LanguagePolicy, split: str) -> dict[str, Any]:
    """What a doctor does on the test cases, case by case ("1" is right).

    "correct" is its own answer, "informed" the likeliest option of the exact posterior given what it was told.
    """
    setting = Setting(ENV_ID, split=split, reward="diagnosis")
    every, finals = setting.load(TEST_CASES), []
    for start in range(0, TEST_CASES, 250):
        cases = every[start : start + 250]
        seeds = list(range(start, start + 250))
        finals += [r.final for r in play(policy, setting.make(cases), [case.case_id for case in cases], seeds)]
    beliefs = posteriors(EvidenceBelief(), [final.case for final in finals], [final.known for final in finals])
    likeliest = [final.case.options[int(own.argmax())].key for final, own in zip(finals, beliefs, strict=True)]
    return {
        "accuracy": float(np.mean([final.correct for final in finals])),
        "questions": float(np.mean([sum(turn.kind == "question" for turn in final.turns) for final in finals])),
        "correct": "".join("01"[final.correct] for final in finals),
        "informed": "".join("01"[key in f.case.answer] for key, f in zip(likeliest, finals, strict=True)),
    }


def references(split: str) -> dict[str, Any]:
    """The ceiling and doctors with the exact posterior (access: knowledge) on the same cases."""
    found = {}
    setting = Setting(ENV_ID, split=split, reward="diagnosis")
    doctors = {"ceiling": "oracle", "greedy": "knowledge", "mcts": "mcts", "script": "scripted", "at_once": "reactive"}
    for name, doctor in doctors.items():
        result = evaluate(make_agent(doctor), setting, setting.load(TEST_CASES))
        found[name] = {
            "accuracy": result.summaries["all"].accuracy,
            "questions": result.summaries["all"].questions,
            "correct": "".join("01"[episode.correct] for episode in result.episodes),
        }
    return found


def read() -> dict[str, Any]:
    """All that was measured so far."""
    if RESULTS.exists():
        found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
        return found
    return {"runs": {}, "references": {}}


def keep(section: str, name: str, value: Any) -> None:
    """Add to the results; the file is read again first, as another process may have added to it."""
    found = read()
    found[section][name] = value
    write_whole(RESULTS, json.dumps(found, indent=1) + "\n")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=["data", "run", "judge", "references"])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of dialogues and runs")
    parser.add_argument(
        "--arm",
        action="append",
        choices=list(EVERY),
        help="arm to train; repeat; default: all but the ablations and those out of domain",
    )
    parser.add_argument("--seed", action="append", type=int, help="seed; repeat; default: 0, 1 and 2")
    chosen = parser.parse_args()
    if chosen.section == "data":
        make_data(chosen.runs)
    elif chosen.section == "references":
        for split in ("test", "test-known", "test-held-out"):
            keep("references", split, references(split))
    elif chosen.section == "judge":
        for name, row in read()["runs"].items():
            arm = EVERY[row["arm"]]
            model = chosen.runs / arm.folder(row["arm"], row["seed"])
            if (model / "promed.json").exists():
                keep("runs", name, {**row, "curve": drawn(arm, model), **judged(arm, str(model))})
    else:
        for seed in chosen.seed or (0, 1, 2):
            for name in chosen.arm or ARMS:
                if f"{name}-{seed}" not in read()["runs"]:
                    result = run(name, seed, chosen.runs)
                    keep("runs", f"{name}-{seed}", result)
                    print(f"{name}-{seed}: {result['accuracy']:.3f}, {result['questions']:.1f} questions", flush=True)


if __name__ == "__main__":
    main()
