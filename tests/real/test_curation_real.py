"""MedQA's US test questions and ProMed's CMB example become cases; the rules agree with vignettes split by hand."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from promed_env.datasets.curation import Curated, RuleSplitter, curate, sentences, split_question
from promed_env.datasets.curation.facts import split_sentence
from promed_env.datasets.curation.vetoes import garbled
from promed_env.datasets.curation.words import invented, lost
from promed_env.datasets.jsonl import Row, read_rows

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".." / "shared" / "data"
MEDQA = DATA / "medqa-us-test" / "phrases_no_exclude_test.jsonl"
CMB = DATA / "promed-examples" / "cmb_atomic_patient_example.json"

sys.path.insert(0, str(ROOT / "benchmarks"))

from curation import Labelled, chinese_labels, english_labels, measure  # noqa: E402

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not MEDQA.is_file(), reason=f"the real data is not there: {MEDQA}"),
]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return read_rows(MEDQA)


@pytest.fixture(scope="module")
def curated(rows: list[Row]) -> Curated:
    return curate(rows[:400], "medqa")


def test_every_row_becomes_a_case_that_keeps_every_word(rows: list[Row], curated: Curated) -> None:
    assert len(curated.cases) == 400
    for case, row in zip(curated.cases, rows, strict=False):
        vignette = split_question(row.fields["question"]).vignette
        assert not lost(vignette, [fact.text for fact in case.facts])
        assert not any(invented(fact.text, vignette) for fact in case.facts)


GARBLED = re.compile(
    r"\b(?:that|which|who|whose|because|and|or|of|with|without|for|to|from|by)\.$"
    r"|\b(?:of|for|to|by|normal|increased|decreased|elevated) (?:no|without|neither)\b(?! (?:longer|more|one|known))"
    r"|\b(?:no no|no an?|any no|with followed|for followed|with without|increased an?|decreased an?|normal an?)\b"
    r"|^There (?:is|are) no (?:skin|bone|chest|abdominal|cervical|significant|normal|urinary|carotid|pulmonary)\.$"
    r"|^(?:The patient|He|She|The \w+|His \w+|Her \w+) (?:is|was) (?:not )?(?:vomiting|nausea|fever|cough|pain|"
    r"chills|photophobia|phonophobia|dysphagia|diarrhea|fatigue|homeless|dyspnea|malaise|syphilis|\w+emia)\.$"
    r"|\b(?:is|was|are|were) (?:has|have|had|denies|lacks|is|was|are|were|takes|begins|complains)\b"
    r"|^(?:The patient|He|She|There|\w+ examination|\w+ exam|Echocardiography)(?: now)? left (?!the|his|her|an?\b)"
)
# What the sentence itself says so, or its author, and no cut: "is vomiting".
SAID = {
    "The patient is vomiting.",
    "He is vomiting.",
    "She is vomiting.",
    "The patient is homeless.",
    "He is homeless.",
}


def test_no_fact_of_the_whole_file_is_garbled(rows: list[Row]) -> None:
    found = []
    for row in rows:
        for sentence in sentences(split_question(row.fields["question"]).vignette):
            if sentence.above:
                continue
            facts = split_sentence(sentence.text)
            for fact in facts:
                seen = GARBLED.search(fact)
                if seen and len(facts) > 1 and fact not in SAID and seen[0].strip(".") not in sentence.text:
                    found.append(fact)
            assert len(facts) == 1 or not any(garbled(fact, sentence.text) for fact in facts)
    assert found == []


def test_facts_are_many_and_defects_are_flagged(curated: Curated) -> None:
    assert 11 < np.mean(curated.report.facts) < 18
    assert curated.report.unasked <= 2
    assert 0.02 < curated.report.flags["not_a_patient"] / 400 < 0.12


def test_the_rules_agree_with_the_vignettes_split_by_hand(rows: list[Row]) -> None:
    assert_agree(english_labels(rows), 30, coverage=0.9, precision=0.85, atomicity=0.8, question=1.0)


def test_the_chinese_rules_agree_with_the_questions_split_by_hand() -> None:
    assert_agree(chinese_labels(), 20, coverage=0.9, precision=0.9, atomicity=0.85, question=1.0)


def assert_agree(labels: list[Labelled], n: int, **least: float) -> None:
    assert len(labels) == n
    found = [measure(label, RuleSplitter()) for label in labels]
    for name, share in least.items():
        assert np.nanmean([figures[name] for figures in found]) >= share, name


def test_a_label_names_the_vignette_it_was_made_for(rows: list[Row]) -> None:
    with pytest.raises(ValueError, match="not the vignette that was labelled"):
        english_labels([row._replace(fields={**row.fields, "question": "another stem"}) for row in rows])


def test_a_chinese_row_becomes_the_facts_its_authors_made() -> None:
    (row,) = read_rows(CMB)
    (case,) = curate([row], "cmb").cases
    assert case.question == "下述哪项与孕妇糖尿病无关"
    assert case.n_facts == 8
    assert case.answer == ("D",)
