"""Planning on the record: the best path of small consultations is that of enumeration."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium as gym
import pytest
from promed_agents.mcts import PAPER, CatalogueProposer, FactProposer, RecordWorld, Search, plan_consultations

from promed_env.beliefs import EvidenceBelief
from promed_env.consultation import Consultation
from promed_env.env import ConsultationEnv
from promed_env.interview import CATALOGUES
from promed_env.knowledge import primary_care
from promed_env.rewards import SIG


def make(env_id: str = "ProMed-MedQA-v0", **kwargs: Any) -> ConsultationEnv:
    base = gym.make(env_id, **kwargs).unwrapped
    assert isinstance(base, ConsultationEnv)
    return base


def world(env: ConsultationEnv, **kwargs: Any) -> RecordWorld:
    return RecordWorld(env.dynamics, FactProposer(env.dynamics), 2 * SIG(), EvidenceBelief(), **kwargs)


def roots(env: ConsultationEnv, n: int, max_questions: int) -> list[Consultation]:
    return [Consultation(case, max_questions=max_questions) for case in list(env.dataset)[:n]]


@pytest.mark.parametrize("budget", [1, 2])
def test_the_best_path_is_that_of_enumeration(budget: int) -> None:
    env = make()
    planner = world(env, width=5)
    for root in roots(env, 4, budget):
        questions = planner.proposer.propose(root, 5)
        best = 0.0
        for path in [*itertools.permutations(questions, budget), *itertools.permutations(questions, budget - 1), ()]:
            state, total = root, 0.0
            for question in path:
                after = state.ask(question, env.dynamics.patient.reply(state, question))
                total += planner.reward(state, after)
                state = after
            best = max(best, total + planner.open([state])[0].value)
        (plan,) = plan_consultations(planner, [root], Search(simulations=120, exploration=1.0))
        assert plan.trees[0].value == pytest.approx(best)
        assert plan.final.finished and plan.final.turn <= budget + 1


def test_many_are_planned_side_by_side_as_one_by_one() -> None:
    env = make()
    planner, how = world(env), Search(simulations=12)
    states = roots(env, 4, 3)
    together = plan_consultations(planner, states, how)
    assert [plan.final for plan in together] == [plan_consultations(planner, [state], how)[0].final for state in states]


def test_plans_earn_more_than_the_catalogue_in_its_order() -> None:
    env = make()
    planner = world(env)
    for plan in plan_consultations(planner, roots(env, 6, 4), Search(simulations=30)):
        state = plan.final.prefix(0)
        for question in CatalogueProposer().propose(state, 4):
            state = state.ask(question, env.dynamics.patient.reply(state, question))
        assert SIG().gains(plan.final).sum() > SIG().gains(state).sum()
        assert plan.final.correct


def test_the_settings_of_the_paper_play_every_bundled_environment() -> None:
    for env_id in ("ProMed-MedQA-v0", "ProMed-CMB-v0"):
        env = make(env_id)
        (plan,) = plan_consultations(world(env), roots(env, 1, 3), PAPER)
        assert plan.final.finished and plan.trees and "visits" in plan.trees[0].sketch()
    env = make("ProMed-PrimaryCare-v0")
    case = env.dataset[0]
    planner = RecordWorld(env.dynamics, FactProposer(env.dynamics), env.dynamics.sig or SIG(), EvidenceBelief())
    (plan,) = plan_consultations(planner, [Consultation(case, max_questions=2)], Search(simulations=20))
    assert plan.final.finished


def test_without_a_belief_the_key_ends_the_training_dialogue() -> None:
    env = make()
    planner = RecordWorld(env.dynamics, CatalogueProposer(), SIG())
    (plan,) = plan_consultations(planner, roots(env, 1, 2), Search(simulations=10))
    assert plan.final.correct


def test_proposers_repeat_nothing_and_speak_the_language_of_the_case() -> None:
    env = make("ProMed-CMB-v0")
    (state,) = roots(env, 1, 10)
    question = CatalogueProposer().propose(state, 3)[0]
    assert question == CATALOGUES["zh"][0]
    after = state.ask(question, env.dynamics.patient.reply(state, question))
    assert question not in CatalogueProposer().propose(after, 60)
    own = FactProposer(env.dynamics).propose(state, 2)[0]
    after = state.ask(own, env.dynamics.patient.reply(state, own))
    assert own not in FactProposer(env.dynamics).propose(after, 60)
    assert CatalogueProposer(primary_care()).propose(state, 500) == list(primary_care().questions)
