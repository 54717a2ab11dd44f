"""Rules that put a fact into a section of the record, and tell a denied finding from a present one.

Vignettes are written in a small number of ways, so two tables of phrases go a long way. `_FRAMES` holds phrases that
decide by themselves ("Physical examination shows ...", "Family history ..."); they are tried from top to bottom. Where
none matches, the section whose cue comes first in the fact wins (`_CUES`): "no medical history and takes no
medications" is history, "takes no medications and has no medical history" is medication; weaker cues (`_WEAK_CUES`)
count only where there is no other. An opening that introduces the person is demographics unless a complaint or an
injury follows. `benchmarks/loading.py` measures the rules on facts labelled by hand. The Chinese table is small: CMB's
facts are short and name what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from promed_env.case import Section, Status
from promed_env.datasets import chinese_terms as zh

__all__ = ["status_of", "tag_section"]


def _phrases(phrases: str) -> str:
    """A pattern for any of the phrases, which blanks separate: "_" is a blank or hyphen, "*" any ending of the word."""
    alternatives = (re.escape(phrase).replace("_", r"[\s-]+").replace(r"\*", r"\w*") for phrase in phrases.split())
    return rf"\b(?:{'|'.join(alternatives)})\b"


def _any(*patterns: str) -> re.Pattern[str]:
    """A pattern for any of the patterns, in lower case, for texts in lower case: twice as fast as ignoring the case."""
    return re.compile(
        _UPPER.sub(lambda found: found[0] if found[0][0] == "\\" else found[0].lower(), "|".join(patterns))
    )


_UPPER = re.compile(r"\\.|[A-Z]")  # "\S" is not "\s"
_NUMBER = r"(?:\d+(?:[.,]\d+)?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|several|few|a)"
_SPAN = rf"{_NUMBER}[\s-]*(?:(?:to|or|and)[\s-]*\d+[\s-]*)?(?:year|month|week|day|hour|minute)s?"
_RELATIVE = (
    r"(?:(?:grand|step|half[\s-])?(?:father|mother|parent|sister|brother)|sibling|twin|uncle|aunt|cousin|niece)s?"
)
_FINDS = r"(?:show|reveal|demonstrate|disclose|confirm|indicate|detect|identif|find|found|yield|return|report)\w*"
_UNIT = (
    r"(?:[mnpuμµ]?g|mcg|mEq|[mμµnp]mol|mOsm|Osm|[mμµ]?I?U|units?)\s*/\s*(?:k?g|d?L|mL|24)"
    r"|\d\s*/\s*(?:mm\^?[3³]|hpf|[μµu]L|cu mm)|[μµ]m\^?[3³]?|\bfL\b|\bmm/h"
)
_OUTCOME = (
    r"(?:\d[\d.,]*|levels?|concentrations?|counts?|elevated|increased|decreased|normal|within|positive|negative|"
    r"present|"
    r"high|low|undetectable|prolonged|against|detected)\b"
)

_COMPLAINT = _any(
    rf"\b{_SPAN}(?:['\u2019]s?)?[\s-]history\b|\bhistory of (?:worsening|progressive\w*|increasing)\b",
    r"\bchief complaint\b|\breview of systems\b|-long history\b|\bcomplain(?:s|ed|ing)? (?:of|about|that)\b",
    r"\bno (?:other )?(?:medical )?complaints\b",
)

_FRAMES: tuple[tuple[Section, re.Pattern[str]], ...] = (
    (  # A study, a population, a laboratory: nobody's record.
        "other",
        _any(
            _phrases(
                "investigator* researcher* scientist* epidemiologist* participants subjects cohort control_group "
                "p_value confidence_interval odds_ratio relative_risk prevalence incidence standard_deviation "
                "clinical_trial molecule* mice mouse rats in_vitro experiment*"
            ),
            r"\b(?:sensitivity|specificity|predictive value) (?:of|is|was)|\b(?:the|a|this|new) (?:study|survey)\b",
        ),
    ),
    (
        "family",
        _any(
            r"\bfamily (?:medical )?history\b|\bfamily members?\b.*\b(?:with|had|have|similar)\b",
            rf"\b{_RELATIVE} (?:also |both )?(?:has|had|have|died|dies|suffers?|developed|underwent|passed away|"
            r"(?:was|were) diagnosed)\b(?! (?:not )?(?:noticed|noted|brought|tried))",
            rf"\b{_RELATIVE}(?: and \w+)? (?:is|are|was|were) (?:both )?"
            r"(?:healthy|alive|well|deceased|unaffected|affected|a carrier|carriers)\b",
            rf"^(?:no|denies any) .*\b{_RELATIVE}\b",
        ),
    ),
    (  # An examination of something that was taken from the patient.
        "test",
        _any(r"\b(?:histo\w+|microscopic|patholog\w+|cytolog\w+|gross|post-?mortem) exam\w*"),
    ),
    (
        "exam",
        _any(
            r"\b(?:physical|neuro\w+|cardi\w+|pulmonary|pelvic|abdominal|rectal|skin|ocular|eye|\w*scopic|"
            r"musculoskeletal|"
            r"mental status|vaginal|lung|chest|breast|genital|oral|speculum|general|respiratory|bimanual|further|"
            r"dermat\w+|"
            r"neck|knee|testicular|ophthalm\w+|motor|sensory|extremity|back|initial|of the) exam(?:ination)?s?\b",
            r"\bon (?:\w+ )?(?:exam(?:ination)?|auscultation|palpation|inspection)\b",
            r"\bexam(?:ination)?\b(?! of (?:a |the |her |his )?(?:\w+ )?(?:biops|sputum|csf|cerebro|urine|blood|"
            r"smear|fluid|"
            rf"tissue|specimen|stool|sample)).{{0,60}}\b(?:{_FINDS}|notable|(?:un)?remarkable|significant|normal|"
            rf"within|"
            r"positive|negative|is)\b",
            _phrases(
                "vital_sign* vitals temperature blood_pressure pulse heart_rate respirations respiratory_rate BP HR "
                "RR respiration_rate oxygen_saturation pulse_oximetry SpO2 body_mass_index BMI apgar glasgow GCS "
                "saturating percentile percentiles"
            )
            + r"(?!.*\bat home\b)|\b\d/5\b",
            r"\b[A-Z]\w+(?:['\u2019]s)? (?:sign|maneuver|manoeuvre)\b|\b[A-Z]\w+['\u2019]s test\b",
            r"\b(?:weber|rinne|romberg|straight[\s-]leg[\s-]raise) test\b",
        ),
    ),
    (  # What is planned, suspected or advised.
        "other",
        _any(
            r"\b(?:physician|doctor|surgeon|pediatrician|obstetrician|psychiatrist|internist|oncologist|team|you) "
            r"(?:\w+ )?(?:suspects?|decides?|recommends?|orders?|considers?|plans?|explains?|advises?|"
            r"discusses|"
            r"wants|informs|asks|tells|believes|diagnoses|counsels|refers|suggests|proposes)\b",
            r"\b(?:is|was|are|being|gets) (?:\w+ly )?(?:admitted|referred|instructed|advised|counsell?ed|scheduled|"
            r"told|"
            r"reassured|intubated|transferred|taken to|sent (?:to|home)|educated|informed|"
            r"asked to)\b(?!.*\b(?:show|reveal|demonstrate)\w*)",
            r"\b(?:informed consent|working diagnosis|\w+ plan (?:is|includes)|is planned|opts for|agrees|"
            r"consents|wants to know|asks (?:the|her|his|if|whether|about))\b",
        ),
    ),
    (
        "test",
        _any(
            _phrases(
                "laborator* lab labs blood_test* blood_work blood_gas* blood_count* peripheral_smear blood_smear "
                "blood_culture* blood_level* blood_sample* metabolic_panel CBC BMP CMP urinalysis dipstick toxicology "
                "drug_screen x_ray* xray* radiogra* computed_tomography CT CTA MRI MRA PET magnetic_resonance "
                "ultraso* sonogra* FAST doppler echocardiogra* imaging neuroimaging angiogra* arteriogra* venogra* "
                "mammogra* DEXA bone_densit* bone_mineral_densit* scintigra* bone_scan spirometry pulmonary_function "
                "FEV1 FEV FVC DLCO TLC peak_flow peak_expiratory_flow manometry stress_test* electroencephalogra* EEG "
                "electromyogra* EMG nerve_conduction polysomnogra* cardiotocogra* audiometry urodynamic* "
                "electrocardiogra* telemetry holter QRS PR_interval biops* histolog* histopatholog* pathology_report "
                "microscop* cytolog* stain stains stained staining culture cultures agar aspirate needle_aspiration "
                "autopsy immunohisto* immunofluor* flow_cytometry colonoscop* endoscop* sigmoidoscop* bronchoscop* "
                "cystoscop* colposcop* esophagogastro* EGD barium swallow_study catheterization lumbar_puncture "
                "cerebrospinal CSF thoracentesis paracentesis arthrocentesis amniocentesis synovial_fluid "
                "pleural_fluid joint_fluid ascitic_fluid peritoneal_fluid karyotyp* genetic_test* genetic_analys* "
                "genetic_sequenc* PCR polymerase_chain western_blot ELISA electrophoresis coombs serolog* heterophile "
                "monospot tuberculin PPD skin_prick pap_smear pap_test sweat_test antigen_test VDRL RPR "
                "pregnancy_test ejection_fraction occult_blood stool_sample glomerular_filtration WBC RBC PFTs swab "
                "pCO2 PaO2 IgE IgA IgG IgM immunoglobulin_level* "
                "transferrin agglutinin* test_result*"
            ),
            r"\b(?:ECGs?|EKGs?)\b(?! leads)|\b(?:ST|T|P)[\s-](?:segments?|elevations?|waves?)\b|\bQT\b",
            rf"\b(?:tests?|studies|study|work-?up|evaluation|investigations?|analysis|"
            rf"screening)\b.{{0,40}}\b(?:{_FINDS}|"
            r"(?:was|were|is|are) (?:performed|positive|negative|normal|within|notable|obtained|pending|drawn|sent|"
            r"done)|"
            r"came back|results?)",
            r"\b(?:tests?|tested|screens?|screening) (?:(?:is|are|was|were) )?(?:\w+ )?(?:positive|negative|normal|"
            r"within)\b",
            r"^(?:his |her |the |patient's |laboratory )?(?:serum|urine|plasma|fasting|random|hemoglobin|leukocyte|"
            r"platelet|"
            r"fingerstick|stool)\b.*(?:\d|:|\b(?:positive|negative|normal|elevated|low|high|within|increased|decreased|"
            r"guaiac|trace)\b)",
            r"^[A-Za-z0-9\u03b1-ω][\w\s+,()/%'\u2019-]{0,40}:\s*(?:[<>]?\s*\d|negative|positive|normal|low|high|"
            r"trace|none|within|"
            r"elevated|\w+\b.{0,12}$)",
            _UNIT,
            r"\d\s*% of (?:the )?(?:leukocytes|cells)",
            _phrases(
                "hemoglobin haemoglobin hematocrit haematocrit creatinine A1c HbA1c bilirubin aminotransferase* "
                "transaminase* troponin* ferritin d_dimer TSH thyroid_stimulating thyroxine INR ESR "
                "sedimentation_rate c_reactive prothrombin thromboplastin osmolality lipase amylase antibody "
                "antibodies antinuclear rheumatoid_factor leukocytosis leukopenia thrombocytopenia anion_gap pH "
                "leukocyte_esterase nitrites viral_load CD4 bleeding_time cholesterol parathyroid_hormone "
                "luteinizing_hormone cortisol prolactin alpha_fetoprotein \u03b1_fetoprotein reticulocyte* "
                "corpuscular blood_sugar blood_glucose blood_alcohol blood_urea blood_type cardiac_enzymes "
                "proteinuria eosinophilia hyperkalemia hypokalemia hypernatremia hyponatremia hypercalcemia "
                "hypocalcemia"
            )
            + rf".*\b{_OUTCOME}",
        ),
    ),
    (  # How long it has lasted: a complaint, although the word "history" is used.
        "symptom",
        _COMPLAINT,
    ),
    (  # "There is ...": the voice of an examination.
        "exam",
        _any(
            r"^there (?:is|are|was|were) (?!no (?:\w+ )?(?:history|change|records?|pain\b|allerg|trauma|medication))",
            r"\b(?:is|are|was|were) (?:also )?(?:noted|observed|visible|palpable|palpated|heard|auscultated|"
            r"appreciated|elicited|felt|seen (?:on|in|over|at))\b",
            _phrases(
                "tender tenderness nontender non_tender nondistended non_distended rebound guarding auscultation "
                "palpation"
            ),
        ),
    ),
)

_CUES: Mapping[Section, re.Pattern[str]] = {
    "social": _any(
        _phrases(
            "smok* tobacco cigarette* pack_year* alcohol* beer beers wine whiskey vodka liquor drink drinks drank "
            "drinking illicit recreational marijuana cannabis cocaine heroin intravenous_drug IV_drug injection_drug "
            "drug_use drug_abuse drugs sexually_active sexual_activity sexual_partner* sexual_intercourse "
            "sexual_relationship* monogamous condom* barrier_protection unprotected occupation employed unemployed "
            "job retired married divorced widow* homeless shelter prison incarcerated military veteran diet vegan "
            "vegetarian diary exercises exercising exercise jogs runs runner ran swims hobb* gym marathon athlete "
            "football soccer basketball team travel* trip trips vacation* camping hiked hikes hiking immigra* emigra* "
            "moved_to moved_from abroad backpacking daycare day_care school* student college classmates attends pet "
            "pets cat cats dog dogs puppy birds petting_zoo farm* sick_contact* exposed_to exposure_to social_history "
            "tattoo* grew_up eats ate consumes consumed consuming caffeine coffee insurance emergency_contact "
            "nursing_home lawyer engineer secretary mechanic landscaper teacher refugee"
        ),
        r"(?<!low)(?<!high)[\s-]grades?\b(?! fever)|\breturn(?:ed|ing) (?:\w+ )?from\b|\bwas born in\b",
        r"\b(?:lives?|living|resides?) (?:in|with|alone|at|on|near|together)\b",
        r"\b(?:works?|worked|working) (?:as|in|at|for|with|on|long|full|part)\b",
    ),
    "history": _any(
        _phrases(
            "history diagnosed diagnosis_of previously in_the_past twice_before as_a_child in_childhood "
            "since_childhood underwent undergone surgery surgeries surgical operation* hospitali* discharged "
            "appendectomy cholecystectomy hysterectomy splenectomy transplant* immunization* vaccin* born_at born_to "
            "born_via born_by was_born is_born birth delivered delivery delivers cesarean gestation* pregnan* "
            "prenatal_visit* prenatal_care antenatal breastfe* miscarriage* abortion* gravida* primigravid* "
            "nulligravid menses menstrua* menarche menopaus* last_period allergy allergies allergic milestone* "
            "developmental healthy accident collision crash trauma fracture fractured injury injuries injured stabbed "
            "shot assault* abuse abused medical_condition* medical_problem* medical_illness* serious_illness "
            "carcinoma cancer leukemia lymphoma"
        ),
        _phrases("struck broken sustained unvaccinated booster hypertensive diabetic disease syndrome disorder"),
        r"\b(?!diagnosis|cyanosis|coma|ecchymosis|sinusitis|otitis)\w+(?:itis|osis|opathy|emia|oma)\b",
        rf"^{_NUMBER}[\s-](?:weeks?|months?|years?) (?:ago|earlier|prior)\b(?!.*\b(?:notic|beg[au]n|start|develop)\w*)",
        r"\bG\d ?P\d\w*|\bprior (?:\w+ )?(?:episodes?|surger\w+|admission|illness|pregnanc\w+)",
        r"\b(?:has|have|had) (?:an? )?(?:(?:\w+[\s-])?controlled |known |long-?standing |chronic |severe |mild |"
        r"type |stage |"
        r"essential )*(?:\w+ )?(?:hypertension|diabetes\w*|asthma|hyper\w+ia|hyp(?:o|er)thyroidism|coronary|copd|"
        r"chronic|hiv|"
        r"aids|gout|osteo\w+|epilepsy|schizophrenia|bipolar|cirrhosis|hepatitis|atrial fibrillation|heart failure|"
        r"sickle|"
        r"cystic fibrosis|lupus|obesity|eczema|atopic|arthritis|gerd|gastroesophageal|adhd|migraines?)\b",
    ),
    "medication": _any(
        _phrases(
            "medication* medicine* medicated prescri* antibiotic* over_the_counter supplement* multivitamin* vitamin* "
            "contracepti* pill pills ointment cream inhaler insulin aspirin warfarin acetaminophen paracetamol "
            "tylenol ibuprofen naproxen NSAID* lithium digoxin levothyroxine steroid* chemotherapy radiotherapy "
            "heparin morphine opioid* naloxone epinephrine norepinephrine nitroglycerin methotrexate therapy "
            "transfus* drug dialysis antacid* laxative* pharmacotherapy regimen IV_fluid* intravenous_fluid* "
            "intravenous_saline normal_saline home_oxygen treatment treated dose administered resuscitat*"
        ),
        r"\b\w{3,}(?:pril|olol|sartan|statin|formin|azole|tidine|cillin|mycin|micin|floxacin|cycline|vir|azepam|"
        r"azolam|barbital|"
        r"thiazide|semide|triptyline|oxetine|pramine|zosin|dipine|parin|olone|caine|profen|xaban|gliptin|glitazone|"
        r"peridol|"
        r"idone|apine|triptan|mab|tinib|terol|tropium|cept|azine|lukast|dronate|setron|prazole)\b",
        r"\b(?:is|was|were|been|are|being|and) (?:given|started on|placed on|put on)\b",
    ),
    "exam": _any(
        _phrases(
            "appears appear appearing appearance distress murmur* gallop rales crackles rhonchi bowel_sounds "
            "breath_sounds heart_sounds jugular JVD reflex reflexes pupil pupils fundoscop* ophthalmoscop* otoscop* "
            "visual_acuity visual_field* intraocular tympanic conjunctiva* sclera scleral mucous_membranes "
            "mucus_membranes mucosa* oropharyn* capillary_refill turgor range_of_motion strength sensation_to "
            "sensation_in sensation_over gait cranial_nerve* lymphaden* hepatomegaly splenomegaly hepatosplenomegaly "
            "ascites pitting edema clubbing cyanosis cyanotic pallor jaundiced icter* mental_status oriented alert "
            "affect thought_process eye_contact diaphoretic lethargic obtunded comatose unresponsive agitated "
            "emotionless nystagmus cervix uterus adnexa* fundal fontanelle dysmorphic weighs tall warm erythematous "
            "indurated fluctu* tachycardic tachypneic hypotensive afebrile obese well_nourished extremities abdomen "
            "lungs circumference accessory_muscles nasal_flaring retractions crepitus purulent ecchymos* petechia* "
            "papule* plaque* macule* vesicle* pustule* nodule* hypertroph* atroph* telangiectasia* percussion low_set "
            "cleft palate ptosis hyperpigment* hypopigment* flattened slurred speech_is impaired memory_is judgment "
            "insight rigid* spasticity hypotonia deformit* contracture swollen bilaterally disrupts follows_commands "
            "responds_to"
        ),
        r"\b\d+(?:\.\d+)?[\s-]?[cm]m\b",
        r"^(?:the |his |her |(?:the )?patient['\u2019]s )?(?:left |right |lower |upper |bilateral )*(?:skin|lungs?|"
        r"abdomen|heart|neck|"
        r"head|eyes?|ears?|nose|throat|legs?|arms?|hands?|feet|foot|extremit\w+|wounds?|scalp|tongue|face|liver|"
        r"spleen|thyroid|"
        r"prostate|breasts?|test[ei]\w+|scrot\w+|penis|vulva|newborn|infant|heels?|lesions?|palms|nails?|joints?|"
        r"knees?|hips?|"
        r"shoulders?|muscles?|veins?|gums?|teeth|lips?) (?:is|are|has|have|shows?|appears?)\b",
    ),
    "symptom": _any(
        _phrases(
            "pain* ache aches aching *ache sore* fever* feverish chills cough* nause* vomit* diarrhea constipat* "
            "fatigue* tired* weak* dizz* lightheaded* light_headed* syncop* faint* passed_out short_of_breath "
            "shortness_of_breath dyspnea breath* palpitation* swelling swell puffy rash itch* prurit* bleed* "
            "nosebleed* blood bloody bruis* numb* tingl* burning discharge dysuria urinat* urine incontinen* urgency "
            "hematuria weight_loss weight_gain appetite sleep* slept insomnia anxi* depress* mood memory confus* "
            "forget* hallucinat* voices delusion* paranoi* seizure* convuls* tremor* shaking headache* vision hearing "
            "tinnitus runny congest* rhinorrhea stool* bowel swallow* dysphagia heartburn bloat* cramp* stiff* angina "
            "malaise wheezing sinusitis otitis infection* symptom* wors* progressive* lump lumps lesion* ulcer* "
            "sweat* hoarse* snor* thirst* cries crying irritab* feeding behavior* difficult* trouble unable loss_of "
            "onset collapse* fell limp* temper suicid* wakes woke joint_stiff*"
        ),
        r"\b\w+aches?\b|\b(?:lost|gained)\b.{0,25}\b(?:kg|lbs?|pounds|weight)\b",
    ),
}

_WEAK_CUES: Mapping[Section, re.Pattern[str]] = {
    "symptom": _any(
        _phrases(
            "complain* report reports reported denies denied endorses states stated says said admits describes "
            "episode* feels felt feeling notice* worr* concern* cannot refuses refused insults avoids argues walk* "
            "stand remember* thoughts presents_with hemoptysis epistaxis clums* consciousness falls balance "
            "for_the_past over_the_past over_the_last lately"
        )
    ),
    "exam": _any(
        _phrases(
            "pulses palpable gland glands skin scalp scrotal testis testes ovaries iris retina* cornea* eyelid* "
            "dorsal ventral lateral medial enlarged thickened discharging draining pinprick tuning_fork weight_is "
            "height_is cephalic auricle dilated distended rotated symmetric moist clammy discoloration mobility signs "
            "veins paralysis complexion absent nasal_drip crusting fissures palms nevi sunken dehydrated cooperative "
            "follow"
        )
    ),
    "test": _any(
        _phrases("reference_value reference_range ref normal_range aspiration crystals wedge_pressure level_is")
    ),
    "medication": _any(_phrases("takes taking took gave")),
    "history": _any(
        _phrases("atherosclerosis resected resection colectomy para GP* at_the_age_of until_age illness neck_control")
    ),
    "family": _any(rf"\b(?:maternal|paternal|{_RELATIVE})\b(?! (?:says?|reports?|states?|brought))"),
}

_PERSON = _any(
    rf"^(?:the )?(?:patient|he|she|this|mother)?\s*(?:is |was )?(?:an? )?(?:[\w-]+ ){{0,4}}{_SPAN}[\s-]*old\b",
    r"^(?:the )?(?:patient|he|she) is (?:an? )?(?:\w+[\s-]){0,3}(?:(?:wo)?m[ae]n|(?:fe)?male)\b",
    r"^(?:an? )?(?:\w+ ){0,3}(?:newborn|neonate|infant)\b(?= (?:is|presents|boy|girl|male|female)\b)",
)
_ROUTINE_VISIT = _any(
    _phrases(
        "routine well_child well_baby well_woman health_maintenance annual wellness check_up checkup follow_up "
        "screening"
    ),
    _phrases("prenatal_visit prenatal_appointment physical_exam* regular"),
)
_EVENT = _any(
    _phrases(
        "injur* accident collision crash trauma fracture fractured fell falls fall falling shot stab* burn burns "
        "burned overdose ingest* struck hit_by assault* bitten bite history_of diagnosed gives_birth gave_birth "
        "delivers delivered underwent surgery transplant*"
    )
)
_REASON = _any(
    r"\b(?:because|due to|complain\w*|for|after|following|reporting|reports|having|has|had|found)\b",
    r"\bwith (?!(?:his|her|their|an?) (?:wife|husband|mother|father|parents?|son|daughter|friend|partner|family)\b)",
)
_PERSON_DOES = _any(  # What is left over is most often how somebody feels or behaves, unless it was done to them.
    r"^(?:his|her|(?:the )?(?:patient|he|she|man|woman|boy|girl|infant|child))\b"
    r"(?!['\u2019]s\b)(?! (?:is|was|were) (?:\w+ly )?\w+ed\b)"
)
_ESCORT = _any(
    r"^(?:the )?(?:patient|he|she|mother|father|parents|boy|girl|infant|child|man|woman)\b.{0,25}\b"
    r"(?:brought|presents?|comes?|came|arrives?|visits?|seen|accompanied)\b"
)

_CHINESE: tuple[tuple[Section, re.Pattern[str]], ...] = (
    ("family", _any("家族史|(?:父|母|兄|弟|姐|妹)亲?(?:患|有|死于)")),
    ("demographics", _any(r"年龄|\d+岁|是(?:男|女)|性别|^(?:患者)?(?:男|女)性?$")),
    (
        "test",
        _any(
            "血(?:糖|红蛋白|小板|钾|钠|钙|气|常规|清)|白细胞|红细胞|尿(?:糖|蛋白|常规|检)|OGTT|X线|CT|MRI|B超|超声|心电图|活检|培养|"
            "化验|检验|阳性|阴性|镜检|造影|mmol|g/L|U/L|\u00d710"
        ),
    ),
    (
        "exam",
        _any(
            r"体温|脉搏|血压|呼吸\d|心率|查体|体检|体征|触诊|触及|叩诊|听诊|压痛|反跳痛|杂音|啰音|水肿|肿大|神志|瞳孔|mmHg|次/分|℃"
        ),
    ),
    ("social", _any("吸烟|饮酒|职业|婚|嗜好|旅行|居住|工作")),
    ("medication", _any("服用|口服|用药|药物|注射|静滴|输液|治疗|给予")),
    ("history", _any("史|既往|曾|手术|过敏|怀?孕|妊娠|产|月经|停经|绝经|年前|诊断为")),
    (
        "symptom",
        _any(
            "痛|热|咳|喘|呕|吐|恶心|腹泻|便|乏力|头晕|出血|心悸|气促|气短|呼吸困难|胸闷|痒|肿|麻|瘫|抽搐|昏|消瘦|纳差|食欲|失眠|"
            "发作|加重|出现"
        ),
    ),
)
_CHINESE_CHARACTER = re.compile(r"[\u4e00-\u9fff]")

_DENIED = _any(
    _phrases("denies denied denying negative_for free_of absence_of absent never none neither nor no not"),
    r"\b(?:is|are|was|has been) without\b|(?<!gram[\s-])\bnegative (?!rods|bact|bacilli|cocc|organism|pressure)",
    r"n['\u2019]t\b|(?:\b(?:is|was|were|are)|:)\s*(?:also )?negative\b|\bnegative\.?$",
)
_ASSERTED = _any(  # A denial in form only, or one beside an assertion.
    _phrases(
        "than_not other_than except apart_from but only no_longer no_relief no_improvement no_response can_not cannot "
        "could_not unable not_able not_feel not_sleep not_remember not_follow not_want not_like not_improve* "
        "not_respond* not_resolve* not_well not_oriented not_up_to_date not_relie*"
    )
    + r"|\bcouldn['\u2019]t\b"
)


def tag_section(text: str) -> Section:
    """The section of the record a fact belongs to; "other" if no rule matches.

    Args:
        text: One atomic fact, English or Chinese, without a number.
    """
    text = text.lower()
    if _CHINESE_CHARACTER.search(text):
        return _first_match(_CHINESE, text) or "other"
    if person := _PERSON.search(text):
        return _opening(text[person.end() :])
    if framed := _first_match(_FRAMES, text):
        return framed
    if _ESCORT.search(text) and not _REASON.search(text):
        return "other"
    found = _earliest(_CUES, text) or _earliest(_WEAK_CUES, text)
    return found or ("symptom" if _PERSON_DOES.search(text) else "other")


def status_of(text: str) -> Status:
    """Whether a fact affirms a finding ("present") or denies it ("absent"); one that does both counts as present."""
    if _CHINESE_CHARACTER.search(text) or "\uff08" in text:
        return "absent" if _denied_in_chinese(text.strip(zh.MARKS)) else "present"
    text = text.lower()
    return "absent" if _DENIED.search(text) and not _ASSERTED.search(text) else "present"


def _denied_in_chinese(text: str) -> bool:
    heading = zh.HEADING.match(text)
    denial = zh.DENIAL.match(heading["said"] if heading else text)
    if denial is None:
        return zh.NOT_DONE.match(text) is not None or zh.NEGATIVE.fullmatch(text) is not None
    items = re.split("[、,;\uff0c\uff1b\u3002]", denial["list"])
    return not any(zh.AFFIRMED.search(item) and not zh.DENIAL.match(item) for item in items[1:])


def _opening(rest: str) -> Section:
    """The section of a fact that introduces the person, by what follows the age."""
    if _EVENT.search(rest):
        return "history"
    reason = _REASON.search(rest)
    if reason and _COMPLAINT.search(rest):
        return "symptom"
    if _ROUTINE_VISIT.search(rest) or not reason:
        return "demographics"
    return _earliest(_CUES, rest[reason.start() :]) or "demographics"


def _first_match(rules: Iterable[tuple[Section, re.Pattern[str]]], text: str) -> Section | None:
    return next((section for section, rule in rules if rule.search(text)), None)


def _earliest(cues: Mapping[Section, re.Pattern[str]], text: str) -> Section | None:
    """The section whose first cue comes first; at equal places, the one listed first."""
    starts = [(found.start(), section) for section, rule in cues.items() if (found := rule.search(text))]
    return min(starts, key=lambda start: start[0])[1] if starts else None
