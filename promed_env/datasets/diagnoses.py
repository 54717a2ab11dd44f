"""What a question for a diagnosis needs to know about names: other names, organ systems, and a fair order of options.

All of it is by rule: tables of words over the names that DDXPlus and AgentClinic use, and spelling. The rules decide
which answers in words count as right, which name a text gives away (`mask`), and which diagnoses make each other's
distractors; none of them knows a case.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from promed_env.actions import normalise
from promed_env.case import Option
from promed_env.errors import DatasetError

__all__ = ["SYSTEMS", "WITHHELD", "aliases", "diagnosis_options", "drawn", "mask", "organ_system", "overlap"]

WITHHELD = "[diagnosis withheld]"
"""What stands in a text in place of the diagnosis."""

# Names of one thing, one thing a line, in American spelling; spellings that `_VARIANTS` makes are not repeated here.
_SYNONYMS: tuple[tuple[str, ...], ...] = tuple(
    tuple(name.strip() for name in line.split("|"))
    for line in """
    acute COPD exacerbation / infection | acute COPD exacerbation | COPD exacerbation | exacerbation of COPD | AECOPD
    acute interstitial nephritis | AIN | tubulointerstitial nephritis | allergic interstitial nephritis
    acute lymphoblastic leukemia | ALL | acute lymphocytic leukemia
    acute mesenteric ischemia | mesenteric ischemia | mesenteric infarction
    acute myelogenous leukemia | AML | acute myeloid leukemia
    acute otitis media | AOM | otitis media
    acute pulmonary edema | pulmonary edema | flash pulmonary edema
    acute dystonic reactions | acute dystonic reaction | acute dystonia
    active chronic hepatitis B infection | chronic hepatitis B | chronic active hepatitis B \
| chronic hepatitis B infection
    adhesive capsulitis | frozen shoulder
    allergic sinusitis | allergic rhinitis | hay fever
    anaphylaxis | anaphylactic shock | anaphylactic reaction
    apical lung tumor | Pancoast tumor | superior sulcus tumor
    atrial fibrillation | AF | afib | atrial fibrillation/flutter
    atrial septal defect | ASD
    bed bug bite | bed bug bites | bedbug bite | bedbug bites | cimicosis
    benign paroxysmal positional vertigo | BPPV
    Boerhaave | Boerhaave syndrome | esophageal rupture | spontaneous esophageal rupture
    Bowen disease | squamous cell carcinoma in situ
    breast milk jaundice | breastmilk jaundice
    bronchospasm / acute asthma exacerbation | asthma exacerbation | acute asthma exacerbation | asthma attack \
| bronchospasm
    C. difficile colitis | Clostridioides difficile colitis | Clostridium difficile colitis | pseudomembranous colitis \
| C. difficile infection | C diff colitis
    Chagas | Chagas disease | American trypanosomiasis
    chronic lymphocytic leukemia | CLL | CLL/SLL | small lymphocytic lymphoma
    chronic venous insufficiency | CVI | venous insufficiency
    coarctation of the aorta | aortic coarctation | coarctation
    complex partial seizure | focal impaired awareness seizure | focal seizure with impaired awareness \
| temporal lobe seizure | complex partial seizures
    congenital rubella infection | congenital rubella | congenital rubella syndrome
    croup | laryngotracheobronchitis | laryngotracheitis
    cytomegalovirus retinitis | CMV retinitis
    De Quervain tenosynovitis | De Quervain | De Quervain tendinopathy
    diffuse large B-cell lymphoma | DLBCL
    disc herniation | herniated disc | disk herniation | herniated disk | slipped disc | herniated nucleus pulposus
    disseminated gonococcal infection | DGI | disseminated gonorrhea | gonococcal arthritis-dermatitis syndrome
    Ebola | Ebola virus disease | Ebola hemorrhagic fever
    eczematous dermatitis | eczema
    epidermoid cyst | epidermal inclusion cyst | epidermal cyst
    erythema infectiosum | fifth disease | slapped cheek disease | slapped cheek syndrome | parvovirus B19 infection
    erythema toxicum | erythema toxicum neonatorum
    essential thrombocythemia | essential thrombocytosis
    frontotemporal dementia | FTD | Pick disease
    fulminant hepatic failure | fulminant liver failure | acute liver failure | acute hepatic failure | liver failure
    genitopelvic pain disorder | genito-pelvic pain/penetration disorder | genitopelvic pain/penetration disorder
    GERD | gastroesophageal reflux | gastroesophageal reflux disease | acid reflux
    Glanzmann thrombasthenia | Glanzmann
    granulosa cell tumor | ovarian granulosa cell tumor
    Guillain-Barré syndrome | GBS | acute inflammatory demyelinating polyneuropathy
    hemophilia A | factor VIII deficiency
    hemorrhoids | internal hemorrhoids | external hemorrhoids
    Hirschsprung disease | congenital aganglionic megacolon | congenital megacolon
    HIV (initial infection) | acute HIV infection | primary HIV infection | acute retroviral syndrome | acute HIV
    Huntington disease | Huntington chorea
    influenza | flu | the flu
    interstitial cystitis | bladder pain syndrome | painful bladder syndrome
    intraventricular hemorrhage | IVH | germinal matrix hemorrhage
    irritable bowel syndrome | IBS
    larygospasm | laryngospasm
    Legg-Calvé-Perthes disease | LCPD | Perthes disease
    leprosy | Hansen disease
    lisdexamfetamine intoxication | amphetamine intoxication | stimulant intoxication
    listeriosis | Listeria infection | Listeria monocytogenes infection
    lung cancer | lung carcinoma | bronchogenic carcinoma | carcinoma of the lung
    localized edema | edema
    malignant melanoma | melanoma
    membranous nephropathy | membranous glomerulonephritis | membranous glomerulopathy
    multiple system atrophy | MSA | Shy-Drager syndrome
    myasthenia gravis | MG
    neonatal respiratory distress syndrome | NRDS | respiratory distress syndrome | RDS \
