"""The laws of the environment, for drawn cases, drawn actions and every preset."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promed_env.case import Case, Game, Language
from promed_env.consultation import Consultation
from promed_env.datasets import CaseDataset
from promed_env.env import ConsultationEnv
from promed_env.errors import InvalidAction
from promed_env.patients import Reply
from promed_env.phrases import ShowOptions
from promed_env.rewards import PRESETS, SIG, Weighting, make_reward
from promed_env.testing import actions as utterances
from promed_env.testing import cases, episodes

Transition = tuple[str, float, bool, bool, dict[str, Any]]


class Pick:
    """A patient that tells the facts whose numbers the question contains: any pattern of disclosure can be drawn."""

    name = "pick"
    figures = ""

    def reply(self, consultation: Consultation, question: str) -> Reply:
        facts = tuple(i for i in range(consultation.case.n_facts) if str(i) in question)
        return Reply(" ".join(consultation.case.facts[i].text for i in facts) or "Nothing.", facts, "patient")

    def reply_batch(self, consultations: Any, questions: Any) -> list[Reply]:
        return [self.reply(state, question) for state, question in zip(consultations, questions, strict=True)]


NUMBERS = st.sets(st.integers(0, 7)).map(lambda found: "question: " + " ".join(map(str, sorted(found))) + " ok")
ACTIONS = st.lists(st.one_of(NUMBERS, episodes(max_turns=1).map(lambda one: one[0])), min_size=1, max_size=9)


def make(case: Case, **kwargs: Any) -> ConsultationEnv:
    drawn = dataclasses.replace(case, case_id="drawn:0")
    return ConsultationEnv(dataset=CaseDataset("drawn", (drawn,)), **{"patient": Pick(), **kwargs})


def play(env: ConsultationEnv, actions: list[str], seed: int = 0) -> list[Transition]:
    env.reset(seed=seed)
    transitions: list[Transition] = []
    for action in [*actions, *["answer: A"] * 12]:
        transitions.append(env.step(action))
        if transitions[-1][2]:
            break
    return transitions


@given(cases(), ACTIONS, st.sampled_from(sorted(PRESETS)))
def test_terms_add_up_facts_are_paid_once_and_both_views_agree(case: Case, actions: list[str], preset: str) -> None:
    env = make(case, reward=preset)
    transitions = play(env, actions)
    known = set(case.initial)
    for _, reward, _, truncated, info in transitions:
        assert reward == pytest.approx(sum(info["reward_terms"].values()))
        assert not truncated
        assert not known & set(info["new"])
        assert set(info["new"]) <= set(info["disclosed"])
        known |= set(info["new"])
    assert known == env.consultation.known
    info = transitions[-1][4]
    assert sum(info["turn_rewards"]) == pytest.approx(sum(step[1] for step in transitions), abs=1e-9)
    assert len(info["turn_rewards"]) == len(transitions) == info["turn"] <= 11


SHOW = st.sampled_from(["always", "at_answer", "never"])


@given(cases(), ACTIONS, SHOW)
def test_an_observation_holds_no_undisclosed_fact_and_lies_in_its_space(
    case: Case, actions: list[str], show: ShowOptions
) -> None:
    env = make(case, show_options=show)
    observation, _ = env.reset(seed=0)
    for action in [*actions, "answer: A", "answer: A"]:
        known = env.consultation.known
        for index in set(range(case.n_facts)) - known:
            assert case.facts[index].text.lower() not in observation.lower()
        assert env.observation_space.contains(observation)
        observation, *_ = env.step(action)
        assert known <= env.consultation.known
    assert env.observation_space.contains(observation)


@given(cases(), ACTIONS, SHOW, st.data())
def test_nothing_observed_before_the_end_depends_on_the_key(
    case: Case, actions: list[str], show: ShowOptions, data: st.DataObject
) -> None:
    other = dataclasses.replace(case, answer=(data.draw(st.sampled_from(case.keys)),))
    one, two = make(case, show_options=show), make(other, show_options=show)
    assert one.reset(seed=0) == two.reset(seed=0)
    for action in actions:
        left, right = one.step(action), two.step(action)
        assert left[0] == right[0] and left[2:4] == right[2:4]
        if left[2]:
            break
        assert {**left[4], "reward_terms": {}} == {**right[4], "reward_terms": {}}


@given(cases(), ACTIONS, SHOW, st.integers(0, 4))
def test_an_episode_takes_at_most_one_turn_more_than_its_questions(
    case: Case, actions: list[str], show: ShowOptions, max_questions: int
) -> None:
    env = make(case, show_options=show, max_questions=max_questions)
    transitions = play(env, actions)
    assert transitions[-1][2] and len(transitions) <= max_questions + 1
    asked = [turn for turn in env.consultation.turns if turn.kind == "question"]
    assert len(asked) <= max_questions


@given(cases(), ACTIONS, st.sampled_from(get_args(Weighting)), st.sampled_from(get_args(Game)))
def test_a_potential_takes_back_all_it_paid(case: Case, actions: list[str], weights: Weighting, game: Game) -> None:
    env = make(case, reward=SIG(weights, game=game, potential=True))
    assert sum(step[1] for step in play(env, actions)) == pytest.approx(0, abs=1e-9)


@given(cases(), st.lists(st.sampled_from(["question: x", "question: why?", "question: ok ok"]), max_size=9), st.data())
def test_useless_valid_questions_never_out_earn_answering_at_once(case: Case, useless: list[str], data: Any) -> None:
    answer = f"answer: {data.draw(st.sampled_from(case.keys))}"
    for preset in PRESETS:
        env = make(case, reward=preset)
        at_once = sum(step[1] for step in play(env, [answer]))
        assert sum(step[1] for step in play(env, [*useless, answer])) <= at_once + 1e-9


@given(cases(), ACTIONS, st.integers(0, 2**31 - 1))
def test_equal_seeds_give_equal_episodes(case: Case, actions: list[str], seed: int) -> None:
    assert play(make(case), actions, seed) == play(make(case), actions, seed)


@given(cases(), ACTIONS, st.integers(0, 8))
def test_a_snapshot_restores(case: Case, actions: list[str], cut: int) -> None:
    env = make(case)
    transitions = play(env, actions)
    cut = min(cut, len(transitions) - 1)
    env.consultation = env.consultation.prefix(cut)
    rest = [env.step(action) for action in [*actions, *["answer: A"] * 12][cut : len(transitions)]]
    assert rest == transitions[cut:]


@pytest.mark.parametrize("patient", ["static", "lexical"])
@pytest.mark.parametrize("language", ["en", "zh"])
@given(st.one_of(st.text(st.characters(exclude_categories=()), max_size=300), utterances()))
def test_no_string_raises_whoever_hears_it(patient: str, language: Language, text: str) -> None:
    env = make(dataclasses.replace(CASE, language=language), patient=patient)
    for action in (text, f"question: {text}", f"answer: {text}"):
        opening, _ = env.reset(seed=0)
        observation, reward, _, _, info = env.step(action)
        assert observation in env.observation_space and observation != opening
        assert info["turn"] == 1 and math.isfinite(reward)


@given(st.one_of(st.binary(), st.none(), st.integers(), st.floats(), st.lists(st.text())))
def test_nothing_but_a_string_is_an_action_and_the_state_stays(action: Any) -> None:
    env = make(CASE)
    env.reset(seed=0)
    before = env.consultation
    with pytest.raises(InvalidAction):
        env.step(action)
    assert env.consultation is before


@given(cases(), ACTIONS, st.sampled_from(sorted(PRESETS)))
def test_a_batch_pays_what_single_steps_pay(case: Case, actions: list[str], preset: str) -> None:
    env = make(case, reward=preset)
    play(env, actions)
    final = env.consultation
    befores = [final.prefix(turn) for turn in range(final.turn)]
    afters = [final.prefix(turn + 1) for turn in range(final.turn)]
    reward = make_reward(preset).bind(env.belief)
    columns = reward.terms_batch(befores, afters)
    assert [{name: column[index] for name, column in columns.items()} for index in range(len(afters))] == [
        pytest.approx(reward.terms(before, after)) for before, after in zip(befores, afters, strict=True)
    ]


@given(cases(), ACTIONS)
def test_a_state_is_never_changed_by_what_comes_after_it(case: Case, actions: list[str]) -> None:
    env = make(case)
    env.reset(seed=0)
    states = [env.consultation]
    copies = [dataclasses.replace(env.consultation)]
    for action in actions:
        if env.step(action)[2]:
            break
        states.append(env.consultation)
        copies.append(dataclasses.replace(env.consultation))
    assert states == copies
    assert [state.turn for state in states] == list(range(len(states)))


CASE = Case.from_json(
    {
        "schema_version": 1,
        "case_id": "drawn:0",
        "source": "drawn",
        "presentation": "A patient.",
        "question": "Which?",
        "options": {"A": "one", "B": "two"},
        "answer": ["A"],
        "facts": [{"text": "Finding 0 is present."}],
        "evidence": [[-0.5, -1.5]],
    }
)
