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
CHINESE_WORDS = st.sampled_from(
    "患者 男 45岁 孕妇 无 未见 否认 无力 发热 头痛 双肺 心肺 干、湿啰音 压痛 反跳痛 质硬 可闻及哮鸣音 WBC12 "
    "低密度影 头颅CT： 甲状腺 、 ， ； 。 , 及 或 伴 "
    "突发 3天 2周前 12,000 查体： 血常规： 既往 高血压 糖尿病史 其母 孕期 休息后缓解 持续不缓解 每日20支 (+) “".split()
)
TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(WORDS, max_size=40).map(" ".join),
    st.lists(CHINESE_WORDS, max_size=20).map("".join),
)


# What may be said of any text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [split_sentence, split_chinese])
@given(text=TEXTS)
def test_nothing_is_invented_and_nothing_lost(rule: Callable[[str], tuple[str, ...]], text: str) -> None:
    facts = rule(text)
    assert not lost(text, facts)
    assert not any(invented(fact, text) for fact in facts)
    assert all(fact.strip() for fact in facts)


@pytest.mark.parametrize("rule", [split_sentence, split_chinese])
@given(text=TEXTS)
def test_a_denial_is_never_dropped(rule: Callable[[str], tuple[str, ...]], text: str) -> None:
    assert any(map(denies, rule(text))) == denies(text)


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


# Chinese --------------------------------------------------------------------------------------------------------------

SYMPTOMS = st.lists(
    st.sampled_from("发热 咳嗽 呕吐 腹泻 心悸 气促 尿频 失眠".split()), min_size=2, max_size=4, unique=True
)


def chinese(*facts: str) -> tuple[str, ...]:
    return tuple(f"{fact}。" for fact in facts)


@given(
    symptoms=SYMPTOMS,
    began=st.sampled_from(["", "伴", "突发", "反复", "受凉后出现"]),
    lasted=st.sampled_from(["", "3天"]),
)
def test_symptoms_share_their_onset_and_how_long_they_lasted(symptoms: list[str], began: str, lasted: str) -> None:
    listed = split_chinese(f"{began}{'、'.join(symptoms)}{lasted}")
    assert listed == chinese(*(f"{began}{symptom}{lasted}" for symptom in symptoms))


@given(
    symptoms=SYMPTOMS,
    denied=st.integers(1, 3),
    no=st.sampled_from(["无", "否认", "无明显", "患者无", "病中无", "不伴"]),
    last=st.sampled_from("、及或"),
)
def test_every_item_of_a_denial_is_denied_and_nothing_else(
    symptoms: list[str], denied: int, no: str, last: str
) -> None:
    none, some = symptoms[:denied], symptoms[denied:]
    listed = "、".join(none[:-1]) + last * (len(none) > 1) + none[-1]
    facts = split_chinese(f"{no}{listed}，{'、'.join(some)}" if some else f"{no}{listed}")
    assert facts == chinese(*(f"{no}{symptom}" for symptom in none), *some)


@given(symptoms=SYMPTOMS, no=st.sampled_from(["无", "未见", "否认", "不伴"]))
def test_a_denial_stands_by_what_it_denies(symptoms: list[str], no: str) -> None:
    first, second = symptoms[:2]
    assert split_chinese(f"{first}，{no}{second}") == chinese(first, f"{no}{second}")
    assert split_chinese(f"{no}{first}，{second}") == chinese(f"{no}{first}", second)
    assert split_chinese(f"{no}{first}、有{second}") == chinese(f"{no}{first}、有{second}")
    assert split_chinese(f"{no}{first}、{second}明显") == chinese(f"{no}{first}、{second}明显")


def test_a_sentence_whose_words_would_be_lost_or_invented_is_the_only_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    from promed_env.datasets.curation import chinese as rules

    for bad in ([("", "头痛")], [("", "头痛"), ("", "发热"), ("", "咳嗽")], []):
        monkeypatch.setattr(rules, "_completed", lambda _, bad=bad: bad)
        assert split_chinese("头痛，发热") == ("头痛，发热",)


@given(
    symptoms=SYMPTOMS,
    word=st.sampled_from("无力 无痛性血尿 无尿 无汗 无名指痛 无菌性脓尿 无症状 不适 不良 未婚 未育".split()),
)
def test_a_word_that_starts_like_a_denial_denies_nothing(symptoms: list[str], word: str) -> None:
    for said in (
        f"{word}、{'、'.join(symptoms)}",
        f"双下肢{word}、{'、'.join(symptoms)}",
        f"突发{word}，{symptoms[0]}",
    ):
        for fact in split_chinese(said):
            assert not denies(fact) or word in fact
            assert not any(no + symptom in fact for no in "无不未" for symptom in symptoms)