| infant respiratory distress syndrome | hyaline membrane disease | surfactant deficiency
    neuroleptic malignant syndrome | NMS
    nightmare disorder | nightmares
    oppositional defiant disorder | ODD
    osteoclastoma | giant cell tumor of bone | giant cell tumor
    osteoarthritis | degenerative joint disease
    pancreatic adenocarcinoma | pancreatic cancer | pancreatic ductal adenocarcinoma | pancreatic carcinoma
    pancreatic neoplasm | pancreatic cancer | pancreatic tumor
    Parkinson disease | idiopathic Parkinson disease
    pelvic inflammatory disease | PID
    pes anserine bursitis | pes anserinus bursitis | anserine bursitis
    phyllodes tumor | cystosarcoma phyllodes | phylloides tumor
    physiological neonatal jaundice | physiologic neonatal jaundice | physiologic jaundice | physiological jaundice \
| neonatal physiologic jaundice
    Possible NSTEMI / STEMI | NSTEMI | STEMI | myocardial infarction | acute myocardial infarction | heart attack | MI
    posterior hip dislocation | posterior dislocation of the hip | hip dislocation
    primary sclerosing cholangitis | PSC
    progressive multifocal leukoencephalopathy | progressive multifocal encephalopathy | PML
    PSVT | paroxysmal supraventricular tachycardia | supraventricular tachycardia | SVT
    pulmonary embolism | PE | pulmonary embolus
    pulmonary neoplasm | lung cancer | lung neoplasm | lung tumor | pulmonary tumor | lung carcinoma
    reactive arthritis | Reiter syndrome
    roseola infantum | roseola | exanthem subitum | sixth disease
    rupture of the flexor digitorum profundus tendon at its point of insertion | jersey finger \
