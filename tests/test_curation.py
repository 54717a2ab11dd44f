"""Curating: questions are split from vignettes, vignettes into facts; nothing is invented and nothing lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import promed_env  # noqa: F401  (registers the environments)
from promed_env.case import Case
from promed_env.datasets import load_dataset, write_jsonl
from promed_env.datasets.curation import (
    PRESENTATIONS,
    LanguageModelSplitter,
    RuleSplitter,
    check_facts,
    check_rows,
    curate,
    curate_row,
    sentences,
    split_question,
)
from promed_env.datasets.curation.chinese import split_chinese
from promed_env.datasets.curation.facts import split_sentence
from promed_env.datasets.curation.vetoes import garbled
from promed_env.datasets.curation.words import content_words, denies, invented, lost
from promed_env.datasets.jsonl import Row
from promed_env.errors import DatasetError
from promed_env.llm import Completion, LanguageModel, Likelihood, Messages

STEM = (
    "A 40-year-old woman comes to Dr. Lee because of fever, chills, and cough for 3 days. She smokes and drinks wine. "
    "She denies rash or joint pain. Her temperature is 38.5°C (101.3°F), pulse is 90/min, and blood pressure is "
    "120/80 mm Hg. Laboratory studies show:\nHemoglobin 12.1 g/dL\nSerum\nSodium 131 mEq/L\n"
    "Which of the following is the most likely diagnosis?"
)
ROW = {
    "question": STEM,
    "options": {"A": "Pneumonia", "B": "Gout"},
    "answer_idx": "A",
    "answer": "Pneumonia",
}
CHINESE = {
    "id": 7,
    "question": "患者男，45岁，胸痛3天，无发热、咳嗽，血压120/80mmHg，最可能的诊断是",
    "option": {"A": "心绞痛", "B": "肺炎", "C": ""},
    "answer": "A",
    "question_type": "单项选择题",
}

WORDS = st.sampled_from(
    "he she the patient his denies no not fever chills cough and or but , ; . : is are has with of pulse 90/min "
    "38.5 °C temperature blood pressure smokes reports that because A 40-year-old man comes to physician ( ) \n ? "
    "“ ” Which 无 、 ， 。 患者 发热 or as well as who".split(" ")
)
TEXTS = st.one_of(st.text(max_size=80), st.lists(WORDS, max_size=40).map(" ".join))


# What may be said of any text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [split_sentence, split_chinese])
@given(text=TEXTS)
def test_nothing_is_invented_and_nothing_lost(rule: Callable[[str], tuple[str, ...]], text: str) -> None:
    facts = rule(text)
    assert not lost(text, facts)
    assert not any(invented(fact, text) for fact in facts)
    assert all(fact.strip() for fact in facts)


@given(text=TEXTS)
def test_a_denial_is_never_dropped(text: str) -> None:
    assert any(map(denies, split_sentence(text))) == denies(text)


@given(text=TEXTS)
def test_sentences_hold_the_whole_text_in_order(text: str) -> None:
    found = sentences(text)
    starts = [sentence.start for sentence in found]
    assert starts == sorted(set(starts))
    assert all(text[sentence.start :].startswith(sentence.text) for sentence in found)
    assert not lost(text, [sentence.stated for sentence in found])


@given(text=TEXTS, language=st.sampled_from(["en", "zh"]))
def test_a_stem_is_its_vignette_and_its_question(text: str, language: Any) -> None:
    stem = split_question(text, language)
    assert content_words(stem.vignette) | content_words(stem.question) == content_words(text)


@given(text=TEXTS, format=st.sampled_from(["medqa", "cmb"]), presentation=st.sampled_from(list(PRESENTATIONS)))
def test_any_stem_becomes_a_case_that_round_trips(text: str, format: str, presentation: str) -> None:
    row = dict(ROW if format == "medqa" else CHINESE, question=text)
    try:
        case, _ = curate_row(row, 0, format, RuleSplitter(), presentation)
    except DatasetError as error:
        assert not text.strip(), error
        return
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case
    vignette = split_question(text, case.language).vignette
    assert not lost(vignette, [fact.text for fact in case.facts])
    assert not any(invented(fact.text, vignette) for fact in case.facts)


# English --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "facts"),
    [
        ("He denies fever, chills, and cough.", ["He denies fever.", "He denies chills.", "He denies cough."]),
        (
            "His temperature is 38 C, pulse is 90/min, and blood pressure is 120/80 mm Hg.",
            ["His temperature is 38 C.", "Pulse is 90/min.", "Blood pressure is 120/80 mm Hg."],
        ),
        ("She smokes and drinks wine.", ["She smokes.", "She drinks wine."]),
        (
            "A 9-month-old girl is brought to the clinic because of cough and poor feeding for 2 days.",
            [
                "The patient is a 9-month-old girl.",
                "The patient is brought to the clinic because of cough for 2 days.",
                "The patient is brought to the clinic because of poor feeding for 2 days.",
            ],
        ),
        (
            "There is no history of urinary or fecal incontinence.",
            ["There is no history of urinary incontinence.", "There is no history of fecal incontinence."],
        ),
        (
            "He reports that he sleeps badly and that his left knee hurts at night.",
            ["He reports that he sleeps badly.", "He reports that his left knee hurts at night."],
        ),
        ("His wife says he coughs and has chills.", ["His wife says he coughs.", "His wife says he has chills."]),
        (
            "Vitals are measured again and his pulse is 90/min and blood pressure is 90/60 mm Hg.",
            [
                "Vitals are measured again.",
                "Measured again, his pulse is 90/min.",
                "Measured again, blood pressure is 90/60 mm Hg.",
            ],
        ),
        (
            "Auscultation shows clear lungs, no rubs, or murmurs.",
            ["Auscultation shows clear lungs.", "Auscultation shows no rubs.", "Auscultation shows no murmurs."],
        ),
        (
            "He is oriented to person and time but not place or situation.",
            ["He is oriented to person and time but not place or situation."],
        ),
        ("There is hair on the chin but no acne.", ["There is hair on the chin.", "There is no acne."]),
        ("He has no fever or chills.", ["He has no fever.", "He has no chills."]),
        ("Her gait is stable with no ataxia.", ["Her gait is stable.", "There is no ataxia."]),
        (
            "There is an itchy rash on the face, chest, and back.",
            ["There is an itchy rash on the face, chest, and back."],
        ),
        ("The lips are dry; the skin is warm.", ["The lips are dry.", "The skin is warm."]),
        # What was once garbled: "left" as a verb, denials of nobody, words of another head, subjects of another clause.
        (
            "He has nausea, chills, and left upper quadrant tenderness.",
            ["He has nausea.", "He has chills.", "He has left upper quadrant tenderness."],
        ),
        (
            "Ultrasound shows a dilated right ventricle and right atrium.",
            ["Ultrasound shows a dilated right ventricle and right atrium."],
        ),
        (
            "He left the clinic and denies pain.",
            ["He left the clinic.", "He denies pain."],
        ),
        (
            "Her brother is alive and well with no medical problems.",
            ["Her brother is alive and well.", "Her brother has no medical problems."],
        ),
        (
            "He is otherwise healthy with no allergies.",
            ["He is otherwise healthy.", "He has no allergies."],
        ),
        (
            "Her parents are both well with no chronic illnesses.",
            ["Her parents are both well.", "Her parents have no chronic illnesses."],
        ),
        (
            "The wound is clean with no discharge.",
            ["The wound is clean.", "There is no discharge."],
        ),
        (
            "The record shows frequent colds but no bone or soft tissue infections.",
            ["The record shows frequent colds.", "There is no bone or soft tissue infections."],
        ),
        (
            "The rash is not accompanied by itching, fever, arthralgia, or chills.",
            [
                "The rash is not accompanied by itching.",
                "The rash is not accompanied by fever.",
                "The rash is not accompanied by arthralgia.",
                "The rash is not accompanied by chills.",
            ],
        ),
        (
            "The baby has increased tone, a weak cry, no eye contact, and clenched fists.",
            [
                "The baby has increased tone.",
                "The baby has a weak cry.",
                "The baby has no eye contact.",
                "The baby has clenched fists.",
            ],
        ),
        (
            "Urine studies are notable for a high urine protein level, without evidence of glucose or blood.",
            [
                "Urine studies are notable for a high urine protein level, without evidence of glucose.",
                "Urine studies are notable for a high urine protein level, without evidence of blood.",
            ],
        ),
        (
            "Her throat is mildly red with normal tonsils and no pus.",
            ["Her throat is mildly red with normal tonsils.", "Her throat is mildly red with no pus."],
        ),
        (
            "A 50-year-old man with a long history of gout and no recent injury comes to the clinic.",
            [
                "The patient is a 50-year-old man.",
                "The patient has a long history of gout.",
                "The patient has no recent injury.",
                "The patient comes to the clinic.",
            ],
        ),
        (
            "The exam shows no rash, no swelling, and a healed scar.",
            ["The exam shows no rash.", "The exam shows no swelling.", "The exam shows a healed scar."],
        ),
        (
            "A 30-year-old man is hospitalized for acute confusion, photophobia, and dysphagia.",
            [
                "The patient is a 30-year-old man.",
                "The patient is hospitalized for acute confusion.",
                "The patient is hospitalized for photophobia.",
                "The patient is hospitalized for dysphagia.",
            ],
        ),
        (
            "She is given 3 liters of saline and ketorolac.",
            ["She is given 3 liters of saline and ketorolac."],
        ),
        (
            "He is admitted to receive intravenous fluids and furosemide.",
            ["He is admitted to receive intravenous fluids and furosemide."],
        ),
        (
            "He was seen making a chewing motion with his jaw, licking his lips, and blinking.",
            ["He was seen making a chewing motion with his jaw, licking his lips, and blinking."],
        ),
        (
            "She comes in with fever and cough for 3 days, followed by left chest pain, chills, and fatigue.",
            ["She comes in with fever and cough for 3 days, followed by left chest pain, chills, and fatigue."],
        ),
        (
            "A rash is noted across the trunk and bilateral upper and lower extremities.",
            ["A rash is noted across the trunk and bilateral upper and lower extremities."],
        ),
        (
            "At night he feels chest tightness and sweats so heavily that he changes his shirt.",
            ["At night he feels chest tightness and sweats so heavily that he changes his shirt."],
        ),
        (
            "The plan is to stop the drug and return to the clinic in 3 weeks.",
            ["The plan is to stop the drug.", "The plan is to return to the clinic in 3 weeks."],
        ),
        (
            "Her history is unknown as she is rarely seen by a doctor and is homeless.",
            ["Her history is unknown as she is rarely seen by a doctor and is homeless."],
        ),
        (
            "She has also been avoiding her sister and friends because she is sad.",
            ["She has also been avoiding her sister.", "She has also been avoiding friends because she is sad."],
        ),
        (
            "A 60-year-old man with a history of lung cancer that was cut out comes to the clinic because of cough.",
            [
                "The patient is a 60-year-old man.",
                "The patient with a history of lung cancer that was cut out comes to the clinic because of cough.",
            ],
        ),
        (
            "A 45-year-old woman with colon cancer who is undergoing chemotherapy comes to the clinic.",
            [
                "The patient is a 45-year-old woman.",
                "The patient with colon cancer who is undergoing chemotherapy comes to the clinic.",
            ],
        ),
        (
            "He says that the cramps “come and go” and usually last 10 minutes.",
            ["He says that the cramps “come and go” and usually last 10 minutes."],
        ),
        (
            "The workup demonstrates that the wedge pressure and troponins are elevated.",
            ["The workup demonstrates that the wedge pressure and troponins are elevated."],
        ),
        (
            "Her father reports that he was short as a boy; he is now 180 cm tall.",
            ["Her father reports that he was short as a boy; he is now 180 cm tall."],
        ),
        (
            "He takes a drug for gout, drinks beer, and no longer smokes.",
            ["He takes a drug for gout.", "He drinks beer.", "He no longer smokes."],
        ),
        (
            "Examination shows a firm, round, and tender nodule.",
            ["Examination shows a firm, round, and tender nodule."],
        ),
        (
            "He is diagnosed with gout and started on colchicine.",
            ["He is diagnosed with gout.", "He is started on colchicine."],
        ),
        (
            "She is able to eat and drink.",
            ["She is able to eat.", "She is able to drink."],
        ),
        (
            "A 20-year-old female college student comes to the clinic.",
            ["The patient is a 20-year-old female college student.", "The patient comes to the clinic."],
        ),
        (
            "History includes asthma, obesity, and a stroke 2 years ago.",
            ["History includes asthma.", "History includes obesity.", "History includes a stroke 2 years ago."],
        ),
    ],
)
def test_sentences_split_into_facts(sentence: str, facts: list[str]) -> None:
    assert list(split_sentence(sentence)) == facts


@pytest.mark.parametrize(
    ("sentence", "fact"),
    [
        ("He has a history of gout that was treated.", "He has a history of gout that."),
        ("He has a history of gout and no recent fall.", "He has a history of no recent fall."),
        ("He has increased thirst and a rash.", "He has increased a rash."),
        ("She has fever, followed by pain.", "She has followed by pain."),
        ("She comes with fever, followed by pain.", "She comes with followed by pain."),
        ("He is seen for cough and nausea.", "He is nausea."),
        ("The pain is not eased by rest or vomiting.", "The pain is not vomiting."),
        ("He is alert and lacks insight.", "He is lacks insight."),
        ("Studies are notable for anemia, without fever.", "Studies are notable for without fever."),
        ("The scan shows a soft, round mass.", "The scan shows a soft."),
        ("His lungs are clear and he has a rash.", "His lungs has a rash."),
        ("She was admitted for cough and fever.", "She was admitted fever."),
    ],
)
def test_a_cut_that_garbles_is_seen(sentence: str, fact: str) -> None:
    assert garbled(fact, sentence)


@given(text=TEXTS)
def test_no_fact_of_the_rules_is_garbled_in_its_sentence(text: str) -> None:
    facts = split_sentence(text)
    assert len(facts) == 1 or not any(garbled(fact, text) for fact in facts)


@given(text=TEXTS)
def test_a_fact_of_the_rules_is_a_sentence_that_keeps_its_words(text: str) -> None:
    for fact in split_sentence(text):
        again = split_sentence(fact)
        assert content_words(" ".join(again)) == content_words(fact)


def test_abbreviations_and_decimals_end_no_sentence() -> None:
    text = "Dr. Lee saw him at 38.5 C, e.g. No. 3 of 5 vs. No. 4. He was ill. 3 days ago he left."
    assert [sentence.text for sentence in sentences(text)] == [
        "Dr. Lee saw him at 38.5 C, e.g. No. 3 of 5 vs. No. 4.",
        "He was ill.",
        "3 days ago he left.",
    ]


def test_a_quotation_is_not_cut() -> None:
    assert [sentence.text for sentence in sentences("He says, “I hurt. Help me.” He cries.")][-1] == "He cries."


def test_rows_of_a_table_carry_what_they_stand_under() -> None:
    assert [sentence.stated for sentence in sentences(STEM)][-3:-1] == [
        "Laboratory studies show: Hemoglobin 12.1 g/dL",
        "Laboratory studies show: Serum Sodium 131 mEq/L",
    ]


def test_a_row_of_a_table_is_one_fact() -> None:
    stem = "A boy is ill. Blood work is done and is given below:\nSodium 131 mEq/L\nUrea 9 mg/dL\nWhat is it?"
    case, _ = curate_row(dict(ROW, question=stem), 0, "medqa", RuleSplitter())
    assert [fact.text for fact in case.facts][1:] == [
        "Blood work is done and is given below: Sodium 131 mEq/L.",
        "Blood work is done and is given below: Urea 9 mg/dL.",
    ]


# The question ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "question"),
    [
        ("A man coughs. What is it?", "What is it?"),
        ("A man coughs. This patient is most at risk for:", "This patient is most at risk for:"),
        ("A man coughs. Which of these? (Round to whole numbers.)", "Which of these? (Round to whole numbers.)"),
        ("A man coughs. Assume normal weight. What is it?", "Assume normal weight. What is it?"),
        ("What is the capital enzyme?", "What is the capital enzyme?"),
    ],
)
def test_the_question_at_the_end_is_found(stem: str, question: str) -> None:
    found = split_question(stem)
    assert found.question == question
    assert found.found
    assert stem[found.start :] == question


def test_values_behind_the_question_go_to_the_vignette() -> None:
    stem = split_question("A boy is born. What is best?\nHBsAg positive\nHBeAg positive\nHBV DNA 9 IU/mL")
    assert stem.question == "What is best?"
    assert stem.vignette.endswith("HBsAg positive\nHBeAg positive\nHBV DNA 9 IU/mL")


def test_a_stem_that_asks_nothing_is_said_so() -> None:
    stem = split_question("A man coughs. He is ill.")
    assert (stem.question, stem.found) == ("He is ill.", False)


# Cases ----------------------------------------------------------------------------------------------------------------


def test_a_vignette_becomes_a_case() -> None:
    case, counts = curate_row(ROW, 3, "medqa", RuleSplitter())
    assert case.case_id == "curated-medqa:3"
    assert case.presentation == STEM[: STEM.index(" She smokes")]
    assert case.question == "Which of the following is the most likely diagnosis?"
    assert [fact.text for fact in case.facts if fact.status == "absent"] == [
        "The patient denies rash.",
        "The patient denies joint pain.",
    ]
    assert case.profile.age == 40
    assert case.profile.sex == "female"
    assert case.facts[min(case.initial)].section == "demographics"
    assert "Laboratory studies show: Serum Sodium 131 mEq/L." in [fact.text for fact in case.facts]
    assert case.raw == ROW
    assert counts.asked
    assert case.quality == ()


@pytest.mark.parametrize(("presentation", "stated"), [("first", 4), ("person", 1), ("half", 6)])
def test_the_presentation_is_chosen(presentation: str, stated: int) -> None:
    case, _ = curate_row(ROW, 0, "medqa", RuleSplitter(), presentation)
    assert case.initial == frozenset(range(stated))
    for index in case.hidden:
        assert case.facts[index].text not in case.presentation


def test_a_pronoun_becomes_the_patient_only_if_nobody_else_is_meant() -> None:
    stem = "A 3-year-old girl is ill. She coughs. Her mother is well. She smokes. What is it?"
    case, _ = curate_row(dict(ROW, question=stem), 0, "medqa", RuleSplitter())
    assert [fact.text for fact in case.facts][2:] == ["The patient coughs.", "Her mother is well.", "She smokes."]


@pytest.mark.parametrize(
    ("stem", "flag"),
    [
        ("An investigator is studying enzymes in mice. Which of the following is true?", "not_a_patient"),
        ("What is the capital enzyme?", "no_facts"),
        ("A 9-year-old boy has a rash. A photograph is shown. What is it?", "image_reference"),
        ("A 9-year-old boy has pneumonia. What is it?", "answer_in_facts"),
    ],
)
def test_defects_are_flagged(stem: str, flag: str) -> None:
    case, _ = curate_row(dict(ROW, question=stem), 0, "medqa", RuleSplitter())
    assert flag in case.quality


def test_a_chinese_question_becomes_a_case() -> None:
    case, _ = curate_row(CHINESE, 0, "cmb", RuleSplitter())
    assert case.case_id == "curated-cmb:7"
    assert case.language == "zh"
    assert case.question == "最可能的诊断是"
    assert [fact.text for fact in case.facts] == [
        "患者是男。",
        "患者45岁。",
        "胸痛3天。",
        "无发热。",
        "无咳嗽。",
        "血压120/80mmHg。",
    ]
    assert [fact.status for fact in case.facts] == ["present"] * 3 + ["absent"] * 2 + ["present"]
    assert len(case.options) == 2
    assert case.profile.age == 45
    assert case.profile.sex == "male"


def test_a_chinese_question_with_several_answers_says_so() -> None:
    case, _ = curate_row(dict(CHINESE, answer="AB", question_type="多项选择题"), 0, "cmb", RuleSplitter())
    assert case.answer == ("A", "B")
    assert case.several


def test_a_chinese_question_right_behind_a_value_is_found() -> None:
    stem = split_question("女，30岁，血糖6.8mmol/L下述哪项无关", "zh")
    assert stem.question == "下述哪项无关"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**ROW, "answer_idx": "C"}, "x:1: field 'answer_idx': 'C' is not among the option keys ['A', 'B']"),
        ({key: value for key, value in ROW.items() if key != "question"}, "x:1: field 'question' is missing"),
        ({**ROW, "options": {"A": "Gout"}}, "x:1: field 'options': need at least two options, got ['A']"),
        ({**ROW, "id": 1.5}, "x:1: field 'id': expected a whole number or a string, got 1.5"),
    ],
)
def test_a_malformed_row_is_an_error_with_its_place(row: dict[str, Any], said: str) -> None:
    with pytest.raises(DatasetError) as error:
        curate([Row("x:1", row)], "medqa")
    assert str(error.value) == said


def test_an_id_that_occurs_twice_is_an_error() -> None:
    with pytest.raises(DatasetError, match="x:2: field 'id': 1 was already used"):
        curate([Row("x:1", {**ROW, "id": 1}), Row("x:2", {**ROW, "id": 1})], "medqa")


@pytest.mark.parametrize(
    "bad", [{**ROW, "answer_idx": "C"}, {**ROW, "options": {"AA": "x", "B": "y"}, "answer_idx": "B"}, {**ROW, "id": 1}]
)
def test_every_row_is_checked_before_one_is_split(bad: dict[str, Any]) -> None:
    rows = [Row("x:1", {**ROW, "id": 1}), Row("x:2", bad)]
    model = Scripted(lambda _: pytest.fail("a sentence was split"))
    with pytest.raises(DatasetError, match=r"^x:2: field '(answer_idx|options|id)'"):
        curate(rows, "medqa", splitter=LanguageModelSplitter(model))
    check_rows(rows[:1], "medqa")


def test_what_is_done_is_not_made_again() -> None:
    rows = [Row(f"x:{number}", ROW) for number in range(3)]
    made: list[Case] = []
    whole = curate(rows, "medqa")
    done = {1: curate_row(ROW, 1, "medqa", RuleSplitter())}
    assert curate(rows, "medqa", done=done, on_case=lambda case, _: made.append(case)) == whole
    assert [case.case_id for case in made] == ["curated-medqa:0", "curated-medqa:2"]


@pytest.mark.parametrize(("format", "presentation"), [("medqo", "first"), ("medqa", "last")])
def test_unknown_names_are_errors(format: str, presentation: str) -> None:
    with pytest.raises(DatasetError, match="known are"):
        curate([Row("x:1", ROW)], format, presentation=presentation)


def test_the_report_counts() -> None:
    rows = [Row("x:1", ROW), Row("x:2", dict(ROW, question="A man coughs. He is ill."))]
    report = curate(rows, "medqa").report
    assert report.splitter == "rules"
    assert report.unasked == 1
    assert len(report.facts) == 2
    assert sum(report.refused.values()) == 0


@pytest.mark.parametrize(
    ("row", "format", "env_id"), [(ROW, "medqa", "ProMed-MedQA-v0"), (CHINESE, "cmb", "ProMed-CMB-v0")]
)
def test_cases_are_played(row: dict[str, Any], format: str, env_id: str, tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    write_jsonl(curate([Row("x:1", row)], format).cases, path)
    assert load_dataset(path)[0].raw == row
    env = gym.make(env_id, dataset=str(path), reward="diagnosis")
    observation, _ = env.reset(seed=0)
    assert "joint pain" not in observation
    *_, reward, terminated, _, info = env.step("answer: A")
    assert terminated
    assert info["correct"]
    assert float(reward) > 0


# A language model -----------------------------------------------------------------------------------------------------


class Scripted:
    """A model that says for each sentence what it is told to."""

    name = "scripted"

    def __init__(self, says: Callable[[str], str]) -> None:
        self.says = says

    def chat(
        self,
        batch: Sequence[Messages],
        *,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        seed: int | Sequence[int] = 0,
        stop: Sequence[str] = (),
    ) -> list[Completion]:
        return [Completion(self.says(chat[-1]["content"]), 1) for chat in batch]

    def choice_logprobs(
        self, batch: Sequence[Messages], letters: Sequence[Sequence[str]], prefix: str = ""
    ) -> list[NDArray[np.float64]]:
        raise NotImplementedError

    def logprob(self, contexts: Sequence[Messages], continuations: Sequence[str]) -> list[Likelihood]:
        raise NotImplementedError


SENTENCE = "He has had a cough for 3 days, and denies fever or chills."


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("- He has had a cough for 3 days.\n- He has no fever.\n- He has no chills.", None),
        ("1. The patient has a cough for 3 days\n2. He denies fever\n3. He denies chills", None),
        ("", "silent"),
        ("He has had a cough for 3 days.\nHe denies fever.\nHe denies chills.\nHe has pneumonia.", "invented"),
        ("He has had a cough for 4 days.\nHe denies fever.\nHe denies chills.", "invented"),
        ("He has had a cough for 3 days.\nHe denies fever.", "lost"),
        ("He has had a cough for 3 days.\nHe has a fever.\nHe denies chills.", "denial"),
        ("He has had no cough for 3 days.\nHe denies fever.\nHe denies chills.", "denial"),
    ],
)
def test_a_models_facts_are_checked(said: str, refused: str | None) -> None:
    model = Scripted(lambda _: said)
    assert isinstance(model, LanguageModel)
    (split,) = LanguageModelSplitter(model).split([SENTENCE], "en")
    assert split.refused == refused
    if refused is not None:
        assert split.facts == split_sentence(SENTENCE)
    else:
        assert len(split.facts) == 3


@given(text=TEXTS)
def test_the_rules_facts_pass_the_check(text: str) -> None:
    facts = split_sentence(text)
    assert check_facts(text, facts, facts) in (None, "silent")


def test_what_a_model_invents_is_counted_and_not_used() -> None:
    model = Scripted(lambda sentence: f"{sentence}\nThe patient has leprosy.")
    curated = curate([Row("x:1", ROW)], "medqa", splitter=LanguageModelSplitter(model))
    assert curated.report.sentences == 6
    assert curated.report.refused["invented"] == 4  # two are rows of a table, which no splitter sees
    assert curated.cases == curate([Row("x:1", ROW)], "medqa").cases


def test_a_chinese_model_is_checked() -> None:
    model = Scripted(lambda _: "患者胸痛3天。\n患者无发热。\n患者无咳嗽。")
    (split,) = LanguageModelSplitter(model).split(["胸痛3天，无发热、咳嗽。"], "zh")
    assert split.refused is None
    assert len(split.facts) == 3


def test_two_questions_on_one_vignette_fall_into_one_split() -> None:
    from promed_env.datasets.splits import split_of, vignette

    told = STEM.rpartition("\n")[0]
    questions = ("Which of the following is the diagnosis?", "What is the best next step in management?")
    cases = [curate([Row("x:1", {**ROW, "question": f"{told}\n{asked}"})], "medqa").cases[0] for asked in questions]
    assert vignette(cases[0]) == vignette(cases[1])
    assert split_of(cases[0]) == split_of(cases[1])
