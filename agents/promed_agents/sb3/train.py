"""Training with Stable-Baselines3: cases, model, checkpoints, evaluation and resuming.

A run is a folder: `checkpoint-<steps>/` (the model, its configuration, its menu, and what resuming needs),
`evaluations.jsonl` (accuracy and questions on validation cases by steps) and, if tensorboard is installed, `logs/`.
Checkpoints appear whole or not at all.

Resuming PPO and MaskablePPO is exact: network, optimiser, generators and the consultations under way are restored, so
that an interrupted run ends with the very weights of one that was not. DQN starts again with an empty replay buffer,
which is not kept because of its size, and fills it from its present policy.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from promed_agents.files import write_whole
from promed_agents.sb3.config import TrainConfig
from promed_agents.sb3.features import OptionScores, SlotPolicy
from promed_agents.sb3.vec_env import MenuVecEnv
from promed_env.beliefs.knowledge import KnowledgeBelief
from promed_env.datasets import SOURCES, CaseDataset, GeneratedDataset, load_dataset
from promed_env.errors import BackendError, DatasetError
from promed_env.knowledge import primary_care
from promed_env.menu import FindingsMenu, Menu, TextMenu
from promed_env.registration import ENVIRONMENTS
from promed_env.shapley import annotate
from promed_env.vector import ConsultationVectorEnv

try:
    import torch
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import VecMonitor
except ModuleNotFoundError as error:
    raise BackendError(
        f'doctors of Stable-Baselines3 need the package {error.name}: pip install "promed[rl]"'
    ) from error

__all__ = ["MENU_FILE", "Validation", "load_model", "newest_checkpoint", "predict", "read_menu", "train"]

MENU_FILE = "menu.json"
_STATE_FILE = "training.pkl"
_EVALUATIONS = "evaluations.jsonl"


@dataclass(frozen=True)
class Validation:
    """How a policy did on the validation cases, played with its most probable actions.

    Attributes:
        steps: Environment steps of training before.
        seconds: Seconds of training before, of this and earlier sessions.
        accuracy: Share of the cases answered right.
        questions: Mean number of questions.
        reward: Mean return, of the reward that is trained on.
        n: Cases.
    """

    steps: int
    seconds: float
    accuracy: float
    questions: float
    reward: float
    n: int


def train(
    config: TrainConfig,
    folder: str | Path,
    *,
    resume: bool = False,
    on_progress: Callable[[int], None] = lambda steps: None,
    on_annotation: Callable[[int, int], None] = lambda done, total: None,
    on_validation: Callable[[Validation], None] = lambda validation: None,
) -> Path:
    """Train a doctor.

    Args:
        config: What to train on what.
        folder: Folder of the run.
        resume: Continue from its newest checkpoint; `config` may differ in `steps` and in what does not bear on
            learning.
        on_progress: Called with the number of steps done.
        on_annotation: Called with the number of training cases annotated, and of all.
        on_validation: Called after every evaluation.

    Returns:
        The folder of the last checkpoint.

    Raises:
        BackendError: The extra `rl` is not installed.
        FileExistsError: The folder holds a run, and `resume` is not set.
        FileNotFoundError: There is nothing to resume.
        ValueError: The configuration does not fit the run, or the learner rejects it.
    """
    folder = Path(folder)
    checkpoint = newest_checkpoint(folder) if resume else None
    if checkpoint is None and any(folder.glob("checkpoint-*")):
        raise FileExistsError(f"{folder} holds a run already; resume it, or choose another folder")
    if checkpoint is not None:
        _check_same(TrainConfig.load(checkpoint / "config.json"), config, checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(config.threads)
    env = MenuVecEnv(_training_env(config, on_annotation))
    monitored = VecMonitor(env)
    if checkpoint is None:
        model = _new_model(config, monitored, env.menu, folder)
        seconds = 0.0
        (folder / _EVALUATIONS).write_text("", encoding="utf-8")
    else:
        model = load_model(config.algo, checkpoint, monitored)
        model.tensorboard_log = _log_folder(folder)
        seconds = _restore(checkpoint, model, env, monitored)
        _forget_after(folder / _EVALUATIONS, model.num_timesteps)
    if model.num_timesteps < config.steps:
        keeper = _Keeper(config, folder, env, seconds, on_progress, on_validation)
        model.learn(
            config.steps - model.num_timesteps,
            callback=keeper,
            log_interval=1 if config.algo != "dqn" else 1000,
            tb_log_name=config.algo,
            reset_num_timesteps=checkpoint is None,
        )
    return newest_checkpoint(folder)


def newest_checkpoint(folder: str | Path) -> Path:
    """The checkpoint with the most steps in the folder of a run.

    Raises:
        FileNotFoundError: There is none.
    """
    found = sorted(Path(folder).glob("checkpoint-*"))
    if not found:
        raise FileNotFoundError(f"{folder} holds no checkpoint; give the folder that `promed train --out` wrote")
    return found[-1]


def load_model(algo: str, checkpoint: Path, env: VecMonitor | None = None) -> BaseAlgorithm:
    """The model of a checkpoint, on the CPU; with an environment it can be trained on."""
    model: BaseAlgorithm = _algorithm(algo).load(checkpoint / "model.zip", env=env, device="cpu", force_reset=False)
    return model


def predict(
    model: BaseAlgorithm, observations: dict[str, NDArray[np.float32]], masks: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The most probable actions, (n,); the masks count for models that were trained with them."""
    given: dict[str, Any] = {"action_masks": masks} if type(model).__name__ == "MaskablePPO" else {}
    actions, _ = model.predict(observations, deterministic=True, **given)
    return np.asarray(actions)


