"""Data sets: every format read, every bad input refused with its place, nothing lost on the way out and in."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promed_env.case import Case, Fact, Option
from promed_env.datasets import SLICES, SOURCES, CaseDataset, LoadReport, load_dataset, write_jsonl
from promed_env.datasets.initial import initial_facts
from promed_env.datasets.jsonl import convert_rows, parse_rows
from promed_env.datasets.mediq import mediq_case
from promed_env.datasets.people import described, years
from promed_env.datasets.promed import cmb_case, promed_medqa_case
from promed_env.datasets.quality import mentions_image, states
from promed_env.datasets.registry import FORMATS
from promed_env.datasets.rows import NO_PRESENTATION
from promed_env.datasets.sections import status_of, tag_section
from promed_env.datasets.slices import asks_diagnosis, names_complaint
from promed_env.errors import DatasetError
from promed_env.testing import cases as case_strategy

MEDIQ: dict[str, Any] = {
    "id": 7,
    "question": "Which of the following is the most likely diagnosis?",
    "context": ["A 30-year-old woman comes to the office because of a cough.", "She keeps three parrots."],
    "options": {"A": "Psittacosis", "B": "Asthma", "C": "Pertussis", "D": "Reflux"},
    "answer": "Psittacosis",
    "answer_idx": "A",
    "facts": [
        "1. A 30-year-old woman comes to the office.",
        "2. She has a cough.",
        "3. She keeps three parrots.",
        "4. She denies fever.",
    ],
    "patient": {"gender": "Female", "age": "30 years old"},
}
MEDQA: dict[str, Any] = {
    "id": 3,
    "question": "A 4-month-old boy has a rash. He eats well. What next?",
    "atomic_question": " What next?",
    "context": ["A 4-month-old boy has a rash", " He eats well"],
    "facts": ["The patient is a 4-month-old boy", "The patient has a rash", "The patient eats well"],
    "options": {"A": "Wait", "B": "Operate"},
    "answer": "Wait",
    "answer_idx": "A",
}
CMB: dict[str, Any] = {
    "id": 5,
    "atomic_question": "可能的诊断包括哪些\uff1f",
    "option": {"A": "甲", "B": "乙", "C": "丙", "D": ""},
    "answer": "CA",
    "facts": ["患者是女性", "患者年龄40岁", "患者发热3天", "患者否认咳嗽", "患者查血常规白细胞升高"],
    "is_patient": "是",
}


def changed(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**row, **changes}.items() if value is not ...}


def file_of(folder: Path, *rows: Any, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def case(number: int = 1, **changes: Any) -> Case:
    values: dict[str, Any] = {
        "case_id": f"t:{number}",
        "source": "t",
        "presentation": "A 30-year-old woman has a cough.",
        "question": "What is the most likely diagnosis?",
        "options": (Option("A", "a"), Option("B", "b")),
        "answer": ("A",),
        "facts": tuple(Fact(f"fact {i}") for i in range(4)),
    }
    return Case(**{**values, **changes})


# The sample and the registry


def test_the_medqa_sample_says_what_it_is() -> None:
    sample = load_dataset("medqa")
    assert sample.description == "60 synthetic vignettes, not reviewed by clinicians; not comparable with MedQA"
    assert len(sample) == sample.report.rows == 60
    assert sample.name == "medqa/sample"
    assert all(item.evidence is not None and item.shapley is not None for item in sample)


def test_the_sample_is_read_once_and_shared() -> None:
    assert load_dataset("medqa") is load_dataset("medqa")


def test_every_source_has_an_environment_a_licence_and_known_formats() -> None:
    for source in SOURCES.values():
        assert source.env_id.startswith("ProMed-") and source.env_id.endswith("-v0")
        assert source.title and source.description and source.licence
        assert source.url or source.generate is not None
        assert set(source.formats) <= set(FORMATS)
        assert all(split.licence for split in source.splits.values())


def test_a_missing_bundled_file_says_how_to_make_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from promed_env.datasets import registry

    registry._bundled.cache_clear()
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    try:
        with pytest.raises(DatasetError, match=r"its bundled file medqa\.jsonl is missing; reinstall the package, or"):
            load_dataset("medqa")
    finally:
        registry._bundled.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name_or_path": "medqaa"}, r"unknown data set 'medqaa'; did you mean 'medqa'\? Known are medqa"),
        ({"name_or_path": "zzz"}, r"unknown data set 'zzz'; Known are medqa"),
        ({"name_or_path": "nowhere/rows.jsonl"}, r"nowhere/rows\.jsonl: there is no such file"),
        ({"name_or_path": "medqa", "split": "test"}, r"data set 'medqa' has no split 'test'; it has sample"),
        (
            {"name_or_path": "medqa", "format": "csv"},
            r"unknown format 'csv'; known are auto, canonical, mediq, promed, cmb",
        ),
        ({"name_or_path": "medqa", "exclude": ["bad"]}, r"unknown flag 'bad' in exclude; known are no_facts, "),
        (
            {"name_or_path": "medqa", "exclude": "no_facts"},
            r"exclude takes a sequence of flags, for example \('no_facts',\)",
        ),
    ],
)
def test_what_cannot_be_loaded_is_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_dataset(**arguments)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is a folder; give the path of a file of cases"):
        load_dataset(tmp_path)


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    path = file_of(tmp_path, MEDIQ)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DatasetError, match=r"rows\.jsonl: cannot be read: Permission denied"):
        load_dataset(path)


# Formats


@pytest.mark.parametrize(
    ("row", "format", "case_id"),
    [
        (MEDIQ, "mediq", "mediq:7"),
        (MEDQA, "promed", "promed-medqa:3"),
        (CMB, "cmb", "promed-cmb:5"),
        (case().to_json(), "canonical", "t:1"),
    ],
)
def test_the_format_is_told_by_the_fields(tmp_path: Path, row: dict[str, Any], format: str, case_id: str) -> None:
    path = file_of(tmp_path, row)
    found = load_dataset(str(path))
    assert found[0].case_id == case_id
    assert found.name == f"{format}/rows"
    assert found == load_dataset(path, format=format)
    assert "1 " in found.description and "rows.jsonl" in found.description


def test_an_unknown_format_names_the_fields_of_each(tmp_path: Path) -> None:
    path = file_of(tmp_path, {"text": 1})
    with pytest.raises(
        DatasetError, match=r"rows\.jsonl:1: the fields text are those of no known format.*mediq: context,"
    ):
        load_dataset(path)


def test_a_json_array_is_read_item_by_item(tmp_path: Path) -> None:
    path = tmp_path / "cmb.json"
    path.write_text(json.dumps([CMB, changed(CMB, id=6)], indent=2), encoding="utf-8")
    assert [item.case_id for item in load_dataset(path)] == ["promed-cmb:5", "promed-cmb:6"]
    path.write_text(json.dumps([CMB, changed(CMB, id=6, answer=...)], indent=2), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"cmb\.json: item 2: field 'answer' is missing"):
        load_dataset(path)
    path.write_text('[{"id": 1},\n {"id": }]', encoding="utf-8")
    with pytest.raises(DatasetError, match=r"cmb\.json:2: not JSON: Expecting value at column 9"):
        load_dataset(path)


# Bad input


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"id": 1\n', r"f\.jsonl:1: not JSON: Expecting ',' delimiter at column 9"),
        (b'{"id": 1}\n\n{"id":\n', r"f\.jsonl:3: not JSON: Expecting value at column 7"),
        (b"[1, 2]\n", r"f\.jsonl: item 1: expected a JSON object, got int"),
        (b'{"id": 1}\n"text"\n', r"f\.jsonl:2: expected a JSON object, got str"),
        (b"", r"f\.jsonl: holds no rows"),
        (b" \n\n", r"f\.jsonl: holds no rows"),
        (b"[]", r"f\.jsonl: holds no rows"),
        (b'{"id": 1}\n{"id": "\xff"}\n', r"f\.jsonl:2: not UTF-8: invalid start byte"),
        (b'[{"id": 1},\n{"id": "\xff"}]\n', r"f\.jsonl:2: not UTF-8: invalid start byte"),
        (b'{"id": 1, "options": {"A": "x", "A": "y"}}\n', r"f\.jsonl:1: field 'A': occurs twice in one object"),
        (b'{"a":' * 100_000, r"f\.jsonl:1: JSON nested too deeply to read"),
    ],
)
def test_a_file_that_is_no_json_lines_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        parse_rows(content, "f.jsonl")


def test_a_byte_order_mark_is_no_error() -> None:
    assert parse_rows(b'\xef\xbb\xbf{"id": 1}', "f")[0].fields == {"id": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": ...}, "field 'id' is missing"),
        ({"id": True}, "field 'id': expected a whole number or a string, got True"),
        ({"id": None}, "field 'id': expected a whole number or a string, got None"),
        ({"question": ...}, "field 'question' is missing"),
        ({"question": " "}, "field 'question': is blank"),
        ({"question": 3}, "field 'question': expected a string, got int"),
        ({"options": ["x", "y"]}, "field 'options': expected an object of key to text, got list"),
        ({"options": {"A": "x", "B": 2}}, "field 'options': option 'B' is 2; expected a string"),
        ({"options": {"A": "x", "B": " "}}, r"field 'options': need at least two options, got \['A'\]"),
        ({"answer_idx": "E"}, r"field 'answer_idx': 'E' is not among the option keys \['A', 'B', 'C', 'D'\]"),
        ({"answer": ...}, "field 'answer' is missing"),
        ({"facts": "one"}, "field 'facts': expected a list of strings, got str"),
        ({"facts": ["1. x", 2]}, "field 'facts': item 2 is 2; expected a string with something in it"),
        ({"facts": ["1. x", " "]}, "field 'facts': item 2 is ' '; expected a string with something in it"),
        ({"facts": ["1. x", "2. "]}, "field 'facts': item 2 holds nothing but a number"),
        ({"context": None}, "field 'context': expected a list of strings, got NoneType"),
        ({"patient": None}, "field 'patient': expected an object, got NoneType"),
        ({"patient": {"age": "3"}}, "field 'patient': field 'gender' is missing"),
    ],
)
def test_a_bad_mediq_row_is_refused_with_its_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = file_of(tmp_path, MEDIQ, changed({**MEDIQ, "id": 8}, **changes))
    with pytest.raises(DatasetError, match=rf"rows\.jsonl:2: {message}"):
        load_dataset(path, format="mediq")


@pytest.mark.parametrize(
    ("convert", "row", "message"),
    [
        (
            promed_medqa_case,
            changed(MEDQA, context=[]),
            "field 'context': is empty; its first sentence is the presentation",
        ),
        (promed_medqa_case, changed(MEDQA, answer_idx="Z"), r"field 'answer_idx': 'Z' is not among the option keys"),
        (promed_medqa_case, changed(MEDQA, atomic_question=...), "field 'atomic_question' is missing"),
        (cmb_case, changed(CMB, answer="AE"), r"field 'answer': 'AE' is not among the option keys \['A', 'B', 'C'\]"),
        (cmb_case, changed(CMB, is_patient="?"), r"field 'is_patient': expected 是 or 否, got '\?'"),
        (Case.from_json, changed(case().to_json(), question=...), "field 'question' is missing"),
        (
            Case.from_json,
            changed(case().to_json(), answer=["Z"]),
            r"field 'answer': \['Z'\] is not among the option keys",
        ),
    ],
)
def test_other_bad_rows_are_refused(
    convert: Callable[[dict[str, Any]], Case], row: dict[str, Any], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        convert(row)


def test_a_case_id_may_not_repeat(tmp_path: Path) -> None:
    path = file_of(tmp_path, MEDIQ, changed(MEDIQ, id=9), MEDIQ)
    with pytest.raises(
        DatasetError, match=r"rows\.jsonl:3: field 'case_id': 'mediq:7' was already used at .*rows\.jsonl:1"
    ):
        load_dataset(path)
    with pytest.raises(DatasetError, match=r"data set 'x': case_id 't:1' occurs more than once"):
        CaseDataset("x", (case(), case()))


# What the loaders make of a row


def test_a_mediq_row() -> None:
    found = mediq_case(MEDIQ)
    assert found.presentation == MEDIQ["context"][0]
    assert [fact.text for fact in found.facts] == [
        "A 30-year-old woman comes to the office.",
        "She has a cough.",
        "She keeps three parrots.",
        "She denies fever.",
    ]
    assert found.initial == {0, 1}
    assert found.answer == ("A",)
    assert (found.profile.age, found.profile.sex) == (30.0, "female")
    assert found.facts[3].status == "absent"
    assert found.quality == ()
    assert found.raw == MEDIQ
    assert found.evidence is None and found.world == "open"


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"facts": []}, "no_facts"),
        ({"answer": "Asthma"}, "answer_conflict"),
        ({"facts": ["1. She has PSITTACOSIS, it seems."]}, "answer_in_facts"),
        ({"facts": ["1. She coughs.", "2. She coughs!"]}, "duplicate_fact"),
        ({"context": ["She coughs.", "An x-ray is shown."]}, "image_reference"),
        ({"patient": {"gender": "study", "age": "study"}}, "not_a_patient"),
    ],
)
def test_defects_are_flagged_and_kept(changes: dict[str, Any], flag: str) -> None:
    assert mediq_case(changed(MEDIQ, **changes)).quality == (flag,)


def test_the_key_decides_not_the_text() -> None:
    assert mediq_case(changed(MEDIQ, answer="Asthma")).answer == ("A",)
    assert mediq_case(changed(MEDIQ, answer=" psittacosis. ")).quality == ()


def test_a_row_without_context_opens_with_what_there_is() -> None:
    assert mediq_case(changed(MEDIQ, context=[])).presentation == "A 30-year-old woman comes to the office."
    assert mediq_case(changed(MEDIQ, context=[])).initial == {0}
    empty = mediq_case(changed(MEDIQ, context=[], facts=[]))
    assert (empty.presentation, empty.initial, empty.n_facts) == (NO_PRESENTATION["en"], frozenset(), 0)
    assert "no_facts" in empty.quality


def test_one_of_promeds_medqa_rows() -> None:
    found = promed_medqa_case(MEDQA)
    assert (found.presentation, found.question) == ("A 4-month-old boy has a rash.", "What next?")
    assert found.initial == {0, 1}
    assert found.facts[2].text == "The patient eats well."
    assert found.profile.age == pytest.approx(4 / 12)
    assert found.profile.sex == "male"


def test_a_cmb_row() -> None:
    found = cmb_case(CMB)
    assert found.language == "zh"
    assert found.answer == ("A", "C")
    assert found.keys == ("A", "B", "C")
    assert found.initial == {0, 1}
    assert found.presentation == "患者是女性\uff0c患者年龄40岁。"
    assert [fact.section for fact in found.facts] == ["demographics", "demographics", "symptom", "symptom", "test"]
    assert [fact.status for fact in found.facts] == ["present", "present", "present", "absent", "present"]
    assert cmb_case(changed(CMB, is_patient="否")).quality == ("not_a_patient",)
    assert cmb_case(changed(CMB, facts=[])).presentation == NO_PRESENTATION["zh"]
    assert not found.several
    several = cmb_case(changed(CMB, question_type="多项选择题"))
    assert several.several and several.question == "可能的诊断包括哪些\uff1f\uff08多选\uff09"
    assert cmb_case(changed(CMB, question_type="单项选择题")).question == found.question


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("21 years old", 21.0),
        ("21", 21.0),
        ("1 year old", 1.0),
        ("6 months", 0.5),
        ("2 weeks old", 14 / 365.25),
        ("3-day-old newborn", 3 / 365.25),
        ("1 hour old", 1 / (24 * 365.25)),
        ("Newborn", 0.0),
        ("Baby (gestational age of 33 weeks)", 0.0),
        ("Teen", None),
        ("study", None),
        ("Not specified", None),
    ],
)
def test_ages_come_in_many_forms(text: str, age: float | None) -> None:
    assert years(text) == (None if age is None else pytest.approx(age))


@pytest.mark.parametrize(
    ("text", "age", "sex"),
    [
        ("A 63-year-old woman has her hand in plaster.", 63.0, "female"),
        ("A newborn boy is examined.", 0.0, "male"),
        ("Somebody calls.", None, None),
    ],
)
def test_a_person_is_recognised_in_a_sentence(text: str, age: float | None, sex: str | None) -> None:
    assert (described(text).age, described(text).sex) == (age, sex)


# Rules


@pytest.mark.parametrize(
    ("first", "others", "facts", "expected"),
    [
        (
            "A 50-year-old man has chest pain for 2 days.",
            [],
            ["He is 50 years old.", "He has had chest pain for 2 days."],
            {0, 1},
        ),
        ("A man has chest pain for 2 days.", ["He coughs."], ["He has had chest pain for 3 days."], set()),
        ("A man has a cough.", ["He smokes ten cigars a day."], ["He smokes cigars.", "He has a cough."], {1}),
        ("A woman with asthma wheezes.", [], ["Her airways are hyperreactive.", "The woman wheezes."], {0, 1}),
        ("A woman wheezes.", ["She works in a bakery."], ["The woman wheezes.", "She works in a bakery."], {0}),
        ("Anything", [], [], set()),
    ],
)
def test_initial_facts(first: str, others: list[str], facts: list[str], expected: set[int]) -> None:
    assert initial_facts(first, others, facts) == expected


@given(st.lists(st.text(max_size=40), max_size=6), st.text(max_size=60), st.lists(st.text(max_size=60), max_size=4))
def test_initial_facts_are_indexes_of_facts(facts: list[str], first: str, others: list[str]) -> None:
    assert initial_facts(first, others, facts) <= set(range(len(facts)))


@pytest.mark.parametrize(
    ("text", "section"),
    [
        ("A 40-year-old man comes to the office.", "demographics"),
        ("A 40-year-old man comes to the office because of a cough.", "symptom"),
        ("A 40-year-old man comes to the office for a routine examination.", "demographics"),
        ("A 9-year-old girl fractured her arm.", "history"),
        ("Her mother has lupus.", "family"),
        ("His temperature is 38 degrees.", "exam"),
        ("Physical examination shows a swollen knee.", "exam"),
        ("There is a scar on the chin.", "exam"),
        ("Serum sodium is 131 mEq/L.", "test"),
        ("A chest x-ray shows no infiltrate.", "test"),
        ("Histopathologic examination shows fibrosis.", "test"),
        ("He has a 3-week history of coughing.", "symptom"),
        ("He has a history of asthma.", "history"),
        ("She has no medical history and takes no medications.", "history"),
        ("She takes no medications and has no medical history.", "medication"),
        ("He is given penicillin.", "medication"),
        ("He smokes a pipe.", "social"),
        ("She was brought in by a neighbour.", "other"),
        ("The physician suspects a stroke.", "other"),
        ("The researcher counts the mice.", "other"),
        ("He often yawns.", "symptom"),
        ("Blue.", "other"),
    ],
)
def test_sections(text: str, section: str) -> None:
    assert tag_section(text) == section


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("He denies fever.", "absent"),
        ("The urine culture is negative.", "absent"),
        ("There is no rash.", "absent"),
        ("无发热。", "absent"),
        ("甲状腺无压痛。", "absent"),
        ("双肺未闻及湿啰音。", "absent"),
        ("其母无胎膜早破史。", "absent"),
        ("未行抗凝治疗。", "absent"),
        ("无力3天。", "present"),  # weakness
        ("无痛性血尿。", "present"),  # blood in the urine, painless
        ("未婚。", "present"),  # unmarried
        ("患者、家属均否认精神病史。", "absent"),
        ("父母、兄弟均否认类似病史。", "absent"),
        ("不发热。", "absent"),
        ("从不饮酒。", "absent"),
        ("本人无过敏史。", "absent"),
        ("痰涂片未找到抗酸杆菌。", "absent"),
        ("HBsAg（-）。", "absent"),
        ("双侧Babinski征（-）。", "absent"),
        ("心界无扩大。", "absent"),
        ("大便无脓血。", "absent"),
        ("活动后无胸闷。", "absent"),
        ("近期体重无减轻。", "absent"),
        ("肝脾肋下未触及。", "absent"),
        ("头颅CT：未见异常。", "absent"),
        ("尿蛋白阴性。", "absent"),
        ("治疗3天后未见好转。", "present"),
        ("无发热、咳嗽频繁。", "present"),
        ("无恶心、大便干结。", "present"),
        ("无痰。", "absent"),
        ("症状未见明显缓解。", "present"),
        ("胸片示右下肺实变影未见空洞。", "present"),
        ("腹部CT示胰腺肿大未见坏死。", "present"),
        ("全腹无压痛、肠鸣音减弱。", "present"),
        ("无咳嗽、发热38.5℃。", "present"),
        ("皮肤无黄染、瘀斑、蜘蛛痣阳性。", "present"),
        ("痰培养：革兰阴性杆菌生长。", "present"),
        ("三阴性乳腺癌术后1年。", "present"),
        ("未足月胎膜早破。", "present"),
        ("未分化癌。", "present"),
        ("未明原因发热3周。", "present"),
        ("未破裂动脉瘤。", "present"),
        ("无先兆偏头痛。", "present"),
        ("无黄疸型肝炎病史。", "present"),
        ("无偿献血2次。", "present"),
        ("无业。", "present"),
        ("无故发笑。", "present"),
        ("无欲貌。", "present"),
        ("无精子症。", "present"),
        ("无脑儿。", "present"),
        ("无排卵性功血。", "present"),
        ("无功能性垂体腺瘤。", "present"),
        ("无盐饮食。", "present"),
        ("无休止哭闹。", "present"),
        ("无抽搐电休克治疗6次。", "present"),
        ("He has fever.", "present"),
        ("Culture grows gram-negative rods.", "present"),
        ("The pain has not improved.", "present"),
        ("He has no complaint except a cough.", "present"),
        ("It went away without treatment.", "present"),
    ],
)
def test_denials(text: str, status: str) -> None:
    assert status_of(text) == status


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A photograph of the hand is shown.", True),
        ("The electrocardiogram is shown.", True),
        ("The result is shown in figure 2.", True),
        ("The x-ray (see image) is normal.", True),
        ("Laboratory values are shown below: | Sodium 140", False),
        ("He tried to figure it out.", False),
        ("They exhibit a poor picture of health.", False),
        ("She worries about her body image.", False),
    ],
)
def test_references_to_images(text: str, found: bool) -> None:
    assert mentions_image([text]) is found


def test_an_answer_is_stated_by_its_words_in_order() -> None:
    assert states("He got Vitamin-K, orally.", "vitamin K")
    assert not states("He got vitamin and K.", "vitamin K")
    assert not states("A 25-year-old man", "25%")


# Slices


@pytest.mark.parametrize(
    ("question", "asks"),
    [
        ("Which of the following is the most likely diagnosis?", True),
        ("What is the patient's most likely diagnosis?", True),
        ("These findings support a diagnosis of which of the following?", True),
        ("Which of the following tests confirms the diagnosis?", False),
        ("Which of the following is the best treatment for the most likely diagnosis?", False),
        ("Which of the following is the most likely cause?", False),
    ],
)
def test_a_diagnosis_is_asked_for_literally(question: str, asks: bool) -> None:
    assert asks_diagnosis(case(question=question)) is asks


@pytest.mark.parametrize(
    ("presentation", "names"),
    [
        ("A 30-year-old man comes to the physician because of a cough.", True),
        ("A 30-year-old man is brought in with a broken leg.", True),
        ("A 30-year-old man presents with a 2-week history of fever.", True),
        ("A 30-year-old man comes to the physician for a routine examination.", False),
        ("A 30-year-old man comes to the clinic with his wife.", False),
        ("A 30-year-old woman comes for a prenatal visit.", False),
    ],
)
def test_a_presentation_names_a_complaint_or_not(presentation: str, names: bool) -> None:
    assert names_complaint(case(presentation=presentation)) is names


def test_chinese_cases_have_slices_too() -> None:
    found = cmb_case(CMB)
    assert asks_diagnosis(found) and names_complaint(found)
    assert not names_complaint(cmb_case(changed(CMB, facts=[])))


def test_clinical_needs_a_patient_a_complaint_and_four_facts() -> None:
    assert list(SLICES) == ["all", "clinical", "diagnosis"]
    clinical = SLICES["clinical"]
    assert clinical(case())
    assert not clinical(case(quality=("not_a_patient",)))
    assert not clinical(case(facts=(Fact("one"),)))
    assert not clinical(case(presentation="A man comes for a checkup."))
    assert SLICES["all"](case(facts=()))


# The data set as a value


def test_a_dataset_is_a_sequence_that_slices_into_datasets() -> None:
    dataset = CaseDataset("x", tuple(case(i) for i in range(5)), "five", "MIT")
    assert isinstance(dataset[1:3], CaseDataset)
    assert [item.case_id for item in dataset[1:3]] == ["t:1", "t:2"]
    assert dataset[1:3].description == "five"
    assert dataset[-1] is dataset.cases[-1]
    assert case(3) in dataset
    assert repr(dataset) == "CaseDataset('x', 5 cases)"
    assert len({dataset, CaseDataset("x", dataset.cases, "five", "MIT")}) == 1
    assert pickle.loads(pickle.dumps(dataset)) == dataset


def test_by_id_names_near_misses() -> None:
    dataset = CaseDataset("x", (case(1), case(12)))
    assert dataset.by_id("t:12").case_id == "t:12"
    with pytest.raises(DatasetError, match=r"no case 't:13' among the 2 of 'x'; did you mean t:1, t:12\?"):
        dataset.by_id("t:13")
    with pytest.raises(DatasetError, match=r"no case 'a' among the 0 of 'y'$"):
        CaseDataset("y", ()).by_id("a")


def test_filtering_is_asked_for_and_reported(tmp_path: Path) -> None:
    study = changed(MEDIQ, id=1, patient={"gender": "study", "age": "study"})
    both = changed(study, id=2, facts=[])
    path = file_of(tmp_path, study, both, changed(MEDIQ, id=3, question="Next step?"), MEDIQ)
    everything = load_dataset(path)
    assert len(everything) == 4
    assert everything.report == LoadReport(4, {"no_facts": 1, "not_a_patient": 2}, {})
    some = load_dataset(path, exclude=["not_a_patient", "no_facts"])
    assert [item.case_id for item in some] == ["mediq:3", "mediq:7"]
    assert some.report.filtered == {"not_a_patient": 2}
    few = some.filter(asks_diagnosis)
    assert str(few.report) == (
        "4 rows read; flagged: no_facts 1, not_a_patient 2; filtered: not_a_patient 2, not asks_diagnosis 1"
    )
    assert few.report.kept == len(few) == 1
    assert some.filter(asks_diagnosis, reason="other question").report.filtered["other question"] == 1
    assert str(LoadReport(1)) == "1 rows read; flagged: none; filtered: none"


def test_a_filter_that_leaves_nothing_is_an_error_on_loading(tmp_path: Path) -> None:
    path = file_of(tmp_path, changed(MEDIQ, facts=[]))
    with pytest.raises(DatasetError, match=r"data set 'mediq/rows': no case is left without no_facts \(1 rows read"):
        load_dataset(path, exclude=["no_facts"])


# Writing


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(case_strategy(), min_size=1, max_size=3, unique_by=lambda item: item.case_id))
def test_the_canonical_format_loses_nothing(tmp_path: Path, written: list[Case]) -> None:
    path = tmp_path / "cases.jsonl"
    write_jsonl(written, path)
    assert list(load_dataset(path).cases) == written


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(min_size=1), st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.booleans(), max_size=3)
)
def test_any_text_survives(tmp_path: Path, text: str, raw: dict[str, Any]) -> None:
    written = case(presentation=text, question=f"{text}\ud800\u2028\x85", raw=raw)
    write_jsonl([written], tmp_path / "cases.jsonl")
    assert load_dataset(tmp_path / "cases.jsonl")[0] == written


def test_a_mediq_case_survives_with_its_row(tmp_path: Path) -> None:
    write_jsonl([mediq_case(MEDIQ)], tmp_path / "cases.jsonl")
    found = load_dataset(tmp_path / "cases.jsonl")[0]
    assert found == mediq_case(MEDIQ) and found.raw == MEDIQ


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    write_jsonl([case()], path)
    with pytest.raises(DatasetError, match=r"case 't:2' cannot be written as JSON: Object of type object"):
        write_jsonl([case(1), case(2, raw={"x": object()})], path)
    assert os.listdir(tmp_path) == ["cases.jsonl"]
    assert load_dataset(path).cases == (case(),)


def test_writing_needs_the_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no/cases\.jsonl: the folder .* does not exist; create it first"):
        write_jsonl([case()], tmp_path / "no" / "cases.jsonl")


def test_rows_keep_their_order() -> None:
    rows = parse_rows(b"\n".join(json.dumps(case(i).to_json()).encode() for i in (3, 1, 2)), "f")
    assert [item.case_id for item in convert_rows(rows, Case.from_json)] == ["t:3", "t:1", "t:2"]