@given(number=st.integers(1, 999_999), comma=st.sampled_from([",", ", ", "，"]))
def test_a_half_width_comma_ends_a_clause_but_no_number(number: int, comma: str) -> None:
    assert split_chinese(f"头痛3天{comma}{number}周前曾患麻疹") == chinese("头痛3天", f"{number}周前曾患麻疹")
    assert split_chinese(f"脉速{comma}白细胞{number:,}/mm3") == chinese("脉速", f"白细胞{number:,}/mm3")


@pytest.mark.parametrize(
    ("test", "results", "others"),
    [
        ("血常规", "WBC 12×10⁹/L，血小板减少，可见异型淋巴细胞", "心率110次/分 面色苍白 BP80/50mmHg BUN12mmol/L"),
        ("尿常规", "蛋白(+++)，红细胞满视野", "眼睑浮肿 血糖7mmol/L"),
        ("血气分析", "pH7.2，PaO₂50mmHg", "意识模糊 R30次/分"),
        ("肝功能", "ALT200U/L，白蛋白降低", "皮肤黄染 PLT60×10⁹/L"),
        ("肾功能", "Cr200μmol/L，尿素氮升高", "尿量减少"),
        ("头颅CT", "右侧低密度影，未见占位", "左侧肢体偏瘫 左侧肌力3级 影响进食 曾见占位"),
        ("彩超", "胆总管扩张，可见强回声", "右肾区叩击痛阳性 阴道流血增多"),
        ("心电图", "ST段抬高，T波倒置", "双下肢水肿 肌钙蛋白升高 立即给予溶栓治疗"),
        ("胃镜", "胃窦溃疡", "消瘦5kg"),
        ("骨髓穿刺", "增生低下", "牙龈出血"),
        ("查体", "神志清", "T波倒置 WBC12×10⁹/L"),
    ],
)
def test_the_name_of_a_test_stands_before_its_results_and_nothing_else(test: str, results: str, others: str) -> None:
    own = [f"{test}：{result}" for result in results.split("，")]
    for other in others.split():
        assert split_chinese(f"{test}：{results}，{other}") == chinese(*own, other)


