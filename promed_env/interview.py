"""A fixed catalogue of clinical questions: the menu of `MenuActions` on vignettes, and what the scripted doctors ask.

Written for this project from general clinical practice. It is the same for every case, so it gives no case away; its
order is that of a clinical interview. `SCRIPT` names the ten that `scripted` asks: those that bring out most hidden
facts, found by greedy search on one half of real cases (`python benchmarks/core.py recall` searches again and compares
on the other half). Both exist in Chinese too, question by question.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from promed_env.case import Language

__all__ = ["CATALOGUE", "CATALOGUES", "SCRIPT", "SCRIPTS"]

CATALOGUE: tuple[str, ...] = (
    "What made you come in today?",
    "How do you feel?",
    "When did it start, and how has it changed since then?",
    "Can you describe the pain?",
    "What makes it better or worse?",
    "Has anything like this happened before?",
    "Have you had fever, chills or night sweats?",
    "Have you lost or gained weight?",
    "Have you been unusually tired or weak?",
    "Do you have a cough or trouble breathing?",
    "Have you had chest pain, palpitations or fainting?",
    "Have you had nausea, vomiting or diarrhea?",
    "Have you seen any blood in your stool, urine or sputum?",
    "Do you have any trouble passing urine?",
    "Have you had headaches, dizziness or changes in vision?",
    "Have you had numbness, tingling or seizures?",
    "Do you have a rash or itching?",
    "Do you have joint pain, stiffness or swelling?",
    "How are your mood and sleep?",
    "What other illnesses have you had?",
    "Have you had any surgery or hospital stays?",
    "What medications do you take?",
    "What treatment have you had so far?",
    "Do you have any allergies?",
    "Are your vaccinations up to date?",
    "When was your last menstrual period, and have you been pregnant?",
    "Are you sexually active?",
    "Does any disease run in your family?",
    "Can you tell me about your lifestyle and habits?",
    "Do you smoke or take drugs?",
    "What is your occupation, and who lives with you?",
    "Have you traveled recently or been near sick people or animals?",
    "How old are you?",
    "What are the vital signs?",
    "Is the patient hemodynamically stable?",
    "What does the physical examination show?",
    "How does the patient look on general examination?",
    "What does examination of the heart and lungs show?",
    "What does examination of the abdomen show?",
    "What does the neurological examination show?",
    "What does examination of the skin show?",
    "What does examination of the head, eyes, ears and throat show?",
    "What does the pelvic or genital examination show?",
    "What does examination of the limbs and joints show?",
    "Are the legs swollen or tender?",
    "What tests were done, and what did they show?",
    "What do the blood tests show?",
    "What does the complete blood count show?",
    "What does the urinalysis show?",
    "What does the imaging show?",
    "What does the electrocardiogram show?",
    "What do the cultures or the microscopy show?",
    "What does the biopsy or the endoscopy show?",
)

SCRIPT: tuple[str, ...] = (
    "How do you feel?",
    "What other illnesses have you had?",
    "Can you tell me about your lifestyle and habits?",
    "Do you smoke or take drugs?",
    "What are the vital signs?",
    "Is the patient hemodynamically stable?",
    "What does the physical examination show?",
    "Are the legs swollen or tender?",
    "What tests were done, and what did they show?",
    "What do the blood tests show?",
)

_CHINESE: tuple[str, ...] = (
    "您今天为什么来看病\uff1f",
    "您现在感觉怎么样\uff1f",
    "这些不适是什么时候开始的\uff0c后来有什么变化\uff1f",
    "能描述一下疼痛的情况吗\uff1f",
    "什么情况下会加重或减轻\uff1f",
    "以前有过类似的情况吗\uff1f",
    "有没有发热、寒战或盗汗\uff1f",
    "体重有没有减轻或增加\uff1f",
    "有没有异常的疲劳或乏力\uff1f",
    "有没有咳嗽或呼吸困难\uff1f",
    "有没有胸痛、心悸或晕厥\uff1f",
    "有没有恶心、呕吐或腹泻\uff1f",
    "大便、小便或痰里有没有带血\uff1f",
    "排尿有没有困难\uff1f",
    "有没有头痛、头晕或视力变化\uff1f",
    "有没有麻木、刺痛或抽搐\uff1f",
    "有没有皮疹或皮肤瘙痒\uff1f",
    "有没有关节疼痛、僵硬或肿胀\uff1f",
    "您的情绪和睡眠怎么样\uff1f",
    "您以前得过哪些病\uff1f",
    "做过手术或住过院吗\uff1f",
    "您在吃什么药\uff1f",
    "到目前为止做过哪些治疗\uff1f",
    "您对什么过敏吗\uff1f",
    "疫苗都按时接种了吗\uff1f",
    "末次月经是什么时候\uff0c怀过孕吗\uff1f",
    "您有性生活吗\uff1f",
    "家里人有什么疾病吗\uff1f",
    "能说说您的生活方式和习惯吗\uff1f",
    "您吸烟或者使用毒品吗\uff1f",
    "您做什么工作\uff0c和谁一起住\uff1f",
    "最近有没有外出旅行\uff0c或接触过病人、动物\uff1f",
    "您多大年纪\uff1f",
    "生命体征怎么样\uff1f",
    "患者血流动力学稳定吗\uff1f",
    "体格检查有什么发现\uff1f",
    "患者的一般情况看起来怎么样\uff1f",
    "心肺检查有什么发现\uff1f",
    "腹部检查有什么发现\uff1f",
    "神经系统检查有什么发现\uff1f",
    "皮肤检查有什么发现\uff1f",
    "头部、眼、耳和咽喉检查有什么发现\uff1f",
    "盆腔或生殖器检查有什么发现\uff1f",
    "四肢和关节检查有什么发现\uff1f",
    "双腿有没有肿胀或压痛\uff1f",
    "做过哪些检查\uff0c结果如何\uff1f",
    "血液检查结果如何\uff1f",
    "血常规结果如何\uff1f",
    "尿常规结果如何\uff1f",
    "影像学检查结果如何\uff1f",
    "心电图结果如何\uff1f",
    "培养或显微镜检查结果如何\uff1f",
    "活检或内镜检查结果如何\uff1f",
)

CATALOGUES: Mapping[Language, tuple[str, ...]] = MappingProxyType({"en": CATALOGUE, "zh": _CHINESE})
"""Language -> the catalogue."""

SCRIPTS: Mapping[Language, tuple[str, ...]] = MappingProxyType(
    {"en": SCRIPT, "zh": tuple(_CHINESE[CATALOGUE.index(question)] for question in SCRIPT)}
)
"""Language -> the script."""
