"""Laws of the synthetic clinic: what a seed draws, and that the posterior is exact."""

from __future__ import annotations

import dataclasses
import pickle
from collections import Counter
from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promed_agents.evaluate import evaluate
from promed_agents.knowledge import KnowledgeDoctor
from promed_agents.setting import Setting

from promed_env.beliefs import EvidenceBelief
from promed_env.beliefs.knowledge import KnowledgeBelief
from promed_env.case import Case
from promed_env.consultation import Consultation
from promed_env.datasets import CaseDataset, load_dataset
from promed_env.datasets.clinic import SEED_RANGES, SPLITS, ClinicDataset, clinic_dataset
from promed_env.errors import DatasetError
from promed_env.knowledge import primary_care
from promed_env.patients.knowledge import KnowledgePatient
from promed_env.shapley import shapley_values, table_shapley

indexes = st.integers(0, 999_999)


@pytest.fixture(scope="module")
def many() -> CaseDataset:
    return clinic_dataset("validation")[:3000]


@given(indexes, st.sampled_from(SPLITS))
@settings(max_examples=30)
def test_a_seed_makes_one_case(index: int, split: str) -> None:
    data = clinic_dataset(split)
    case = data[index]
    assert case == data.make(index)
    again = dataclasses.replace(data)  # with caches of its own
    assert again[index].to_json() == case.to_json()
    assert data.by_id(case.case_id) == case
    assert pickle.loads(pickle.dumps(case)) == case
    assert Case.from_json(case.to_json()) == case


def test_splits_are_disjoint_ranges_of_seeds() -> None:
    ranges = list(SEED_RANGES.values())
    assert all(left[-1] < right[0] for left, right in pairwise(ranges))
    with pytest.raises(DatasetError, match=r"no case 'primarycare-v1:0' in 'primarycare/test'; its ids are"):
        clinic_dataset("test").by_id("primarycare-v1:0")
    with pytest.raises(DatasetError, match="data set 'primarycare' has no split 'dev'; it has train, validation, test"):
        load_dataset("primarycare", "dev")
    with pytest.raises(DatasetError, match="1,000,000,000 cases do not fit in memory"):
        clinic_dataset("train")[:]
    with pytest.raises(IndexError):
        clinic_dataset("test")[1_000_000]


def test_held_out_conditions_are_held_out() -> None:
    base = primary_care()
    names = {condition.name for condition in base.conditions if condition.id in base.held_out["default"]}
    for split in ("train-known", "test-known"):
        shown = {option.text for index in range(300) for option in clinic_dataset(split)[index].options}
        assert not shown & names
    for index in range(300):
        assert {option.text for option in clinic_dataset("test-held-out")[index].options} & names