def read_menu(path: Path) -> Menu:
    """The menu that a model was trained with.

    Raises:
        DatasetError: The knowledge base has changed since.
    """
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept["kind"] == "texts":
        return TextMenu(kept["questions"], kept["slots"], "always")
    knowledge = primary_care()
    if knowledge.fingerprint != kept["fingerprint"]:
        raise DatasetError(
            f"{path}: trained on version {kept['version']} of the knowledge base {kept['knowledge']!r}, with other "
            f"figures than version {knowledge.version} at hand; train anew"
        )
    return FindingsMenu(knowledge, kept["slots"], "always")


def _menu_json(menu: Menu) -> dict[str, Any]:
    if isinstance(menu, FindingsMenu):
        base = menu.knowledge
        about = {"knowledge": base.name, "version": base.version, "fingerprint": base.fingerprint}
        return {"kind": "findings", "slots": menu.slots, **about}
    return {"kind": "texts", "slots": menu.slots, "questions": list(menu.questions)}


def _algorithm(algo: str) -> type[Any]:
    if algo == "maskable_ppo":
        if find_spec("sb3_contrib") is None:
            raise BackendError('maskable_ppo needs the package sb3_contrib: pip install "promed[rl]"')
        from sb3_contrib import MaskablePPO

        return MaskablePPO
    from stable_baselines3 import DQN, PPO

    return {"ppo": PPO, "dqn": DQN}[algo]


def _policy(config: TrainConfig, menu: Menu) -> tuple[str | type[Any], dict[str, Any]]:
    """Policy class and its keyword arguments."""
    network: dict[str, Any] = {"net_arch": list(config.layers), "activation_fn": torch.nn.ReLU}
    if not isinstance(menu, FindingsMenu):
        return "MultiInputPolicy", network
    knowledge = menu.knowledge if config.judge == "knowledge" else None
    given = {"slots": menu.slots, "knowledge": knowledge}
    network |= {"features_extractor_class": OptionScores, "features_extractor_kwargs": given}
    if config.algo == "dqn":
        return "MultiInputPolicy", network
    if config.algo == "ppo":
        return SlotPolicy, network
    from promed_agents.sb3.masked import MaskableSlotPolicy

    return MaskableSlotPolicy, network


