"""A fixed catalogue of clinical questions: the menu of `MenuActions` on vignettes, and what the scripted doctors ask.

Written for this project from general clinical practice. It is the same for every case, so it gives no case away; its
order is that of a clinical interview. `SCRIPT` names the ten that `scripted` asks: those that bring out most hidden
facts, found by greedy search on one half of real cases (`python benchmarks/core.py recall` searches again and compares
on the other half).
"""

from __future__ import annotations

__all__ = ["CATALOGUE", "SCRIPT"]

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
