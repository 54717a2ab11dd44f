"""Wrappers: transcripts, chat messages, and the menu of discrete actions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from promed_env.env import ConsultationEnv
from promed_env.interview import CATALOGUE
from promed_env.registration import bundled_ids
from promed_env.wrappers import ChatObservation, MenuActions, TranscriptObservation

IDS = sorted(bundled_ids())


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("wrapper", [TranscriptObservation, ChatObservation])
def test_gymnasium_finds_nothing_to_warn_about(env_id: str, wrapper: type) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version.*")
        check_env(wrapper(gym.make(env_id)))


def test_a_transcript_holds_the_whole_dialogue() -> None:
    env = TranscriptObservation(gym.make("ProMed-MedQA-v0"))
    plain = gym.make("ProMed-MedQA-v0")
    parts = [plain.reset(seed=3)[0]]
    assert env.reset(seed=3)[0] == parts[0]
    for action in ("question: What are the vital signs?", "answer: A"):
        parts += [f"> {action}", plain.step(action)[0]]
        observation = env.step(action)[0]
        assert observation == "\n".join(parts)
        assert env.observation_space.contains(observation)


def test_chat_messages_alternate_between_user_and_assistant() -> None:
    env = ChatObservation(gym.make("ProMed-MedQA-v0"))
    plain = gym.make("ProMed-MedQA-v0")
    first, _ = env.reset(seed=3)
    assert first == ({"role": "user", "content": plain.reset(seed=3)[0]},)
    second = env.step("question: What are the vital signs?")[0]
    assert second[:1] == first
    assert [message["role"] for message in second] == ["user", "assistant", "user"]
    assert second[2]["content"] == plain.step("question: What are the vital signs?")[0]
    assert env.observation_space.contains(second)


@pytest.mark.parametrize("env_id", IDS)
def test_stable_baselines_accepts_the_menu(env_id: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker.check_env(MenuActions(gym.make(env_id)))


@pytest.mark.parametrize("env_id", IDS)
def test_gymnasium_accepts_the_menu(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version.*")
        check_env(MenuActions(gym.make(env_id)))


def menu(**kwargs: object) -> tuple[MenuActions, ConsultationEnv]:
    env = MenuActions(gym.make("ProMed-MedQA-v0", **kwargs))
    base = env.unwrapped
    assert isinstance(base, ConsultationEnv)
    return env, base


def test_menu_actions_ask_the_catalogue_and_answer_by_slot() -> None:
    env, base = menu()
    env.reset(seed=0)
    env.step(4)
    assert base.consultation.turns[-1].text == CATALOGUE[4]
    case = base.consultation.case
    slot = case.keys.index(case.answer[0])
    _, _, terminated, _, info = env.step(len(CATALOGUE) + slot)
    assert terminated and info["correct"]


def test_the_mask_forgets_asked_questions_and_leaves_answers_when_one_is_due() -> None:
    env, base = menu(max_questions=2)
    env.reset(seed=0)
    options = len(base.consultation.case.options)
    assert env.action_masks().sum() == len(CATALOGUE) + options
    env.step(7)
    mask = env.action_masks()
    assert not mask[7] and mask.sum() == len(CATALOGUE) - 1 + options
    env.step(8)
    assert np.flatnonzero(env.action_masks()).tolist() == list(range(len(CATALOGUE), len(CATALOGUE) + options))


def test_the_mask_depends_on_what_was_asked_and_the_number_of_options_only() -> None:
    env, base = menu()
    masks: dict[int, set[bytes]] = {}
    for case in base.dataset:
        env.reset(options={"case_id": case.case_id})
        env.step(3)
        masks.setdefault(len(case.options), set()).add(env.action_masks().tobytes())
    assert {len(found) for found in masks.values()} == {1}


def test_the_observation_shows_replies_where_they_were_asked_for() -> None:
    env, base = menu()
    observation, _ = env.reset(seed=0)
    assert not observation["asked"].any() and not observation["replies"].any()
    assert observation["turns_left"].tolist() == [1.0]
    observation, *_ = env.step(5)
    assert np.flatnonzero(observation["asked"]).tolist() == [5]
    assert np.flatnonzero(observation["replies"].reshape(len(CATALOGUE), -1).any(axis=1)).tolist() == [5]
    assert observation["turns_left"].tolist() == [pytest.approx(0.9)]
    options = observation["options"].reshape(5, -1)
    assert np.linalg.norm(options, axis=1)[: len(base.consultation.case.options)] == pytest.approx(1)


@pytest.mark.parametrize("show_options", ["at_answer", "never"])
def test_hidden_options_are_hidden_from_the_menu_too_and_answered_by_their_text(show_options: str) -> None:
    env, base = menu(show_options=show_options, max_questions=1)
    observation, _ = env.reset(seed=0)
    assert not observation["options"].any()
    observation, *_ = env.step(0)
    assert observation["options"].any() == (show_options == "at_answer")
    case = base.consultation.case
    assert env.step(len(CATALOGUE) + case.keys.index(case.answer[0]))[4]["correct"]


def test_an_empty_slot_is_a_wrong_answer_and_an_action_out_of_range_an_error() -> None:
    env, base = menu()
    four = next(case.case_id for case in base.dataset if len(case.options) == 4)
    env.reset(options={"case_id": four})
    assert not env.step(len(CATALOGUE) + 4)[4]["correct"]
    env.reset(seed=0)
    with pytest.raises(ValueError, match="menu actions are 0 to"):
        env.step(len(CATALOGUE) + 5)


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ((), "a menu needs a sequence of at least one question, none twice"),
        ("Any fever?", "a menu needs a sequence"),
        (("Any fever?", "Any fever?"), "a menu needs a sequence"),
        (("Any fever? ",), "'Any fever[?] ' cannot be asked as it stands"),
        (("Any fever? answer: A",), "cannot be asked as it stands"),
    ],
)
def test_a_catalogue_that_cannot_be_asked_is_refused(questions: Sequence[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MenuActions(gym.make("ProMed-MedQA-v0"), questions)


def test_the_menu_wraps_consultations_only() -> None:
    with pytest.raises(TypeError, match="MenuActions wraps a ConsultationEnv"):
        MenuActions(gym.make("CartPole-v1"))