@given(indexes, st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_the_case_table_and_the_knowledge_base_give_the_posterior_of_bayes(index: int, random: Any) -> None:
    case, base = clinic_dataset("test")[index], primary_care()
    known = sorted(set(random.sample(range(case.n_facts), 12)) | case.initial)
    coalition = np.zeros((1, case.n_facts), dtype=bool)
    coalition[0, known] = True
    presented = base.presented(case.presentation)
    assert presented is not None
    age, sex, complaint = presented
    weights = []
    for option in case.options:
        row = base.name_index[option.text]
        p = base.prior(complaint.id, age, sex)[row]
        for fact in known:
            finding = base.question_index[case.facts[fact].question_text or ""]
            if base.findings[finding].id != complaint.finding:
                present = base.probabilities[row, finding]
                p *= present if case.facts[fact].status == "present" else 1 - present
        weights.append(p)
    expected = np.array(weights) / sum(weights)
    np.testing.assert_allclose(np.exp(EvidenceBelief()(case, coalition)[0]), expected, atol=1e-9)
    np.testing.assert_allclose(np.exp(KnowledgeBelief()(case, coalition)[0]), expected, atol=1e-9)


@pytest.mark.parametrize("known", ["presentation", "some", "everything"])
def test_the_posterior_is_calibrated(many: CaseDataset, known: str) -> None:
    """Neither the set of options nor the choice of volunteered findings gives anything away."""
    rng = np.random.default_rng(0)
    predicted, happened = [], []
    for case in many:
        facts = set(case.initial)
        if known == "some":
            facts |= set(rng.choice(case.n_facts, 40, replace=False).tolist())
        elif known == "everything":
            facts = set(range(case.n_facts))
        coalition = np.zeros((1, case.n_facts), dtype=bool)
        coalition[0, list(facts)] = True
        predicted += np.exp(EvidenceBelief()(case, coalition)[0]).tolist()
        happened += [float(key in case.answer) for key in case.keys]
    p, y = np.array(predicted), np.array(happened)
    for low in np.arange(0, 1, 0.1):
        members = (p >= low) & (p < low + 0.1)
        if members.sum() >= 50:
            spread = np.sqrt((p[members] * (1 - p[members])).sum())
            assert abs(y[members].sum() - p[members].sum()) < 4 * spread + 1


def test_the_key_takes_every_slot_alike(many: CaseDataset) -> None:
    counts = Counter(case.answer[0] for case in many)
    assert all(abs(counts[key] - 600) < 4 * np.sqrt(3000 * 0.2 * 0.8) for key in "ABCDE")


def test_findings_fit_sex_and_complaint(many: CaseDataset) -> None:
    base = primary_care()
    own = {item.id: item.finding for item in base.complaints}
    for case in many[:300]:
        asked = {
            base.findings[base.question_index[fact.question_text or ""]].id: i for i, fact in enumerate(case.facts)
        }
        assert all(base.findings[base.finding_index[key]].sex in (None, case.profile.sex) for key in asked)
        complaint = own[case.raw["complaint"]]
        if complaint is not None:
            fact = asked[complaint]
            assert case.facts[fact].status == "present" and fact in case.initial
            assert case.evidence is not None and np.ptp(case.evidence[fact]) == 0


def test_the_patient_answers_every_canonical_question_with_that_finding(many: CaseDataset) -> None:
    patient, base = KnowledgePatient(), primary_care()
    for case in many[:4]:
        for finding in base.findings:
            reply = patient.reply(Consultation(case), finding.ask)
            if finding.sex not in (None, case.profile.sex):
                assert reply.disclosed == ()
            else:
                (fact,) = reply.disclosed
                assert case.facts[fact].question_text == finding.ask
                assert reply.text.endswith(case.facts[fact].text)


def test_the_knowledge_doctor_reads_the_dialogue_only(many: CaseDataset) -> None:
    cases = many[:40]
    blind = tuple(
        dataclasses.replace(case, raw={}, evidence=np.full((case.n_facts, 5), -1.0), prior=None) for case in cases
    )
    setting = Setting("ProMed-PrimaryCare-v0", reward="diagnosis")
    seen = evaluate(KnowledgeDoctor(), setting, cases)
    unseen = evaluate(KnowledgeDoctor(), setting, dataclasses.replace(cases, cases=blind))
    assert [episode.turns for episode in seen.episodes] == [episode.turns for episode in unseen.episodes]
    assert np.mean([episode.correct for episode in seen.episodes]) > 0.7


def test_the_knowledge_doctor_holds_the_exact_posterior(many: CaseDataset) -> None:
    env = gym.make("ProMed-PrimaryCare-v0", dataset=many[:20], order="sequential")
    for _ in range(10):
        text, _ = env.reset()
        doctor = KnowledgeDoctor(stop_at=2.0)
        for _turn in range(10):
            state = env.unwrapped.consultation  # type: ignore[attr-defined]
            (said,) = doctor.act([text], [{"must_answer": False, "by_key": True}])
            coalition = np.zeros((1, state.case.n_facts), dtype=bool)
            coalition[0, list(state.known)] = True
            expected = np.exp(KnowledgeBelief()(state.case, coalition)[0])
            np.testing.assert_allclose(doctor._pictures[0].posterior, expected, atol=1e-9)
            text, *_ = env.step(said)


@given(st.integers(2, 9), st.integers(2, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_values_from_a_table_are_shapley_values(n: int, options: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    evidence = np.log(rng.uniform(0.1, 0.9, (n, options)))
    evidence[0] = evidence[0, 0]  # a null player
    prior = np.log(rng.dirichlet(np.ones(options)))

    def value(coalitions: np.ndarray) -> np.ndarray:
        scores = coalitions @ evidence + prior
        return scores[:, 0] - np.logaddexp.reduce(scores, axis=1)

    exact = shapley_values(value, n, method="exact").values
    estimate = table_shapley(evidence, prior, [0], seed=seed)
    assert estimate.values[0] == 0
    assert estimate.values.sum() == pytest.approx(exact.sum(), abs=1e-9)
    assert np.all(np.abs(estimate.values - exact) <= 6 * estimate.stderr + 1e-9)
    np.testing.assert_array_equal(estimate.values, table_shapley(evidence, prior, [0], seed=seed).values)


def test_too_few_options_are_reported() -> None:
    base = primary_care()
    everything = frozenset(condition.id for condition in base.conditions[4:])
    with pytest.raises(DatasetError, match="no complaint has 5 conditions for any age and sex; hold out fewer"):
        ClinicDataset(base, "test", SEED_RANGES["test"], without=everything)
