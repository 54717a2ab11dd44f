"""Rules that put a fact into a section of the record, and tell a denied finding from a present one.

The rules are a table of word patterns, read from top to bottom: the first that matches decides. They follow the way vignettes
are written ("Physical examination shows ...", "He has a history of ...") and are measured against facts labelled by hand in
`benchmarks/loading.py`. The Chinese table is small: CMB's facts are short and name what they are.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from promed_env.case import Section, Status

__all__ = ["status_of", "tag_section"]


class _Rule(NamedTuple):
    section: Section
    pattern: re.Pattern[str]


def _rule(section: Section, *alternatives: str) -> _Rule:
    return _Rule(section, re.compile("|".join(alternatives), re.IGNORECASE))


_AGE = r"(?:\d+(?:\.\d+)?|one|two|three|four|five|six|seven|eight|nine|ten)[\s-]*(?:to[\s-]\d+[\s-])?(?:year|month|week|day|hour|minute)s?[\s-]*old"
_RELATIVE = (
    r"(?:father|mother|parent|sister|brother|sibling|twin|uncle|aunt|grand(?:father|mother|parent|son|daughter)s?|cousin|"
    r"nephew|niece|daughter|son|relative)s?"
)
_LAB = (
    r"ha?emoglobin|ha?ematocrit|leu[ck]ocyte|platelet|creatinine|sodium|potassium|chloride|bicarbonate|hco3|glucose|"
    r"calcium|phosph(?:orus|ate)|magnesium|albumin|bilirubin|transaminase|aminotransferase|alkaline phosphatase|amylase|"
    r"lipase|troponin|ferritin|transferrin|\bTIBC\b|\bBUN\b|urea nitrogen|\bAST\b|\bALT\b|\bTSH\b|thyroid.stimulating hormone|"
    r"thyroxine|\bT[34]\b|\bINR\b|\bESR\b|sedimentation rate|c-reactive|\bCRP\b|prothrombin|thromboplastin|\bPT\b|\bPTT\b|"
    r"\bWBCs?\b|\bRBCs?\b|white (?:blood )?cell|red (?:blood )?cell|corpuscular|\bMCV\b|reticulocyte|neutrophil|lymphocytes?\b|"
    r"eosinophil|basophil|monocytes?\b|segmented|\bpH\b|pCO2|paO2|pO2|osmolality|cholesterol|triglyceride|\bLDL\b|\bHDL\b|"
    r"haptoglobin|lactate dehydrogenase|\bLDH\b|creatine kinase|\bCK\b|\bHbA1c\b|\bA1c\b|beta-hCG|β-hCG|\bhCG\b|"
    r"alpha-fetoprotein|α-fetoprotein|\bPSA\b|antibod(?:y|ies)|antinuclear|\bANA\b|rheumatoid factor|parathyroid hormone|\bPTH\b|"
    r"cortisol|prolactin|testosterone|estradiol|luteinizing|follicle.stimulating|vitamin \w+ levels?|serum|plasma|\bCD4|viral load|bleeding time|"
    r"fibrin|fibrinogen|d-dimer|natriuretic|\bBNP\b|urobilinogen|nitrites?|leukocyte esterase|casts?\b|specific gravity|ketones|"
    r"ammonia|lactic acid|lactate|immunoglobulin|\bIg[AEGM]\b|\bC[34]\b levels?|complement"
)
_STUDY = (
    r"laborator(?:y|ies)|\blabs?\b|blood test|blood work|blood (?:gas|count|smear|cultures?)|\bsmears?\b|metabolic panel|\bCBC\b|\bBMP\b|urinalysis|urine (?:dipstick|toxicology|culture|drug|"
    r"analysis|test|sample|protein|pregnancy)|dipstick|toxicology|drug screen|pregnancy test|x-?rays?\b|radiograph|roentgen|"
    r"\bCTs?\b|\bCTA\b|computed tomography|\bMRI\b|magnetic resonance|\bMRA\b|ultrasound|ultrasonograph|sonogra|\bFAST\b|"
    r"echocardiogra|electrocardiogra|\bECGs?\b|\bEKGs?\b|electroencephalogra|\bEEG\b|electromyogra|\bEMG\b|nerve conduction|"
    r"spirometry|pulmonary function|\bFEV1?\b|\bFVC\b|\bDLCO\b|peak (?:expiratory )?flow|biops(?:y|ies)|histolog|histopatholog|patholog(?:y|ic) (?:report|exam)|"
    r"microscop|aspirat(?:e|ion) (?:shows?|reveal|biops)|needle aspiration|gram stain|\bstain|cultures?\b|\bgrows?\b.*(?:agar|organism|coccus|coli)|agar|angiogra|"
    r"arteriogra|venogra|colonoscop|endoscop|sigmoidoscop|bronchoscop|cystoscop|esophagogastroduodenoscop|\bEGD\b|laparoscop|barium|swallow study|manometry|lumbar puncture|"
    r"cerebrospinal fluid|\bCSF\b|karyotyp|genetic (?:test|analys|sequenc)|\bPCR\b|polymerase|western blot|\bELISA\b|electrophoresis|"
    r"flow cytometry|immunofluorescence|immunohistochem|antigen test|skin prick|tuberculin|\bPPD\b|mammogra|\bDEXA\b|bone densit|"
    r"bone scan|scintigra|polysomnogra|urodynamic|semen analysis|pap (?:smear|test)|screening test|test results?|imaging|neuroimaging|"
    r"thoracentesis|paracentesis|arthrocentesis|synovial fluid|pleural fluid|autopsy|catheterization shows|audiometry|stress test|cardiac enzymes|coombs|chromosom|Holter|telemetry|cardiotocogra|nonstress test|amniocentesis|quad(?:ruple)? screen"
)
_VITAL = (
    r"temperature|\bpulse\b|heart rate|blood pressure|respiratory rate|respirations|oxygen saturation|\bSpO2\b|\bO2 sat|"
    r"pulse oximetry|saturat(?:ion|ing)|vital signs|\bvitals\b|\bBMI\b|body mass index|\b(?:afebrile|tachycardic|hypotensive|tachypneic)\b|\bpercentiles?\b"
)
_EXAM = (
    r"physical exam|\bexam\b|\bexamination (?:shows?|reveals?|of|is|in|also|demonstrates?|there|findings|confirms?|notes?|results?)|\bon (?:\w+ )*examination|\bexamination\b.{0,40}\b(?:shows?|reveals?|demonstrates?|notable|remarkable|significant|normal|within)|"
    r"auscultation|palpa(?:tion|ble|ted|tes)|percussion|inspection|appears?\b|appearing|in (?:no|mild|moderate|severe|acute|obvious|some|any)? ?(?:acute |apparent |respiratory )?distress|tender\b|"
    r"tenderness|nontender|rebound|guarding|distended|bowel sounds|breath sounds|\bmurmur|gallop|\brales\b|\bcrackles|wheez(?:es|ing) (?:is|are|in|on|over|throughout|bilateral)|rhonchi|"
    r"\bheart sounds|\bS[1234]\b|\bJVD\b|jugular|reflex(?:es)?|\bpupils?\b|fundoscop|funduscop|ophthalmoscop|slit.lamp|visual acuity|\bocular pressure|tympanic|conjunctiva|sclera[el]?\b|"
    r"mucous membranes|mucosae?\b|oropharynx|capillary refill|skin turgor|range of motion|muscle strength|strength (?:is|in|of)|\d/5\b|sensation (?:is|to|in|of|and)|gait|romberg|babinski|cranial nerves|"
    r"lymphadenopathy|hepatomegaly|splenomegaly|hepatosplenomegaly|\bascites|edema|pitting|clubbing|cyanosis|pallor|pale\b|jaundice|apgar|glasgow|\bGCS\b|"
    r"mental status|oriented|alert\b|affect\b|speech is|thought process|eye contact|lungs? (?:are|is)|abdomen (?:is|was|has|appears)|heart (?:is|has) |cardiac exam|\bdiaphoretic|lethargic|obtunded|unresponsive|comatose|"
    r"\bcervi(?:x|cal) (?:is|os|motion)|\buterus|adnexa|fundal height|fontanelle|\bnontender|nystagmus|lesions? (?:is|are)|\brash (?:is|on)|\bsign (?:is|was)|is (?:noted|observed|visible|palpable|present on)|are (?:noted|observed|visible|seen)|dysmorphic|cm (?:in|above|below)|\b(?:weighs|tall\b)|\bweight is|height is|length is|head circumference"
)
_DRUG = (
    r"medications?|\bdrugs?\b(?! (?:use|abuse))|\bpills?\b|prescri|antibiotics?|over.the.counter|supplements?|multivitamins?|vitamins?\b|contracepti|"
    r"\b\w{3,}(?:pril|olol|sartan|statin|formin|azole|prazole|tidine|cillin|mycin|micin|floxacin|cycline|vir\b|azepam|azolam|barbital|thiazide|semide|triptyline|oxetine|traline|pram|zosin|dipine|parin|sone|solone|caine|profen|xaban|gliptin|glitazone|zine|idone|apine|triptan|mab|nib|tinib|terol|tropium)\b|"
    r"insulin|aspirin|warfarin|acetaminophen|paracetamol|naproxen|\bNSAIDs?\b|lithium|digoxin|levothyroxine|albuterol|inhaler|steroids?\b|chemotherapy|radiation therapy|heparin|morphine|opioids?\b|naloxone|epinephrine|nitroglycerin|methotrexate|immunosuppress|"
    r"vaccin\w* given|intravenous|\bIV\b|fluids? (?:are|is|were|was)|resuscitat|\bis (?:given|started on|treated|administered)|\bwas (?:given|started on|treated|administered)|therapy|treated with|treatment with|administered|transfus"
)
_SOCIAL = (
    r"smok|tobacco|cigarette|pack[- ]years?|alcohol|beers?\b|\bwine\b|drinks?\b|illicit|recreational|marijuana|cannabis|cocaine|heroin|"
    r"intravenous drug|IV drug|drug (?:use|abuse)|sexually active|sexual (?:partners?|activity|intercourse|history)|condoms?|barrier protection|\bpartners?\b|lives? (?:in|with|alone|at|on)|\bworks?\b|worked as|"
    r"occupation|employed|job\b|retired|married|divorced|widow|\bdiet\b|vegan|vegetarian|exercis|jogs?\b|travel|trip\b|vacation|returned from|camping|hik(?:ed|es|ing)|immigrat|emigrat|moved (?:to|from)|day ?care|"
    r"school|student|college|pets?\b|\bcats?\b|\bdogs?\b|homeless|shelter|prison|incarcerat|sick contacts|exposed to|exposure to|marathon|athlete|hobb|attends|social history|"
    r"born in|raised in|from (?:mexico|india|china|africa)|eats\b|consum(?:es|ed|ption)|lawyer|teacher|farmer|engineer"
)
_HISTORY = (
    r"histor(?:y|ies)|diagnosed|diagnosis of|previous(?:ly)?|\bprior\b|underwent|surger(?:y|ies)|surgical|operation|hospitali[sz]|immuni[sz]|vaccin|born (?:at|to|via|by|full|with|pre)|was born|delivered|delivery|gestation|pregnan(?:t|cy|cies)|"
    r"\bG\d ?P\d|gravida|\bmenses\b|menstrua|menarche|menopaus|last (?:menstrual|pap)|allerg(?:y|ies|ic to)|milestones|developmental|otherwise healthy|\bhealthy\b|years? ago|months? ago|accident|fracture|injur|collision|\bknown\b|"
    r"\bhas (?:hypertension|diabetes|type|asthma|hyper\w+|hypo\w+|coronary|chronic|copd|hiv|gout|osteo\w+|epilepsy|depression|schizophrenia)|medical (?:condition|illness|problem)|comorbid"
)
_SYMPTOM = (
    r"\bpains?\b|painful|ache|fever|chills|cough|nausea|vomit|diarrhea|constipat|fatigue|weak(?:ness)?|dizz|light-?headed|syncope|faint|shortness of breath|dyspnea|breath|palpitation|swell|rash|itch|prurit|bleed|"
    r"blood|bruis|numb|tingl|burning|discharge|dysuria|urinat|incontinen|frequency|urgency|hematuria|weight (?:loss|gain)|lost .*(?:kg|lb|pounds)|appetite|sleep|insomnia|anxi|depress|mood|memory|confus|forget|hallucinat|"
    r"voices|seizure|convuls|tremor|headache|vision|visual|hearing|tinnitus|sore throat|runny|congest|stool|bowel|swallow|dysphagia|heartburn|bloating|cramp|stiff|symptoms?|complain|reports?|denies|episodes?|feels?|feeling|"
    r"notic|worse|progressive|lump|mass\b|lesion|ulcer|sweat|hoarse|snor|thirst|cry|irritab|feeding|behavio|worri|concern|difficulty|trouble|unable|loss of"
)

_RULES: tuple[_Rule, ...] = (
    _rule("test", _STUDY),
    _rule("exam", _VITAL),
    _rule("test", rf"(?:{_LAB}).*\d", rf"(?:{_LAB}).*(?:elevated|decreased|increased|normal|negative|positive|within|low|high)"),
    _rule("family", r"family history", rf"\b{_RELATIVE} (?:has|had|have|died|was|were|is|are|suffers?)\b"),
    _rule("exam", _EXAM),
    _rule("medication", _DRUG),
    _rule("social", _SOCIAL),
    _rule("history", _HISTORY),
    _rule("symptom", _SYMPTOM),
    _rule("demographics", _AGE),
)


def tag_section(text: str) -> Section:
    """The section of the record a fact belongs to; "other" if no rule matches."""
    for rule in _RULES:
        if rule.pattern.search(text):
            return rule.section
    return "other"


def status_of(text: str) -> Status:
    """Whether a fact affirms a finding or denies it."""
    return "absent" if re.search(r"\b(?:denies|no|not|without)\b", text) else "present"
