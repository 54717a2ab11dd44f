"""What a training run is: one dataclass, filled from a recipe (TOML) and kept as JSON beside every checkpoint."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

__all__ = ["ALGORITHMS", "TrainConfig", "read_recipe"]

ALGORITHMS = ("maskable_ppo", "ppo", "dqn")
"""What can be trained; each has a recipe of its own."""


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Attributes:
        algo: One of `ALGORITHMS`.
        env_id: The environment; its options must be shown, because the menu answers by slot.
        reward: What is learnt from, as a string; judged is accuracy in every case.
        steps: Environment steps in all.
        seed: Seeds the network, the exploration and the cases.
        num_envs: Consultations side by side.
        pool: Train on the first `pool` cases of an endless data set, annotated beforehand where the reward needs SIG;
            0 for new cases without end.
        max_questions: Budget of questions.
        layers: Widths of the hidden layers of the policy, and of the value function.
        judge: Who scores the options on a knowledge base: "knowledge", its own exact posterior, so that asking is what
            is learnt (access "knowledge"); or "learnt", by wins and losses (access "text"). Vignettes have none.
        anneal: Whether the learning rate falls linearly to 0.
        learner: Keyword arguments of the algorithm in Stable-Baselines3, such as learning_rate.
        validation_cases: How many validation cases an evaluation plays; of a data set with an end, at most all.
        evaluate_every: Steps between evaluations, rounded up to whole rollouts.
        checkpoint_every: Steps between checkpoints, rounded up to whole rollouts.
        keep: How many of the newest checkpoints stay.
        threads: Threads of PyTorch; the same seed gives the same run under the same number.

    Raises:
        ValueError: A field is out of range; the message names it.
    """

    algo: str = "maskable_ppo"
    env_id: str = "ProMed-PrimaryCare-v0"
    reward: str = "diagnosis"
    steps: int = 1_000_000
    seed: int = 0
    num_envs: int = 256
    pool: int = 8_192
    max_questions: int = 10
    layers: tuple[int, ...] = (256, 256)
    judge: str = "knowledge"
    anneal: bool = False
    learner: Mapping[str, Any] = field(default_factory=dict)
    validation_cases: int = 500
    evaluate_every: int = 100_000
    checkpoint_every: int = 100_000
    keep: int = 3
    threads: int = 1

    def __post_init__(self) -> None:
        if self.algo not in ALGORITHMS:
            raise ValueError(f"unknown algorithm {self.algo!r}; there are {', '.join(ALGORITHMS)}")
        if self.judge not in ("knowledge", "learnt"):
            raise ValueError(f"judge must be 'knowledge' or 'learnt', got {self.judge!r}")
        for name in ("steps", "num_envs", "validation_cases", "evaluate_every", "checkpoint_every", "keep", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("seed", "pool", "max_questions"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")

    def to_json(self) -> dict[str, Any]:
        """The configuration as a JSON object."""
        return {**dataclasses.asdict(self), "layers": list(self.layers), "learner": dict(self.learner)}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], place: str) -> TrainConfig:
        """The configuration with these values and the defaults for the rest.

        Args:
            values: Field -> value.
            place: Where the values come from, for messages.

        Raises:
            ValueError: A field is unknown, of another type, or out of range.
        """
        known = {item.name: item for item in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"{place}: unknown field {name!r}; there are {', '.join(known)}")
            expected = _JSON_TYPES[str(known[name].type)]
            if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
                raise ValueError(f"{place}: {name} must be {expected.__name__}, got {value!r}")
        layers = {"layers": tuple(values["layers"])} if "layers" in values else {}
        try:
            return cls(**{**values, **layers})
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error

    @classmethod
    def load(cls, path: Path) -> TrainConfig:
        """The configuration that lies beside a checkpoint.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is not the JSON of a configuration.
        """
        return cls.from_mapping(json.loads(path.read_text(encoding="utf-8")), str(path))


_JSON_TYPES: dict[str, type] = {
    "str": str,
    "int": int,
    "bool": bool,
    "tuple[int, ...]": list,
    "Mapping[str, Any]": dict,
}


def read_recipe(recipe: str | Path, **changes: Any) -> TrainConfig:
    """The configuration of a recipe.

    Args:
        recipe: An algorithm, for the recipe that comes with the package, or the path of a TOML file.
        **changes: Fields that differ from the recipe.

    Raises:
        OSError: There is no such file.
        ValueError: The file is not TOML, or a field is unknown or out of range.
    """
    source = files("promed_agents") / "recipes" / f"{recipe}.toml" if recipe in ALGORITHMS else Path(recipe)
    try:
        values = tomllib.loads(source.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{recipe}: not a TOML file: {error}") from error
    return TrainConfig.from_mapping({**values, **changes}, str(recipe))
