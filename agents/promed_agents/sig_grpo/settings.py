"""What a run of SIG-GRPO is: one dataclass, kept as JSON beside every model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from promed_agents.models import OPTIMIZERS, Lora, habits
from promed_agents.setting import Setting
from promed_agents.sig_grpo.advantages import ESTIMATORS

__all__ = ["GRPOSettings"]


@dataclass(frozen=True)
class GRPOSettings:
    """One run.

    Attributes:
        model: Where to start: a folder that `promed sft` wrote, "tiny" or "smollm2" (`models.load_model`).
        setting: The environment, its training split and the reward, which must be named.
        advantage: One of `advantages.ESTIMATORS`.
        advantage_options: Keyword arguments of the estimator, such as {"discount": 0.9}.
        updates: Batches of rollouts.
        environment_steps: Turns of the doctor after which the run ends, if that comes first; None for no limit.
        cases: Cases an update.
        group_size: Rollouts a case.
        micro_batch: Rollouts a process computes the loss of at once; None for all of an optimiser step.
        minibatches: Optimiser steps in a pass over the rollouts of an update, each on a part of them.
        iterations: Optimiser passes over the rollouts of an update.
        optimizer: "adamw", or "muon" (`promed_agents.optimizers`).
        learning_rate: Highest.
        schedule: "linear" if it falls to 0 over the updates, or over the environment steps if these end first; or
            "constant".
        kl: Weight of the KL divergence from the first model; the paper uses 0.04.
        clip: How far a ratio may move from 1.
        entropy: Weight of an entropy bonus.
        answer_loss: Weight of the cross-entropy of the right answer, asked for beside every turn of the rollouts
            (`promed_agents.answer_forks`): supervision that needs no luck, as the right answer of a training case is
            known. A token of it counts as much as one of the doctor's with an advantage of 1.
        answers: How those are worded: "key", or "words" by the option's text.
        temperature: Of sampling, in rollouts and in the loss.
        max_new_tokens: Longest turn; None for what the model was validated with, or 64.
        no_repeat: The doctor never says again what it has said in the same dialogue, in rollouts and in validation.
        validation_split: The split of the validation cases; None for the setting's own.
        validation_episodes: How many are played.
        evaluations: How often they are played in the course of the run.
        lora: Train adapters of low rank instead of all weights.
        vllm: None, or TRL's mode "colocate" or "server": rollouts by vLLM, on a GPU; without `no_repeat`, which TRL's
            engine cannot be told.
        seed: Of the cases, the sampling and new weights.
        tiny: Keyword arguments of `tiny_llama`, for the model "tiny".
        cpu: Stay on the CPU.

    Raises:
        ValueError: A field is out of range.
    """

    model: str = "tiny"
    setting: Setting = field(default_factory=lambda: Setting(split="train", reward="promed_signed"))
    advantage: str = "return_to_go"
    advantage_options: Mapping[str, float | str] = field(default_factory=dict)
    updates: int = 200
    environment_steps: int | None = None
    cases: int = 16
    group_size: int = 8
    micro_batch: int | None = None
    minibatches: int = 1
    iterations: int = 1
    optimizer: str = "adamw"
    learning_rate: float = 1e-4
    schedule: str = "linear"
    kl: float = 0.0
    clip: float = 0.2
    entropy: float = 0.0
    answer_loss: float = 0.0
    answers: str = "key"
    temperature: float = 1.0
    max_new_tokens: int | None = None
    no_repeat: bool = False
    validation_split: str | None = "validation"
    validation_episodes: int = 200
    evaluations: int = 4
    lora: Lora | None = None
    vllm: str | None = None
    seed: int = 0
    tiny: Mapping[str, int] = field(default_factory=dict)
    cpu: bool = False

    def __post_init__(self) -> None:
        if self.advantage not in ESTIMATORS:
            raise ValueError(f"advantage must be one of {', '.join(ESTIMATORS)}, got {self.advantage!r}")
        if self.setting.reward is None:
            raise ValueError('name the reward that is learnt from, such as "promed_signed" or "diagnosis"')
        if self.vllm not in (None, "colocate", "server"):
            raise ValueError(f"vllm must be colocate or server, got {self.vllm!r}")
        if self.vllm is not None and self.no_repeat:
            raise ValueError("rollouts by vLLM cannot be kept from repeating themselves: set no_repeat to false")
        if self.group_size < 2:
            raise ValueError(f"group_size must be at least 2, got {self.group_size}: a group is its own baseline")
        for name in (
            "updates",
            "cases",
            "minibatches",
            "iterations",
            "max_new_tokens",
            "validation_episodes",
            "evaluations",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be {' or '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        if self.schedule not in ("linear", "constant"):
            raise ValueError(f"schedule must be linear or constant, got {self.schedule!r}")
        if self.environment_steps is not None and self.environment_steps < 1:
            raise ValueError(f"environment_steps must be at least 1, got {self.environment_steps}")
        for name in ("learning_rate", "temperature", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        for name in ("kl", "entropy", "answer_loss"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, got {getattr(self, name)}")
        if self.answers not in ("key", "words"):
            raise ValueError(f"answers must be key or words, got {self.answers!r}")
        total = self.cases * self.group_size
        if total % self.minibatches:
            raise ValueError(f"minibatches must divide the {total} rollouts of an update, got {self.minibatches}")
        total //= self.minibatches
        if self.micro_batch is not None and (self.micro_batch < 1 or total % self.micro_batch):
            raise ValueError(
                f"micro_batch must divide the {total} rollouts of an optimiser step, got {self.micro_batch}"
            )

    @property
    def longest_turn(self) -> int:
        """Most tokens of a turn: `max_new_tokens`, by default those that the model was validated with, or 64."""
        return self.max_new_tokens or int(habits(self.model).get("max_new_tokens") or 64)
