"""Evaluation: what it counts, its slices and intervals, and its result file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import promed_agents.evaluate as evaluate_module
import pytest
from promed_agents.evaluate import Setting, evaluate, is_bundled, write_results
from promed_agents.statistics import bootstrap_interval
from promed_agents.zoo import make_agent

from promed_env.datasets import CaseDataset, load_dataset
from promed_env.errors import DatasetError


def test_results_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = load_dataset("medqa")[:7]
    whole = evaluate(make_agent("random", 2), Setting(seed=4), cases)
    monkeypatch.setattr(evaluate_module, "_BATCH", 3)
    assert evaluate(make_agent("random", 2), Setting(seed=4), cases) == whole


def test_progress_counts_every_case_once() -> None:
    counted: list[int] = []
    evaluate(make_agent("scripted"), Setting(max_questions=2), load_dataset("medqa")[:9], progress=counted.append)
    assert sum(counted) == 9


def test_a_summary_is_the_mean_of_its_episodes() -> None:
    result = evaluate(make_agent("greedy"), Setting(), load_dataset("medqa")[:10])
    summary, episodes = result.summaries["all"], result.episodes
    assert summary.n == 10
    assert summary.accuracy == np.mean([episode.correct for episode in episodes])
    assert summary.questions == np.mean([episode.questions for episode in episodes])
    assert summary.sig == pytest.approx(np.mean([sum(episode.sig or ()) for episode in episodes]))
    low, high = summary.accuracy_interval
    assert low <= summary.accuracy <= high


def test_a_bundled_sample_has_one_slice_and_other_data_three() -> None:
    sample = load_dataset("medqa")
    assert is_bundled(sample)
    other = CaseDataset("mine", sample.cases)
    assert not is_bundled(other)
    assert list(evaluate(make_agent("reactive"), Setting(), sample).summaries) == ["all"]
    summaries = evaluate(make_agent("reactive"), Setting(), other).summaries
    assert list(summaries) == ["all", "clinical", "diagnosis"]
    assert [summary.metric for summary in summaries.values()] == ["answer accuracy"] * 2 + ["diagnostic accuracy"]


def test_the_default_reward_is_promed_where_it_can_be_and_else_diagnosis() -> None:
    cases = load_dataset("medqa")[:3]
    bare = [dataclasses.replace(case, evidence=None, shapley=None) for case in cases]
    assert Setting().reward_for(cases) == "promed"
    assert Setting().reward_for(bare) == "diagnosis"
    assert Setting(reward="sig_uniform").reward_for(bare) == "sig_uniform"
    result = evaluate(make_agent("reactive"), Setting(), CaseDataset("bare", tuple(bare)))
    assert result.summaries["all"].sig is None


@pytest.mark.parametrize(
    ("setting", "episodes", "message"),
    [
        (Setting("ProMed-House-v0"), None, "unknown environment 'ProMed-House-v0'; there are ProMed-MedQA-v0"),
        (Setting(), 0, "episodes must be 1 to 60"),
        (Setting(), 61, "episodes must be 1 to 60"),
        (Setting(dataset="/no/such.jsonl"), None, "there is no such file"),
    ],
)
def test_a_setting_that_cannot_be_played_says_why(setting: Setting, episodes: int | None, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        setting.load(episodes)


def test_the_result_file_holds_settings_summaries_and_dialogues(tmp_path: Path) -> None:
    result = evaluate(make_agent("scripted"), Setting(), load_dataset("medqa")[:2])
    path = write_results([result], tmp_path / "new" / "folder")
    (row,) = json.loads(path.read_text(encoding="utf-8"))
    assert row["agent"] == "scripted"
    assert row["access"] == "knowledge"
    assert "synthetic vignettes, not reviewed by clinicians; not comparable with MedQA" in row["dataset"]
    assert row["setting"]["show_options"] is None  # the environment's own
    assert row["patient"].startswith("static")
    assert [episode["case_id"] for episode in row["episodes"]] == [e.case_id for e in result.episodes]
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_left_behind_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = evaluate(make_agent("reactive"), Setting(), load_dataset("medqa")[:1])

    def fail(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_results([result], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_bootstrap_covers_the_mean_of_coins_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        low, high = bootstrap_interval(rng.binomial(1, 0.4, size=80).tolist(), seed=seed, resamples=1000)
        hits += low <= 0.4 <= high
    assert 180 <= hits <= 199


def test_the_bootstrap_of_other_numbers_agrees_with_the_normal_approximation() -> None:
    values = np.random.default_rng(1).normal(2.0, 1.0, size=400)
    low, high = bootstrap_interval(values.tolist(), resamples=2000)
    assert low == pytest.approx(values.mean() - 1.96 * values.std() / 20, abs=0.02)
    assert high == pytest.approx(values.mean() + 1.96 * values.std() / 20, abs=0.02)


def test_the_bootstrap_of_a_constant_is_that_constant_and_of_nothing_an_error() -> None:
    assert bootstrap_interval([1.0] * 5, resamples=100) == (1.0, 1.0)
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_interval([])
