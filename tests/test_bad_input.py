"""Bad input: each mistake has one pinned message, or one pinned behaviour, and leaves the environment as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from promed_env.actions import MAX_ACTION_LENGTH
from promed_env.consultation import Consultation
from promed_env.datasets import load_dataset
from promed_env.env import ConsultationEnv
from promed_env.errors import DatasetError, InvalidAction
from promed_env.patients import Reply
from promed_env.phrases import ShowOptions

NEITHER = "neither a question nor an answer"
LONG = f"longer than {MAX_ACTION_LENGTH} characters"


@pytest.fixture
def env() -> ConsultationEnv:
    env = ConsultationEnv()
    env.reset(seed=0)
    return env


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("", NEITHER),
        ("   \n", NEITHER),
        ("x" * 1_000_000, LONG),
        ("question: " + "fever? " * 150_000, LONG),
        ("\x00\x1b[2J\x07", NEITHER),
        ("你好", NEITHER),
        ("🙂", NEITHER),
        ("\ud800", NEITHER),
        ("question: a? answer: A", "both a question and an answer"),
        ("question:", "an empty question"),
        ("answer: \x00", "an empty answer"),
    ],
)
def test_a_strange_string_is_an_invalid_turn_that_says_why(env: ConsultationEnv, action: str, reason: str) -> None:
    observation, reward, terminated, truncated, info = env.step(action)
    assert observation.startswith(f"Not understood ({reason}): expected")
    assert observation.endswith("Questions left: 9.")
    assert (info["kind"], info["new"], reward, terminated, truncated) == ("invalid", (), -1.0, False, False)


@pytest.mark.parametrize("text", ["您吸烟吗？", "\x00\x1b[2JDo you smoke?", "\ud800?", "?!", "🙂", "x" * 8_000])
def test_a_question_may_hold_any_character(env: ConsultationEnv, text: str) -> None:
    observation, _, _, _, info = env.step(f"question: {text}")
    assert (info["kind"], info["informant"] is not None) == ("question", True)
    assert observation.endswith("\nQuestions left: 9.")
    assert all(line.isprintable() for line in observation.split("\n"))


@pytest.mark.parametrize("action", ["question: \ud800 pain?", "answer: \udfff", "\x1b[2J"])
def test_no_string_breaks_the_terminal(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    env = ConsultationEnv(render_mode="human")
    env.reset(seed=0)
    capsys.readouterr()
    env.step(action)
    printed = capsys.readouterr().out
    assert printed and "\x1b[2J" not in printed


@pytest.mark.parametrize("action", [None, 3, b"answer: A", ["answer: A"], np.int64(1), float("nan"), object()])
def test_an_action_that_is_no_string_is_the_one_thing_that_raises(env: ConsultationEnv, action: Any) -> None:
    before = env.consultation
    with pytest.raises(InvalidAction, match=r'an action is a string such as "question: Do you smoke\?"') as caught:
        env.step(action)
    assert str(caught.value).endswith(f"not {type(action).__name__}")
    assert env.consultation is before


@pytest.mark.parametrize("act", [lambda env: env.step("answer: A"), lambda env: env.consultation])
def test_before_reset_one_is_told_to_reset(act: Callable[[ConsultationEnv], Any]) -> None:
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\)"):
        act(ConsultationEnv())


@pytest.mark.parametrize("action", ["answer: B", "question: Any fever?", "nonsense", ""])
def test_a_step_after_the_end_changes_nothing_and_pays_nothing(env: ConsultationEnv, action: str) -> None:
    env.step("answer: A")
    end = env.consultation
    observation, reward, terminated, truncated, info = env.step(action)
    assert (observation, reward, terminated, truncated) == ("The consultation is over.", 0.0, True, False)
    assert (info["kind"], info["reward_terms"], info["chosen"], info["turn"]) == ("invalid", {}, ("A",), 1)
    assert env.consultation is end


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"max_questions": -1}, "max_questions must be a whole number of at least 0, got -1"),
        ({"max_questions": 2.5}, "max_questions must be a whole number of at least 0, got 2.5"),
        ({"max_questions": True}, "max_questions must be a whole number of at least 0, got True"),
        ({"facts_per_reply": 0}, "facts_per_reply must be a whole number of at least 1, got 0"),
        ({"reward": "gold"}, r"unknown reward 'gold'; expected a preset \(promed, .* or a weighted sum such as"),
        ({"reward": "sig + gold"}, "unknown reward 'sig [+] gold'"),
        ({"reward": ""}, "unknown reward ''"),
        (
            {"belief": "faith"},
            "unknown belief 'faith'; expected 'evidence', 'knowledge', a language model",
        ),
        (
            {"patient": "impatient"},
            "unknown patient 'impatient'; choose one of static, lexical, semantic, knowledge, llm:MODEL, or pass a",
        ),
        ({"patient": "llm:"}, "'' names no model; write hf:MODEL"),
        ({"order": "shuffled"}, "order must be one of random, sequential, got 'shuffled'"),
        ({"show_options": "sometimes"}, "show_options must be one of always, at_answer, never, got 'sometimes'"),
        ({"initial": "most"}, "initial must be 'dataset', 'first', 'half' or a whole number from 0, got 'most'"),
        ({"initial": -1}, "initial must be .*, got -1"),
        ({"initial": True}, "initial must be .*, got True"),
        ({"shard": (2, 2)}, r"shard must be \(index, count\) with 0 <= index < count, got \(2, 2\)"),
        ({"shard": (-1, 2)}, r"shard must be .*, got \(-1, 2\)"),
        ({"shard": (0, 1.5)}, r"shard must be .*, got \(0, 1.5\)"),
        ({"shard": 5}, "shard must be .*, got 5"),
        ({"dataset": "medq"}, "unknown data set 'medq'; did you mean 'medqa'"),
        ({"dataset": "/no/such/file.jsonl"}, "/no/such/file.jsonl: there is no such file"),
        ({"dataset": []}, "the data set 'cases' holds no case"),
        ({"split": "test"}, "data set 'medqa' has no split 'test'; it has sample"),
    ],
)
def test_a_bad_argument_is_named(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConsultationEnv(**kwargs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"dataset": 3}, "dataset must be a name, a path or a sequence of cases, got 3"),
        ({"dataset": [1, 2]}, r"dataset must be a name, a path or a sequence of cases, got \[1, 2\]"),
        ({"reward": 3}, "a reward is a string or a RewardTerm, not int; subclass RewardTerm"),
        ({"belief": 3}, "a belief is hashable and has name, covers and __call__; 3 does not"),
        ({"patient": None}, "a patient has name, reply and reply_batch; None does not"),
    ],
)
def test_an_argument_of_the_wrong_type_is_named(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ConsultationEnv(**kwargs)


@pytest.mark.parametrize(
    ("case_id", "message"),
    [
        ("medqa-sample:cardiology-breathless-florists", "did you mean medqa-sample:cardiology-breathless-florist"),
        ("", "no case '' among the 60 of 'medqa/sample'"),
        (3, r"options\['case_id'\] must be a string, got 3"),
        ([], r"options\['case_id'\] must be a string, got \[\]"),
    ],
)
def test_a_case_id_that_does_not_exist_is_named_and_the_old_consultation_stays(
    env: ConsultationEnv, case_id: Any, message: str
) -> None:
    before = env.consultation
    with pytest.raises(DatasetError, match=message):
        env.reset(options={"case_id": case_id})
    assert env.consultation is before


@pytest.mark.parametrize("where", ["presentation", "question", "facts", "options"])
def test_texts_too_long_for_an_observation_are_refused(where: str) -> None:
    case = load_dataset("medqa")[0]
    long: dict[str, Any] = {
        "presentation": "x" * 15_000,
        "question": "x" * 15_000,
        "facts": tuple(dataclasses.replace(fact, text=fact.text + "x" * 2_000) for fact in case.facts),
        "options": tuple(dataclasses.replace(option, text=option.text + "x" * 4_000) for option in case.options),
    }
    with pytest.raises(DatasetError, match=f"case '{case.case_id}': its texts together exceed 15,000 characters"):
        ConsultationEnv(dataset=[dataclasses.replace(case, **{where: long[where]})])


class TellsAll:
    """A patient whose first reply states every fact."""

    name = "tells-all"

    def reply(self, consultation: Consultation, question: str) -> Reply:
        facts = consultation.case.facts
        return Reply("Patient: " + " ".join(fact.text for fact in facts), tuple(range(len(facts))), "patient")

    def reply_batch(self, consultations: Sequence[Consultation], questions: Sequence[str]) -> list[Reply]:
        return [self.reply(state, question) for state, question in zip(consultations, questions, strict=True)]


@pytest.mark.parametrize("show_options", ["always", "at_answer", "never"])
@pytest.mark.parametrize("initial", ["dataset", "first", "half", 99])
def test_the_longest_texts_that_are_accepted_fit_an_observation(show_options: ShowOptions, initial: Any) -> None:
    case = load_dataset("medqa")[0]
    facts = tuple(dataclasses.replace(fact, text=fact.text + " " + "y" * 900) for fact in case.facts)
    used = sum(map(len, [case.presentation, *(fact.text for fact in facts), *(option.text for option in case.options)]))
    longest = dataclasses.replace(case, facts=facts, question="q" * (15_000 - used))
    env = ConsultationEnv(
        dataset=[longest], patient=TellsAll(), max_questions=1, show_options=show_options, initial=initial
    )
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    observation, *_ = env.step("question: Anything?")
    assert all(fact.text in observation for fact in facts)
    assert observation in env.observation_space


class Inventive(TellsAll):
    """A patient that discloses a fact the case does not have."""

    name = "inventive"

    def __init__(self, fact: int) -> None:
        self.fact = fact

    def reply(self, consultation: Consultation, question: str) -> Reply:
        return Reply("Patient: ...", (self.fact,), "patient")


@pytest.mark.parametrize("fact", [-1, 99])
def test_a_patient_that_discloses_a_fact_that_there_is_not_is_named(fact: int) -> None:
    env = ConsultationEnv(patient=Inventive(fact))
    env.reset(seed=0)
    message = f"patient 'inventive' disclosed facts \\({fact},\\); the case has [0-9]+, from 0"
    with pytest.raises(ValueError, match=message):
        env.step("question: Any fever?")
    assert env.consultation.turn == 0


class Tracks:
    """A tracker that always says that the same facts are known."""

    def __init__(self, *facts: int) -> None:
        self.facts = facts

    def known(self, before: Consultation, question: str, reply: Reply) -> frozenset[int]:
        return frozenset(self.facts)


@pytest.mark.parametrize("facts", [(), (0, 1, 2, 99)])
def test_a_tracker_that_forgets_or_invents_is_named(facts: tuple[int, ...]) -> None:
    env = ConsultationEnv(tracker=Tracks(*facts))
    env.reset(seed=0)
    with pytest.raises(
        ValueError, match=r"Tracks.known gave \[.*\]; it must contain what was known before, \[0, 1.*\]"
    ):
        env.step("question: Any fever?")
    assert env.consultation.turn == 0