def _new_model(config: TrainConfig, env: VecMonitor, menu: Menu, folder: Path) -> BaseAlgorithm:
    policy, network = _policy(config, menu)
    learner = dict(config.learner)
    if config.anneal:
        learner["learning_rate"] = _Linear(float(learner.get("learning_rate", 3e-4)))
    try:
        model: BaseAlgorithm = _algorithm(config.algo)(
            policy,
            env,
            policy_kwargs=network,
            seed=config.seed,
            device="cpu",
            tensorboard_log=_log_folder(folder),
            **learner,
        )
    except TypeError as error:
        raise ValueError(f"the learner {config.algo} rejects its settings {learner}: {error}") from error
    return model


class _Linear:
    """A schedule that falls linearly to 0."""

    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self, remaining: float) -> float:
        return self.start * remaining


def _log_folder(folder: Path) -> str | None:
    return str(folder / "logs") if find_spec("tensorboard") is not None else None


def _training_env(config: TrainConfig, on_annotation: Callable[[int, int], None]) -> ConsultationVectorEnv:
    cases = _cases(config, "train")
    if isinstance(cases, GeneratedDataset) and config.pool:
        cases = cases[: config.pool]
        sig = _make(config, cases[:1], 1).dynamics.sig
        if sig is not None and sig.weights != "uniform":
            belief, annotated = KnowledgeBelief(), []
            for case in cases:
                annotated.append(annotate(case, belief, [sig.game]))
                on_annotation(len(annotated), len(cases))
            cases = dataclasses.replace(cases, cases=tuple(annotated))
    return _make(config, cases, config.num_envs)


def _make(
    config: TrainConfig, cases: CaseDataset | GeneratedDataset, num_envs: int, **kwargs: Any
) -> ConsultationVectorEnv:
    given = {"autoreset_mode": "SameStep", **kwargs}
    env: Any = gym.make_vec(
        config.env_id,
        num_envs=num_envs,
        actions="menu",
        dataset=cases,
        reward=config.reward,
        max_questions=config.max_questions,
        show_options="always",  # a menu answers by slot, so the doctor must be shown what is in the slots
        **given,
    )
    assert isinstance(env, ConsultationVectorEnv)
    return env


def _cases(config: TrainConfig, split: str) -> CaseDataset | GeneratedDataset:
    """The cases of a split where the data set has it; a data set with one split is trained and judged on all of it."""
    if config.env_id not in ENVIRONMENTS:
        raise ValueError(f"unknown environment {config.env_id!r}; there are {', '.join(ENVIRONMENTS)}")
    name = ENVIRONMENTS[config.env_id]["dataset"]
    source = SOURCES[name]
    return load_dataset(name, split if source.generate is not None or split in source.splits else None)


