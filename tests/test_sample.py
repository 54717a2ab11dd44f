"""The bundled vignettes: they meet every rule, the validator sees broken ones, and the shipped file is the compiled
one."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from promed_env.beliefs import EvidenceBelief
from promed_env.case import Case, Fact
from promed_env.datasets import CaseDataset, load_dataset
from promed_env.datasets.authoring import check_sample, check_vignette, is_misleading, p_key, read_vignettes
from promed_env.errors import DatasetError
from promed_env.shapley import annotate

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def sample() -> CaseDataset:
    return load_dataset("medqa")


@pytest.mark.parametrize("name", ["medqa", "cmb"])
def test_every_rule_holds(name: str) -> None:
    assert check_sample(load_dataset(name)) == []


@pytest.mark.parametrize("name", ["medqa", "cmb"])
def test_the_shipped_file_is_compiled_from_the_vignettes(name: str) -> None:
    sample, files = load_dataset(name), sorted((ROOT / "vignettes" / name).glob("*.toml"))
    written = [
        annotate(case, EvidenceBelief(), method="exact")
        for path in files
        for case in read_vignettes(path, source=f"{name}-sample", language=sample[0].language)
    ]
    assert [case.case_id for case in written] == [case.case_id for case in sample]
    for new, shipped in zip(written, sample, strict=True):
        assert dataclasses.replace(new, shapley=None).to_json() == dataclasses.replace(shipped, shapley=None).to_json()
        assert new.shapley is not None and shipped.shapley is not None
        for game in ("all", "presentation"):
            np.testing.assert_allclose(new.shapley.values[game], shipped.shapley.values[game], atol=2e-9)  # type: ignore[index]


def test_it_has_the_mix_of_question_types_of_real_medqa(sample: CaseDataset) -> None:
    share = {kind: count / len(sample) for kind, count in Counter(case.raw["question_type"] for case in sample).items()}
    expected = {"management": 0.29, "cause": 0.22, "diagnosis": 0.14, "finding": 0.12, "prognosis": 0.05}
    assert {kind: share[kind] for kind in expected} == pytest.approx(expected, abs=0.025)
    assert len(sample) == 60
    assert len({case.raw["specialty"] for case in sample}) >= 15


def test_it_says_what_it_is(sample: CaseDataset) -> None:
    assert sample.description == "60 synthetic vignettes, not reviewed by clinicians; not comparable with MedQA"


def test_the_chinese_sample_is_chinese_and_says_where_several_options_are_right() -> None:
    chinese = load_dataset("cmb")
    assert chinese.description == "30 synthetic Chinese vignettes, not reviewed by clinicians; not comparable with CMB"
    assert len(chinese) == 30
    assert len({case.raw["specialty"] for case in chinese}) >= 15
    for case in chinese:
        assert case.language == "zh"
        texts = [case.presentation, case.question, *(option.text for option in case.options)]
        texts += [text for fact in case.facts for text in (fact.text, fact.question_text or "")]
        for text in texts:
            assert re.search(r"[\u4e00-\u9fff]", text) or text.isascii(), text
        assert case.several == (len(case.answer) > 1) == ("多选" in case.question)
    assert sum(case.several for case in chinese) == 6


def test_the_presentation_leaves_the_answer_open(sample: CaseDataset) -> None:
    assert sum(0.1 <= p_key(case, sorted(case.initial)) <= 0.6 for case in sample) >= 48
    assert sum(any(is_misleading(case, fact) for fact in case.hidden) for case in sample) >= 20


def broken(case: Case) -> dict[str, Case]:
    """The case with one rule broken at a time, by what should be reported."""
    assert case.evidence is not None
    facts = case.facts
    key = next(option for option in case.options if option.key in case.answer)
    flat = dataclasses.replace(case, evidence=np.full(case.evidence.shape, -1.0))
    slope = np.linspace(-1.0, -1.2, len(case.options))
    tilted = np.array(case.evidence)
    tilted[[i for i in case.hidden if np.ptp(case.evidence[i]) < 1e-9][1:]] = slope
    return {
        "no evidence table": dataclasses.replace(case, evidence=None),
        "facts; need 8 to 16": dataclasses.replace(case, facts=facts[:7], evidence=case.evidence[:7]),
        "options; need 4 or 5": dataclasses.replace(
            case,
            options=(key, *(option for option in case.options if option is not key))[:3],
            evidence=case.evidence[:, :3],
            prior=None,
        ),
        "need 0.80": flat,
        "has 1 hidden facts without weight; need 2": dataclasses.replace(case, evidence=tilted),
        "at least one initial": dataclasses.replace(case, initial=frozenset()),
        "two fact texts": dataclasses.replace(
            case, facts=(dataclasses.replace(facts[0], text=facts[1].text), *facts[1:])
        ),
        "two question texts": dataclasses.replace(
            case, facts=(dataclasses.replace(facts[0], question_text=facts[1].question_text), *facts[1:])
        ),
        "states the answer": dataclasses.replace(
            case, facts=(Fact(f"It is {key.text}, surely.", question_text="What is it?"), *facts[1:])
        ),
    }


def test_the_validator_reports_every_broken_rule(sample: CaseDataset) -> None:
    for rule, case in broken(dataclasses.replace(sample[0], shapley=None)).items():
        problems = check_vignette(case)
        assert any(rule in problem for problem in problems), (rule, problems)


def test_the_validator_reports_a_set_that_breaks_the_rules_of_sets(sample: CaseDataset) -> None:
    case = dataclasses.replace(sample[0], shapley=None)
    twins = [case, dataclasses.replace(case, question="Which?"), *sample[1:3]]
    problems = " ".join(check_sample(twins))
    assert "are alike" in problems and "same id" in problems
    settled = [dataclasses.replace(c, shapley=None, initial=frozenset(range(c.n_facts - 6))) for c in sample]
    assert any("the presentation alone leaves" in problem for problem in check_sample(settled))
    plain = []
    for other in sample:
        assert other.evidence is not None
        right = [key in other.answer for key in other.keys]
        table = np.minimum(other.evidence, other.evidence[:, right].max(axis=1, keepdims=True))
        plain.append(dataclasses.replace(other, evidence=table, shapley=None))
    assert any("misleading fact; need a third" in problem for problem in check_sample(plain))
    one_slot = [case for case in sample if case.answer == ("A",)] * 3
    ids = [dataclasses.replace(c, case_id=f"{c.case_id}{i}") for i, c in enumerate(one_slot)]
    assert any("one slot holds the key" in problem for problem in check_sample(ids))


GOOD = (ROOT / "vignettes" / "medqa" / "cardiology.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[case]]", "[[case", "cardiology"),
        ('specialty = "cardiology"\n', "", "missing field 'specialty'"),
        ("age = 47", "age = 47\nshoe_size = 8", "unknown field 'shoe_size'"),
        ('question_type = "cause"', 'question_type = "guess"', "question_type 'guess' is none of"),
        ("p = [0.15, 0.3, 0.15, 0.25, 0.2]", "p = [0.15, 0.3, 0.15, 0.25, 1.2]", "numbers from 0.01 to 0.99"),
        ("p = [0.15, 0.3, 0.15, 0.25, 0.2]", "p = [0.15, 0.3]", "cardiology-breathless-florist"),
        ('answer = "D"', 'answer = "Z"', "field 'answer'"),
        ("initial = [0, 1, 2]", "initial = [0, 1, 99]", "field 'initial'"),
        ('section = "demographics"', 'section = "dreams"', "section must be one of"),
    ],
)
def test_a_broken_vignette_file_is_reported_by_file_case_and_field(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "cardiology.toml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DatasetError, match=message) as caught:
        read_vignettes(path, source="x")
    assert str(path) in str(caught.value)


def test_a_missing_vignette_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        read_vignettes(tmp_path / "nowhere.toml", source="x")


def test_no_vignette_quotes_its_rationale_to_the_doctor(sample: CaseDataset) -> None:
    for case in sample:
        assert case.raw["rationale"] not in json.dumps(
            [case.presentation, case.question, *(f.text for f in case.facts)]
        )
