"""The menu of a knowledge base: what its arrays say is what is known, and no more."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from promed_env.env import ConsultationEnv
from promed_env.errors import DatasetError
from promed_env.knowledge import AGE_BANDS, primary_care
from promed_env.menu import FindingsMenu, TextMenu
from promed_env.wrappers import MenuActions


def make(**kwargs: Any) -> tuple[MenuActions, ConsultationEnv]:
    env = MenuActions(gym.make("ProMed-PrimaryCare-v0", **kwargs))
    base = env.unwrapped
    assert isinstance(base, ConsultationEnv)
    return env, base


@pytest.mark.parametrize("seed", range(5))
def test_the_arrays_state_what_is_known(seed: int) -> None:
    env, base = make()
    knowledge = primary_care()
    assert isinstance(env.menu, FindingsMenu)
    observation, _ = env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(8):
        state = base.consultation
        case = state.case
        expected = np.zeros(len(knowledge.findings))
        for index in state.known:
            fact = case.facts[index]
            expected[knowledge.question_index[fact.question_text or ""]] = 1 if fact.status == "present" else -1
        np.testing.assert_array_equal(observation["findings"], expected)
        assert observation["age"][0] * AGE_BANDS[-1][1] == pytest.approx(case.profile.age)
        assert ("female", "male")[int(observation["sex"].argmax())] == case.profile.sex and observation[
            "sex"
        ].sum() == 1
        complaint = knowledge.complaints[int(observation["complaint"].argmax())]
        assert complaint.says in case.presentation and observation["complaint"].sum() == 1
        slots = observation["options"].reshape(len(case.options), -1)
        named = [knowledge.conditions[int(slot.argmax())].name for slot in slots]
        assert named == [option.text for option in case.options] and (slots.sum(axis=1) == 1).all()
        assert observation["turns_left"][0] == pytest.approx(state.questions_left / state.max_questions)
        action = int(rng.choice(np.flatnonzero(env.action_masks()[: len(knowledge.findings)])))
        observation, _, terminated, _, info = env.step(action)
        assert not terminated
        if info["disclosed"]:
            assert observation["findings"][action] != 0


def test_a_slot_answers_with_the_option_in_it() -> None:
    env, base = make()
    for slot in range(5):
        env.reset(seed=3)
        keys = base.consultation.case.keys
        _, _, terminated, _, info = env.step(len(primary_care().findings) + slot)
        assert terminated and info["chosen"] == (keys[slot],)


def test_options_that_are_not_shown_are_not_in_the_arrays() -> None:
    env, _ = make(show_options="never")
    observation, _ = env.reset(seed=0)
    assert not observation["options"].any()


def test_vignettes_get_the_menu_of_texts_and_other_cases_are_refused() -> None:
    vignettes = MenuActions(gym.make("ProMed-MedQA-v0"))
    assert isinstance(vignettes.menu, TextMenu)
    own = MenuActions(gym.make("ProMed-PrimaryCare-v0"), questions=["Do you have any chest pain?"])
    assert isinstance(own.menu, TextMenu) and own.action_space.n == 6
    vignettes.reset(seed=0)
    base = vignettes.unwrapped
    assert isinstance(base, ConsultationEnv)
    with pytest.raises(DatasetError, match="is not one of the knowledge base 'primarycare'; choose other questions"):
        FindingsMenu(primary_care(), 5, "always").observe(base.consultation)
