"""Rules that put a fact into a section of the record, and tell a denied finding from a present one.

Vignettes are written in a small number of ways, so two tables of word patterns go a long way. `_FRAMES` holds phrases that
decide by themselves ("Physical examination shows ...", "Family history ..."); they are tried from top to bottom. Where none
matches, the section whose cue comes first in the fact wins (`_CUES`): "no medical history and takes no medications" is
history, "takes no medications and has no medical history" is medication. An opening that introduces the person ("A 40-year-old
man comes to the physician because of ...") is demographics unless a complaint or an injury follows it. `benchmarks/loading.py`
measures the rules against facts labelled by hand. The Chinese table is small: CMB's facts are short and name what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from promed_env.case import Section, Status

__all__ = ["status_of", "tag_section"]


def _any(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_UNIT = r"(?:mg|g|ng|pg|ug|μg|µg|mcg|mEq|mmol|μmol|µmol|mOsm|U|IU|mU|mIU|μU|µU|pmol|nmol|Osm|units?)\s*/\s*(?:k?g|d?L|mL|l|24)"
_NUMBER_WORD = r"(?:\d+(?:[.,]\d+)?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|several|few|a)"
_SPAN = rf"{_NUMBER_WORD}[\s-]*(?:(?:to|or|and)[\s-]*\d+[\s-]*)?(?:year|month|week|day|hour|minute)s?"
_RELATIVE = (
    r"(?:(?:grand|step|half[\s-])?(?:father|mother|parent|sister|brother)|sibling|twin|uncle|aunt|cousin|nephew|niece)s?"
)
_FINDS = r"(?:show|reveal|demonstrate|disclose|confirm|indicate|detect|identif|find|found|yield|return|report)\w*"

_FRAMES: tuple[tuple[Section, re.Pattern[str]], ...] = (
    (  # A study, a laboratory, a population: no patient's record.
        "other",
        _any(
            r"\b(?:investigators?|researchers?|scientists?|epidemiologists?|participants|subjects|cohort|control group|p[\s-]value)\b",
            r"\b(?:confidence interval|odds ratio|relative risk|prevalence|incidence|standard deviation|clinical trial)\b",
            r"\b(?:sensitivity|specificity|predictive value) (?:of|is|was)|\b(?:the|a|this|new) (?:study|survey|experiment)\b",
            r"\b(?:molecule|mice|mouse|rats?|enzyme [A-Z]|in vitro|experimental)\b",
        ),
    ),
    (
        "family",
        _any(
            r"\bfamily (?:medical )?history\b(?!.*\bpersonal\b)|\bpersonal or family history\b|\bfamily members?\b.*\b(?:with|had|have|similar)\b",
            rf"\b{_RELATIVE} (?:also )?(?:has|had|have|died|dies|suffers?|developed|was diagnosed|were diagnosed|underwent|passed away)\b(?! (?:not )?(?:noticed|noted|brought))",
            rf"\b{_RELATIVE}(?: and \w+)? (?:is|are|was|were) (?:both )?(?:healthy|alive|well|deceased|unaffected|affected|a carrier|carriers)",
            rf"^(?:no|denies any) .*\b{_RELATIVE}\b",
        ),
    ),
    (
        "exam",
        _any(
            r"\b(?:physical|neurolog\w+|cardi\w+|pulmonary|pelvic|abdominal|rectal|skin|ocular|eye|\w*scopic|musculoskeletal|mental status|vaginal|lung|chest|breast|genital|oral|speculum|general|cardiopulmonary|respiratory|bimanual|further|dermatolog\w+|head and neck|neck|knee|testicular|ophthalm\w+|motor|sensory|extremity|back|initial|remainder of the) exam(?:ination)?s?\b",
            r"\bon (?:\w+ )?(?:exam(?:ination)?|auscultation|palpation|inspection)\b",
            rf"\b(?:exam|examination)\b(?! of (?:a |the |her |his )?(?:\w+ )?(?:biops|sputum|csf|cerebro|urine|blood|smear|fluid|tissue|specimen|stool|sample)).{{0,60}}\b(?:{_FINDS}|notable|remarkable|unremarkable|significant|normal|within|positive|negative|is|reveals?)\b",
            r"\b(?:vital signs?|vitals|temperature|blood pressure|pulse(?! of light)|heart rate|respirations?|respiratory rate|respiration rate|oxygen saturation|pulse oximetry|SpO2|body mass index|BMI|apgar|glasgow|GCS|BP|HR|RR)\b(?!.*\bat home\b)",
            r"\b(?:saturating|percentile|febrile to)\b|\b\d/5\b",
            r"\b[A-Z]\w+(?:'s|’s)? (?:sign|maneuver|manoeuvre)\b|\b[A-Z]\w+(?:'s|’s) test\b|\b(?:weber|rinne|romberg|straight[\s-]leg[\s-]raise) test\b",
        ),
    ),
    (  # What is planned, suspected or advised.
        "other",
        _any(
            r"\bphysician (?:\w+ )?(?:suspects?|decides?|recommends?|orders?|considers?|plans?|explains?|advises?|discusses|wants|informs|asks|tells|believes|diagnoses|notices that|counsels|refers|suggests|proposes)\b",
            r"\b(?:is|was|are|being|gets|get) (?:then |subsequently |immediately |promptly )?(?:admitted|referred|instructed|advised|counsel(?:l)?ed|scheduled|told|reassured|intubated|transferred|taken to|sent (?:to|home)|evaluated for|educated|informed|consented|asked to)\b",
            r"\b(?:informed consent|differential|working diagnosis|treatment plan|management plan|is planned|follow[\s-]?up (?:is|was) (?:scheduled|arranged)|wants to know|asks (?:the|her|his|if|whether|about)|opts for|agrees|consents)\b",
        ),
    ),
    (
        "test",
        _any(
            r"\b(?:laborator(?:y|ies)|labs?|lab (?:work|values?|results?)|blood (?:tests?|work|gas|counts?|smear|cultures?|levels?|samples?)|peripheral (?:blood )?smear|metabolic panel|CBC|BMP|CMP|urinalysis|dipstick|toxicology|drug screen|arterial blood)\b",
            r"\b(?:x[\s-]?rays?|radiogra\w+|radiogram|CT|CTA|computed tomography|MRI|MRA|magnetic resonance|ultraso\w+|sonogra\w+|FAST|doppler|echocardiogra\w+|(?:neuro)?imaging|angiogra\w+|arteriogra\w+|venogra\w+|mammogra\w+|DEXA|bone (?:mineral )?densit\w+|scintigra\w+|bone scan|PET)\b",
            r"\b(?:electrocardiogra\w+|ECGs?|EKGs?|telemetry|holter|electroencephalogra\w+|EEG|electromyogra\w+|EMG|nerve conduction|polysomnogra\w+|cardiotocogra\w+|audiometry|urodynamic\w*|QRS|QT|ST[\s-](?:segment|elevation)s?|T[\s-]waves?|P[\s-]waves?|PR interval)\b(?! leads\b)",
            r"\b(?:spirometry|pulmonary function|FEV1?|FVC|DLCO|TLC|peak (?:expiratory )?flow|manometry|stress test\w*|treadmill test)\b",
            r"\b(?:biops\w+|histolog\w+|histopatholog\w+|patholog(?:y|ic) (?:report|exam\w*)|microscop\w+|cytolog\w+|stain(?:s|ing|ed)?|cultures?|agar|aspirate|needle aspiration|autopsy|immunohisto\w+|immunofluor\w+|flow cytometry)\b",
            r"\b(?:colonoscop\w+|\w*endoscop\w+|sigmoidoscop\w+|bronchoscop\w+|cystoscop\w+|colposcop\w+|esophagogastro\w+|EGD|laparoscopy (?:shows|reveals)|barium|swallow study|catheterization)\b",
            r"\b(?:lumbar puncture|cerebrospinal|CSF|thoracentesis|paracentesis|arthrocentesis|amniocentesis|(?:synovial|pleural|joint|ascitic|peritoneal) fluid|sputum (?:analysis|sample|culture|gram))\b",
            r"\b(?:karyotyp\w+|genetic (?:test\w*|analys\w+|sequenc\w+)|PCR|polymerase chain|western blot|ELISA|electrophoresis|coombs|serolog\w+|heterophile|monospot|tuberculin|PPD|interferon[\s-]gamma release|skin prick|pap (?:smear|test)|sweat test|antigen test|VDRL|RPR|rapid \w+ test|pregnancy test|\"?sweat test\"?)\b",
            rf"\b(?:tests?|studies|study|work-?up|evaluation|investigations?|analysis|screening)\b.{{0,40}}\b(?:{_FINDS}|(?:was|were|is|are) (?:performed|positive|negative|normal|within|notable|obtained|pending|drawn|sent|done)|came back|results?)",
            r"\btest results?\b|\bresults of (?:\w+ )*tests?\b|\b(?:tests?|screens?|screening|tested) (?:is |are |was |were )?(?:\w+ )?(?:positive|negative|normal|within)\b",
            rf"^(?:his |her |the |patient's |laboratory )?(?:serum|urine|plasma|fasting|random|hemoglobin|leukocyte|platelet|fingerstick|stool)\b.*(?:\d|:|\b(?:positive|negative|normal|elevated|low|high|within|increased|decreased|guaiac|trace)\b)",
            rf"^[A-Za-z0-9α-ω][\w\s+,()/%'’-]{{0,40}}:\s*(?:[<>]?\s*\d|negative|positive|normal|low|high|trace|none|amber|yellow|within|elevated|\w+\b.{{0,12}}$)",
            rf"{_UNIT}|\d\s*/\s*(?:mm\^?[3³]|mm3|hpf|μL|µL|uL|cu mm)|μm\^?[3³]?|µm|\bfL\b|\d\s*% of (?:the )?(?:leukocytes|cells)|\bmm/h",
            r"\b(?:ha?emoglobin(?! disease)|ha?ematocrit|creatinine|hemoglobin A1c|A1c|HbA1c|bilirubin|aminotransferases?|transaminases?|troponin\w*|ferritin|d-dimer|TSH|thyroid-stimulating|thyroxine|INR|ESR|erythrocyte sedimentation|c-reactive|prothrombin|thromboplastin|osmolality|lipase|amylase|antibod(?:y|ies)|antinuclear|rheumatoid factor|leukocytosis|leukopenia|thrombocytopenia|anion gap|leukocyte esterase|nitrites|viral load|CD4\+?|bleeding time|cholesterol|parathyroid hormone|luteinizing hormone|cortisol|prolactin|alpha-fetoprotein|α-fetoprotein|reticulocytes?|corpuscular|blood (?:sugar|glucose|alcohol|urea|type)|hyper(?:kal|natr|calc)emia|hypo(?:kal|natr|calc)emia|cardiac enzymes|proteinuria|eosinophilia)\b.*\b(?:\d[\d.,]*|levels?|concentrations?|counts?|elevated|increased|decreased|normal|within|positive|negative|present|high|low|undetectable|prolonged|against|detected)\b",
        ),
    ),
    (  # How long it has lasted: a complaint, although the word "history" is used.
        "symptom",
        _any(
            rf"\b{_SPAN}(?:['’]s?)?[\s-]history\b|\bhistory of (?:worsening|progressive\w*|increasing)",
            r"\bchief complaint\b|\bcomplain(?:s|ed|ing)? (?:of|about|that)\b|\bno (?:other )?(?:medical )?complaints\b",
        ),
    ),
    (  # "There is ...": the voice of an examination.
        "exam",
        _any(
            r"^there (?:is|are|was|were) (?!no (?:significant |known |personal |other )*(?:history|change|records?|pain\b|allerg))",
            r"\b(?:is|are|was|were) (?:also )?(?:noted|observed|visible|palpable|palpated|heard|auscultated|appreciated|elicited|felt|seen (?:on|in|over|at))\b(?!.*\b(?:mother|father|parents|wife) (?:has|says))",
            r"\btender(?:ness)?\b|\bnontender\b|\bnon-?distended\b|\brebound\b|\bguarding\b|\bauscultation\b|\bpalpation\b",
        ),
    ),
)

_CUES: Mapping[Section, re.Pattern[str]] = {
    "social": _any(
        r"\b(?:smok\w*|tobacco|cigarettes?|pack[\s-]years?|alcohol\w*|beers?|wine|whiskey|vodka|liquor|drinks?|drank|drinking|illicit|recreational|marijuana|cannabis|cocaine|heroin|injection drug|intravenous drug|IV drug|drug (?:use|abuse)|drugs)\b",
        r"\b(?:sexual(?:ly)? (?:active|partners?|activity|intercourse|relationships?|history)|monogamous|condoms?|barrier protection|unprotected|birth control)\b",
        r"\b(?:lives?|living|resides?) (?:in|with|alone|at|on|near|together)\b|\b(?:works?|worked|working) (?:as|in|at|for|with|on|long|full|part)\b|\b(?:occupation|employed|unemployed|job|retired|married|divorced|widow\w*|separated from|homeless|shelter|prison|incarcerated|military|veteran)\b",
        r"\b(?:diet|vegan|vegetarian|diary|exercis(?:es|ing|e)|jogs?|runs|runner|ran|swims?|hobb\w+|gym|marathon|athlete|football|soccer|basketball|team|plays)\b",
        r"\b(?:travel\w*|trips?|vacation\w*|return(?:ed|ing) (?:\w+ )?from|camping|hik(?:ed|es|ing)|(?:im|e)migrat\w+|moved (?:to|from|here)|abroad|backpacking)\b",
        r"\b(?:day ?care|school(?:teacher)?|student|college|grade|classmates|attends|pets?|cats?|dogs?|puppy|birds?|petting zoo|farm\w*|sick contacts?|exposed to|exposure to|social history|tattoos?|(?:teacher|lawyer|engineer|secretary|nurse|mechanic|construction|landscaper) (?:for|at|by|and|in)|was born in|grew up|eats?|ate|consum(?:es|ed|ing)|caffeine|coffee|stress(?:ful|ors?)? at|insurance|emergency contact|nursing home)\b",
    ),
    "history": _any(
        r"\b(?:history of|diagnosed|diagnosis of|previously|prior (?:to this )?\w*(?:episodes?|surger|admission|hospital|illness|pregnanc)|in the past|as a child|in childhood|since childhood|underwent|undergone|surger(?:y|ies)|surgical|operations?|hospitali[sz]\w+|discharged|appendectomy|cholecystectomy|hysterectomy|splenectomy|transplant\w*)\b",
        r"\b(?:born (?:at|to|via|by|full|with|pre|vaginally)|was born|is born|birth|deliver(?:ed|y|s)|cesarean|gestation\w*|pregnan(?:t|cy|cies)|prenatal|antenatal|breast[\s-]?fe\w+|miscarriages?|abortions?|G\d ?P\d\w*|gravida\w*|nulligravid|menses|menstrua\w+|menarche|menopaus\w+|last period|contraception)\b",
        r"\b(?:allerg(?:y|ies|ic)|milestones?|development(?:al)?|(?:otherwise|generally|previously|been) (?:\w+ )?healthy|is healthy|was healthy|healthy|accident|collision|crash|trauma|fractured?|injur\w+|stabbed|shot|assault\w*|abus(?:e|ed)|suffer(?:s|ed) from|medical (?:condition|problem|illness)|serious illness)\b",
        r"\b(?:has|have|had) (?:a |an )?(?:well-controlled |poorly controlled |uncontrolled |known |long-?standing |chronic |severe |mild |moderate |type |stage |end-stage |essential )*(?:\w+ )?(?:hypertension|diabetes\w*|asthma|hyper\w+ia|hypothyroidism|hyperthyroidism|coronary|copd|chronic obstructive|chronic kidney|hiv|aids|gout|osteo\w+|epilepsy|schizophrenia|bipolar|cirrhosis|hepatitis|atrial fibrillation|heart failure|sickle|cystic fibrosis|lupus|cancer|carcinoma|obesity|eczema|atopic|arthritis|gerd|reflux disease|bpd|adhd|migraines?|[12])\b",
    ),
    "medication": _any(
        r"\b(?:medications?|medicines?|medicated|prescri\w+|antibiotics?|over[\s-]the[\s-]counter|supplements?|(?:multi)?vitamins?|contracepti\w+|pills?|ointment|cream|inhaler|insulin|aspirin|warfarin|acetaminophen|paracetamol|tylenol|ibuprofen|naproxen|NSAIDs?|lithium|digoxin|levothyroxine|steroids?|chemotherapy|radiotherapy|heparin|morphine|opioids?|naloxone|(?:nor)?epinephrine|nitroglycerin|methotrexate|therapy|transfus\w+|drug|dialysis|antacids?|laxatives?|pharmacotherapy|regimen|IV fluids?|intravenous (?:fluids?|saline)|normal saline|home oxygen|treatment|treated|dose)\b",
        r"\b\w{3,}(?:pril|olol|sartan|statin|formin|azole|tidine|cillin|mycin|micin|floxacin|cycline|vir|azepam|azolam|barbital|thiazide|semide|triptyline|oxetine|pramine|zosin|dipine|parin|olone|caine|profen|xaban|gliptin|glitazone|peridol|idone|apine|triptan|mab|tinib|terol|tropium|cept|azine|oxacin|lukast|dronate|setron|prazole)\b",
    ),
    "exam": _any(
        r"\b(?:appears?|appearing|appearance|distress|murmurs?|gallop|rales|crackles|rhonchi|bowel sounds|breath sounds|heart sounds|S[1234]|jugular|JVD|reflex(?:es)?|pupils?|\w*scopy|visual acuity|visual fields?|intraocular|tympanic|conjunctiva\w*|scleral?|mucous membranes|mucus membranes|mucosa\w*|oropharyn\w+|capillary refill|turgor|range of motion|strength|sensation (?:to|in|over|is)|gait|cranial nerves?|lymphaden\w+|hepatomegaly|splenomegaly|hepatosplenomegaly|ascites|pitting|edema|clubbing|cyanosis|cyanotic|pallor|jaundiced|icter\w+|mental status|oriented|alert|affect|thought process|eye contact|diaphoretic|lethargic|obtunded|comatose|unresponsive|agitated|emotionless|nystagmus|cervix|uterus|adnexa\w*|fundal|fontanelle|dysmorphic|weighs|tall|warm|erythematous|indurated|fluctu\w+|tachycardic|tachypneic|hypotensive|afebrile|obese|well-nourished|extremities|abdomen|lungs|heart is|circumference|accessory muscles|follows? commands|responds? to|disrupts)\b",
        r"\b(?:purulent|ecchymos\w+|petechia\w*|papules?|plaques?|macules?|vesicles?|pustules?|nodules?|hypertroph\w+|atroph\w+|telangiectasias?|percussion|low-set|cleft|palate|ptosis|hyperpigment\w+|hypopigment\w+|flattened|slurred|speech is|impaired|memory is|judgment|insight|rigid\w*|spasticity|hypotonia|deformit\w+|contracture|swollen|\d+[\s-]?cm|\d+[\s-]?mm|bilaterally)\b",
        r"^(?:the |his |her |patient's |patient’s |the patient's )?(?:left |right |lower |upper |bilateral )*(?:skin|lungs?|abdomen|heart|neck|head|eyes?|ears?|nose|throat|legs?|arms?|hands?|feet|foot|extremit\w+|wound|scalp|tongue|face|liver|spleen|thyroid|prostate|breasts?|testic?l?es?|testis|scrot\w+|penis|vulva|newborn|infant|heels?|wounds?|lesions?|palms|nails?|joints?|knees?|hips?|shoulders?|muscles?|veins?|gums?|teeth|lips?) (?:is|are|has|have|shows?|appears?)\b",
    ),
    "symptom": _any(
        r"\b(?:pain\w*|\w*aches?|aching|sore(?:ness)?|fevers?|feverish|chills|cough\w*|nause\w+|vomit\w*|diarrhea|constipat\w+|fatigue\w*|tired\w*|weak\w*|dizz\w+|light-?headed\w*|syncop\w+|faint\w*|passed out|short(?:ness)? of breath|dyspnea|breath\w*|palpitations?|swelling|swell|rash|itch\w*|prurit\w*|bleed\w*|nosebleeds?|blood|bloody|bruis\w+|numb\w*|tingl\w+|burning|discharge|dysuria|urinat\w+|urine|incontinen\w+|urgency|hematuria)\b",
        r"\b(?:weight (?:loss|gain)|(?:lost|gained)\b.{0,25}\b(?:kg|lbs?|pounds|weight)|appetite|sleep\w*|slept|insomnia|anxi\w+|depress\w+|mood|memory|confus\w+|forget\w*|remember\w*|hallucinat\w+|voices|delusion\w*|paranoi\w+|seizures?|convuls\w+|tremors?|shak(?:ing|es)|headaches?|vision|visual|hear(?:ing|s)|tinnitus|runny|congest\w+|rhinorrhea|stools?|bowel|swallow\w*|dysphagia|heartburn|bloat\w+|cramp\w*|stiff\w*|angina|malaise|sinusitis|otitis|infections?)\b",
        r"\b(?:symptoms?|complain\w*|report(?:s|ed|ing)?|denie[sd]|den(?:ies|ying)|endorses?|states?|stated|says?|said|admits?|describes?|episodes?|feels?|felt|feeling|sensation|notic\w+|wors\w+|progressive\w*|lumps?|mass|lesions?|ulcer\w*|sweat\w*|hoarse\w*|snor\w+|thirst\w*|cry\w*|cries|irritab\w+|feed(?:ing|s)|behavio\w*|worr\w+|concern\w*|difficult\w*|trouble|unable|cannot|refus\w+|loss of|onset|collapse\w*|fell|fall|falls|walk\w*|limp\w*|stand|moving|avoids?|argu\w+|temper|thoughts|suicid\w+|wakes?|woke|woken)\b",
    ),
    "family": _any(rf"\b(?:maternal|paternal)\b|\b{_RELATIVE}\b(?! (?:says?|said|reports?|states?|notes?|noticed|brought|is concerned|are concerned|describes?|tried|have tried|denies))"),
}

_PERSON = _any(
    rf"^(?:the )?(?:patient|he|she|this|mother)?\s*(?:is |was )?(?:an? )?(?:[\w-]+ ){{0,4}}{_SPAN}[\s-]*old\b",
    r"^(?:the )?(?:patient|he|she) is (?:an? )?(?:\w+[\s-]){0,3}(?:wo)?m[ae]n\b|^(?:the )?(?:patient|he|she) is (?:an? )?(?:fe)?male\b",
    r"^(?:an? )?(?:\w+ ){0,3}(?:newborn|neonate|infant)\b(?= (?:is|presents|boy|girl|male|female)\b)",
    r"^(?:the )?mother is an? ",
)
_VISIT_ONLY = _any(
    r"\b(?:routine|well[\s-](?:child|baby|woman)|health maintenance|annual|wellness|check[\s-]?up|follow[\s-]?up|screening|prenatal (?:visit|appointment|check)|physical exam\w*|regular)\b"
)
_INJURY = _any(
    r"\b(?:injur\w+|accident|collision|crash|trauma|fractured?|fell|falls?|falling|shot|stab\w*|burn\w*|overdose|ingest\w+|struck|hit by|assault\w*|bitten|bite|history of|diagnosed|gives birth|gave birth|delivers|delivered|underwent|surgery|transplant)\b"
)
_REASON = _any(
    r"\b(?:because|due to|complain\w*|complaints?|for (?:the )?(?:evaluation|assessment|treatment|management)|with (?!(?:his|her|their) (?:wife|husband|mother|father|parents?|son|daughter|friend|partner|family)\b)|after|following|reporting|reports|having|has had|has been|found|for (?:a |an )?(?!his|her)\w+)\b"
)
_ESCORT = _any(
    r"^(?:the )?(?:patient|he|she|mother|father|parents)\b.{0,25}\b(?:brought|presents?|comes?|came|arrives?|visits?|seen|accompanied)\b"
)

_CHINESE: tuple[tuple[Section, re.Pattern[str]], ...] = (
    ("family", _any(r"家族史|(?:父|母|兄|弟|姐|妹)亲?(?:患|有|死于)")),
    ("demographics", _any(r"年龄|\d+岁|是(?:男|女)|性别|^(?:患者)?(?:男|女)性?$")),
    ("test", _any(r"血(?:糖|红蛋白|小板|钾|钠|钙|气|常规|清)|白细胞|红细胞|尿(?:糖|蛋白|常规|检)|OGTT|X线|CT|MRI|B超|超声|心电图|活检|培养|化验|检验|阳性|阴性|镜检|造影|mmol|g/L|U/L|×10")),
    ("exam", _any(r"体温|脉搏|血压|呼吸\d|心率|查体|体检|体征|触诊|触及|叩诊|听诊|压痛|反跳痛|杂音|啰音|水肿|肿大|神志|瞳孔|mmHg|次/分|℃")),
    ("social", _any(r"吸烟|饮酒|职业|婚|嗜好|旅行|居住|工作")),
    ("medication", _any(r"服用|口服|用药|药物|注射|静滴|输液|治疗|给予")),
    ("history", _any(r"史|既往|曾|手术|过敏|怀?孕|妊娠|产|月经|停经|绝经|年前|诊断为")),
    ("symptom", _any(r"痛|热|咳|喘|呕|吐|恶心|腹泻|便|乏力|头晕|出血|心悸|气促|气短|呼吸困难|胸闷|痒|肿|麻|瘫|抽搐|昏|消瘦|纳差|食欲|失眠|发作|加重|出现")),
)
_ENGLISH_LETTERS = re.compile(r"[\u4e00-\u9fff]")

_DENIAL = _any(
    r"\b(?:denie[sd]|denying|negative for|free of|absence of|absent|never|none|neither|nor)\b",
    r"\b(?:no|not|without|cannot exclude)\b|n[’']t\b",
    r"\b(?:is|was|were|are|:)\s*(?:also )?negative\b|^[^.]*\bnegative\.?$",
    r"否认|^(?:患者)?(?:无|未|没有)|阴性",
)
_ASSERTED = _any(
    r"\b(?:other than|except|apart from|but|only|not (?:able|feel|sleep|remember|follow|want|like|improve|respond|resolve|well|oriented|up[\s-]to[\s-]date|eat\w*|relie\w+))\b",
    r"\b(?:no longer|no relief|no improvement|no response|no change|can not|cannot|could not|couldn[’']t|unable)\b",
)


def tag_section(text: str) -> Section:
    """The section of the record a fact belongs to; "other" if no rule matches.

    Args:
        text: One atomic fact, English or Chinese, without a number.
    """
    if _ENGLISH_LETTERS.search(text):
        return _first_match(_CHINESE, text)
    person = _PERSON.search(text)
    if person:
        return _opening(text[person.end() :])
    framed = _first_match(_FRAMES, text)
    if framed != "other" or any(rule.search(text) for section, rule in _FRAMES if section == "other"):
        return framed
    if _ESCORT.search(text) and not _REASON.search(text):
        return "other"
    return _earliest_cue(text)


def status_of(text: str) -> Status:
    """Whether a fact affirms a finding ("present") or denies it ("absent"); one that does both counts as present."""
    return "absent" if _DENIAL.search(text) and not _ASSERTED.search(text) else "present"


def _opening(rest: str) -> Section:
    """The section of a fact that introduces the person, by what follows the age."""
    injury, reason = _INJURY.search(rest), _REASON.search(rest)
    if injury:
        return "history"
    if _VISIT_ONLY.search(rest) or not reason:
        return "demographics"
    found = _earliest_cue(rest[reason.start() :])
    return found if found != "other" else "demographics"


def _first_match(rules: Iterable[tuple[Section, re.Pattern[str]]], text: str) -> Section:
    return next((section for section, rule in rules if rule.search(text)), "other")


def _earliest_cue(text: str) -> Section:
    """The section whose first cue comes first; at equal places, the one listed first in `_CUES`."""
    starts: dict[Section, int] = {
        section: found.start() for section, rule in _CUES.items() if (found := rule.search(text))
    }
    return min(starts, key=starts.__getitem__) if starts else "other"