| flexor digitorum profundus rupture | flexor digitorum profundus tendon rupture | FDP tendon rupture | FDP rupture \
| flexor digitorum profundus avulsion
    scombroid food poisoning | scombroid | scombroid poisoning | histamine fish poisoning
    seborrheic dermatitis | cradle cap
    situational syncope | micturition syncope
    SLE | systemic lupus erythematosus | lupus
    Steven-Johnson syndrome | Stevens-Johnson syndrome | SJS
    tuberculosis | TB | pulmonary tuberculosis
    unstable angina | unstable angina pectoris
    stable angina | stable angina pectoris | angina pectoris
    URTI | upper respiratory tract infection | upper respiratory infection | URI | common cold | viral URTI
    uterine rupture | ruptured uterus | rupture of the uterus
    viral pharyngitis | viral sore throat
    Waldenstrom macroglobulinemia | Waldenström macroglobulinemia | lymphoplasmacytic lymphoma
    whooping cough | pertussis
    """.strip().splitlines()
)


SYSTEMS: dict[str, re.Pattern[str]] = {
    system: re.compile(rf"\b(?:{'|'.join(words.split()).replace('_', ' ')})")
    for system, words in {
        "infectious": "rubella roseola erythema_infectiosum cytomegalovirus disseminated_gono listeri leprosy "
        "influenza ebola hiv chagas",
        "psychiatric": "schizo oppositional nightmare normal_behavior panic lisdex amphetamine intoxication akathisia "
        "neuroleptic",
        "neurological": "myasthenia progressive_multifocal seizure complex_partial multiple_system benign_paroxysmal "
        "vertigo labyrinthitis glossopharyngeal neuralgia dementia frontotemporal intraventricular syringomyelia "
        "huntington parkinson guillain cluster headache acute_dystonic",
        "cardiovascular": "aort coarctation double_aortic atrial syncope situational venous chronic_venous angina "
        "myocard pericard psvt stemi nstemi",
        "respiratory": "lung respiratory asthma pneumo bronch tubercul pulmonary laryng larygo croup epiglott "
        "whooping pharyng rhino sinus urti copd sarcoid",
        "blood": "lymphoma leukemia thrombocyth macroglobulin hemophilia thrombasthenia erythropoietin anemia",
        "musculoskeletal": "bursitis dislocation tend tenosynovitis osteo arthritis capsulitis disc perthes legg rib "
        "fracture",
        "digestive": "hirschsprung hemorrhoid colitis irritable cholangitis hepat duoden mesenteric pancrea dumping "
        "boerhaave jaundice gerd inguinal",
        "skin": "epidermoid pyoderma melanoma dermatitis steven stevens bowen molluscum bed_bug keratosis pemphigus "
        "erythema serum_sickness",
        "renal and urinary": "nephr glomerul cystitis kidney testicular",
        "reproductive": "phyllodes endometr uter meigs genitopelvic aromatase pelvic_inflammatory granulosa",
    }.items()
}
"""Organ system -> beginnings of words that put a diagnosis there, in American spelling; the first that has one wins."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PARENTHESES = re.compile(r"\s*\(([^()]*)\)")
_POSSESSIVE = re.compile(r"(?<=\w)['\u2019]s\b")
_EPONYM = re.compile(r"^([A-Z]\w*[a-rt-z])(?= (?:disease|syndrome)$)")
_KIND = re.compile(r"\s+(?:disease|syndrome)$", re.IGNORECASE)
_AMERICAN = tuple(
    (re.compile(british), american)
    for british, american in (
        (r"(?<=\b[hH])aem", "em"),
        (r"(?<=[a-z])aemi", "emi"),
        (r"\b[oO]edema", "edema"),
        (r"\b[oO]esophag", "esophag"),
        (r"rrhoe", "rrhe"),
        (r"(?<=[tT])umour", "umor"),
        (r"(?<=[fF])oet", "et"),
        (r"\b[cC]oeliac", "celiac"),
    )
)
_BRITISH = tuple(
    (re.compile(american), british)
    for american, british in (
        (r"(?<=\b[hH])em(?=[ao])", "aem"),
        (r"(?<=[a-z])emi(?=as?\b)", "aemi"),
        (r"\b[eE]dema", "oedema"),
        (r"\b[eE]sophag", "oesophag"),
        (r"rrhe(?=a)", "rrhoe"),
        (r"(?<=[tT])umor", "umour"),
        (r"(?<=\b[fF])et(?=al|us)", "oet"),
        (r"\b[cC]eliac", "coeliac"),
    )
)
_CANCER = re.compile(r"\b(?:adenocarcinoma|carcinoma|neoplasm|tumor)\b")
_EMPTY_WORDS = frozenset("a the of in at its acute chronic active disease syndrome disorder infection".split())


@lru_cache(maxsize=4096)
def aliases(diagnosis: str) -> tuple[str, ...]:
    """Other names by which an answer in words may mean this diagnosis.

    What stands in parentheses, a table of abbreviations and synonyms, with and without a possessive, "disease" or
    "syndrome", British and American spelling, without accents. Names that `normalise` does not tell apart are given
    once, and never the diagnosis itself.
    """
    full = _names(diagnosis)
    own = {variant(_bare(diagnosis)) for variant in _VARIANTS}
    names = {normalise(name): name for name in sorted(full | own | _persons(full), reverse=True)}
    return tuple(sorted(name for words, name in names.items() if words and words != normalise(diagnosis)))


def mask(text: str, diagnosis: str) -> str:
    """The text with `WITHHELD` wherever it names the diagnosis, by any name, in the singular or the plural.

    Abbreviations count in capitals only ("ALL" is not "all").
    """
    return _pattern(diagnosis).sub(WITHHELD, text)


def organ_system(diagnosis: str) -> str:
    """The organ system (`SYSTEMS`) that the words of a diagnosis tell; "other" if they tell none."""
    words = normalise(_spelt(diagnosis, _AMERICAN))
    return next((system for system, pattern in SYSTEMS.items() if pattern.search(words)), "other")


def overlap(one: str, other: str) -> bool:
    """Whether two diagnoses may be the same: they share a name, or one says in fewer words what the other says."""
    if {_key(name) for name in _names(one)} & {_key(name) for name in _names(other)}:
        return True
    few, many = sorted((_content(one), _content(other)), key=len)
    return few <= many