@pytest.mark.parametrize(
    ("sentence", "facts"),
    [
        # Who the patient is.
        ("孕妇25岁，孕30周", ["患者是孕妇", "患者25岁", "孕30周"]),
        ("3岁6个月男孩，抽搐1次", ["患者3岁6个月", "患者是男孩", "抽搐1次"]),
        ("男性患者，50岁，工人", ["患者是男性", "患者50岁", "工人"]),
        # Denials.
        ("晨起突发左上肢无力、吞咽困难1小时", ["晨起突发左上肢无力1小时", "吞咽困难1小时"]),
        ("今晨突发左上肢无力、吞咽困难1小时", ["今晨突发左上肢无力1小时", "今晨突发吞咽困难1小时"]),
        ("无明显诱因出现腹泻、呕吐2天", ["无明显诱因出现腹泻2天", "无明显诱因出现呕吐2天"]),
        ("无尿频、尿急，无牙龈出血、鼻出血", ["无尿频", "无尿急", "无牙龈出血", "无鼻出血"]),
        ("双肺未闻及干、湿性啰音", ["双肺未闻及干性啰音", "双肺未闻及湿性啰音"]),
        ("否认伤寒、疟疾病史及海鲜过敏史", ["否认伤寒史", "否认疟疾病史", "否认海鲜过敏史"]),
        ("否认手术、药物过敏史", ["否认手术史", "否认药物过敏史"]),
        ("无颈部、腹股沟淋巴结肿大，无肝脾肿大", ["无颈部淋巴结肿大", "无腹股沟淋巴结肿大", "无肝肿大", "无脾肿大"]),
        ("无听力、视力下降", ["无听力下降", "无视力下降"]),
        # Headings and subjects.
        (
            "血常规：Hb 70g/L，血小板90×10⁹/L，血压80/50mmHg",
            ["血常规：Hb 70g/L", "血常规：血小板90×10⁹/L", "血压80/50mmHg"],
        ),
        # What may be of the relative before it stays there.
        ("其母孕期曾患风疹，无羊水过多，患儿已接种疫苗", ["其母孕期曾患风疹，无羊水过多", "患儿已接种疫苗"]),
        ("其父死于肝癌，无饮酒嗜好", ["其父死于肝癌，无饮酒嗜好"]),
        ("其母患糖尿病，有流产史", ["其母患糖尿病，有流产史"]),
        ("母亲患乳腺癌，曾流产2次", ["母亲患乳腺癌，曾流产2次"]),
        ("父母健在，无孕产史", ["父母健在，无孕产史"]),
        ("母乳喂养，无早产史", ["母乳喂养", "无早产史"]),  # breast milk
        ("祖籍山东，无烟酒嗜好", ["祖籍山东", "无烟酒嗜好"]),  # where the family comes from
        ("父亲患肝癌，否认药物过敏史", ["父亲患肝癌", "否认药物过敏史"]),
        ("既往有哮喘10年，胃溃疡3年，近2天黑便", ["既往有哮喘10年", "胃溃疡3年", "近2天黑便"]),
        # Lists.
        ("双膝关节、足背红肿2天", ["双膝关节红肿2天", "足背红肿2天"]),
        ("膝、踝关节肿痛", ["膝关节肿痛", "踝关节肿痛"]),
        ("左侧上、下肢麻木", ["左侧上肢麻木", "左侧下肢麻木"]),
        ("心肺听诊未见异常，肝脾未触及", ["心听诊未见异常", "肺听诊未见异常", "肝未触及", "脾未触及"]),
        ("右上腹压痛、肌紧张明显", ["右上腹压痛明显", "右上腹肌紧张明显"]),
        ("宫颈光滑、有触痛", ["宫颈光滑", "宫颈有触痛"]),
        ("体温、血压正常", ["体温正常", "血压正常"]),
        ("HBsAg、HBeAg阳性", ["HBsAg阳性", "HBeAg阳性"]),
        ("患哮喘、高血压病史6年", ["患哮喘病史6年", "患高血压病史6年"]),
        ("咳嗽20年、气促3年", ["咳嗽20年", "气促3年"]),
        # Clauses that say nothing by themselves.
        (
            "劳累后突发左胸绞痛1小时，向左肩放射，休息后不缓解",
            ["劳累后突发左胸绞痛1小时，向左肩放射，休息后不缓解"],
        ),
        ("右乳肿块2年，质硬，边界不清", ["右乳肿块2年，质硬，边界不清"]),
        ("饮酒20年，每日200ml", ["饮酒20年，每日200ml"]),
        ("哮喘病史5年，未规律治疗", ["哮喘病史5年，未规律治疗"]),
        ("鼻痒，接触花粉后喷嚏加重", ["鼻痒", "接触花粉后喷嚏加重"]),  # has a subject
        ("胸痛1周，有高血压，活动后加重", ["胸痛1周", "有高血压，活动后加重"]),  # what is worse? as it was said
        ("头痛2天，吸烟20年，休息后缓解", ["头痛2天", "吸烟20年，休息后缓解"]),
        ("突发胸痛，有高血压，持续不缓解", ["突发胸痛", "有高血压，持续不缓解"]),
        ("腹泻，无脓血，每日10余次", ["腹泻", "无脓血", "每日10余次"]),  # not to a denial
        ("右颈部肿块，鼻涕带血，质硬", ["右颈部肿块", "鼻涕带血，质硬"]),
        # Of the organ before it, where it can be of nothing else.
        ("双肺呼吸音粗，可闻及哮鸣音，心率90次/分", ["双肺呼吸音粗", "双肺可闻及哮鸣音", "心率90次/分"]),
        ("双肺呼吸音清，可闻及奔马律", ["双肺呼吸音清", "可闻及奔马律"]),
        ("双肺呼吸音清，可闻及收缩期杂音", ["双肺呼吸音清", "可闻及收缩期杂音"]),
        (
            "甲状腺肿大，质软、无压痛，可闻及血管杂音",
            ["甲状腺肿大", "甲状腺质软", "甲状腺无压痛", "甲状腺可闻及血管杂音"],
        ),
        ("查体：肝肋下3cm，质硬", ["查体：肝肋下3cm", "肝质硬"]),
        ("B超：肝肋下3cm，有压痛", ["B超：肝肋下3cm", "有压痛"]),
        ("甲状腺可触及结节，质硬", ["甲状腺可触及结节，质硬"]),  # not the gland
        ("未触及包块，压痛", ["未触及包块", "压痛"]),
        ("下腹痛2天，有压痛、反跳痛", ["下腹痛2天", "有压痛", "有反跳痛"]),
        # Not of the past, nor an age.
        ("既往有高血压5年，突发脑出血2小时", ["既往有高血压5年", "突发脑出血2小时"]),
        ("既往有哮喘10年，其父患胃癌3年", ["既往有哮喘10年", "其父患胃癌3年"]),
        ("孕妇，32周，阴道流血", ["患者是孕妇", "32周", "阴道流血"]),
        ("女婴，3天，拒乳", ["患者是女婴", "患者3天", "拒乳"]),
    ],
)
def test_chinese_sentences_split_into_facts(sentence: str, facts: list[str]) -> None:
    assert split_chinese(sentence) == chinese(*facts)


