"""Checks and hypothesis strategies for your own environments, patients, data sets and reward terms.

    check_consultation_env(gym.make("ProMed-MedQA-v0", dataset="my_cases.jsonl", patient=MyPatient()))
    print(check_reward_term(MyTerm()))

    @given(episodes(load_dataset("medqa")[0]))
    def test_something(actions): ...

ProMed's own tests run the same checks. Needs hypothesis (extra `dev`).
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import gymnasium as gym
import numpy as np

from promed_env.case import SECTIONS, Case, Fact, Option
from promed_env.consultation import Consultation
from promed_env.env import ConsultationEnv
from promed_env.interview import CATALOGUE
from promed_env.patients import Informant, Reply
from promed_env.rewards import RewardTerm

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("promed_env.testing needs hypothesis: pip install 'promed[dev]'") from error

__all__ = ["RewardTermReport", "actions", "cases", "check_consultation_env", "check_reward_term", "episodes"]

_TOLERANCE = 1e-9
_USELESS = "question: Would a purple teapot dance on the moon?"
_ODD = (
    "",
    " ",
    "question:",
    "answer:",
    "question: a? answer: A",
    "\x00\x07",
    "你好",
    "🙂" * 50,
    "<think>",
    "x" * 20_000,
)


@st.composite
def cases(
    draw: st.DrawFn, *, min_facts: int = 0, max_facts: int = 8, max_options: int = 5, evidence: bool = True
) -> Case:
    """Valid cases with distinct facts; with an evidence table and a prior unless `evidence` is False.

    Args:
        draw: Given by hypothesis.
        min_facts: Fewest facts.
        max_facts: Most facts.
        max_options: Most options, at least 2.
        evidence: Whether the cases carry a table.
    """
    n_facts = draw(st.integers(min_facts, max_facts))
    n_options = draw(st.integers(2, max_options))
    keys = "ABCDEFGHIJ"[:n_options]
    answer = draw(st.sets(st.sampled_from(keys), min_size=1, max_size=2))
    facts = tuple(
        Fact(f"Finding {index} is {word}.", section=draw(st.sampled_from(SECTIONS)))
        for index, word in enumerate(
            draw(st.lists(st.sampled_from(("present", "absent", "mild", "severe")), min_size=n_facts, max_size=n_facts))
        )
    )
    initial = draw(st.sets(st.integers(0, n_facts - 1))) if n_facts else set()
    table = prior = None
    if evidence:
        chances = st.lists(st.floats(0.01, 0.99), min_size=n_options, max_size=n_options)
        table = np.log([draw(chances) for _ in range(n_facts)]).reshape(n_facts, n_options)
        prior = np.array(draw(chances))
        prior = prior / prior.sum()
    return Case(
        case_id=f"drawn:{draw(st.integers(0, 10**9))}",
        source="drawn",
        presentation="A patient comes to the clinic.",
        question="Which option is right?",
        options=tuple(Option(key, f"option {key.lower()}") for key in keys),
        answer=tuple(sorted(answer)),
        facts=facts,
        initial=frozenset(initial),
        evidence=table,
        prior=prior,
    )


def actions(case: Case | None = None) -> st.SearchStrategy[str]:
    """Utterances: questions, answers in every form, invalid ones, and any text.

    Args:
        case: Whose options and questions to use; by default options A to E.
    """
    options = (Option("A", "a"), Option("E", "e")) if case is None else case.options
    own = [fact.question_text for fact in case.facts if fact.question_text] if case is not None else []
    questions = st.one_of(st.sampled_from([*CATALOGUE, *own]), st.text(min_size=1, max_size=60))
    option = st.sampled_from(options)
    answers = st.one_of(
        option.map(lambda chosen: chosen.key),
        option.map(lambda chosen: chosen.text),
        option.map(lambda chosen: f"[{chosen.key}. {chosen.text}]"),
        st.tuples(option, st.floats(0, 1)).map(lambda pair: f"{pair[0].key} (confidence: {pair[1]:.2f})"),
        st.text(max_size=20),
    )
    return st.one_of(
        questions.map(lambda text: f"question: {text}"),
        answers.map(lambda text: f"answer: {text}"),
        st.sampled_from(_ODD),
        st.text(max_size=200),
    )


def episodes(case: Case | None = None, *, max_turns: int = 12) -> st.SearchStrategy[list[str]]:
    """Lists of utterances, see `actions`."""
    return st.lists(actions(case), min_size=1, max_size=max_turns)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


@dataclass(frozen=True)
class _Step:
    """What one call of `step` returned, comparable."""

    observation: str
    reward: float
    terminated: bool
    info: str


def check_consultation_env(env: gym.Env[Any, Any], *, episodes: int = 20, seed: int = 0) -> None:
    """Play random episodes, odd strings among the actions, and check what must hold for every consultation.

    Checked: observations lie in their space and hold no undisclosed fact; rewards are finite and the sum of their
    terms; the hindsight view has the same sum; known facts only grow and none is new twice; an episode ends within its
    budget; equal seeds and actions give equal episodes; a snapshot restores; the patient replies alike in batches; a
    useless question does not out-earn answering at once.

    Args:
        env: An environment whose unwrapped one is a `ConsultationEnv`, with a deterministic patient.
        episodes: How many to play.
        seed: Seed of the first; the others count up.

    Raises:
        AssertionError: A property does not hold; the message says which, where, and what was seen.
        TypeError: It is no consultation environment.
    """
    base = env.unwrapped
    if not isinstance(base, ConsultationEnv):
        raise TypeError(f"check_consultation_env needs a ConsultationEnv, not {type(base).__name__}")
    for number in range(seed, seed + episodes):
        rng = np.random.default_rng([number, 1])
        script: list[str] = []
        first = _play(base, number, script, rng)
        again = _play(base, number, script, None)
        _require(first == again, f"seed {number}: the same actions gave another episode")
        cut = int(rng.integers(len(script)))
        base.reset(seed=number)
        for action in script[:cut]:
            base.step(action)
        snapshot = base.consultation
        rest = [_step(base, action) for action in script[cut:]]
        base.consultation = snapshot
        replay = [_step(base, action) for action in script[cut:]]
        _require(rest == replay, f"seed {number}: restoring the snapshot after turn {cut} gave another continuation")
        _check_useless_question(base, number)
        _check_patient(base, number)


def _check_patient(env: ConsultationEnv, seed: int) -> None:
    """The patient replies in batches as it does one by one, and says who speaks."""
    env.reset(seed=seed)
    state, questions = env.consultation, list(CATALOGUE[seed % 10 :: 10])
    singles = [env.patient.reply(state, question) for question in questions]
    batch = list(env.patient.reply_batch([state] * len(questions), questions))
    _require(batch == singles, f"seed {seed}: patient {env.patient.name!r} replies otherwise in a batch")
    for reply in singles:
        _require(reply.informant in get_args(Informant), f"seed {seed}: {reply.informant!r} is no informant")


def _play(env: ConsultationEnv, seed: int, script: list[str], rng: np.random.Generator | None) -> list[_Step]:
    """Play one episode and check it; with a generator the actions are drawn and appended to the script."""
    observation, info = env.reset(seed=seed)
    case, where = env.consultation.case, f"seed {seed}, case {info['case_id']}"
    _require(env.observation_space.contains(observation), f"{where}: the opening is not in the observation space")
    opening = observation.lower()
    _check_secrets(env.consultation, observation, opening, where)
    total = 0.0
    steps: list[_Step] = []
    terminated = False
    while not terminated:
        turn = len(steps)
        _require(turn <= env.consultation.max_questions, f"{where}: the episode outlasts its budget")
        if rng is not None:
            script.append(_random_action(rng, case, final=turn >= env.consultation.max_questions))
        before = env.consultation
        observation, reward, terminated, truncated, info = env.step(script[turn])
        here, after = f"{where}, turn {turn + 1}", env.consultation
        _require(before.known <= after.known, f"{here}: known facts were forgotten")
        _require(env.observation_space.contains(observation), f"{here}: the observation is not in its space")
        _check_secrets(after, observation, opening, here)
        _require(math.isfinite(reward), f"{here}: the reward is {reward}")
        parts = sum(info["reward_terms"].values())
        _require(abs(parts - reward) <= _TOLERANCE, f"{here}: terms add up to {parts}, the reward is {reward}")
        _require(set(info["new"]) == after.known - before.known, f"{here}: info['new'] differs from the state")
        _require(not truncated, f"{here}: the environment truncates")
        total += reward
        steps.append(_Step(observation, reward, terminated, repr(info)))
    hindsight = sum(info["turn_rewards"])
    _require(abs(hindsight - total) <= 1e-6, f"{where}: hindsight rewards add up to {hindsight}, steps paid {total}")
    _require(len(info["turn_rewards"]) == info["turn"], f"{where}: turn_rewards has not one number a turn")
    return steps


def _step(env: ConsultationEnv, action: str) -> _Step:
    observation, reward, terminated, _, info = env.step(action)
    return _Step(observation, reward, terminated, repr(info))


def _random_action(rng: np.random.Generator, case: Case, *, final: bool) -> str:
    if rng.random() < (0.7 if final else 0.12):
        option = case.options[int(rng.integers(len(case.options)))]
        return f"answer: {option.key if rng.random() < 0.5 else option.text}"
    if rng.random() < 0.15:
        return _ODD[int(rng.integers(len(_ODD)))]
    pool = [*CATALOGUE, *(fact.question_text or fact.text for fact in case.facts)]
    return f"question: {pool[int(rng.integers(len(pool)))]}"


def _check_secrets(state: Consultation, observation: str, opening: str, where: str) -> None:
    """No undisclosed fact is in the observation, unless its words were public anyway."""
    text = observation.lower()
    public = opening + " ".join(state.case.facts[index].text.lower() for index in state.known)
    for index in set(range(state.case.n_facts)) - state.known:
        secret = state.case.facts[index].text.lower()
        _require(secret not in text or secret in public, f"{where}: the observation holds undisclosed fact {index}")


def _check_useless_question(env: ConsultationEnv, seed: int) -> None:
    """Asking what brings nothing, then answering, earns no more than answering the same at once."""
    if env.source.max_questions < 1:
        return
    earned = []
    for questions in ([], [_USELESS]):
        env.reset(seed=seed)
        total = 0.0
        for question in questions:
            _, reward, _, _, info = env.step(question)
            if info["new"]:
                return  # this patient found something to say after all: not a useless question
            total += reward
        option = env.consultation.case.options[0]
        answer = option.key if env.dynamics.show_options == "always" else option.text
        total += env.step(f"answer: {answer}")[1]
        earned.append(total)
    _require(
        earned[1] <= earned[0] + _TOLERANCE,
        f"seed {seed}: a useless question earns {earned[1]}, answering at once {earned[0]}",
    )


@dataclass(frozen=True)
class RewardTermReport:
    """What `check_reward_term` found.

    Attributes:
        name: The term's name.
        telescopes: Whether the sum over an episode depends only on what is known at the end and on the answer, not on
            the order, the grouping or the number of valid questions.
        smallest: Smallest step reward seen.
        largest: Largest step reward seen.
        consultations: How many were played.
    """

    name: str
    telescopes: bool
    smallest: float
    largest: float
    consultations: int


def check_reward_term(term: RewardTerm, *, cases: Sequence[Case] | None = None, seed: int = 0) -> RewardTermReport:
    """Check what must hold for every reward term.

    Checked: values are finite floats; calling twice gives the same; other consultations in between change nothing;
    `batch` and `terms_batch` agree with single calls; `terms` add up; `hindsight` has one number a turn and the causal
    sum; the term pickles.

    Args:
        term: The term. A belief it needs must be bound (`term.bind(belief)`).
        cases: Cases to play; by default the first 12 of the bundled sample.
        seed: Seed of the consultations.

    Raises:
        AssertionError: A property does not hold; the message says which and what was seen.
    """
    if cases is None:
        from promed_env.datasets import load_dataset

        cases = load_dataset("medqa")[:12].cases
    rng = np.random.default_rng(seed)
    finals = [_random_consultation(case, rng) for case in cases for _ in range(3)]
    steps = [(final.prefix(turn), final.prefix(turn + 1)) for final in finals for turn in range(final.turn)]
    values = [term(before, after) for before, after in steps]
    for value in values:
        _require(isinstance(value, int | float) and math.isfinite(value), f"{term.name}: a step pays {value!r}")
    order = rng.permutation(len(steps))
    shuffled = {int(index): term(*steps[index]) for index in order}
    _require(
        all(shuffled[index] == value for index, value in enumerate(values)),
        f"{term.name}: the same step paid something else the second time: the term keeps state or is random",
    )
    befores, afters = [step[0] for step in steps], [step[1] for step in steps]
    _require(
        np.allclose(list(term.batch(befores, afters)), values, atol=_TOLERANCE),
        f"{term.name}: batch(befores, afters) differs from single calls",
    )
    columns = term.terms_batch(befores, afters)
    for index, (single, value) in enumerate(zip(map(term.terms, befores, afters), values, strict=True)):
        _require(columns.keys() == single.keys(), f"{term.name}: terms_batch and terms name different terms")
        row = [column[index] for column in columns.values()]
        _require(
            abs(sum(single.values()) - value) <= _TOLERANCE and abs(sum(row) - value) <= _TOLERANCE,
            f"{term.name}: the terms do not add up to the reward",
        )
    for final in finals:
        hindsight = np.asarray(term.hindsight(final))
        _require(hindsight.shape == (final.turn,), f"{term.name}: hindsight has shape {hindsight.shape}")
        paid = sum(term(final.prefix(turn), final.prefix(turn + 1)) for turn in range(final.turn))
        _require(
            abs(float(hindsight.sum()) - paid) <= 1e-6,
            f"{term.name}: hindsight adds up to {hindsight.sum()}, the steps to {paid}",
        )
    try:
        copy: RewardTerm = pickle.loads(pickle.dumps(term))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AssertionError(f"{term.name}: cannot be pickled, as worker processes need: {error}") from error
    _require(list(map(copy, befores, afters)) == values, f"{term.name}: the pickled term pays something else")
    telescopes = all(_telescopes(term, final, rng) for final in finals)
    return RewardTermReport(term.name, telescopes, min(values), max(values), len(finals))


def _random_consultation(case: Case, rng: np.random.Generator) -> Consultation:
    """A finished consultation in which facts come out in random groups, with useless and invalid turns between."""
    state = Consultation(case, max_questions=max(1, 2 * case.n_facts + 4))
    waiting = rng.permutation(case.n_facts).tolist()[: int(rng.integers(case.n_facts + 1))]
    while waiting and not state.must_answer:
        size = int(rng.integers(0, 3))
        state = _disclose(state, waiting[:size], rng)
        waiting = waiting[size:]
        if rng.random() < 0.2 and not state.must_answer:
            state = state.fail("odd")
    confidence = float(rng.random()) if rng.random() < 0.5 else None
    return state.answer(case.options[int(rng.integers(len(case.options)))].key, confidence)


def _disclose(state: Consultation, facts: Sequence[int], rng: np.random.Generator) -> Consultation:
    text = " ".join(state.case.facts[fact].text for fact in facts) or "I don't know."
    question = CATALOGUE[int(rng.integers(len(CATALOGUE)))]
    return state.ask(question, Reply(text, tuple(facts), "patient"))


def _telescopes(term: RewardTerm, final: Consultation, rng: np.random.Generator) -> bool:
    """Whether other ways to the same end pay the same sum: one by one, all at once, with useless questions between."""
    found = sorted(final.known - final.case.initial)
    shuffled = rng.permutation(found).tolist()
    sums = []
    for groups in ([[fact] for fact in shuffled], [found, []], [[], found], [[], shuffled[:1], [], shuffled[1:]]):
        state = Consultation(final.case, max_questions=final.case.n_facts + 4)
        total = 0.0
        for group in groups:
            after = _disclose(state, group, rng)
            total += term(state, after)
            state = after
        total += term(state, state.answer(final.turns[-1].text, final.confidence))
        sums.append(total)
    return max(sums) - min(sums) <= 1e-6
