"""The findings of a knowledge base in free words: what is asked for is found, and what is not is not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promed_env.consultation import Consultation
from promed_env.datasets import load_dataset
from promed_env.knowledge import KnowledgeBase, primary_care
from promed_env.patients import retrieval
from promed_env.patients.knowledge import KnowledgePatient
from promed_env.patients.retrieval import FEATURES, FindingRetriever, find_finding, shipped_wordings

ROOT = Path(__file__).resolve().parents[1]
BASE = primary_care()
NONSENSE = (
    "",
    "?!... ---",
    "asdf qwer zxcv",
    "wibble trask oonpl fenn?",
    "Which shelf does the thunder sleep on?",
    "How many violins are needed to boil a Thursday?",
    "la la la la la",
    "and then of the which?",
    "8 15 16 23 42",
    "\N{SNOWMAN}\N{PILE OF POO}\N{BLACK STAR}",
    "Please translate the wallpaper into cubic metres.",
    "x" * 5000,
)


@pytest.fixture(scope="module")
def retriever() -> FindingRetriever:
    return FindingRetriever(BASE)


@pytest.fixture(scope="module")
def state() -> Consultation:
    return Consultation(load_dataset("primarycare")[0])


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("findings_benchmark", ROOT / "benchmarks/findings.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its named tuples look their module up
    spec.loader.exec_module(module)
    return module


def test_canonical_questions_are_found_without_the_look_up_too(retriever: FindingRetriever) -> None:
    missed = [item.ask for index, item in enumerate(BASE.findings) if retriever.find(item.ask) != index]
    assert not missed


@pytest.mark.parametrize("index", range(0, len(BASE.findings), 7))
def test_case_and_punctuation_do_not_matter(index: int, state: Consultation) -> None:
    patient, ask = KnowledgePatient(), BASE.findings[index].ask
    expected = patient.reply(state, ask)
    for variant in (ask.upper(), ask.lower(), ask.rstrip("?"), f"  {ask[:-1]} ?!", ask.replace(" ", "  ")):
        assert patient.reply(state, variant) == expected, variant


@pytest.mark.parametrize(
    ("question", "finding"),
    [
        ("Any pain when you pee?", "dysuria"),
        ("Any burning on micturition?", "dysuria"),
        ("Are you a smoker?", "smoking"),
        ("What is the CRP?", "crp_high"),
        ("Any haemoptysis?", "haemoptysis"),
        ("Any hemoptysis?", "haemoptysis"),
        ("Do you hurt low down on the right of the belly?", "pain_right_lower_belly"),
        ("Do you hurt low down on the left of the belly?", "pain_left_lower_belly"),
    ],
)
def test_free_words_find_their_finding(question: str, finding: str) -> None:
    found = find_finding(BASE, question)
    assert found is not None and BASE.findings[found].id == finding


@pytest.mark.parametrize("question", NONSENSE)
def test_nonsense_finds_nothing(question: str) -> None:
    assert find_finding(BASE, question) is None


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_text_raises_and_any_answer_is_a_finding(retriever: FindingRetriever, text: str) -> None:
    found = retriever.find(text)
    assert found is None or 0 <= found < len(BASE.findings)
    assert retriever.find(text) == found


@given(
    st.lists(st.sampled_from("do you have pain in the left chest urine test show blood any family at night".split()))
)
@settings(max_examples=50, deadline=None)
def test_features_are_finite(retriever: FindingRetriever, words: list[str]) -> None:
    values = retriever.features(" ".join(words))
    assert values.shape == (len(BASE.findings), len(FEATURES)) and np.isfinite(values).all()
    assert values.min() >= -1 and values.max() <= 1 + 1e-5


def test_retrieval_does_not_depend_on_what_was_asked_before() -> None:
    questions = [item.yes for item in BASE.findings[:40]]
    one, other = FindingRetriever(BASE), FindingRetriever(BASE)
    forward = [one.find(question) for question in questions]
    backward = [other.find(question) for question in reversed(questions)]
    assert forward == backward[::-1]


def test_remembered_answers_are_bounded() -> None:
    assert find_finding.cache_info().maxsize is not None


def test_every_finding_has_phrases_and_no_phrase_stands_for_another() -> None:
    wordings = shipped_wordings()
    assert list(wordings) == [finding.id for finding in BASE.findings]
    canonical = {finding.ask.casefold(): finding.id for finding in BASE.findings}
    for finding, phrases in wordings.items():
        assert 0 < len(phrases) <= 6 and len(set(phrases)) == len(phrases), finding
        assert all(canonical.get(phrase.casefold(), finding) == finding for phrase in phrases)


def test_a_malformed_phrase_file_is_reported_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "_read", lambda name: "# comment\ncough: hacking\nno colon here\n")
    with pytest.raises(ValueError, match=r"line 3 of findings\.txt"):
        shipped_wordings.__wrapped__()


def test_another_knowledge_base_is_read_without_the_shipped_phrases() -> None:
    small = KnowledgeBase("small", "0", BASE.complaints, BASE.conditions, BASE.findings)
    assert find_finding(small, "Do you have a cough, then?") == BASE.finding_index["cough"]
    assert FindingRetriever(small).features("cough").shape == (len(BASE.findings), len(FEATURES))


def test_wordings_without_a_word_are_no_obstacle() -> None:
    odd = FindingRetriever(BASE, {BASE.findings[-1].id: ["?!", "\N{SNOWMAN}"]})
    assert np.isfinite(odd.features("Do you have a cough?")).all()
    assert odd.find("Do you have a cough?") == BASE.finding_index["cough"]


def test_development_questions_are_answered(benchmark: ModuleType) -> None:
    row = benchmark.measure(KnowledgePatient(), "dev")
    assert row["n"] == 150 and row["answerable"] == 120
    assert row["accuracy"] >= 0.93
    assert row["false_disclosure"] <= 0.15


@pytest.mark.parametrize("split", ["dev", "train", "test", "second"])
def test_labels_name_findings_and_no_question_is_canonical(benchmark: ModuleType, split: str) -> None:
    labels = benchmark.load_labels(split)
    assert len({item.question for item in labels}) == len(labels)
    assert all(item.accepted <= BASE.finding_index.keys() for item in labels)
    assert not BASE.question_index.keys() & {item.question for item in labels}


def test_fitted_and_held_out_questions_differ(benchmark: ModuleType) -> None:
    questions = {split: {item.question for item in benchmark.load_labels(split)} for split in benchmark.SPLITS}
    assert not (questions["dev"] | questions["train"]) & (questions["test"] | questions["second"])


@pytest.mark.parametrize(("count", "n"), [(0, 10), (5, 10), (10, 10)])
def test_wilson_interval_holds_the_share(benchmark: ModuleType, count: int, n: int) -> None:
    low, high = benchmark.wilson(count, n)
    assert 0 <= low <= count / n <= high <= 1 and low < high
