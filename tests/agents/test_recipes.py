"""Recipes fill settings, say what is wrong with them, and give way to the command line."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from promed_agents.cli import app
from promed_agents.recipes import from_table, named_recipe, read_table
from promed_agents.sft import SFTSettings
from promed_agents.sig_grpo.settings import GRPOSettings
from promed_agents.sig_grpo.trainer import train
from typer.testing import CliRunner

from promed_env.errors import BackendError


@pytest.mark.parametrize(
    ("name", "settings", "more"),
    [("sft", SFTSettings, {"data": ["plans.jsonl"]}), ("grpo", GRPOSettings, {}), ("grpo_paper", GRPOSettings, {})],
)
def test_what_is_shipped_can_be_read(name, settings, more):
    assert from_table(settings, {**read_table(named_recipe(name)), **more}, name)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # the library's own
def test_the_papers_recipe_runs_and_names_the_package_it_wants(tmp_path):
    table = read_table(named_recipe("grpo_paper")) | {"tiny": {"hidden": 32, "layers": 1, "length": 8192}}
    small = {"updates": 1, "cases": 1, "max_new_tokens": 4, "validation_episodes": 2, "evaluations": 1, "cpu": True}
    if find_spec("vllm") is None:
        with pytest.raises(BackendError, match="need the package vllm"):
            train(from_table(GRPOSettings, table | small, "grpo_paper"), tmp_path / "doctor")
        assert not (tmp_path / "doctor").exists()
    figures = train(
        from_table(GRPOSettings, table | small | {"vllm": "none"}, "grpo_paper"), tmp_path / "doctor", quiet=True
    )
    assert "accuracy" in figures


def test_the_papers_settings():
    found = from_table(GRPOSettings, read_table(named_recipe("grpo_paper")), "grpo_paper")
    assert (found.advantage, found.group_size, found.kl, found.clip) == ("paper", 4, 0.04, 0.1)
    assert (found.temperature, found.max_new_tokens, found.learning_rate) == (0.7, 256, 5e-6)
    assert found.lora is not None
    assert (found.lora.rank, found.lora.alpha, found.lora.dropout, found.lora.modules) == (
        8,
        32,
        0.1,
        ("q_proj", "v_proj"),
    )


def test_tables_fill_dataclasses_in_fields():
    found = from_table(GRPOSettings, {"setting": {"env_id": "ProMed-CMB-v0", "reward": "diagnosis"}, "kl": 1}, "here")
    assert found.setting.env_id == "ProMed-CMB-v0"
    assert found.kl == 1


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"colour": 1}, "here: unknown field 'colour'"),
        ({"updates": "many"}, "here: updates must be int, got 'many'"),
        ({"updates": True}, "here: updates must be int, got True"),
        ({"setting": {"env": "x"}}, "here: setting: unknown field 'env'"),
        ({"advantage": "luck"}, "here: advantage must be one of"),
        ({"cpu": 1}, "here: cpu must be bool, got 1"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(table, message):
    with pytest.raises(ValueError, match=message):
        from_table(GRPOSettings, table, "here")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["grpo", "--out", "x", "--recipe", "luck"], "no recipe 'luck'"),
        (["grpo", "--out", "x", "--advantage", "luck"], "advantage must be one of"),
        (["grpo", "--out", "x", "--model", "nowhere"], "holds no model"),
        (["grpo", "--out", "x", "--model", "nowhere", "--resume"], "no checkpoint to resume"),
        (["grpo", "--out", "x", "--env", "ProMed-Nothing-v0"], "unknown environment"),
        (["sft", "none.jsonl", "--out", "x"], "none.jsonl"),
        (["sft", "none.jsonl", "--out", "x", "--answers", "sung"], "stated, key or words"),
    ],
)
def test_the_command_line_says_what_is_wrong(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert result.output.count("Error") == 1
    assert not list(tmp_path.glob("x/checkpoint-*"))
