"""The whole pipeline on two cores in a quarter of an hour: read, plan, fine-tune, reinforce, evaluate.

    python examples/train_tiny_doctor.py [FOLDER] [--quick]

A language model of half a million parameters learns from scratch to consult in ProMed-PrimaryCare-v0: first what
findings mean, from interviews; then to ask, from the questions that tree search plans on the record (both: access
record), with more interviews beside them for the answers; then by SIG-GRPO from what it earns itself. Its own access is
text: it sees the dialogue and nothing else. A finished stage is not done again. `--quick` shows in a minute that
everything runs, and learns next to nothing. Needs the extra `llm`.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from promed_agents.evaluate import evaluate
from promed_agents.interviews import write_interviews
from promed_agents.language_policy import LanguagePolicy
from promed_agents.mcts import PAPER
from promed_agents.recipes import from_table, named_recipe, read_table
from promed_agents.setting import Setting
from promed_agents.sft import SFTSettings, fine_tune
from promed_agents.sig_grpo.settings import GRPOSettings
from promed_agents.sig_grpo.trainer import train
from promed_agents.tables import results_table
from promed_agents.trajectories import Job, write_trajectories
from promed_agents.zoo import make_agent
from rich.console import Console

SETTING = Setting("ProMed-PrimaryCare-v0", split="train", reward="diagnosis")


def main() -> None:
    """Run the stages that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("tiny-doctor"))
    parser.add_argument("--quick", action="store_true", help="a few cases and steps, to see that it runs")
    chosen = parser.parse_args()
    folder, quick = chosen.folder, chosen.quick
    folder.mkdir(parents=True, exist_ok=True)

    print("1. reading interviews")
    interviews, sft = folder / "interviews.jsonl", read_table(named_recipe("sft"))
    sft |= {"validation_episodes": 20} if quick else {}
    if not interviews.exists():
        write_interviews(SETTING, interviews, 64 if quick else 30_000)
    if not (folder / "reader" / "promed.json").exists():
        table = {**sft, "data": [str(interviews)], "epochs": 1}
        fine_tune(from_table(SFTSettings, table, "sft"), folder / "reader", resume=begun(folder / "reader"), quiet=True)

    print("2. planning")
    plans = folder / "plans.jsonl"
    if not plans.exists():
        job = Job(replace(SETTING, reward="2*sig"), replace(PAPER, simulations=20))
        write_trajectories(job, plans, 64 if quick else 5_000, workers=2, questions_only=True)

    print("3. fine-tuning")
    beside = folder / "interviews_beside.jsonl"
    if not beside.exists():
        write_interviews(replace(SETTING, seed=1), beside, 16 if quick else 2_000)
    if not (folder / "sft" / "promed.json").exists():
        table = {**sft, "data": [str(plans), str(beside)], "model": str(folder / "reader"), "epochs": 2}
        fine_tune(from_table(SFTSettings, table, "sft"), folder / "sft", resume=begun(folder / "sft"), quiet=True)

    print("4. reinforcing")
    if not (folder / "grpo" / "promed.json").exists():
        table = read_table(named_recipe("grpo")) | {"model": str(folder / "sft"), "updates": 120}
        table |= {"updates": 2, "cases": 4, "validation_episodes": 20} if quick else {}
        train(from_table(GRPOSettings, table, "grpo"), folder / "grpo", resume=begun(folder / "grpo"), quiet=True)

    print("5. evaluating")
    test = replace(SETTING, split="test")
    doctors = [LanguagePolicy.load(folder / stage) for stage in ("reader", "sft", "grpo")]
    cases = test.load(50 if quick else 1_000)
    played = [evaluate(doctor, test, cases) for doctor in (make_agent("reactive"), *doctors, make_agent("oracle"))]
    Console().print(results_table(played))


def begun(folder: Path) -> bool:
    """Whether an earlier start of this example left a checkpoint."""
    return any(folder.glob("checkpoint-*"))


if __name__ == "__main__":  # planning starts processes, which read this file too
    main()
