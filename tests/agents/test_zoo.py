"""The zoo: every built-in doctor plays every environment it can, from start to end and without an error."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from promed_agents.cli import app
from promed_agents.evaluate import evaluate
from promed_agents.setting import Setting
from promed_agents.zoo import AGENTS, NEEDS_KNOWLEDGE, NEEDS_TABLE, make_agent
from typer.testing import CliRunner

from promed_env.datasets import CaseDataset
from promed_env.errors import BeliefRequired, DatasetError
from promed_env.registration import ENVIRONMENTS, bundled_ids

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
REAL = {
    "ProMed-MedQA-v0": "mediq/dev_0000-0999.jsonl",
    "ProMed-CMB-v0": "promed-examples/cmb_atomic_patient_example.json",
    "ProMed-AgentClinic-v0": "agentclinic/agentclinic_medqa.jsonl",
    "ProMed-DDXPlus-v0": "ddxplus/fr/Project_Train_Data_FewShot_Learning.csv",
}
N = 6


@cache
def load(setting: Setting, n: int) -> CaseDataset:
    """The first cases; read once for all agents."""
    cases = setting.load()
    return cases[: min(n, len(cases))]


def plays(agent: str, setting: Setting, n: int = N) -> bool:
    """Whether an agent plays some cases, twice alike; or, where it cannot play them, says why."""
    cases = load(setting, n)
    tabled = all(case.evidence is not None for case in cases)
    if (agent in NEEDS_TABLE and not tabled) or (agent in NEEDS_KNOWLEDGE and cases.knowledge is None):
        with pytest.raises((BeliefRequired, DatasetError)):
            evaluate(make_agent(agent), setting, cases)
        return True
    result = evaluate(make_agent(agent), setting, cases)
    summary = result.summaries["all"]
    assert summary.n == len(cases) and summary.invalid == 0
    assert summary.questions <= setting.questions_allowed
    assert all(episode.chosen for episode in result.episodes), "every consultation ends with an answer"
    again = evaluate(make_agent(agent), setting, cases)
    return [episode.turns for episode in again.episodes] == [episode.turns for episode in result.episodes]


@pytest.mark.parametrize("env_id", sorted(bundled_ids()))
@pytest.mark.parametrize("agent", AGENTS)
def test_every_doctor_plays_every_bundled_environment(agent: str, env_id: str) -> None:
    assert plays(agent, Setting(env_id, max_questions=4, seed=2))


@pytest.mark.parametrize("show_options", ["always", "at_answer", "never"])
@pytest.mark.parametrize("env_id", sorted(bundled_ids()))
@pytest.mark.parametrize("agent", AGENTS)
def test_every_doctor_plays_however_the_options_are_shown(agent: str, env_id: str, show_options: str) -> None:
    assert plays(agent, Setting(env_id, max_questions=2, show_options=show_options, reward="diagnosis"), n=3)


def test_every_environment_is_played_somewhere() -> None:
    assert {*bundled_ids(), *REAL} == set(ENVIRONMENTS)


@pytest.mark.real
@pytest.mark.parametrize("env_id", sorted(REAL))
@pytest.mark.parametrize("agent", AGENTS)
def test_every_doctor_plays_real_data(agent: str, env_id: str) -> None:
    path = DATA / REAL[env_id]
    if not path.is_file():
        pytest.skip(f"the real data is not there: {path}")
    assert plays(agent, Setting(env_id, str(path), reward="diagnosis", max_questions=4))


@pytest.mark.real
@pytest.mark.parametrize("env_id", sorted(REAL))
def test_the_command_plays_all_that_can_on_real_data(env_id: str) -> None:
    path = DATA / REAL[env_id]
    if not path.is_file():
        pytest.skip(f"the real data is not there: {path}")
    arguments = ["evaluate", env_id, "--dataset", str(path), "--episodes", "1", "--max-questions", "3"]
    result = CliRunner(env={"COLUMNS": "160", "TERM": "dumb"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert all(name in result.output for name in ("reactive", "random", "scripted"))
