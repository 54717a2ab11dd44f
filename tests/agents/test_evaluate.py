"""Evaluation: what it counts, its slices and intervals, and its result file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import promed_agents.evaluate as evaluate_module
import pytest
from promed_agents.base import Access, Leaning
from promed_agents.evaluate import evaluate, is_bundled, write_results
from promed_agents.setting import Setting
from promed_agents.statistics import bootstrap_interval
from promed_agents.zoo import AGENTS, NEEDS_KNOWLEDGE, make_agent

from promed_env.consultation import Consultation
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
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["schema_version"] == 1
    (row,) = content["evaluations"]
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


class Stubborn:
    """Asks once, then answers A with a confidence of its own; cannot tell what it leans to."""

    name = "stubborn"
    access: Access = "text"

    def __init__(self, said: str = "answer: A (confidence: 0.9)") -> None:
        self.said = said

    def reset(self, n: int) -> None:
        """See `Agent.reset`."""

    def act(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[str]:
        """See `Agent.act`."""
        return [
            self.said if info["must_answer"] or info["turn"] else "question: Do you take any medicines?"
            for info in infos
        ]


class Wavering(Stubborn):
    """Leans to A, then to B, and answers A."""

    def leaning(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[tuple[float, ...] | None]:
        """See `Leaning.leaning`."""
        return [
            tuple(float(index == min(info["turn"], 1)) for index in range(len(case.options)))
            for info, case in zip(infos, CASES, strict=True)
        ]


CASES = load_dataset("medqa")[:20]


@pytest.mark.parametrize("name", [name for name in AGENTS if name not in NEEDS_KNOWLEDGE])
def test_what_a_doctor_leans_to_in_the_end_is_what_it_answers(name: str) -> None:
    agent = make_agent(name)
    assert isinstance(agent, Leaning)
    for env_id in ("ProMed-MedQA-v0", "ProMed-CMB-v0"):
        for episode in evaluate(agent, Setting(env_id, max_questions=3)).episodes:
            assert episode.choices is not None and episode.leanings is not None
            assert len(episode.choices) == len(episode.leanings) == len(episode.turns)
            assert episode.choices[-1] == episode.chosen
            assert all(sum(leaning) == pytest.approx(1, abs=1e-3) for leaning in episode.leanings)


@pytest.mark.parametrize("name", ["knowledge", "mcts"])
def test_asking_for_the_leaning_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting("ProMed-PrimaryCare-v0", reward="diagnosis", max_questions=3)
    cases = setting.load(6)
    asked = evaluate(make_agent(name), setting, cases)
    monkeypatch.delattr("promed_agents.knowledge.KnowledgeDoctor.leaning")
    plain = evaluate(make_agent(name), setting, cases)
    assert [episode.turns for episode in asked.episodes] == [episode.turns for episode in plain.episodes]
    assert asked.summaries["all"].accuracy_by_turn is not None
    assert plain.summaries["all"].accuracy_by_turn is None
    for episode in asked.episodes:
        assert episode.choices is not None
        assert episode.choices[-1] == episode.chosen


def test_the_knowledge_doctor_cannot_tell_before_it_sees_options() -> None:
    setting = Setting("ProMed-PrimaryCare-v0", reward="diagnosis", max_questions=2, show_options="never")
    result = evaluate(make_agent("knowledge"), setting, setting.load(3))
    assert {episode.choices for episode in result.episodes} == {None}
    assert result.summaries["all"].accuracy_by_turn is None


def test_accuracy_by_turn_starts_reactive_and_ends_at_the_accuracy() -> None:
    setting = Setting(facts_per_reply=1, max_questions=5)
    for name in ("scripted", "greedy"):
        summary = evaluate(make_agent(name), setting, CASES).summaries["all"]
        assert summary.accuracy_by_turn is not None
        assert summary.accuracy_by_turn[0] == evaluate(make_agent("reactive"), setting, CASES).summaries["all"].accuracy
        assert summary.accuracy_by_turn[-1] == summary.accuracy
        assert len(summary.accuracy_by_turn) == 6


def test_stopped_after_so_many_turns_is_a_smaller_budget_for_a_doctor_that_does_not_look_ahead() -> None:
    whole = evaluate(make_agent("greedy"), Setting(facts_per_reply=1, max_questions=4), CASES).summaries["all"]
    assert whole.accuracy_by_turn is not None
    for budget, accuracy in enumerate(whole.accuracy_by_turn):
        less = evaluate(make_agent("greedy"), Setting(facts_per_reply=1, max_questions=budget), CASES)
        assert less.summaries["all"].accuracy == accuracy


def test_a_consultation_that_is_over_keeps_its_answer() -> None:
    summary = evaluate(Wavering(), Setting(), CASES).summaries["all"]
    right_a = np.mean([case.answer == ("A",) for case in CASES])
    assert summary.accuracy_by_turn == (right_a, right_a)  # first it leans to A, in the end it says A
    assert summary.accuracy == right_a


def test_a_leaning_of_the_wrong_length_is_named() -> None:
    class Short(Stubborn):
        def leaning(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[tuple[float, ...]]:
            return [(1.0,)] * len(infos)

    with pytest.raises(ValueError, match=r"has \d options, but the agent's leaning has 1 numbers"):
        evaluate(Short(), Setting(), CASES[:1])


def test_calibration_is_of_the_episodes_that_state_a_confidence() -> None:
    stated = evaluate(Stubborn(), Setting(), CASES).summaries["all"]
    assert stated.calibration is not None and stated.calibration.n == len(CASES)
    (only,) = stated.calibration.bins
    assert (only.confidence, only.accuracy) == (pytest.approx(0.9), stated.accuracy)
    assert stated.calibration.ece == pytest.approx(abs(0.9 - stated.accuracy))
    assert stated.accuracy_by_turn is None
    assert evaluate(Stubborn("answer: A"), Setting(), CASES).summaries["all"].calibration is None


def test_a_proportion_has_wilsons_interval_too() -> None:
    summary = evaluate(make_agent("oracle"), Setting(), CASES).summaries["all"]
    assert summary.accuracy_interval == (1.0, 1.0)
    assert summary.accuracy_wilson == pytest.approx((20 / (20 + 1.96**2), 1.0), abs=1e-4)


def seen(setting: Setting, cases: CaseDataset) -> list[Consultation]:
    finished: list[Consultation] = []
    evaluate(make_agent("scripted"), setting, cases, on_finish=lambda pair: finished.append(pair[0]))
    return finished


@pytest.mark.parametrize("env_id", ["ProMed-MedQA-v0", "ProMed-CMB-v0"])
def test_information_levels_tell_what_they_say(env_id: str) -> None:
    cases = Setting(env_id).load(5)
    for level in ("none", "initial", "full"):
        setting = Setting(env_id, information=level)  # type: ignore[arg-type]
        opening = [text.split("\n\n")[0] for text in setting.make(cases).reset(seed=0)[0]]
        for case, state, text in zip(cases, seen(setting, cases), opening, strict=True):
            assert state.turn == 1 and state.case.case_id == case.case_id
            assert (case.presentation in text) == (level != "none")
            assert all((fact.text in text) == (level == "full") for fact in (case.facts[i] for i in case.hidden))
            assert len(state.known) == {"none": 0, "initial": len(case.initial), "full": case.n_facts}[level]
            if level == "none":
                assert state.case.prior is not None and len(set(state.case.prior.tolist())) == 1


def test_levels_are_of_the_same_cases_and_the_interactive_one_is_the_default() -> None:
    assert Setting() == Setting(information="interactive")
    assert seen(Setting(information="interactive"), CASES) == seen(Setting(), CASES)
    ids = [
        [e.case_id for e in evaluate(make_agent("reactive"), Setting(information=level), CASES).episodes]
        for level in ("none", "full")
    ]  # type: ignore[arg-type]
    assert ids[0] == ids[1] == [case.case_id for case in CASES]


def test_knowing_everything_reactive_is_the_oracle_whatever_the_initial_facts() -> None:
    oracle = evaluate(make_agent("oracle"), Setting(), CASES)
    for initial in ("dataset", "first", 0):
        full = evaluate(make_agent("reactive"), Setting(initial=initial, information="full"), CASES)
        assert [e.chosen for e in full.episodes] == [e.chosen for e in oracle.episodes]
        assert {e.fact_recall for e in full.episodes} == {1.0}


def test_knowing_nothing_the_knowledge_doctor_answers_too() -> None:
    setting = Setting("ProMed-PrimaryCare-v0", information="none")
    result = evaluate(make_agent("knowledge"), setting, setting.load(5))
    assert [episode.confidence for episode in result.episodes] == [0.2] * 5
    assert [episode.questions for episode in result.episodes] == [0] * 5


def test_an_unknown_information_level_is_refused() -> None:
    with pytest.raises(ValueError, match="information must be one of none, initial, interactive, full, got 'some'"):
        Setting(information="some")  # type: ignore[arg-type]


def test_all_that_there_is_to_know_can_be_told_in_the_synthetic_clinic() -> None:
    setting = Setting("ProMed-PrimaryCare-v0", reward="diagnosis", information="full")
    summary = evaluate(make_agent("knowledge"), setting, setting.load(100)).summaries["all"]
    assert summary.accuracy > 0.85 and summary.questions == 0