class _Keeper(BaseCallback):
    """Reports progress, evaluates and writes checkpoints at the start of rollouts, when all that matters is at rest."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        env: MenuVecEnv,
        seconds: float,
        on_progress: Callable[[int], None],
        on_validation: Callable[[Validation], None],
    ) -> None:
        super().__init__()
        self._config, self._folder, self._env = config, folder, env
        self._on_progress, self._on_validation = on_progress, on_validation
        self._began = time.perf_counter() - seconds
        validation = _cases(config, "validation")[: config.validation_cases]
        assert isinstance(validation, CaseDataset)
        self._validation = _make(config, validation, len(validation), order="sequential", autoreset_mode="Disabled")
        self._evaluated = self._kept = -1

    def _on_training_start(self) -> None:
        self._evaluated = self._kept = self.model.num_timesteps  # a resumed run was judged and kept there
        if self.model.num_timesteps == 0:
            self._evaluate()

    def _on_rollout_start(self) -> None:
        steps = self.model.num_timesteps
        if steps // self._config.evaluate_every > self._evaluated // self._config.evaluate_every:
            self._evaluate()
        if steps // self._config.checkpoint_every > self._kept // self._config.checkpoint_every:
            self._keep()

    def _on_step(self) -> bool:
        self._on_progress(self.num_timesteps)
        return True

    def _on_training_end(self) -> None:
        if self.model.num_timesteps > self._evaluated:
            self._evaluate()
        if self.model.num_timesteps > self._kept:
            self._keep()

    def _evaluate(self) -> None:
        self._evaluated = self.model.num_timesteps
        seconds = round(time.perf_counter() - self._began, 1)
        found = _validate(self.model, self._validation, self._evaluated, seconds)
        with (self._folder / _EVALUATIONS).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(dataclasses.asdict(found)) + "\n")
        for name in ("accuracy", "questions", "reward"):
            self.logger.record(f"validation/{name}", getattr(found, name))
        self._on_validation(found)

    def _keep(self) -> None:
        self._kept = self.model.num_timesteps
        target = self._folder / f"checkpoint-{self._kept:012d}"
        temporary = Path(tempfile.mkdtemp(dir=self._folder, prefix=".checkpoint-"))
        try:
            self.model.save(temporary / "model.zip")
            _write_json(temporary / "config.json", self._config.to_json())
            _write_json(temporary / MENU_FILE, _menu_json(self._env.menu))
            seconds = time.perf_counter() - self._began
            (temporary / _STATE_FILE).write_bytes(pickle.dumps(_state(self._env, self.training_env, seconds)))
            temporary.chmod(0o755)
            os.replace(temporary, target)
        except BaseException:
            shutil.rmtree(temporary)
            raise
        for old in sorted(self._folder.glob("checkpoint-*"))[: -self._config.keep]:
            shutil.rmtree(old)


def _validate(model: BaseAlgorithm, env: ConsultationVectorEnv, steps: int, seconds: float) -> Validation:
    observations, _ = env.reset(seed=0)
    done = np.zeros(env.num_envs, dtype=np.bool_)
    total = np.zeros(env.num_envs)
    while not done.all():
        observations, rewards, done, _, _ = env.step(predict(model, observations, env.action_masks()))
        total += rewards
    finals = env.consultations
    return Validation(
        steps=steps,
        seconds=seconds,
        accuracy=float(np.mean([final.correct for final in finals])),
        questions=float(np.mean([sum(turn.kind == "question" for turn in final.turns) for final in finals])),
        reward=float(total.mean()),
        n=len(finals),
    )


def _state(env: MenuVecEnv, monitored: Any, seconds: float) -> dict[str, Any]:
    """What the model's own file leaves out: generators, consultations, and the monitor's sums of open episodes."""
    return {
        "seconds": seconds,
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state(),  # noqa: NPY002 (SB3 draws its mini-batches from the global generator)
        "python": random.getstate(),
        "env": env.env.snapshot(),
        "returns": monitored.episode_returns,
        "lengths": monitored.episode_lengths,
    }


def _restore(checkpoint: Path, model: BaseAlgorithm, env: MenuVecEnv, monitored: VecMonitor) -> float:
    state = pickle.loads((checkpoint / _STATE_FILE).read_bytes())
    env.env.restore(state["env"])
    torch.set_rng_state(state["torch"])
    np.random.set_state(state["numpy"])  # noqa: NPY002 (see `_state`)
    random.setstate(state["python"])
    monitored.episode_returns, monitored.episode_lengths = state["returns"], state["lengths"]
    return float(state["seconds"])


def _check_same(old: TrainConfig, new: TrainConfig, checkpoint: Path) -> None:
    """Raise `ValueError` if another run is asked for than the one that is there."""
    free = {"steps", "validation_cases", "evaluate_every", "checkpoint_every", "keep", "threads"}
    if old.anneal:  # the learning rate at a step depends on the steps in all
        free -= {"steps"}
    for name in (item.name for item in dataclasses.fields(old)):
        if name not in free and getattr(old, name) != getattr(new, name):
            raise ValueError(
                f"{checkpoint} was trained with {name} = {getattr(old, name)!r}, not {getattr(new, name)!r}; "
                "resume with the same settings, or begin a new run in another folder"
            )


def _forget_after(path: Path, steps: int) -> None:
    """Drop evaluations that a resumed run will make again."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    write_whole(path, "".join(line for line in lines if json.loads(line)["steps"] <= steps))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
