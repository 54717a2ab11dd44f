"""Real sources on invented rows: what loaders make of a record, what they refuse, where a file is looked for."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promed_env.actions import resolve_answer
from promed_env.case import Case, Option
from promed_env.datasets import SOURCES, load_dataset
from promed_env.datasets import registry as registry_module
from promed_env.datasets.agentclinic import agentclinic_case, distractors_for
from promed_env.datasets.dataset import GeneratedDataset
from promed_env.datasets.ddxplus import read_vocabulary
from promed_env.datasets.diagnoses import (
    WITHHELD,
    aliases,
    diagnosis_options,
    drawn,
    mask,
    organ_system,
    overlap,
)
from promed_env.datasets.mediq import mediq_case
from promed_env.datasets.splits import SPLITS, split_of, vignette
from promed_env.datasets.statements import affirmed, denied, quoted, stated
from promed_env.datasets.tables import read_table
from promed_env.errors import DatasetError


def evidence(question: str, default: Any = 0, values: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    meanings = {code: {"fr": "-", "en": text} for code, text in (values or {}).items()}
    entry = {
        "question_en": question,
        "is_antecedent": False,
        "default_value": default,
        "possible-values": list(meanings),
        "value_meaning": meanings,
    }
    return {**entry, **changes}


EVIDENCES: dict[str, Any] = {
    "E_1": evidence("Do you have hiccups?"),
    "E_2": evidence("Do you feel a tickle somewhere?", "V_0", {"V_0": "nowhere", "V_1": "ear(R)", "V_2": "palace"}),
    "E_3": evidence("How loud are the hiccups?", 0, **{"possible-values": [0, 1, 2, 3]}),
    "E_4": evidence("Do you smoke a pipe?", is_antecedent=True),
    "E_5": evidence("Do any members of your family hiccup?", is_antecedent=True),
}
CONDITIONS: dict[str, Any] = {
    f"Maladie {letter}": {
        "cond-name-eng": f"Malady {letter}",
        "symptoms": {"E_1": {}} | ({"E_2": {}} if letter in "ABC" else {}),
        "antecedents": {},
    }
    for letter in "ABCDEFG"
}
PATIENT: dict[str, str] = {
    "AGE": "34",
    "SEX": "F",
    "PATHOLOGY": "Maladie B",
    "EVIDENCES": "['E_4', 'E_1', 'E_2_@_V_1', 'E_2_@_V_2', 'E_3_@_2']",
    "INITIAL_EVIDENCE": "E_1",
    "DIFFERENTIAL_DIAGNOSIS": "[['Maladie G', 0.2], ['Maladie B', 0.7], ['Maladie A', 0.1]]",
}
RECORD: dict[str, Any] = {
    "Objective_for_Doctor": "Find the quux.",
    "Patient_Actor": {
        "Demographics": "40-year-old man",
        "History": "The patient has hummed for 2 days. He works as a baker. He met Dr. Who.",
        "Symptoms": {"Primary_Symptom": "Humming", "Secondary_Symptoms": ["No pain", "Whistling"]},
        "Past_Medical_History": "Mumps in childhood. Takes aspirin daily.",
        "Social_History": "Lives alone.",
        "Current_Medications": ["Aspirin"],
        "Review_of_Systems": {"General": "Denies fever."},
    },
    "Physical_Examination_Findings": {"Vital_Signs": {"Temperature": "36.6°C", "Normal": True, "Rate": 72}},
    "Test_Results": {"Humming_Test": {"Findings": "Consistent with asthma (ASTHMA)."}, "Imaging": {}},
    "Correct_Diagnosis": "Asthma",
}
DIAGNOSES = ("Asthma", "Pneumonia", "Tuberculosis", "Lung cancer", "Bronchiectasis", "Apical lung tumor", "Leprosy")


def changed(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**row, **changes}.items() if value is not ...}


def release(folder: Path, evidences: Any = EVIDENCES, conditions: Any = CONDITIONS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "release_evidences.json").write_text(json.dumps(evidences), encoding="utf-8")
    (folder / "release_conditions.json").write_text(json.dumps(conditions), encoding="utf-8")
    return folder


def table(folder: Path, *rows: dict[str, str], name: str = "patients.csv") -> Path:
    path = folder / name
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def records(folder: Path, *diagnoses: str, name: str = "records.jsonl") -> Path:
    path = folder / name
    lines = [json.dumps({"OSCE_Examination": changed(RECORD, Correct_Diagnosis=diagnosis)}) for diagnosis in diagnoses]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def option(case: Case) -> Option:
    return next(option for option in case.options if option.key == case.answer[0])


# DDXPlus


def test_a_ddxplus_patient(tmp_path: Path) -> None:
    case = load_dataset(table(release(tmp_path), PATIENT))[0]
    assert case.case_id == "ddxplus:0"
    assert [(fact.text, fact.section, fact.status) for fact in case.facts] == [
        ("The patient is a 34-year-old woman.", "demographics", "present"),
        ("The patient smokes a pipe.", "social", "present"),
        ("The patient has hiccups.", "symptom", "present"),
        ("The patient feels a tickle somewhere: right ear, palate.", "symptom", "present"),
        ('Asked "How loud are the hiccups?", the patient answers: 2 on a scale of 0 to 3.', "symptom", "present"),
    ]
    assert case.presentation == "The patient is a 34-year-old woman. The patient has hiccups."
    assert case.initial == {0, 2}
    assert case.world == "closed"
    assert case.facts[2].question_text == "Do you have hiccups?"
    assert option(case).text == "Malady B"
    assert case.raw == {**PATIENT, "differential": [["Malady B", 0.7], ["Malady G", 0.2], ["Malady A", 0.1]]}


def test_a_short_differential_is_topped_up_with_the_nearest_conditions(tmp_path: Path) -> None:
    case = load_dataset(table(release(tmp_path), PATIENT))[0]
    assert {item.text for item in case.options} == {f"Malady {letter}" for letter in "BGACD"}


@pytest.mark.parametrize(
    ("evidences", "text"),
    [
        ("['E_1', 'E_2_@_V_0']", "The patient does not feel a tickle anywhere."),
        ("['E_1', 'E_3_@_0']", 'Asked "How loud are the hiccups?", the patient answers: 0 on a scale of 0 to 3.'),
    ],
)
def test_a_default_value_is_absent(tmp_path: Path, evidences: str, text: str) -> None:
    case = load_dataset(table(release(tmp_path), changed(PATIENT, EVIDENCES=evidences)))[0]
    assert (case.facts[2].text, case.facts[2].status) == (text, "absent")


@pytest.mark.parametrize(
    ("age", "sex", "person"),
    [
        ("0", "M", "a boy less than one year old"),
        ("8", "F", "an 8-year-old girl"),
        ("11", "M", "an 11-year-old boy"),
        ("18", "M", "an 18-year-old man"),
        ("80", "F", "an 80-year-old woman"),
        ("109", "F", "a 109-year-old woman"),
    ],
)
def test_a_person_in_words(tmp_path: Path, age: str, sex: str, person: str) -> None:
    case = load_dataset(table(release(tmp_path), changed(PATIENT, AGE=age, SEX=sex)))[0]
    assert case.facts[0].text == f"The patient is {person}."
    assert case.profile.age == float(age)


def test_an_unnamed_first_column_numbers_the_patients(tmp_path: Path) -> None:
    path = table(release(tmp_path), {"": "77", **PATIENT}, {"": "78", **PATIENT})
    assert [case.case_id for case in load_dataset(path)] == ["ddxplus:77", "ddxplus:78"]


@pytest.mark.parametrize("folder", [".", "en", "../en"])
def test_the_release_is_found_beside_the_table_or_in_en(tmp_path: Path, folder: str) -> None:
    here = tmp_path / "here"
    here.mkdir()
    release(here / folder)
    assert len(load_dataset(table(here, PATIENT))) == 1


def test_the_release_whose_codes_the_table_uses_is_taken(tmp_path: Path) -> None:
    release(tmp_path, {"fievre": evidence("Do you have a fever?")})
    release(tmp_path / "en")
    assert load_dataset(table(tmp_path, PATIENT))[0].facts[2].text == "The patient has hiccups."


def test_a_table_without_a_release_says_what_to_put_where(tmp_path: Path) -> None:
    path = table(tmp_path, PATIENT)
    with pytest.raises(
        DatasetError, match=r"patients\.csv:2: field 'INITIAL_EVIDENCE': no release decodes 'E_1': put .*\(none has"
    ):
        load_dataset(path)
    release(tmp_path, {})
    with pytest.raises(DatasetError, match=r"those of .* do not know it"):
        load_dataset(path)
    (tmp_path / "release_conditions.json").unlink()
    with pytest.raises(DatasetError, match=r"release_conditions\.json: cannot be read: No such file"):
        load_dataset(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"AGE": "old"}, r"field 'AGE': expected a whole number of years, got 'old'"),
        ({"SEX": "X"}, r"field 'SEX': expected F or M, got 'X'"),
        ({"PATHOLOGY": "Maladie Z"}, r"field 'PATHOLOGY': the release knows no condition 'Maladie Z'"),
        ({"EVIDENCES": "['E_1', 'E_9']"}, r"field 'EVIDENCES': the release knows no evidence 'E_9'"),
        ({"EVIDENCES": "['E_1', 'E_2_@_V_9']"}, r"field 'EVIDENCES': the release knows no 'E_2_@_V_9'"),
        ({"EVIDENCES": "['E_1', 'E_2']"}, r"field 'EVIDENCES': the release knows no 'E_2'"),
        ({"EVIDENCES": "['E_1_@_V_1']"}, r"field 'EVIDENCES': the release knows no 'E_1_@_V_1'"),
        ({"EVIDENCES": "['E_1', 'E_1']"}, r"field 'EVIDENCES': 'E_1' occurs twice"),
        ({"EVIDENCES": "['E_1', 'E_2_@_V_1', 'E_2_@_V_1']"}, r"'E_2_@_V_1' occurs twice"),
        ({"EVIDENCES": "['E_1'"}, r"field 'EVIDENCES': not a Python literal"),
        ({"EVIDENCES": "[1]"}, r"field 'EVIDENCES': expected a list of strings, got \[1\]"),
        ({"EVIDENCES": "['E_4']"}, r"field 'INITIAL_EVIDENCE': 'E_1' is not among the evidences of the row"),
        ({"DIFFERENTIAL_DIAGNOSIS": "[['Maladie A']]"}, r"expected a list of \[condition, probability\]"),
        ({"DIFFERENTIAL_DIAGNOSIS": "7"}, r"expected a list of \[condition, probability\], got 7"),
        ({"DIFFERENTIAL_DIAGNOSIS": "[['x', 1.0]]"}, r"'DIFFERENTIAL_DIAGNOSIS': the release knows no condition 'x'"),
    ],
)
def test_what_cannot_be_decoded_is_refused(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    path = table(release(tmp_path), PATIENT, changed(PATIENT, **changes))
    with pytest.raises(DatasetError, match=rf"patients\.csv:3: .*{message}"):
        load_dataset(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"release_evidences\.json: not JSON"),
        ("[]", r"release_evidences\.json: expected an object of code to entry, got list"),
        ('{"E_1": {}}', r"release_evidences\.json: entry 'E_1': field 'question_en' is missing"),
        ('{"E_1": {"question_en": "Do you?"}}', r"entry 'E_1': not as the release has it: KeyError\('is_antecedent'\)"),
    ],
)
def test_a_broken_release_is_refused(tmp_path: Path, content: str, message: str) -> None:
    release(tmp_path)
    (tmp_path / "release_evidences.json").write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        read_vocabulary(tmp_path)


# Tables


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"t\.csv: holds no rows"),
        (b"a,b\n", r"t\.csv: holds no rows"),
        (b"a,a\n1,2\n", r"t\.csv:1: column 'a' occurs twice"),
        (b"a,b\n1,2\n3\n", r"t\.csv:3: has 1 fields, but the header has 2"),
        (b"a,b\n1,2,3\n", r"t\.csv:2: has 3 fields, but the header has 2"),
        (b'a,b\n1,"2\n', r"t\.csv:2: not CSV: unexpected end of data"),
        (b"a,b\n1,\xff\n", r"t\.csv: not UTF-8"),
        (b"a,b\n1,2\n", r"t\.csv:2: the fields a, b are those of no known format"),
    ],
)
def test_a_malformed_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        load_dataset(tmp_path / "t.csv")


def test_a_table_keeps_its_lines_and_may_lack_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b'\xef\xbb\xbfa,b\r\n"1\r\n1",2\r\n\r\n3,4\r\n')
    assert [(row.place[-2:], row.fields) for row in read_table(tmp_path / "t.csv")] == [
        (":3", {"a": "1\r\n1", "b": "2"}),
        (":5", {"a": "3", "b": "4"}),
    ]
    with pytest.raises(DatasetError, match=r"nowhere\.csv: cannot be read: No such file"):
        read_table(tmp_path / "nowhere.csv")
    path = table(release(tmp_path), PATIENT, name="release_test_patients")
    assert len(load_dataset(path, format="ddxplus")) == 1


# Statements


@pytest.mark.parametrize(
    ("question", "yes"),
    [
        ("Do you have a cough?", "The patient has a cough."),
        ("Do you carry your keys with you?", "The patient carries their keys with them."),
        ("Do you ever swim or fly with friends?", "The patient swims or flies with friends."),
        ("Do you currently undergo tests?", "The patient currently undergoes tests."),
        ("Are you on a diet because you like it?", "The patient is on a diet because they like it."),
        ("Are you hot or do you feel cold?", "The patient is hot or feels cold."),
        ("Have you ever had any warts?", "The patient has had some warts."),
        ("Were you born at home?", "The patient was born at home."),
        ("Did you lose your hat?", "The patient lost their hat."),
        ("Did you climb anywhere?", "The patient did climb somewhere."),
        ("Does the pain wake you up?", "The pain wakes them up."),
        ("Do your lesions itch?", "The patient's lesions itch."),
        ("Does your mother snore?", "The patient's mother snores."),
        ("Is your skin dry?", "The patient's skin is dry."),
        (
            "Have any of your family members ever had gout?",
            "At least one of the patient's family members has had gout.",
        ),
        ("Are there any members of your family who sing?", "There are members of the patient's family who sing."),
        ("In the last year, have you met anyone?", "In the last year, the patient has met someone."),
    ],
)
def test_a_question_becomes_a_statement(question: str, yes: str) -> None:
    assert affirmed(question) == yes
    assert stated(question, ["yes"]) == yes
    assert stated(question, ["here", "there"]) == f"{yes[:-1]}: here, there."


@pytest.mark.parametrize(
    "question",
    [
        "How loud is it?",
        "Characterize your pain:",
        "Is your left ear red?",
        "Have you or your mother had gout?",
        "Do you sneeze or is your nose blocked?",
        "Do your symptoms of hay fever increase?",
        "Do you currently, or did you ever, sing?",
        "",
    ],
)
def test_what_has_another_form_is_quoted(question: str) -> None:
    assert affirmed(question) is None
    assert stated(question, ["yes"]) == quoted(question, "yes")
    assert quoted(question, "yes") == f'Asked "{question.removesuffix(":")}", the patient answers: yes.'


@pytest.mark.parametrize(
    ("question", "no"),
    [
        ("Do you feel pain somewhere?", "The patient does not feel pain anywhere."),
        ("Have you met someone?", "The patient has not met anyone."),
        ("Do your lesions itch?", "The patient's lesions do not itch."),
        ("Are you hot or do you feel cold?", None),
        ("Where is it?", None),
    ],
)
def test_a_question_becomes_a_denial(question: str, no: str | None) -> None:
    assert denied(question) == no
    assert stated(question, ["nowhere"], absent=True) == (no or quoted(question, "nowhere"))


@given(st.text())
def test_any_question_can_be_stated(question: str) -> None:
    assert stated(question, ["yes"]) and stated(question, ["no"], absent=True)


# AgentClinic


def test_an_agentclinic_record() -> None:
    row = {"OSCE_Examination": RECORD}
    case = agentclinic_case(row, 3, DIAGNOSES)
    assert case.case_id == "agentclinic:3"
    assert [(fact.text, fact.section) for fact in case.facts] == [
        ("Patient: 40-year-old man.", "demographics"),
        ("Chief complaint: Humming.", "symptom"),
        ("The patient has hummed for 2 days.", "symptom"),
        ("He works as a baker.", "social"),
        ("He met Dr. Who.", "symptom"),
        ("Symptom: No pain.", "symptom"),
        ("Symptom: Whistling.", "symptom"),
        ("Past Medical History: Mumps in childhood.", "history"),
        ("Past Medical History: Takes aspirin daily.", "medication"),
        ("Social History: Lives alone.", "social"),
        ("Current Medications: Aspirin.", "medication"),
        ("Review of Systems, General: Denies fever.", "symptom"),
        ("Vital Signs, Temperature: 36.6°C.", "exam"),
        ("Vital Signs, Normal: yes.", "exam"),
        ("Vital Signs, Rate: 72.", "exam"),
        (f"Humming Test, Findings: Consistent with {WITHHELD}.", "test"),
    ]
    assert case.presentation == "Patient: 40-year-old man. Chief complaint: Humming."
    assert case.initial == {0, 1}
    assert case.quality == ("answer_in_facts",)
    assert (case.profile.age, case.profile.sex) == (40.0, "male")
    assert (option(case).text, case.raw) == ("Asthma", row)
    assert case.facts[5].status == "absent"


def test_distractors_are_of_the_system_and_topped_up_from_others(tmp_path: Path) -> None:
    lung = distractors_for("x:1", "Asthma", DIAGNOSES)
    assert {organ_system(name) for name in lung} == {"respiratory"} and len(lung) == 4
    assert not {"Lung cancer", "Apical lung tumor"} <= set(lung)
    assert set(distractors_for("x:1", "Leprosy", ("Leprosy", "Asthma", "Hansen's disease"))) == {"Asthma"}
    case = load_dataset(records(tmp_path, "Asthma", "Leprosy"))[0]
    assert sorted(item.text for item in case.options) == ["Asthma", "Leprosy"]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"OSCE_Examination": []}, r"field 'OSCE_Examination': expected an object, got list"),
        ({"OSCE_Examination": changed(RECORD, Correct_Diagnosis=...)}, r"field 'Correct_Diagnosis' is missing"),
        ({"OSCE_Examination": changed(RECORD, Patient_Actor="x")}, r"'Patient_Actor': expected an object, got str"),
        (
            {"OSCE_Examination": changed(RECORD, Patient_Actor={})},
            r"'Patient_Actor\.Demographics': is missing or blank",
        ),
    ],
)
def test_a_broken_record_is_refused(tmp_path: Path, record: dict[str, Any], message: str) -> None:
    path = tmp_path / "records.jsonl"
    leper = {"OSCE_Examination": changed(RECORD, Correct_Diagnosis="Leprosy")}
    path.write_text(f"{json.dumps(leper)}\n{json.dumps(record)}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=rf"records\.jsonl:2: .*{message}"):
        load_dataset(path)


def test_one_diagnosis_alone_has_no_options(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no other diagnosis than 'Asthma' is there to make options of"):
        load_dataset(records(tmp_path, "Asthma", "Asthma"))


# Names of diagnoses


@pytest.mark.parametrize(
    ("diagnosis", "names"),
    [
        ("Parkinson disease", {"Parkinson", "Parkinson's disease"}),
        ("Bowen's Disease", {"Bowen disease", "Bowen's"}),
        ("Acute myelogenous leukemia", {"AML", "acute myeloid leukaemia"}),
        ("Oesophageal rupture", {"Boerhaave syndrome", "esophageal rupture"}),
        ("Legg-Calvé-Perthes disease (LCPD)", {"LCPD", "Legg-Calve-Perthes", "Perthes disease"}),
        ("Irritable Bowel Syndrome", {"IBS", "Irritable Bowel"}),
        ("Possible NSTEMI / STEMI", {"heart attack", "myocardial infarction"}),
        ("Haemorrhoids", {"hemorrhoids"}),
    ],
)
def test_aliases(diagnosis: str, names: set[str]) -> None:
    assert {name.lower() for name in names} <= {alias.lower() for alias in aliases(diagnosis)}
    assert diagnosis.lower() not in {alias.lower() for alias in aliases(diagnosis)}


@given(st.text(min_size=1))
def test_any_name_has_aliases_that_are_names(name: str) -> None:
    assert all(alias.strip() for alias in aliases(name))
    assert overlap(name, name)
    assert organ_system(name)


@pytest.mark.parametrize(
    ("text", "diagnosis", "masked"),
    [
        ("Suggests ASTHMA.", "Asthma", f"Suggests {WITHHELD}."),
        ("Asthmatic airways.", "Asthma", "Asthmatic airways."),
        ("Internal hemorrhoid seen.", "Hemorrhoids", f"{WITHHELD} seen."),
        ("all is well; ALL confirmed", "Acute lymphoblastic leukemia", f"all is well; {WITHHELD} confirmed"),
        ("Respiratory distress.", "Respiratory Distress Syndrome", "Respiratory distress."),
        ("Huntington's chorea in the family", "Huntington disease", f"{WITHHELD} in the family"),
        ("Hip: posterior dislocation of the left hip", "Posterior hip dislocation", f"Hip: {WITHHELD}"),
        ("Likely irritable bowel syndrome (IBS)", "Irritable Bowel Syndrome", f"Likely {WITHHELD}"),
    ],
)
def test_mask(text: str, diagnosis: str, masked: str) -> None:
    assert mask(text, diagnosis) == masked


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Hirschsprung disease", "Hirschsprung’s disease", True),
        ("Hemophilia", "Hemophilia A", True),
        ("Lung cancer", "Apical lung tumor", True),
        ("Reactive arthritis", "Reiter syndrome", True),
        ("Stable angina", "Unstable angina", False),
        ("Asthma", "Pneumonia", False),
    ],
)
def test_overlap(one: str, other: str, same: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is same


def test_the_slot_depends_on_the_names_and_not_on_which_is_right() -> None:
    names = ["Asthma", "Pneumonia", "Croup"]
    slots = Counter[str]()
    for number in range(300):
        made = [diagnosis_options(f"x:{number}", right, [n for n in names if n != right]) for right in names]
        assert len({options for options, _ in made}) == 1
        slots[made[0][1]] += 1
    assert set(slots) == set("ABC") and min(slots.values()) > 70
    assert drawn("x:1", names, "a") == drawn("x:1", reversed(names), "a")
    with pytest.raises(DatasetError, match="cannot make options of the diagnosis 'Asthma' and the distractors"):
        diagnosis_options("x:1", "Asthma", ["Asthma"])


def aliased(*options: Option) -> Case:
    return Case("t:1", "t", "A man coughs.", "Which?", options, (options[0].key,), ())


def test_aliases_survive_the_canonical_format_and_are_written_only_if_there() -> None:
    case = aliased(Option("A", "Influenza", ("flu", "grippe")), Option("B", "Cold"))
    assert case.to_json()["aliases"] == {"A": ["flu", "grippe"]}
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case
    plain = aliased(Option("A", "Influenza"), Option("B", "Cold"))
    assert "aliases" not in plain.to_json()
    assert plain != case


@pytest.mark.parametrize(
    ("given_aliases", "message"),
    [
        ({"C": ["x"]}, r"field 'aliases': 'C' is not among the option keys \['A', 'B'\]"),
        ({"A": "flu"}, r"field 'aliases': expected a list, got str"),
        ([], r"field 'aliases': expected an object, got list"),
        ({"A": [1]}, r"field 'aliases': expected a string, got int"),
        ({"A": [" "]}, r"an option's aliases must be non-empty strings"),
    ],
)
def test_broken_aliases_are_refused(given_aliases: Any, message: str) -> None:
    row = aliased(Option("A", "Influenza"), Option("B", "Cold")).to_json()
    with pytest.raises(DatasetError, match=message):
        Case.from_json({**row, "aliases": given_aliases})


@pytest.mark.parametrize(
    ("answer", "keys"),
    [
        ("flu", ("A",)),
        ("The-Flu!", ("A",)),
        ("A (flu)", ("A",)),
        ("A. catarrh", ()),
        ("catarrh", ("B",)),
        ("virus", ()),
        ("cold", ("C",)),
        ("flu; catarrh", ("A", "B")),
    ],
)
def test_an_alias_answers_unless_it_is_ambiguous_or_another_options_text(answer: str, keys: tuple[str, ...]) -> None:
    case = aliased(
        Option("A", "Influenza", ("flu", "the flu", "virus")),
        Option("B", "Rhinitis", ("catarrh", "virus", "cold")),
        Option("C", "Cold"),
    )
    assert resolve_answer(answer, case) == keys


# Splits


@given(st.lists(st.text(alphabet="abc ", min_size=1), min_size=1, max_size=3), st.text(min_size=1))
def test_a_vignette_has_one_split(context: list[str], question: str) -> None:
    def case(asked: str, spacing: str) -> Case:
        raw = {"context": [f"{text}{spacing}" for text in context]}
        return Case("t:1", "t", "p", f"Q {asked}", (Option("A", "a"), Option("B", "b")), ("A",), (), raw=raw)

    assert split_of(case(question, "")) == split_of(case("another", " . ")) in SPLITS


def test_a_case_without_its_sources_words_goes_by_its_own() -> None:
    case = aliased(Option("A", "a"), Option("B", "b"))
    assert vignette(case) == "A man coughs."


def test_the_splits_are_8_1_1() -> None:
    def case(number: int) -> Case:
        return Case("t:1", "t", f"Patient {number}", "Q", (Option("A", "a"), Option("B", "b")), ("A",), ())

    counts = Counter(split_of(case(number)) for number in range(2000))
    assert counts["train"] == pytest.approx(1600, abs=60)
    assert counts["validation"] == pytest.approx(200, abs=45)
    assert counts["test"] == pytest.approx(200, abs=45)


# The registry


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of fetched data, empty."""
    monkeypatch.setenv("PROMED_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if source.file])
def test_what_has_not_been_fetched_says_how(home: Path, name: str) -> None:
    with pytest.raises(
        DatasetError, match=rf"data set '{name}': .* does not exist; run `promed datasets fetch {name}`"
    ):
        load_dataset(name)
    with pytest.raises(DatasetError, match=rf"data set '{name}' has no split 'sample'; it has all, train, validation"):
        load_dataset(name, "sample")


def test_fetched_sources_load_by_name_and_split(home: Path) -> None:
    folder = home / "agentclinic"
    folder.mkdir()
    records(folder, *DIAGNOSES, name="agentclinic_medqa.jsonl")
    whole = load_dataset("agentclinic")
    assert (whole.name, len(whole), whole.licence) == ("agentclinic/all", len(DIAGNOSES), "MIT")
    assert whole is load_dataset("agentclinic", "all")
    split = split_of(whole[0])  # one patient with many diagnoses: all in the same split
    part = load_dataset("agentclinic", split)
    assert (part.name, part.cases) == (f"agentclinic/{split}", whole.cases)
    other = next(name for name in SPLITS if name != split)
    with pytest.raises(
        DatasetError, match=rf"no case is left \(7 rows read; .*filtered: not in the split '{other}' 7\)"
    ):
        load_dataset("agentclinic", other)


def test_ddxplus_loads_by_name(home: Path) -> None:
    table(release(home / "ddxplus"), PATIENT)
    assert load_dataset("ddxplus")[0].case_id == "ddxplus:0"


def test_cases_carry_the_name_of_their_source(home: Path) -> None:
    row = {
        "id": 5,
        "question": "Which diagnosis?",
        "context": ["A man coughs."],
        "options": {"A": "Croup", "B": "Flu"},
        "answer": "Flu",
        "answer_idx": "B",
        "facts": ["1. A man coughs."],
        "patient": {"gender": "male", "age": "30"},
    }
    for name, file in (("mediq", "all_dev_good.jsonl"), ("craft-md", "all_craft_md.jsonl")):
        (home / name).mkdir()
        (home / name / file).write_text(json.dumps(row), encoding="utf-8")
        case = load_dataset(name)[0]
        assert (case.case_id, case.source) == (f"{name}:5", name)
        assert case.facts == mediq_case(row).facts
        assert split_of(case) == split_of(mediq_case(row))


class Made(GeneratedDataset):
    name, description, licence, knowledge = "made", "made", "MIT", None

    def __init__(self, split: str) -> None:
        self.name = f"made/{split}"

    def __len__(self) -> int:
        return 10**9

    def make(self, index: int) -> Case:
        return aliased(Option("A", "a"), Option("B", "b"))

    def by_id(self, case_id: str) -> Case:
        return self.make(0)


def test_a_generated_source_is_asked_for_a_split(monkeypatch: pytest.MonkeyPatch) -> None:
    made = registry_module.Source("ProMed-Made-v0", "Made", "made", default_split="train", generate=Made)
    monkeypatch.setattr(registry_module, "SOURCES", {**SOURCES, "made": made})
    assert [load_dataset("made").name, load_dataset("made", "test").name] == ["made/train", "made/test"]
    with pytest.raises(DatasetError, match=r"data set 'made/train': its cases are made on demand; none can be excl"):
        load_dataset("made", exclude=["no_facts"])


def test_every_source_has_a_default_split_of_its_own() -> None:
    for source in SOURCES.values():
        kinds: Sequence[bool] = (bool(source.splits), bool(source.file), source.generate is not None)
        assert sum(kinds) == 1
        assert not source.splits or source.default_split in source.splits
        assert not source.file or source.default_split == "all"
