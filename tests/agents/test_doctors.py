"""The built-in doctors: what each does, and that it sees no more than its access allows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from promed_agents.base import KnowledgeView, episode_rng, view_for
from promed_agents.evaluate import Evaluation, evaluate
from promed_agents.greedy import Greedy, expected_information_gain
from promed_agents.setting import Setting
from promed_agents.zoo import AGENTS, NEEDS_KNOWLEDGE, make_agent

from promed_env.beliefs import EvidenceBelief
from promed_env.consultation import Consultation
from promed_env.datasets import CaseDataset, load_dataset
from promed_env.errors import BeliefRequired
from promed_env.interview import CATALOGUE, SCRIPT
from promed_env.patients import Reply


@pytest.fixture(scope="module")
def cases() -> CaseDataset:
    return load_dataset("medqa")[:12]


@pytest.fixture(scope="module")
def evaluations(cases: CaseDataset) -> dict[str, Evaluation]:
    return {
        name: evaluate(make_agent(name, seed=1), Setting(seed=5), cases)
        for name in AGENTS
        if name not in NEEDS_KNOWLEDGE
    }


def test_an_unknown_agent_is_named_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"unknown agent 'house'; there are reactive, .*oracle, sb3:PATH and llm:MODEL"
    ):
        make_agent("house")


def test_reactive_and_oracle_answer_without_a_question(evaluations: dict[str, Evaluation]) -> None:
    for name in ("reactive", "oracle"):
        assert [episode.questions for episode in evaluations[name].episodes] == [0] * 12


def test_scripted_asks_its_script_in_order(evaluations: dict[str, Evaluation]) -> None:
    for episode in evaluations["scripted"].episodes:
        assert tuple(turn["text"] for turn in episode.turns[:-1]) == SCRIPT


def test_random_asks_ten_different_questions_of_the_catalogue(evaluations: dict[str, Evaluation]) -> None:
    interviews = [tuple(turn["text"] for turn in episode.turns[:-1]) for episode in evaluations["random"].episodes]
    assert all(len(set(asked)) == 10 and set(asked) <= set(CATALOGUE) for asked in interviews)
    assert len(set(interviews)) == len(interviews)


def test_the_script_is_part_of_the_catalogue() -> None:
    assert len(SCRIPT) == 10 == len(set(SCRIPT))
    assert set(SCRIPT) <= set(CATALOGUE)
    assert len(set(CATALOGUE)) == len(CATALOGUE)


def test_no_doctor_makes_an_invalid_turn(evaluations: dict[str, Evaluation]) -> None:
    assert {name: sum(e.invalid for e in result.episodes) for name, result in evaluations.items()} == dict.fromkeys(
        (name for name in AGENTS if name not in NEEDS_KNOWLEDGE), 0
    )


def test_the_oracle_is_right_by_construction(evaluations: dict[str, Evaluation]) -> None:
    assert evaluations["oracle"].summaries["all"].accuracy == 1.0


def test_greedy_brings_out_more_per_question_than_doctors_that_do_not_read_the_record(cases: CaseDataset) -> None:
    gain = {}
    for name in ("greedy", "scripted", "random"):
        summary = evaluate(make_agent(name), Setting(facts_per_reply=1), cases).summaries["all"]
        assert summary.sig is not None
        gain[name] = summary.sig / summary.questions
    assert gain["greedy"] > max(gain["scripted"], gain["random"])


def test_greedy_never_reads_how_a_fact_turned_out(cases: CaseDataset) -> None:
    """Its first question is the same when a hidden fact is replaced by its negation: same odds, other outcome."""
    for case in cases:
        assert case.evidence is not None
        evidence = np.array(case.evidence)
        hidden = list(case.hidden)
        evidence[hidden] = np.log1p(-np.exp(evidence[hidden]))
        negated = dataclasses.replace(case, evidence=evidence, shapley=None)
        first, second = (
            Greedy(stop_at=1.1).act([""], [{"view": Consultation(c), "by_key": True}]) for c in (case, negated)
        )
        assert first == second


def test_greedy_and_oracle_say_what_is_missing_without_a_table(cases: CaseDataset) -> None:
    bare = CaseDataset("bare", tuple(dataclasses.replace(case, evidence=None, shapley=None) for case in cases))
    for name in ("greedy", "oracle"):
        with pytest.raises(BeliefRequired, match="has no evidence table"):
            evaluate(make_agent(name), Setting(), bare)


def test_without_a_table_reactive_guesses_uniformly_and_repeatably(cases: CaseDataset) -> None:
    bare = CaseDataset("bare", tuple(dataclasses.replace(case, evidence=None, shapley=None) for case in cases))
    first, second = (evaluate(make_agent("reactive", seed=3), Setting(), bare) for _ in range(2))
    assert [e.chosen for e in first.episodes] == [e.chosen for e in second.episodes]
    assert [e.confidence for e in first.episodes] == [round(1 / len(case.options), 2) for case in bare]
    assert len({e.chosen for e in first.episodes}) > 1


def test_a_view_holds_what_the_access_allows_and_no_more(cases: CaseDataset) -> None:
    case = cases[0]
    state = Consultation(case).ask("?", Reply("Patient: ...", (case.hidden[0],), "patient"))
    assert view_for("text", state) is None
    assert view_for("record", state) is state
    view = view_for("knowledge", state)
    assert isinstance(view, KnowledgeView)
    assert view.rows is not None and case.evidence is not None
    assert view.rows.shape == (len(case.initial) + 1, len(case.options))
    known = np.zeros((1, case.n_facts), dtype=bool)
    known[0, [*case.initial, case.hidden[0]]] = True
    posterior = view.posterior()
    assert posterior is not None
    np.testing.assert_allclose(np.log(posterior), EvidenceBelief()(case, known)[0], atol=1e-12)


def test_expected_information_gain_is_the_mutual_information_by_enumeration() -> None:
    rng = np.random.default_rng(0)
    prior, stated = rng.dirichlet(np.ones(4)), rng.uniform(0.05, 0.95, (6, 4))

    def entropy(p: np.ndarray) -> float:
        return float(-(p * np.log(p)).sum())

    for row, gain in zip(stated, expected_information_gain(prior, np.log(stated)), strict=True):
        expected = entropy(prior)
        for likelihood in (row, 1 - row):
            joint = prior * likelihood
            expected -= joint.sum() * entropy(joint / joint.sum())
        assert gain == pytest.approx(expected)
    assert expected_information_gain(prior, np.log(np.full((1, 4), 0.3)))[0] == pytest.approx(0, abs=1e-12)


def test_the_generator_of_an_episode_depends_on_seed_and_case_only() -> None:
    draws = {(seed, case): episode_rng(seed, case).integers(2**31) for seed in (0, 1) for case in ("a:1", "a:2")}
    assert len(set(draws.values())) == 4
    assert episode_rng(0, "a:1").integers(2**31) == draws[0, "a:1"]


@pytest.mark.parametrize("show_options", ["always", "at_answer", "never"])
def test_doctors_answer_in_the_words_that_the_setting_understands(cases: CaseDataset, show_options: str) -> None:
    for name, turns in (("oracle", 1), ("reactive", 1), ("greedy", None)):
        result = evaluate(make_agent(name), Setting(show_options=show_options), cases)
        always = evaluate(make_agent(name), Setting(), cases)
        assert [e.chosen for e in result.episodes] == [e.chosen for e in always.episodes]
        assert turns is None or {len(e.turns) for e in result.episodes} == {turns}


def test_where_several_options_apply_all_that_are_likely_are_given() -> None:
    chinese = load_dataset("cmb")
    several = CaseDataset("several", tuple(case for case in chinese if case.several))
    for name in ("oracle", "greedy"):
        played = evaluate(make_agent(name), Setting("ProMed-CMB-v0"), several)
        assert played.summaries["all"].accuracy == 1.0
        assert all(len(episode.chosen) >= 2 for episode in played.episodes)