def drawn(case_id: str, names: Iterable[str], purpose: str) -> list[str]:
    """The distinct names in an order that is chance to a reader and the same in every run.

    It depends on the case's id, the purpose and each name alone, never on which of them is right.
    """
    return sorted(set(names), key=lambda name: hashlib.sha256(f"{purpose}\n{case_id}\n{name}".encode()).digest())


def diagnosis_options(case_id: str, right: str, distractors: Sequence[str]) -> tuple[tuple[Option, ...], str]:
    """The options with their aliases, in the order of `drawn`, and the key of the right one.

    Raises:
        DatasetError: There is no distractor, there are too many, or one of them is the right diagnosis.
    """
    if right in distractors or not 1 <= len(distractors) < len(_LETTERS):
        raise DatasetError(f"cannot make options of the diagnosis {right!r} and the distractors {list(distractors)}")
    names = drawn(case_id, (right, *distractors), "slot")
    options = tuple(Option(key, name, aliases(name)) for key, name in zip(_LETTERS, names, strict=False))
    return options, _LETTERS[names.index(right)]


def _names(diagnosis: str) -> frozenset[str]:
    """The diagnosis under all its full names."""
    names = {diagnosis, _PARENTHESES.sub("", diagnosis)}
    names |= {inside for inside in _PARENTHESES.findall(diagnosis) if inside.isupper() and " " not in inside}
    names |= {synonym for name in set(names) for synonym in _synonyms().get(_key(name), ())}
    for variant in _VARIANTS:
        names |= {variant(name) for name in names}
    return frozenset(name.strip() for name in names)


def _bare(name: str) -> str:
    """The name without "disease" or "syndrome"."""
    return _KIND.sub("", name)


def _persons(names: Iterable[str]) -> set[str]:
    """What is left of the names without "disease" or "syndrome" where that is a person's: "Huntington".

    Of another name a mere symptom may be left, as "respiratory distress" or "fifth".
    """
    return {bare for name in names if (bare := _bare(name)) != name and " " not in bare and bare[:1].isupper()}


def _folded(text: str) -> str:
    """The text without accents."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def _spelt(text: str, rules: Iterable[tuple[re.Pattern[str], str]]) -> str:
    for pattern, spelling in rules:
        text = pattern.sub(spelling, text)
    return text


_VARIANTS: tuple[Callable[[str], str], ...] = (
    _folded,
    lambda name: _POSSESSIVE.sub("", name),
    lambda name: _EPONYM.sub(r"\1's", name),
    lambda name: _spelt(name, _AMERICAN),
    lambda name: _spelt(name, _BRITISH),
)


def _key(name: str) -> str:
    """What all spellings of one name have in common."""
    return normalise(_bare(_spelt(_POSSESSIVE.sub("", _folded(name)), _AMERICAN)))


@lru_cache(maxsize=1)
def _synonyms() -> dict[str, frozenset[str]]:
    """Key of a name -> all names in the lines of the table that have it."""
    table: dict[str, frozenset[str]] = {}
    for line in _SYNONYMS:
        for name in line:
            table[_key(name)] = table.get(_key(name), frozenset()) | set(line)
    return table


def _content(diagnosis: str) -> frozenset[str]:
    words = _CANCER.sub("cancer", _key(_PARENTHESES.sub("", diagnosis))).split()
    return frozenset(words) - _EMPTY_WORDS or frozenset(words)


@lru_cache(maxsize=4096)
def _pattern(diagnosis: str) -> re.Pattern[str]:
    full = {name for name in _names(diagnosis) if "(" not in name}
    names = full | _persons(full)
    words = [re.findall(r"[^\W_]+", _POSSESSIVE.sub("", name)) for name in names]
    told = sorted({_separated(name) for name in words if len("".join(name)) > 2}, key=len, reverse=True)
    one = rf"\b(?:{'|'.join(told)})\b"
    return re.compile(rf"{one}(?:\s*\({one}\))?", re.IGNORECASE)


def _separated(words: Sequence[str]) -> str:
    """A pattern for the words, with a side of the body between them where a record says which."""
    return r"[\W_]+(?:(?:right|left)[\W_]+)?".join(_inflected(word) for word in words)


def _inflected(word: str) -> str:
    """A pattern for the word, its plural and its possessive; for an abbreviation, in capitals only."""
    if len(word) > 1 and word.isupper():
        return f"(?-i:{re.escape(word)})"
    stem = word[:-1] if word.endswith("s") and not word.endswith(("ss", "is", "us")) else word
    return rf"{re.escape(stem)}(?:['\u2019]?s)?"
