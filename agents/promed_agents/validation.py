"""How good a language model is while it is trained: it plays a fixed set of cases, with its most probable words.

The best checkpoint is chosen by accuracy in the environment, never by a loss. `PlaysValidation` puts that in the place
of a trainer's `evaluate`, so the library's own schedule, best checkpoint and resuming apply. Needs the extra `llm`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from promed_agents.chat_format import ChatFormat
from promed_agents.files import write_whole
from promed_agents.language_policy import LanguagePolicy
from promed_agents.models import PROVENANCE
from promed_agents.rollout import Rollout, play
from promed_agents.setting import Setting
from promed_env import __version__
from promed_env.consultation import Consultation
from promed_env.datasets import CaseDataset
from promed_env.dynamics import Dynamics
from promed_env.vector import ConsultationVectorEnv

__all__ = ["ADAPTER", "BEST", "PlaysValidation", "Validation", "schedule", "summary_of", "validation_of"]

BEST = "accuracy"
"""The figure that chooses the best checkpoint."""

ADAPTER = "adapter"
"""Folder of the adapters in the folder of a run that trained some; beside it is the model with them."""

_BATCH = 256


def summary_of(rollouts: list[Rollout]) -> dict[str, float]:
    """Means over consultations.

    Returns:
        "accuracy"; "return"; "questions"; "invalid" (turns a consultation); "unanswered" (share that ended without an
        answer that names an option); "sig_per_question" where SIG is known; "reward/<term>" for each term of the
        reward.
    """
    finals = [rollout.final for rollout in rollouts]
    kinds = [[turn.kind for turn in final.turns] for final in finals]
    questions = [turns.count("question") for turns in kinds]
    found = {
        "accuracy": float(np.mean([final.correct for final in finals])),
        "return": float(np.mean([rollout.rewards.sum() for rollout in rollouts])),
        "questions": float(np.mean(questions)),
        "invalid": float(np.mean([turns.count("invalid") for turns in kinds])),
        "unanswered": float(np.mean([not final.chosen for final in finals])),
    }
    for name in rollouts[0].terms:
        found[f"reward/{name}"] = float(np.mean([rollout.terms[name] for rollout in rollouts]))
    if all(rollout.sig is not None for rollout in rollouts):
        total = sum(rollout.sig for rollout in rollouts if rollout.sig is not None)
        found["sig_per_question"] = total / max(sum(questions), 1)
    return found


@dataclass
class Validation:
    """A fixed set of cases, played greedily.

    Attributes:
        setting: What is played; its split is the validation split.
        episodes: How many cases.
        max_new_tokens: Longest turn of the doctor.
        no_repeat: See `LanguagePolicy`.
        newest: The consultations last played, with the rules they were played by.

    Raises:
        DatasetError: The cases cannot be loaded, or are fewer.
    """

    setting: Setting = field(default_factory=Setting)
    episodes: int = 200
    max_new_tokens: int = 64
    no_repeat: bool = False

    def __post_init__(self) -> None:
        self._cases = self.setting.load(self.episodes)  # now: a run must not fail at its first validation
        self._parts: list[tuple[ConsultationVectorEnv, CaseDataset]] = []
        self.newest: list[tuple[Consultation, Dynamics]] = []

    def play(self, model: Any, chat: ChatFormat) -> list[Rollout]:
        """Every case once; the same cases and seeds at every call."""
        if not self._parts:
            for start in range(0, len(self._cases), _BATCH):
                part = self._cases[start : start + _BATCH]
                self._parts.append((self.setting.make(part), part))
        policy = LanguagePolicy(model, chat, max_new_tokens=self.max_new_tokens, no_repeat=self.no_repeat)
        rollouts: list[Rollout] = []
        for env, part in self._parts:
            seeds = range(self.setting.seed + len(rollouts), self.setting.seed + len(rollouts) + len(part))
            rollouts += play(policy, env, [case.case_id for case in part], list(seeds))
        dynamics = self._parts[0][0].dynamics
        self.newest = [(rollout.final, dynamics) for rollout in rollouts]
        return rollouts


def validation_of(settings: Any, max_new_tokens: int) -> Validation:
    """The validation that the settings of a run ask for.

    Args:
        settings: `SFTSettings` or `GRPOSettings`.
        max_new_tokens: Longest turn of the doctor.

    Raises:
        DatasetError: The cases cannot be loaded, or are fewer.
    """
    setting = replace(settings.setting, split=settings.validation_split)
    return Validation(setting, settings.validation_episodes, max_new_tokens, settings.no_repeat)


class PlaysValidation:
    """A mixin for `transformers.Trainer`: `evaluate` plays validation cases; to be named before the trainer.

    Attributes:
        validation: The cases; set before training.
        chat: How dialogues become tokens; set before training.
    """

    validation: Validation
    chat: ChatFormat

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Play, log, and tell the callbacks, as `Trainer.evaluate` does. The arguments are not looked at.

        Returns:
            Figures of `summary_of`, each with the prefix that the library gives to those of an evaluation.
        """
        trainer: Any = self
        model = trainer.accelerator.unwrap_model(trainer.model)
        training = model.training
        model.eval()
        found = summary_of(self.validation.play(model, self.chat))
        model.train(training)
        metrics = {f"eval_{name}": value for name, value in found.items()}
        trainer.log(dict(metrics))
        trainer.control = trainer.callback_handler.on_evaluate(trainer.args, trainer.state, trainer.control, metrics)
        return metrics

    def keep(self, out: Path, told: Mapping[str, Any]) -> dict[str, float]:
        """Save the best model, its tokenizer and where it comes from, once it is trained.

        Args:
            out: The folder.
            told: What `promed.json` says of the run.

        Returns:
            The validation figures of the model; {} in processes other than the first, which writes.
        """
        trainer: Any = self
        model = trainer.accelerator.unwrap_model(trainer.model)
        adapted = hasattr(model, "merge_and_unload")
        trainer.save_model(str(out / ADAPTER if adapted else out))
        if not trainer.is_world_process_zero():
            return {}
        if adapted:  # beside the adapters the whole model, which anything can load and any stage start from
            model.merge_and_unload().save_pretrained(str(out))
        self.chat.tokenizer.save_pretrained(str(out))
        state = trainer.state
        figures = next(
            {name.removeprefix("eval_"): value for name, value in entry.items() if name.startswith("eval_")}
            for entry in reversed(state.log_history)
            if entry["step"] == state.best_global_step and f"eval_{BEST}" in entry
        )
        provenance = {"schema_version": 1, "promed": __version__, "access": "text", **told, "validation": figures}
        write_whole(out / PROVENANCE, json.dumps(provenance, indent=2) + "\n")
        return figures


def schedule(steps: int, evaluations: int, unit: int = 1) -> dict[str, Any]:
    """Arguments of a trainer that plays validation cases so often in so many steps and keeps what plays best.

    Args:
        steps: Optimiser steps.
        evaluations: How often.
        unit: Optimiser steps that are not to be parted by a checkpoint.
    """
    every = max(1, steps // (unit * evaluations)) * unit
    return {
        "max_steps": steps,
        "eval_strategy": "steps",
        "eval_steps": every,
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": BEST,
        "greater_is_better": True,
        "logging_steps": max(1, steps // 50),
        "report_to": "none",
    }
