"""What a multi-turn step costs: SIG-GRPO against TRL's plain `GRPOTrainer` with the same model, in the same run.

    python benchmarks/grpo_speed.py MODEL [--steps 6] [--rounds 3]

MODEL is the folder of a fine-tuned small model (`benchmarks/learning.py`). Both make as many rollouts a step from the
same presentations; the plain trainer generates in one go as many tokens a rollout as the doctor said on average in a
dialogue. The two take turns. Printed is the median of the seconds a step, the seconds a generated token, their ratio,
and what of a step goes into playing (the patient, the reward, Shapley values, reading what was said) and into learning.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from promed_agents.models import load_model
from promed_agents.setting import Setting
from promed_agents.sig_grpo.settings import GRPOSettings
from promed_agents.sig_grpo.trainer import SIGGRPOTrainer, config_for, training_rows
from trl import GRPOTrainer

CASES, GROUP_SIZE = 32, 8


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a fine-tuned small model")
    parser.add_argument("--steps", type=int, default=6, help="steps of each trainer a round; the first is not counted")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    ours, plain, spoken, playing = [], [], [], []
    for number in range(chosen.rounds):
        settings = GRPOSettings(
            model=chosen.model,
            setting=Setting("ProMed-PrimaryCare-v0", split="train", reward="2*sig_signed + 3*diagnosis + format"),
            updates=chosen.steps,
            cases=CASES,
            group_size=GROUP_SIZE,
            max_new_tokens=4,
            no_repeat=True,
            validation_episodes=1,
            evaluations=1,
            seed=number,
            cpu=True,
        )
        seconds, tokens, played = _ours(settings)
        ours.append(seconds)
        spoken.append(tokens)
        playing.append(played)
        plain.append(_plain(settings, round(tokens)))
    a, b = float(np.median(ours)), float(np.median(plain))
    tokens = float(np.median(spoken))
    total = CASES * GROUP_SIZE * tokens
    print(f"{CASES * GROUP_SIZE} rollouts a step, {tokens:.1f} generated tokens each, one thread")
    print(f"SIG-GRPO      {a:.2f} s a step, {1e6 * a / total:.0f} us a token; playing {np.median(playing):.2f} s of it")
    print(f"plain GRPO    {b:.2f} s a step, {1e6 * b / total:.0f} us a token")
    print(f"ratio         {a / b:.2f}; by round {', '.join(f'{x / y:.2f}' for x, y in zip(ours, plain, strict=True))}")


def _ours(settings: GRPOSettings) -> tuple[float, float, float]:
    """Seconds a step, doctor's tokens a dialogue, and seconds of playing a step."""
    played: list[float] = []
    tokens: list[float] = []

    class Timed(SIGGRPOTrainer):
        def play(self) -> Any:
            started = time.perf_counter()
            rollouts = super().play()
            played.append(time.perf_counter() - started)
            tokens.append(float(np.mean([sum(turn >= 0 for turn in r.spoken.turns) for r in rollouts])))
            return rollouts

    model, tokenizer = load_model(settings.model, settings.setting)
    with tempfile.TemporaryDirectory() as folder:
        args = config_for(settings, Path(folder), quiet=True)
        args.eval_strategy = args.save_strategy = "no"
        args.load_best_model_at_end = False
        trainer = Timed(model, tokenizer, settings, args, training_rows(settings))
        return _timed(trainer), float(np.mean(tokens[1:])), float(np.median(played[1:]))


def _plain(settings: GRPOSettings, length: int) -> float:
    """Seconds a step of TRL's trainer whose completions have exactly this many tokens."""
    model, tokenizer = load_model(settings.model, settings.setting)
    cases = settings.setting.load_all()
    with tempfile.TemporaryDirectory() as folder:
        args = config_for(settings, Path(folder), quiet=True)
        args.eval_strategy = args.save_strategy = "no"
        args.load_best_model_at_end = False
        args.max_completion_length = length
        args.generation_kwargs = {"min_new_tokens": length}
        rows = training_rows(settings)
        env = settings.setting.make(cases, num_envs=1)
        openings = []
        for index in rows["case"]:
            (opening,), _ = env.reset(seed=[0], options={"case_id": [cases[index].case_id]})
            openings.append([{"role": "user", "content": opening}])
        rows = rows.remove_columns("prompt").add_column("prompt", openings)
        trainer = GRPOTrainer(
            model=model,
            args=args,
            reward_funcs=lambda completions, **_: [float(len(str(each)) % 7) for each in completions],
            train_dataset=rows,
            processing_class=tokenizer,
        )
        return _timed(trainer)


def _timed(trainer: Any) -> float:
    """Median seconds of the steps after the first."""
    seconds: list[float] = []
    step = trainer.training_step

    def timed(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        result = step(*args, **kwargs)
        seconds.append(time.perf_counter() - started)
        return result

    trainer.training_step = timed
    trainer.train()
    return float(np.median(seconds[1:]))


if __name__ == "__main__":
    main()
