"""The loader of knowledge bases: what is broken is reported by file, item and field; what is small and right loads."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from promed_env.beliefs.knowledge import KnowledgeBelief
from promed_env.case import Case, Fact, Option, Profile
from promed_env.consultation import Consultation
from promed_env.errors import BeliefRequired, DatasetError
from promed_env.knowledge import KnowledgeBase, age_band, primary_care
from promed_env.patients.knowledge import KnowledgePatient
from promed_env.patients.static import StaticMatcher

FILES = {
    "base.toml": """
name = "tiny"
version = "0"
[held_out]
far = ["b"]
""",
    "complaints.toml": """
[[complaint]]
id = "cough"
says = "I cough."
finding = "cough"
volunteered = ["fever", "wheeze"]
""",
    "findings.csv": """id,section,base,sex,ask,yes,no
cough,symptom,0.1,,Do you cough?,I cough a lot.,I do not cough.
fever,symptom,0.1,,Any fever?,I have a fever.,I have no fever.
wheeze,exam,0.1,,Is there a wheeze?,There is a wheeze.,There is no wheeze.
pregnant,history,0.02,female,Are you pregnant?,I am pregnant.,I am not pregnant.
""",
    "conditions/all.toml": """
[[condition]]
id = "a"
name = "Ague"
female = 0.5
age = [0.2, 0.2, 0.2, 0.2, 0.2]
complaints = { cough = 3 }
[condition.p]
fever = 0.9
[[condition]]
id = "b"
name = "Bile"
female = 1
age = [1, 0, 0, 0, 0]
complaints = { cough = 1 }
[condition.p]
wheeze = 0.8
""",
}


def written(folder: Path, **changed: str | None) -> Path:
    """The tiny knowledge base, with some files changed (None: left out)."""
    for name, text in {**FILES, **changed}.items():
        if text is not None:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.lstrip("\n"), encoding="utf-8")
    return folder


def test_a_small_one_means_what_it_says(tmp_path: Path) -> None:
    base = KnowledgeBase.load(written(tmp_path))
    assert repr(base) == "KnowledgeBase('tiny', version 0: 2 conditions, 1 complaints, 4 findings)"
    np.testing.assert_array_equal(base.probabilities, [[0.1, 0.9, 0.1, 0.02], [0.1, 0.1, 0.8, 0.02]])
    assert base.joint.sum() == pytest.approx(1)
    # 3 : 1 by complaint, 0.2 : 1 by age, 0.5 : 1 by sex
    np.testing.assert_allclose(base.prior("cough", 20, "female"), np.array([0.3, 1.0]) / 1.3)
    np.testing.assert_allclose(base.prior("cough", 20, "male"), [1, 0])
    assert base.held_out == {"far": {"b"}}
    assert base.stated("Patient: I cough a lot. I have no fever.") == [(0, True), (1, False)]
    assert base.presented("I cough.") is None
    copy = pickle.loads(pickle.dumps(base))
    assert copy.fingerprint == base.fingerprint != primary_care().fingerprint
    assert pickle.loads(pickle.dumps(primary_care())) is primary_care()


def test_the_prior_names_what_it_does_not_know(tmp_path: Path) -> None:
    base = KnowledgeBase.load(written(tmp_path))
    with pytest.raises(DatasetError, match="unknown complaint 'itch'; known are cough"):
        base.prior("itch", 30, "male")
    with pytest.raises(DatasetError, match="holds adults from 16 years on"):
        age_band(7)
    nobody = FILES["conditions/all.toml"].replace("[0.2, 0.2, 0.2, 0.2, 0.2]", "[0, 0, 0, 0, 1]")
    only_old_men = nobody.replace("female = 0.5", "female = 0").replace("female = 1", "female = 0")
    base = KnowledgeBase.load(written(tmp_path, **{"conditions/all.toml": only_old_men}))
    with pytest.raises(DatasetError, match="no condition brings a female of age 20"):
        base.prior("cough", 20, "female")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("base.toml", 'version = "0"', "", r"base\.toml: KeyError\('version'\); it needs name, version"),
        ("base.toml", "[held_out]", "[held_out", r"base\.toml: .*line 3"),
        ("base.toml", '["b"]', '["z"]', "held_out 'far': unknown condition 'z'"),
        ("complaints.toml", "[[complaint]]", "[[grievance]]", r"complaints\.toml: holds no \[\[complaint\]\] table"),
        ("complaints.toml", 'says = "I cough."', "", r"complaints\.toml: complaint 'cough': missing field 'says'"),
        ("complaints.toml", "finding =", "findings =", "complaint 'cough': unknown field 'findings'"),
        ("complaints.toml", '"wheeze"]', '"itch"]', "complaint 'cough': unknown finding 'itch'"),
        ("complaints.toml", '"wheeze"]', '"pregnant"]', "'pregnant' does not apply to both sexes"),
        ("complaints.toml", '"fever", ', "", "needs at least two volunteered findings"),
        ("findings.csv", "id,section,base", "id,base,section", r"findings\.csv:1: the columns must be id,section,base"),
        ("findings.csv", "fever,symptom,0.1,", "fever,dream,0.1,", r"findings\.csv:3: .*section 'dream' is none of"),
        ("findings.csv", "0.02,female", "0.02,any", r"findings\.csv:5: finding 'pregnant': sex 'any' is neither"),
        ("findings.csv", "wheeze,exam,0.1", "wheeze,exam,rare", "finding 'wheeze': base: could not convert"),
        ("findings.csv", ",I do not cough.", "", r"findings\.csv:2: finding 'cough': needs 7 columns"),
        ("findings.csv", "cough,symptom,0.1", "cough,symptom,1.0", "base must lie between 0.005 and 0.995, not 1"),
        ("findings.csv", "Any fever?", "Do you cough?", "question 'Do you cough\\?' occurs more than once"),
        ("findings.csv", "I have no fever.", "I have a fever.", "occurs more than once"),
        ("conditions/all.toml", 'name = "Bile"', 'name = "Ague"', "condition name 'Ague' occurs more than once"),
        ("conditions/all.toml", "female = 0.5", "female = 1.5", "condition 'a': female must lie between 0 and 1"),
        ("conditions/all.toml", "female = 0.5", 'female = "half"', "condition 'a': could not convert"),
        ("conditions/all.toml", "age = [1, 0,", "age = [0.5, 0,", "condition 'b': age needs 5 shares that add up to 1"),
        ("conditions/all.toml", "cough = 3", "cough = 0", "condition 'a': needs a positive weight"),
        ("conditions/all.toml", "cough = 3", "itch = 3", "condition 'a': unknown complaint 'itch'"),
        ("conditions/all.toml", "fever = 0.9", "itch = 0.9", "condition 'a': unknown finding 'itch'"),
        ("conditions/all.toml", "fever = 0.9", "fever = 9", r"condition 'a': p\(fever\) must lie between"),
        ("conditions/all.toml", 'id = "a"', 'id = "a"\ncost = 3', "condition 'a': unknown field 'cost'"),
    ],
)
def test_what_is_broken_is_named(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    assert old in FILES[file]
    broken = written(tmp_path, **{file: FILES[file].replace(old, new, 1)})
    with pytest.raises(DatasetError, match=message):
        KnowledgeBase.load(broken)


@pytest.mark.parametrize("file", sorted(FILES))
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    with pytest.raises(DatasetError, match=file.split("/")[0].removesuffix(".toml")):
        KnowledgeBase.load(written(tmp_path, **{file: None}))


def tiny_case(base: KnowledgeBase, **changed: Any) -> Case:
    """A case whose complaint, options and findings are those of the tiny knowledge base."""
    case = Case(
        case_id="tiny:1",
        source="tiny",
        presentation="I am a 20-year-old woman. I cough.",
        question="What is it?",
        options=(Option("A", "Ague"), Option("B", "Bile")),
        answer=("A",),
        facts=tuple(Fact(item.yes, item.section, item.ask) for item in base.findings),
        initial=frozenset({0}),
        profile=Profile(age=20, sex="female"),
    )
    return dataclasses.replace(case, **changed)


def test_belief_and_patient_take_any_knowledge_base(tmp_path: Path) -> None:
    base = KnowledgeBase.load(written(tmp_path))
    case, patient, belief = tiny_case(base), KnowledgePatient(base), KnowledgeBelief(base)
    state = Consultation(case)
    assert isinstance(patient.matcher, StaticMatcher)  # the shipped phrases are those of the shipped knowledge base
    assert patient.reply(state, "Any fever?").disclosed == (1,)
    assert patient.reply(state, "Have you been feverish?").disclosed == (1,)
    assert patient.reply(state, "Who won the cup in 1987?").disclosed == ()
    assert belief.covers(case) and not KnowledgeBelief().covers(case)
    # 0.3 : 1 by prior; fever 0.9 : 0.1, no weight for the cough that the complaint affirms
    known = np.array([[True, True, False, False]])
    np.testing.assert_allclose(np.exp(belief(case, known)[0]), np.array([0.27, 0.1]) / 0.37)


def test_what_does_not_apply_and_what_cannot_be_told_is_said(tmp_path: Path) -> None:
    base = KnowledgeBase.load(written(tmp_path))
    man = tiny_case(base, facts=tiny_case(base).facts[:3], profile=Profile(age=20, sex="male"))
    reply = KnowledgePatient(base).reply(Consultation(man), "Are you pregnant?")
    assert reply == ("Patient: That does not apply to me.", (), "patient")
    reportable = KnowledgePatient(base, reportable_only=True)
    assert reportable.reply(Consultation(man), "Is there a wheeze?").disclosed == ()
    assert reportable.reply(Consultation(man), "Any fever?").disclosed == (1,)


@pytest.mark.parametrize(
    "changed",
    [
        {"presentation": "A woman coughs."},
        {"presentation": "I am a 20-year-old woman. I itch."},
        {"options": (Option("A", "Ague"), Option("B", "Gout"))},
        {"facts": (Fact("I itch.", "symptom", "Do you itch?"),)},
        {"presentation": "I am a 20-year-old man. I cough."},  # no man has bile
        {"presentation": "I am a 7-year-old woman. I cough."},
    ],
)
def test_the_belief_covers_only_what_it_knows(tmp_path: Path, changed: dict[str, Any]) -> None:
    base = KnowledgeBase.load(written(tmp_path))
    case = tiny_case(base, **changed)
    belief = KnowledgeBelief(base)
    assert not belief.covers(case)
    with pytest.raises(BeliefRequired, match="are not in the knowledge base 'tiny'"):
        belief.table(case)
