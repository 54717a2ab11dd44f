"""Doctors of Stable-Baselines3: the adapter, training and resuming, and that the doctor rebuilds what the menu sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promed_agents.cli import app
from promed_agents.evaluate import evaluate
from promed_agents.knowledge import KnowledgeDoctor
from promed_agents.setting import Setting
from promed_agents.zoo import make_agent
from typer.testing import CliRunner

from promed_env.datasets import load_dataset
from promed_env.env import ConsultationEnv
from promed_env.errors import DatasetError
from promed_env.knowledge import primary_care
from promed_env.menu import FindingsMenu, Menu
from promed_env.vector import ConsultationVectorEnv
from promed_env.wrappers import MenuActions

pytest.importorskip("sb3_contrib", reason="needs the extra rl")

import torch
from promed_agents.sb3 import MenuVecEnv, SB3Doctor, TrainConfig, newest_checkpoint, read_recipe, train
from promed_agents.sb3.config import ALGORITHMS
from promed_agents.sb3.dialogue import begin, hear
from promed_agents.sb3.features import OptionScores
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.vec_env import VecMonitor

SMALL: dict[str, Any] = {
    "num_envs": 8,
    "pool": 16,
    "layers": [16],
    "max_questions": 3,
    "validation_cases": 10,
    "evaluate_every": 64,
    "checkpoint_every": 64,
}
PPO_LEARNER = {"n_steps": 8, "batch_size": 32, "n_epochs": 2, "gamma": 1.0, "learning_rate": 0.01}
DQN_LEARNER = {"learning_starts": 32, "batch_size": 16, "buffer_size": 256, "train_freq": 2}


def small(algo: str, steps: int = 128, **changes: Any) -> TrainConfig:
    learner = DQN_LEARNER if algo == "dqn" else PPO_LEARNER
    return read_recipe(algo, **{**SMALL, "steps": steps, "learner": learner, "anneal": False, **changes})


def menu_env(num_envs: int = 4, env_id: str = "ProMed-PrimaryCare-v0", **kwargs: Any) -> ConsultationVectorEnv:
    given = {"autoreset_mode": "SameStep", "actions": "menu", "max_questions": 3, "reward": "diagnosis"}
    env: Any = gym.make_vec(env_id, num_envs=num_envs, **{**given, **kwargs})
    assert isinstance(env, ConsultationVectorEnv)
    return env


def weights(folder: Path) -> dict[str, Any]:
    model = SB3Doctor(folder)._model
    return {name: tensor.numpy() for name, tensor in model.policy.state_dict().items()}


def evaluations(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()]


# The doctor sees what the environment's menu sees.


@pytest.mark.parametrize("env_id", ["ProMed-PrimaryCare-v0", "ProMed-MedQA-v0", "ProMed-CMB-v0"])
@settings(max_examples=15)
@given(seed=st.integers(0, 2**20), budget=st.integers(0, 6))
def test_the_arrays_rebuilt_from_the_dialogue_are_those_of_the_menu(env_id: str, seed: int, budget: int) -> None:
    text = gym.make(env_id, max_questions=budget, reward="diagnosis")
    base = text.unwrapped
    assert isinstance(base, ConsultationEnv)
    menu = Menu.of(base)
    knowledge = menu.knowledge if isinstance(menu, FindingsMenu) else None
    rng = np.random.default_rng(seed)
    said, _ = text.reset(seed=seed)
    rebuilt = begin(said, base.consultation.case.language, knowledge)
    for turn in range(budget + 1):
        true = menu.observe(base.consultation)
        for name, array in menu.observe(rebuilt).items():
            np.testing.assert_array_equal(array, true[name], err_msg=f"{name} after {turn} turns")
        np.testing.assert_array_equal(menu.mask(rebuilt), menu.mask(base.consultation))
        assert rebuilt.must_answer == (turn == budget)
        if turn < budget:
            action = int(rng.integers(len(menu.questions)))  # also one that was asked before
            said, *_ = text.step(menu.utterance(action, rebuilt.case))
            rebuilt = hear(rebuilt, menu.questions[action], said, knowledge)


def test_a_silent_presentation_is_not_taken_for_words_of_the_patient() -> None:
    env = gym.make("ProMed-MedQA-v0", initial=0, reward="diagnosis")
    base = env.unwrapped
    assert isinstance(base, ConsultationEnv)
    said, _ = env.reset(seed=0)
    assert said.startswith("A patient has come to see you.")
    assert begin(said, "en", None).case.presentation == base.consultation.case.presentation == ""


def test_a_dialogue_without_options_or_of_another_world_is_refused() -> None:
    hidden, _ = gym.make("ProMed-MedQA-v0", show_options="never").reset(seed=0)
    with pytest.raises(DatasetError, match=r"shows no options.*show_options='always'"):
        begin(hidden, "en", None)
    vignette, _ = gym.make("ProMed-MedQA-v0").reset(seed=0)
    with pytest.raises(DatasetError, match="names no complaint of the knowledge base 'primarycare'"):
        begin(vignette, "en", primary_care())


@settings(max_examples=20)
@given(seed=st.integers(0, 2**20))
def test_the_judge_with_the_knowledge_base_has_its_exact_posterior(seed: int) -> None:
    text = gym.make("ProMed-PrimaryCare-v0", reward="diagnosis")
    base = text.unwrapped
    assert isinstance(base, ConsultationEnv)
    menu = Menu.of(base)
    assert isinstance(menu, FindingsMenu)
    judge = OptionScores(menu.observation_space, menu.slots, menu.knowledge)
    doctor = KnowledgeDoctor()
    said, _ = text.reset(seed=seed)
    picture = doctor.begin(said)
    for question in np.random.default_rng(seed).integers(len(menu.questions), size=8).tolist():
        arrays = {name: torch.tensor(value[None]) for name, value in menu.observe(base.consultation).items()}
        scores = judge(arrays)[0, -menu.slots :].exp().numpy()
        np.testing.assert_allclose(scores, picture.posterior, atol=1e-4)
        said, *_ = text.step(menu.utterance(question, base.consultation.case))
        doctor.hear(picture, said)


# The adapter.


def test_the_adapter_steps_like_single_environments() -> None:
    cases = load_dataset("primarycare", "train")[:32]
    adapter = MenuVecEnv(menu_env(3, dataset=cases))
    singles = [
        MenuActions(gym.make("ProMed-PrimaryCare-v0", dataset=cases, max_questions=3, reward="diagnosis"))
        for _ in range(3)
    ]
    adapter.seed(5)
    batch = adapter.reset()
    alone = [env.reset(seed=5 + index)[0] for index, env in enumerate(singles)]
    rng = np.random.default_rng(0)
    ended = 0
    for _ in range(30):
        for index, observation in enumerate(alone):
            for name, array in observation.items():
                np.testing.assert_array_equal(batch[name][index], array)
        masks = np.stack(adapter.env_method("action_masks"))
        np.testing.assert_array_equal(masks, np.stack([env.action_masks() for env in singles]))
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
        batch, rewards, dones, infos = adapter.step(actions)
        for index, env in enumerate(singles):
            observation, reward, terminated, _, info = env.step(actions[index])
            assert rewards[index] == pytest.approx(reward) and dones[index] == terminated
            assert {name: infos[index][name] for name in info} == info
            if terminated:
                ended += 1
                for name, array in observation.items():
                    np.testing.assert_array_equal(infos[index]["terminal_observation"][name], array)
                assert infos[index]["TimeLimit.truncated"] is False
                observation, info = env.reset()
                assert adapter.reset_infos[index] == info
            alone[index] = observation
    assert ended > 10


def test_masks_reach_sb3_through_its_own_wrappers() -> None:
    env = VecMonitor(MenuVecEnv(menu_env()))
    env.reset()
    assert is_masking_supported(env)
    assert get_action_masks(env).shape == (4, env.action_space.n)
    assert env.env_method("action_masks", indices=[1])[0].shape == (env.action_space.n,)


def test_the_adapter_wants_a_menu_and_the_same_step() -> None:
    with pytest.raises(ValueError, match="actions='menu'"):
        MenuVecEnv(menu_env(actions="text"))
    with pytest.raises(ValueError, match="autoreset_mode='SameStep', not 'NextStep'"):
        MenuVecEnv(menu_env(autoreset_mode="NextStep"))


# Training.


@pytest.mark.rl
@pytest.mark.parametrize("algo", ALGORITHMS)
def test_a_run_is_the_same_under_the_same_seed_and_plays(algo: str, tmp_path: Path) -> None:
    seen: list[int] = []
    one = train(small(algo), tmp_path / "one", on_progress=seen.append)
    two = train(small(algo), tmp_path / "two")
    other = train(small(algo, seed=1), tmp_path / "other")
    assert seen[-1] == 128 and one == newest_checkpoint(tmp_path / "one")
    first, second, third = weights(one), weights(two), weights(other)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not all(np.array_equal(first[name], third[name]) for name in first)
    lines = evaluations(tmp_path / "one")
    assert [line["steps"] for line in lines] == [0, 64, 128] and all(line["n"] == 10 for line in lines)

    doctor = make_agent(f"sb3:{tmp_path / 'one'}")
    assert doctor.name == f"{algo}(diagnosis)" and doctor.access == "knowledge"
    setting = Setting("ProMed-PrimaryCare-v0", split="validation", max_questions=3, reward="diagnosis")
    summary = evaluate(doctor, setting, setting.load(10)).summaries["all"]
    assert summary.accuracy == lines[-1]["accuracy"] and summary.questions == lines[-1]["questions"]


@pytest.mark.rl
@pytest.mark.parametrize("algo", ["maskable_ppo", "ppo"])
def test_a_resumed_run_ends_as_one_that_was_not_interrupted(algo: str, tmp_path: Path) -> None:
    whole = train(small(algo, reward="promed_signed"), tmp_path / "whole")
    train(small(algo, 64, reward="promed_signed"), tmp_path / "parts")
    resumed = train(small(algo, reward="promed_signed"), tmp_path / "parts", resume=True)
    first, second = weights(whole), weights(resumed)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    one, two = evaluations(tmp_path / "whole"), evaluations(tmp_path / "parts")
    assert [{**row, "seconds": 0} for row in one] == [{**row, "seconds": 0} for row in two]


@pytest.mark.rl
def test_a_judge_that_learns_is_played_from_the_text_alone(tmp_path: Path) -> None:
    train(small("maskable_ppo", 64, judge="learnt"), tmp_path)
    assert SB3Doctor(tmp_path).access == "text"


@pytest.mark.rl
@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.parametrize("env_id", ["ProMed-PrimaryCare-v0", "ProMed-MedQA-v0"])
def test_asking_what_it_leans_to_does_not_change_what_it_says(algo: str, env_id: str, tmp_path: Path) -> None:
    train(small(algo, 64, env_id=env_id), tmp_path)
    setting = Setting(env_id, reward="diagnosis", max_questions=3)
    cases = setting.load(12)

    class Discreet:
        """The same doctor, who is never asked."""

        def __init__(self) -> None:
            doctor = SB3Doctor(tmp_path)
            self.name, self.access, self.reset, self.act = doctor.name, doctor.access, doctor.reset, doctor.act

    asked, silent = evaluate(SB3Doctor(tmp_path), setting, cases), evaluate(Discreet(), setting, cases)
    assert [episode.turns for episode in asked.episodes] == [episode.turns for episode in silent.episodes]
    for episode, case in zip(asked.episodes, cases, strict=True):
        if algo == "dqn":
            assert episode.choices is None
            continue
        assert episode.leanings is not None and episode.choices is not None
        assert all(len(row) == len(case.options) and abs(sum(row) - 1) < 1e-3 for row in episode.leanings)
        assert episode.chosen in ((), episode.choices[-1])  # without masks it may ask when it must answer


@pytest.mark.rl
def test_dqn_resumes_and_vignettes_train(tmp_path: Path) -> None:
    train(small("dqn", 64), tmp_path / "dqn")
    assert train(small("dqn", 128), tmp_path / "dqn", resume=True).name == "checkpoint-000000000128"
    env_id = "ProMed-MedQA-v0"
    train(small("maskable_ppo", 64, env_id=env_id), tmp_path / "vignettes")
    setting = Setting(env_id, reward="diagnosis", max_questions=3)
    summary = evaluate(make_agent(f"sb3:{tmp_path / 'vignettes'}"), setting, setting.load(10)).summaries["all"]
    last = evaluations(tmp_path / "vignettes")[-1]
    assert (summary.accuracy, summary.questions) == (last["accuracy"], last["questions"])


@pytest.mark.rl
def test_a_run_is_not_overwritten_nor_resumed_with_other_settings(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        train(small("ppo"), tmp_path, resume=True)
    train(small("ppo", 64), tmp_path)
    with pytest.raises(FileExistsError, match="holds a run already; resume it, or choose another folder"):
        train(small("ppo", 64), tmp_path)
    with pytest.raises(ValueError, match="trained with seed = 0, not 1; resume with the same settings"):
        train(small("ppo", seed=1), tmp_path, resume=True)


# Recipes and the command.


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_every_algorithm_has_a_recipe(algo: str) -> None:
    recipe = read_recipe(algo)
    assert recipe.algo == algo and recipe.learner["gamma"] == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('algo = "a2c"', "unknown algorithm 'a2c'; there are maskable_ppo, ppo, dqn"),
        ("step = 3", "unknown field 'step'; there are algo, env_id"),
        ('steps = "many"', "steps must be int, got 'many'"),
        ("num_envs = 0", "num_envs must be at least 1, got 0"),
        ("steps = ", "not a TOML file"),
    ],
)
def test_a_bad_recipe_is_named_with_its_mistake(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{path}.*{message}"):
        read_recipe(path)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    lines = [f"{name} = {json.dumps(value)}" for name, value in SMALL.items()]
    learner = [f"{name} = {value}" for name, value in PPO_LEARNER.items()]
    path = tmp_path / "recipe.toml"
    path.write_text("\n".join(['algo = "ppo"', *lines, "[learner]", *learner]), encoding="utf-8")
    return path


@pytest.mark.rl
def test_the_command_trains_resumes_and_reports(recipe: Path, tmp_path: Path) -> None:
    def run(*more: str, code: int = 0) -> str:
        command = ["train", "ProMed-PrimaryCare-v0", "--recipe", str(recipe), "--out", str(tmp_path / "run"), *more]
        result = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, command)
        assert result.exit_code == code, result.output
        return " ".join(result.output.split())

    output = run("--steps", "64", "--reward", "promed_signed", "--seed", "3")
    assert "accuracy" in output and "promed evaluate ProMed-PrimaryCare-v0 --agent sb3:" in output
    assert "holds a run already" in run("--steps", "64", code=1)
    output = run("--steps", "128", "--reward", "promed_signed", "--seed", "3", "--resume")
    assert newest_checkpoint(tmp_path / "run").name == "checkpoint-000000000128"
    config = TrainConfig.load(newest_checkpoint(tmp_path / "run") / "config.json")
    assert (config.reward, config.seed, config.steps, config.algo) == ("promed_signed", 3, 128, "ppo")
