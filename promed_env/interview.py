"""A fixed catalogue of clinical questions: the menu of `MenuActions` on vignettes, and what the scripted doctors ask.

Written for this project from general clinical practice. It is the same for every case, so it gives no case away. The
order is that of a clinical interview; `SCRIPT` names the ten that `scripted` asks.
"""

from __future__ import annotations

__all__ = ["CATALOGUE", "SCRIPT"]

CATALOGUE: tuple[str, ...] = (
    "What made you come in today?",
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
    "Do you have any medical conditions?",
    "Have you had any surgery or hospital stays?",
    "What medications do you take?",
    "Do you have any allergies?",
    "Are your vaccinations up to date?",
    "When was your last menstrual period, and have you been pregnant?",
    "Are you sexually active?",
    "Does any disease run in your family?",
    "Do you smoke, drink alcohol or use drugs?",
    "What is your occupation, and who lives with you?",
    "Have you traveled recently or been near sick people or animals?",
    "How old are you?",
    "What are the vital signs?",
    "How does the patient look on general examination?",
    "What does examination of the heart and lungs show?",
    "What does examination of the abdomen show?",
    "What does the neurological examination show?",
    "What does examination of the skin show?",
    "What does examination of the head, eyes, ears and throat show?",
    "What does the pelvic or genital examination show?",
    "What does examination of the limbs and joints show?",
    "What are the results of the blood tests?",
    "What does the complete blood count show?",
    "What does the urinalysis show?",
    "What does the imaging show?",
    "What does the electrocardiogram show?",
    "What do the cultures or the microscopy show?",
    "What does the biopsy or the endoscopy show?",
)

SCRIPT: tuple[str, ...] = CATALOGUE[:10]
