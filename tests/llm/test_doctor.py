"""The doctor that is a language model: what it sends, how each style answers, asks and stops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from promed_agents.chat import spoken, to_messages
from promed_agents.evaluate import evaluate
from promed_agents.llm import STYLES, LLMDoctor, LLMProposer
from promed_agents.llm.doctor import read_options
from promed_agents.llm.styles import as_question, expected_entropy
from promed_agents.setting import INFORMATION, Setting
from promed_agents.trajectories import Job, plan_cases
from promed_agents.zoo import make_agent

from promed_env import phrases
from promed_env.actions import parse_action
from promed_env.case import Case, Option
from promed_env.datasets import load_dataset
from promed_env.errors import BeliefRequired
from promed_env.llm import Completion, LanguageModel, Likelihood, Messages
from promed_env.llm.hf import HFModel

ENGLISH, CHINESE = "ProMed-MedQA-v0", "ProMed-CMB-v0"


class Script:
    """A model that says what it is given, and leans to the first letter the more it has heard."""

    name = "script"

    def __init__(self, *says: str) -> None:
        self.says = says or ("question: Do you smoke?",)
        self.heard: list[Messages] = []
        self.judged: list[Messages] = []

    def chat(
        self,
        batch: Sequence[Messages],
        *,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        seed: int | Sequence[int] = 0,
        stop: Sequence[str] = (),
    ) -> list[Completion]:
        self.heard += batch
        seeds = [0] * len(batch) if isinstance(seed, int) or not temperature else seed
        return [Completion(self.says[own % len(self.says)], 3) for own in seeds]

    def choice_logprobs(
        self, batch: Sequence[Messages], letters: Sequence[Sequence[str]], prefix: str = "answer: "
    ) -> list[NDArray[np.float64]]:
        self.judged += batch
        found = []
        for chat, own in zip(batch, letters, strict=True):
            first = min(0.98, 0.4 + 0.1 * len(chat))
            rest = (1 - first) / (len(own) - 1)
            found.append(np.log(np.array([first, *[rest] * (len(own) - 1)])))
        return found

    def logprob(self, contexts: Sequence[Messages], continuations: Sequence[str]) -> list[Likelihood]:
        raise NotImplementedError


def play(doctor: LLMDoctor, env_id: str = ENGLISH, n: int = 3, **how: Any) -> tuple[Any, list[Any]]:
    setting = Setting(env_id, **{"max_questions": 3, **how})
    finished: list[Any] = []
    return evaluate(doctor, setting, setting.load(n), on_finish=finished.append), finished


def test_the_script_is_a_model() -> None:
    assert isinstance(Script(), LanguageModel)


@pytest.mark.parametrize("env_id", [ENGLISH, CHINESE])
def test_ask_sends_the_dialogue_as_training_dialogues_write_it(env_id: str) -> None:
    model = Script("question: Do you smoke?")
    _, finished = play(LLMDoctor(model), env_id)
    sent = [list(map(dict, chat)) for chat in model.heard]
    for final, dynamics in finished:
        whole = to_messages(final, dynamics)
        for turn in range(final.turn):
            assert whole[: 2 * turn + 1] in sent


def test_an_utterance_outside_the_grammar_goes_to_the_environment_as_it_is() -> None:
    model = Script("I would like to help you.")
    found, finished = play(LLMDoctor(model), n=2)
    assert found.summaries["all"].invalid == 4  # three turns, and the one that had to answer
    assert finished[0][0].turns[0].text == "neither a question nor an answer"
    assert model.heard[-1][1]["content"] == "I would like to help you."


def test_instructions_are_a_system_message_in_the_language_of_the_case() -> None:
    for env_id, word in ((ENGLISH, "physician"), (CHINESE, "医生")):
        model = Script()
        play(LLMDoctor(model, instructions=True), env_id, n=1)
        assert all(chat[0]["role"] == "system" and word in chat[0]["content"] for chat in model.heard)
        assert all(message["role"] != "system" for chat in model.heard for message in chat[1:])


@pytest.mark.parametrize("env_id", [ENGLISH, CHINESE])
@pytest.mark.parametrize("information", INFORMATION)
@pytest.mark.parametrize("style", STYLES)
def test_every_style_plays_every_information_level(tiny: HFModel, style: str, information: str, env_id: str) -> None:
    wide = HFModel(tiny.model, tiny.tokenizer, "hf:tiny")
    wide._longest = (
        None  # real vignettes are longer than the tiny model's declared limit; it can read them all the same
    )
    settings: dict[str, Any] = {} if style == "direct" else {"max_new_tokens": 6}
    doctor = LLMDoctor(wide, style, **settings)
    found, _ = play(doctor, env_id, n=2, information=information)
    assert len(found.episodes) == 2 and found.access == "text" and found.agent == f"hf:tiny {style}"
    assert all(episode.leanings is not None for episode in found.episodes)
    if style != "ask":
        assert all(episode.chosen for episode in found.episodes)


@pytest.mark.parametrize("style", STYLES)
def test_what_it_says_does_not_depend_on_being_asked_its_leaning(style: str) -> None:
    doctors = [LLMDoctor(Script("question: Do you smoke?", "question: Any fever?"), style) for _ in range(2)]
    case = load_dataset("medqa")[0]
    opening = phrases.opening(case, 3, "always")
    info = {
        "case_id": case.case_id, "turn": 0, "must_answer": False, "questions_left": 3, "by_key": True, "language": "en",
    }  # fmt: skip
    for doctor in doctors:
        doctor.reset(1)
    (leaning,) = doctors[0].leaning([opening], [info])
    assert leaning is not None and leaning.sum() == pytest.approx(1)
    for observation in (opening, "Patient: No.\nQuestions left: 2."):
        said = [doctor.act([observation], [info]) for doctor in doctors]
        assert said[0] == said[1]


def test_direct_answers_with_the_likeliest_option_and_its_probability() -> None:
    found, _ = play(LLMDoctor(Script(), "direct"))
    assert all(
        episode.chosen == ("A",) and episode.confidence == 0.5 and not episode.questions for episode in found.episodes
    )


def test_cot_thinks_first_and_is_judged_on_its_thought() -> None:
    model = Script("<think>It could be anything.</think> answer: B")
    found, _ = play(LLMDoctor(model, "cot"), n=1)
    assert found.episodes[0].chosen == ("A",) and found.episodes[0].invalid == 0
    assert model.judged[-1][-2]["content"] == "<think>It could be anything.</think>"
    assert model.judged[-1][-1] == {"role": "user", "content": "Now give your answer."}


def test_abstain_asks_until_one_option_is_likely_enough() -> None:
    # What it believes: 0.5 at first, 0.7 after a question, 0.9 after two.
    for threshold, questions in ((0.5, 0), (0.6, 1), (0.8, 2), (0.95, 3)):
        found, _ = play(LLMDoctor(Script("Do you smoke?"), "abstain", threshold=threshold))
        assert found.summaries["all"].questions == questions
        assert found.summaries["all"].invalid == 0


def test_uncertainty_asks_the_question_that_is_expected_to_tell_most() -> None:
    class Telling(Script):
        def choice_logprobs(
            self, batch: Sequence[Messages], letters: Sequence[Sequence[str]], prefix: str = "answer: "
        ) -> list[NDArray[np.float64]]:
            found = []
            for chat, own in zip(batch, letters, strict=True):
                p = np.full(len(own), 1 / len(own))
                if chat[-1]["content"] in ("Patient: Yes.", "Patient: No.") and "fever" in chat[-2]["content"]:
                    yes = chat[-1]["content"] == "Patient: Yes."
                    p[:2] = (0.9 * p[:2].sum(), 0.1 * p[:2].sum()) if yes else (0.1 * p[:2].sum(), 0.9 * p[:2].sum())
                found.append(np.log(p))
            return found

    model = Telling("question: Do you smoke?", "Any fever?", "It is late.", "answer: A")
    _, finished = play(LLMDoctor(model, "uncertainty", candidates=4), max_questions=1)
    assert {final.turns[0].text for final, _ in finished} == {"Any fever?"}


@given(
    st.floats(0, 1),
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
)
def test_expected_entropy_weighs_the_replies_by_the_law_of_total_probability(
    share: float, one: list[float], other: list[float]
) -> None:
    yes, no = (np.array(row) / np.sum(row) for row in (one, other))
    if np.abs(yes - no).max() < 1e-3:
        return

    def entropy(p: NDArray[np.float64]) -> float:
        return float(-(p * np.log(p)).sum())

    now = share * yes + (1 - share) * no
    assert expected_entropy(now, yes, no) == pytest.approx(share * entropy(yes) + (1 - share) * entropy(no), abs=1e-6)
    assert expected_entropy(now, yes, no) <= entropy(now) + 1e-9  # on average, a reply never adds uncertainty


def test_hidden_options_are_answered_in_words_or_refused() -> None:
    model = Script("answer: pneumonia")
    found, _ = play(LLMDoctor(model, "direct"), show_options="never", n=1)
    assert found.episodes[0].turns[-1]["text"] == "pneumonia"
    found, finished = play(LLMDoctor(Script("answer: ready"), "direct"), show_options="at_answer", n=1)
    assert [turn.kind for turn in finished[0][0].turns] == ["answer", "answer"] and found.episodes[0].chosen == ("A",)
    with pytest.raises(BeliefRequired, match="the options are hidden; play with show_options='always'"):
        play(LLMDoctor(Script(), "abstain"), show_options="never", n=1)


@pytest.mark.parametrize("name", ["medqa", "cmb"])
def test_the_options_are_read_from_the_observation(name: str) -> None:
    for case in load_dataset(name):
        shown = [Option(option.key, option.text) for option in case.options]
        assert list(read_options(phrases.opening(case, 3, "always"))) == shown
        assert list(read_options("Patient: No.\n" + phrases.reveal(case) + "\nNo questions left")) == shown
        assert read_options(phrases.opening(case, 3, "never")) == ()


@pytest.mark.parametrize("name", ["medqa", "cmb"])
def test_a_question_with_several_right_options_is_recognised(name: str) -> None:
    doctor = LLMDoctor(Script(), "direct")
    cases = load_dataset(name)
    several = [case for case in cases if case.several][:1] + [case for case in cases if not case.several][:1]
    doctor.reset(len(several))

    def info(case: Case) -> dict[str, Any]:
        return {"case_id": "x", "turn": 0, "must_answer": False, "by_key": True, "language": case.language}

    doctor.act([phrases.opening(case, 3, "always") for case in several], [info(case) for case in several])
    assert doctor._several == [case.several for case in several]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("<think>hm</think> Question:  Since when? ", "question: Since when?"),
        ("answer: B (confidence: 80%)", "answer: B (confidence: 0.80)"),
        ("Well.", "Well."),
    ],
)
def test_the_dialogue_keeps_what_training_dialogues_would_write(said: str, kept: str) -> None:
    assert spoken(said) == kept


@given(st.text(max_size=60))
def test_a_bare_question_gets_its_mark_and_nothing_else_is_changed(text: str) -> None:
    said = as_question(text)
    if said != text.strip():
        assert said == f"question: {text.strip()}" and parse_action(text).kind == "invalid"


def test_the_zoo_makes_it_and_names_what_is_wrong(tiny: HFModel) -> None:
    with pytest.raises(ValueError, match="unknown style 'chatty'; there are direct, cot, ask, abstain, uncertainty"):
        LLMDoctor(Script(), "chatty")
    with pytest.raises(ValueError, match="threshold must be above 0 and at most 1, got 2"):
        LLMDoctor(Script(), "abstain", threshold=2)
    with pytest.raises(ValueError, match="'' names no model"):
        make_agent("llm:", style="direct")


def test_a_model_proposes_questions_for_tree_search(tiny: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    says = ("Do you smoke?", "question: Any fever?", "answer: A", "question: Any fever?")
    model = Script(*says)
    _, finished = play(LLMDoctor(Script("question: Do you smoke?")), n=1, max_questions=1)
    final, dynamics = finished[0]
    proposer = LLMProposer(model, dynamics)
    assert set(proposer.propose(final.prefix(0), 4)) == {"Do you smoke?", "Any fever?"}
    assert proposer.propose(final.prefix(1), 4) == ["Any fever?"]
    monkeypatch.setattr("promed_agents.trajectories.make_llm", lambda name: model)
    (row,) = plan_cases(Job(Setting(max_questions=2), proposer="llm:any", width=2), Setting().load(1))
    asked = [message["content"] for message in row["messages"] if message["role"] == "assistant"][:-1]
    assert set(asked) <= {"question: Do you smoke?", "question: Any fever?"}
    with pytest.raises(ValueError, match="proposer must be one of facts, catalogue, llm:MODEL, got 'oracle'"):
        Job(proposer="oracle")


@pytest.mark.llm
@pytest.mark.real
def test_smollm2_consults_on_real_cases(smollm2: HFModel, mediq_file: Any) -> None:
    setting = Setting(dataset=str(mediq_file), max_questions=1)
    for style in ("direct", "ask"):
        found = evaluate(LLMDoctor(smollm2, style), setting, setting.load(2))
        assert len(found.episodes) == 2 and all(episode.leanings is not None for episode in found.episodes)
