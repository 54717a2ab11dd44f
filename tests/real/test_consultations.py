"""Real consultations: the built-in doctors and every law on real MediQ cases."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import pytest
from promed_agents.cli import app
from promed_agents.evaluate import evaluate
from promed_agents.setting import Setting
from promed_agents.zoo import make_agent
from typer.testing import CliRunner

import promed_env  # noqa: F401  (registers the environments)
from promed_env.datasets import SLICES, load_dataset
from promed_env.errors import BeliefRequired
from promed_env.testing import check_consultation_env

pytestmark = pytest.mark.real


def test_every_law_holds_on_real_cases(mediq_file: Path) -> None:
    env = gym.make("ProMed-MedQA-v0", dataset=str(mediq_file), reward="2*sig_uniform + 3*diagnosis + format")
    check_consultation_env(env, episodes=40)


@pytest.mark.parametrize("reward", ["sig", "promed", "information_gain"])
def test_sig_needs_an_annotation_or_a_belief(mediq_file: Path, reward: str) -> None:
    with pytest.raises(BeliefRequired, match="mediq:0"):
        gym.make("ProMed-MedQA-v0", dataset=str(mediq_file), reward=reward)


@pytest.mark.parametrize("reward", ["diagnosis", "fact_recall", "sig_uniform"])
def test_rewards_without_a_belief_play(mediq_file: Path, reward: str) -> None:
    cases = load_dataset(mediq_file)[:60]
    result = evaluate(make_agent("scripted"), Setting(dataset=str(mediq_file), reward=reward), cases)
    assert list(result.summaries) == ["all", "clinical", "diagnosis"]
    assert result.summaries["clinical"].n == sum(map(SLICES["clinical"], cases))
    assert (result.summaries["all"].sig is None) == (reward != "sig_uniform")


def test_the_script_finds_most_and_nonsense_nothing(mediq_file: Path) -> None:
    from promed_agents.baselines import Scripted

    cases = load_dataset(mediq_file).filter(SLICES["clinical"])[:80]
    setting = Setting(dataset=str(mediq_file))
    nonsense = Scripted(
        {"en": [f"Does the {thing} sing on Tuesdays?" for thing in ("sofa", "lamp", "moon", "fork", "shed")]}
    )
    recall = {
        name: evaluate(doctor, setting, cases).summaries["all"].fact_recall
        for name, doctor in (("script", Scripted()), ("random", make_agent("random")), ("nonsense", nonsense))
    }
    assert recall["script"] > recall["random"] > recall["nonsense"]
    assert recall["nonsense"] <= 0.05


def test_the_command_prints_three_slices(mediq_file: Path) -> None:
    runner = CliRunner(env={"COLUMNS": "120", "TERM": "dumb"})
    arguments = ["evaluate", "ProMed-MedQA-v0", "--dataset", str(mediq_file), "--episodes", "30", "--no-show"]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    for text in (
        "answer accuracy, slice all, n = 30",
        "answer accuracy, slice clinical",
        "diagnostic accuracy, slice diagnosis",
        "SIG is not available",
        "static (English: F1",
    ):
        assert text in result.output