@pytest.mark.parametrize(
    "clause",
    [
        "左下肢肿胀、疼痛3天",  # where the pain is
        "无发热、精神可",  # the second is affirmed
        "全腹无压痛、肠鸣音减弱",
        "无恶心、大便干结",
        "无发热、咳嗽频繁",
        "无腹痛、呕吐剧烈",
        "无头晕、双下肢浮肿明显",
        "无畏寒、发热不明显",
        "无腹胀、大便稀",
        "无咳嗽、少痰",
        "无杂音、心音低钝",
        "否认肝炎、父亲患肝癌",
        "否认结核、肝炎接触史",
        "否认外伤、精神病家族史",
        "无故发笑、打人",
        "无端怀疑邻居、家人",
        "无大小便失禁、肢体抽搐、昏迷不醒",
        "抗HIV、HCV阳性",
        "左、右肾各有一枚结石",
        "腹软、无压痛、反跳痛",
        "未见门静脉、脾静脉血栓",  # there are veins
        "无黑矇、意识障碍",  # "no black-out", or "no black-out disorder"?
        "咳嗽无痰、胸痛2天",
        "双眼视力分别为0.5、0.8",
        "左、右心室大小不等",
        "心电图示Ⅱ、Ⅲ、aVF导联ST段抬高",
        "对青霉素、磺胺过敏",
        "担心患癌、失眠2个月",
        "长期咳嗽伴咯血于近日发生水肿",
        "自幼有季节性鼻痒、喷嚏",
        "血氧饱和度正常",
        "诊断为“高血压，糖尿病”",
        "曾服铁剂（每日3片，共2周）",
    ],
)
def test_what_may_not_be_cut_is_left_whole(clause: str) -> None:
    assert split_chinese(clause) == chinese(clause)


@pytest.mark.parametrize(
    ("vignette", "question"),
    [
        ("女，20岁，休克，", "为尽快止血，首选的措施是"),
        ("女，20岁，休克，", "此时，首选的措施是"),
        ("女，20岁，休克，", "在补液的同时，首选的措施是"),
        ("女，20岁，休克，", "除补液外，还应选用"),
        ("女，20岁，休克，", "若血压降至60/40mmHg，首选的药物是"),
        ("女，20岁，休克，", "根据上述表现，为明确诊断，首选的检查是"),
        ("女，20岁，对青霉素过敏，", "首选的药物是"),
        ("女，20岁，目前孕20周，", "首选的检查是"),
        ("女，20岁，为排除出血行CT未见异常，", "首选的检查是"),
        ("女，20岁，包块如鸡卵大，", "首选的检查是"),
        ("女，20岁，为减轻疼痛常弯腰屈膝，", "首选的检查是"),
        ("女，20岁，为控制腹水长期服用螺内酯，", "首选的检查是"),
        ("女，20岁，为治疗不孕就诊，", "首选的检查是"),
        ("女，20岁，若干年前行胃大部切除术，", "首选的检查是"),
        ("女，20岁，预防接种史不详，", "首选的检查是"),
        ("女，20岁，预防接种不全，", "首选的检查是"),
        ("女，20岁，若干年前患肺结核，", "首选的检查是"),
        ("女，20岁，结合患者大量饮酒史，", "首选的检查是"),
        ("女，20岁，根据患者回忆曾被犬咬伤，", "首选的检查是"),
        ("女，20岁，如患重病般卧床不起，", "首选的检查是"),
        ("女，20岁，以下肢水肿为主，", "首选的检查是"),
        ("女，20岁，休克，", "若行手术，首选的检查是"),
        ("女，20岁，休克，", "下列关于休克的叙述，错误的是"),
        ("女，20岁，BP 80/50mmHg.", "该患者属于"),
    ],
)
def test_what_leads_to_a_chinese_question_belongs_to_it(vignette: str, question: str) -> None:
    assert split_question(vignette + question, "zh").question == question


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
