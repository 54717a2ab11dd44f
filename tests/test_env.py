"""The single environment: Gymnasium's own checks over every id, determinism, specs, snapshots, rules and bad input."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

import promed_env
from promed_env.consultation import Consultation
from promed_env.datasets import CaseDataset, load_dataset
from promed_env.env import ConsultationEnv
from promed_env.errors import BeliefRequired, DatasetError
from promed_env.patients import Reply
from promed_env.registration import ENVIRONMENTS, bundled_ids
from promed_env.rewards import SIG
from promed_env.testing import check_consultation_env

IDS = sorted(bundled_ids())


def make(**kwargs: Any) -> ConsultationEnv:
    env = gym.make("ProMed-MedQA-v0", **kwargs).unwrapped
    assert isinstance(env, ConsultationEnv)
    return env


@pytest.mark.parametrize("env_id", IDS)
def test_gymnasium_finds_nothing_to_warn_about(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(env_id).unwrapped)


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("show_options", ["always", "at_answer", "never"])
def test_every_environment_keeps_every_law(env_id: str, show_options: str) -> None:
    check_consultation_env(gym.make(env_id, show_options=show_options), episodes=8)


@pytest.mark.parametrize("env_id", IDS)
def test_two_environments_with_the_same_seed_are_the_same(env_id: str) -> None:
    one, two = gym.make(env_id), gym.make(env_id)
    assert one.reset(seed=7) == two.reset(seed=7)
    one.action_space.seed(3)
    for _ in range(60):
        action = one.action_space.sample()
        left, right = one.step(action), two.step(action)
        assert left == right
        if left[2]:
            assert one.reset() == two.reset()


@pytest.mark.parametrize("env_id", IDS)
def test_a_spec_survives_json(env_id: str) -> None:
    spec = gym.make(env_id, reward="2*sig + 3*diagnosis", max_questions=4).spec
    assert spec is not None
    copy = gym.make(EnvSpec.from_json(spec.to_json()))
    assert copy.spec == spec
    env = copy.unwrapped
    assert isinstance(env, ConsultationEnv)
    assert (env.source.max_questions, env.reward.name) == (4, "2*sig + 3*diagnosis")


@pytest.mark.parametrize("env_id", IDS)
def test_a_pickled_environment_goes_on_where_it_was(env_id: str) -> None:
    env = gym.make(env_id)
    env.reset(seed=1)
    env.step("question: What medications do you take?")
    copy = pickle.loads(pickle.dumps(env))
    assert copy.step("question: What are the vital signs?") == env.step("question: What are the vital signs?")
    assert copy.step("answer: A")[4]["turn_rewards"] == env.step("answer: A")[4]["turn_rewards"]


def test_the_module_form_works_where_nothing_was_imported() -> None:
    code = (
        "import gymnasium as gym; env = gym.make('promed_env:ProMed-MedQA-v0'); print(env.reset(seed=0)[1]['dataset']);"
        "import sys; assert 'torch' not in sys.modules and 'rich' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "60 synthetic vignettes, not reviewed by clinicians; not comparable with MedQA" in done.stdout


def test_registration_can_be_repeated() -> None:
    promed_env.register_environments()
    assert set(ENVIRONMENTS) <= set(gym.registry)


def test_the_opening_states_presentation_question_options_rules_and_budget() -> None:
    env = make()
    observation, info = env.reset(seed=0)
    case = env.consultation.case
    for text in (
        case.presentation,
        case.question,
        *(f"{o.key}. {o.text}" for o in case.options),
        "Questions left: 10.",
    ):
        assert text in observation
    assert info == {"case_id": case.case_id, "dataset": env.source.label, "turn": 0}


def test_an_episode_from_question_to_answer() -> None:
    env = make()
    env.reset(seed=0)
    case = env.consultation.case
    index = case.hidden[0]
    observation, reward, terminated, truncated, info = env.step(f"question: {case.facts[index].question_text}")
    assert "Questions left: 9." in observation
    assert (info["kind"], info["turn"], terminated, truncated) == ("question", 1, False, False)
    assert info["informant"] in ("patient", "examiner", "laboratory")
    assert reward == sum(info["reward_terms"].values()) == pytest.approx(2 * SIG().gains(env.consultation)[0])
    observation, reward, terminated, truncated, info = env.step(f"answer: {case.answer[0]} (confidence: 0.7)")
    assert (info["correct"], info["chosen"], info["answer"], terminated, truncated) == (
        True,
        case.answer,
        case.answer,
        True,
        False,
    )
    assert info["confidence"] == 0.7
    assert reward == pytest.approx(3 + info["sig_total"])
    assert info["fact_recall"] == len(env.consultation.known - case.initial) / len(case.hidden)
    assert sum(info["turn_rewards"]) == pytest.approx(reward + 2 * info["sig_total"])


@pytest.mark.parametrize(
    ("reward", "sig"),
    [
        ("promed", SIG()),
        ("sig_signed + distributed", SIG("signed")),
        ("2*distributed + diagnosis", SIG()),
        ("diagnosis", SIG()),  # the paper's, where the case carries its values
    ],
)
def test_the_total_reported_is_of_the_rewards_own_sig_or_else_the_papers(reward: str, sig: SIG) -> None:
    env = make(reward=reward)
    env.reset(seed=0)
    for index in env.consultation.case.hidden[:2]:
        env.step(f"question: {env.consultation.case.facts[index].question_text}")
    info = env.step("answer: A")[4]
    assert info["sig_total"] == pytest.approx(sig.gains(env.consultation).sum())
    assert info["sig_total"] != 0


def test_an_invalid_turn_uses_a_turn_up_and_says_what_is_expected() -> None:
    env = make()
    env.reset(seed=0)
    observation, reward, terminated, _, info = env.step("Do you smoke?")
    assert observation.splitlines() == [
        'Not understood (neither a question nor an answer): expected "question: ..." or "answer: ...".',
        "Questions left: 9.",
    ]
    assert (reward, terminated, info["kind"], info["new"], info["informant"]) == (-1.0, False, "invalid", (), None)


@pytest.mark.parametrize("last", ["question: Any fever?", "nonsense", ""])
def test_when_the_questions_are_used_up_anything_but_an_answer_ends_it_as_wrong(last: str) -> None:
    env = make(max_questions=2)
    env.reset(seed=0)
    env.step("question: What are the vital signs?")
    observation, *_ = env.step("nonsense")
    assert 'No questions left: answer now with "answer: ...".' in observation
    known = env.consultation.known
    observation, _, terminated, truncated, info = env.step(last)
    assert (terminated, truncated, info["correct"], info["chosen"], info["kind"]) == (True, False, False, (), "invalid")
    assert observation == "An answer was due. The consultation is over."
    assert env.consultation.known == known


def test_an_answer_that_is_no_option_is_wrong_and_ends_the_episode() -> None:
    env = make()
    env.reset(seed=0)
    observation, reward, terminated, _, info = env.step("answer: Z")
    assert observation == "That is none of the options. The consultation is over."
    assert (reward, terminated, info["kind"], info["correct"], info["chosen"]) == (0.0, True, "answer", False, ())


def test_with_no_budget_the_opening_asks_for_the_answer() -> None:
    env = make(max_questions=0, show_options="at_answer")
    observation, _ = env.reset(seed=0)
    assert "No questions left" in observation and f"A. {env.consultation.case.options[0].text}" in observation
    assert env.step("answer: A")[2]


def test_options_shown_at_the_answer_appear_on_request_or_at_the_end_of_the_budget() -> None:
    env = make(show_options="at_answer", max_questions=3)
    observation, _ = env.reset(seed=0)
    case = env.consultation.case
    shown = f"A. {case.options[0].text}"
    assert shown not in observation
    observation, reward, terminated, _, info = env.step("answer: C")  # keys mean nothing yet
    assert shown in observation
    assert (reward, terminated, info["kind"]) == (0.0, False, "answer")
    assert env.step("question: Any fever?")[2]  # an answer was due
    env.reset(seed=0)
    for turn in range(3):
        observation, *_ = env.step("question: Any fever?")
        assert (shown in observation) == (turn == 2)
    assert env.step(f"answer: {case.answer[0]}")[4]["correct"]
    env.reset(seed=0)
    right = next(option.text for option in case.options if option.key == case.answer[0])
    assert env.step(f"answer: {right}")[4]["correct"]


def test_options_never_shown_are_answered_in_words() -> None:
    env = make(show_options="never")
    observation, _ = env.reset(seed=0)
    case = env.consultation.case
    assert all(f"{option.key}. {option.text}" not in observation for option in case.options)
    assert env.step(f"answer: {case.answer[0]}")[4]["chosen"] == ()
    env.reset(seed=0)
    right = next(option.text for option in case.options if option.key == case.answer[0])
    assert env.step(f"answer: {right}")[4]["correct"]


def test_reset_picks_a_case_by_id_and_names_near_misses() -> None:
    env = make()
    case_id = env.dataset[17].case_id
    assert env.reset(options={"case_id": case_id})[1]["case_id"] == case_id
    with pytest.raises(DatasetError, match="did you mean"):
        env.reset(options={"case_id": case_id + "x"})


def test_sequential_order_deals_rows_in_order_and_a_shard_deals_its_own() -> None:
    env = make(order="sequential")
    ids = [case.case_id for case in env.dataset]
    assert [env.reset()[1]["case_id"] for _ in range(62)] == ids + ids[:2]
    env.reset(seed=4)
    assert env.consultation.case.case_id == ids[0]
    env = make(order="sequential", shard=(1, 3))
    assert [env.reset()[1]["case_id"] for _ in range(3)] == [ids[1], ids[4], ids[7]]


@pytest.mark.parametrize(("initial", "count"), [("first", 1), ("half", None), (0, 0), (3, 3), (99, None)])
def test_the_initial_facts_can_be_chosen(initial: Any, count: int | None) -> None:
    env = make(initial=initial)
    observation, _ = env.reset(seed=2)
    case = env.consultation.case
    expected = {"half": case.n_facts // 2, 99: case.n_facts}.get(initial, count)
    assert case.initial == frozenset(range(expected or 0))
    for index in range(case.n_facts):
        assert (case.facts[index].text in observation) == (index in case.initial)
    if not expected:
        assert observation.startswith("A patient has come to see you.")


def test_a_snapshot_can_be_restored() -> None:
    env = make()
    env.reset(seed=0)
    env.step("question: Do you have any medical conditions?")
    snapshot = env.consultation
    first = env.step("question: What are the vital signs?")
    env.step("answer: A")
    env.consultation = snapshot
    assert env.step("question: What are the vital signs?") == first


def bare(n: int = 3) -> CaseDataset:
    cases = load_dataset("medqa")[:n]
    return CaseDataset("bare", tuple(dataclasses.replace(case, evidence=None, shapley=None) for case in cases))


@pytest.mark.parametrize("reward", ["promed", "promed_signed", "sig", "information_gain", "belief_gain"])
def test_a_reward_that_needs_a_belief_says_so_and_names_the_ways_out(reward: str) -> None:
    with pytest.raises(BeliefRequired, match=r"Three ways out: .*annotated.*pass belief=.*choose another reward"):
        make(dataset=bare(), reward=reward)


@pytest.mark.parametrize("reward", ["diagnosis", "fact_recall", "sig_uniform", "3*diagnosis + format"])
def test_a_reward_that_needs_no_belief_plays_on_bare_cases(reward: str) -> None:
    env = make(dataset=bare(), reward=reward)
    env.reset(seed=0)
    case = env.consultation.case
    total = env.step("question: What are the vital signs?")[1]
    info = env.step(f"answer: {case.answer[0]}")[4]
    assert ("sig_total" in info) == (reward == "sig_uniform")
    assert np.isfinite(total) and info["correct"]


def test_a_later_case_without_a_table_is_reported_at_once() -> None:
    cases = [load_dataset("medqa")[0], *bare(2)[1:]]
    with pytest.raises(BeliefRequired, match=cases[1].case_id):
        make(dataset=cases)


def test_a_case_without_facts_can_be_played() -> None:
    case = dataclasses.replace(load_dataset("medqa")[0], facts=(), evidence=None, shapley=None, initial=frozenset())
    env = make(dataset=[case])
    env.reset(seed=0)
    assert env.step("question: Any fever?")[1] == 0
    info = env.step(f"answer: {case.answer[0]}")[4]
    assert (info["fact_recall"], info["sig_total"], info["correct"]) == (1.0, 0.0, True)


class Forgetful:
    """A tracker of a user: only the first fact of a reply sticks."""

    def known(self, before: Consultation, question: str, reply: Reply) -> frozenset[int]:
        return before.known | frozenset(reply.disclosed[:1])


def test_a_tracker_decides_what_counts_as_known() -> None:
    env = make(tracker=Forgetful())
    for seed in range(20):
        env.reset(seed=seed)
        _, reward, _, _, info = env.step("question: What are the results of the blood tests?")
        assert set(info["new"]) <= set(info["disclosed"][:1])
        if len(info["disclosed"]) > 1:
            assert reward == pytest.approx(2 * SIG().gains(env.consultation).sum())
            return
    pytest.fail("no reply disclosed two facts")


def test_data_sets_can_be_files(tmp_path: Path) -> None:
    from promed_env.datasets import write_jsonl

    path = tmp_path / "mine.jsonl"
    write_jsonl(load_dataset("medqa")[:2], path)
    env = make(dataset=path)
    assert len(env.dataset) == 2
    label = env.reset(seed=0)[1]["dataset"]
    assert "mine" in label and label.endswith("2 of them synthetic vignettes, not reviewed by clinicians")
