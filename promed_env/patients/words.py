"""Words: how questions and facts are cut into tokens and reduced to stems, for every matcher alike."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["FUNCTION_WORDS", "content_runs", "fold", "has_chinese", "stem", "tokenise"]

_TOKEN = re.compile(r"[a-z]+[0-9]*|[0-9]+(?:[.,][0-9]+)*|[\u3400-\u9fff]+|[^\W\d_a-z\u3400-\u9fff]+")
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_CHINESE_FUNCTION = re.compile(
    "有没有|是不是|是否|什么|哪些|怎么样?|患者|请问|告诉|或者|"
    "[的了吗呢吧啊你您我他她它们这那有没是在和与或及不也都很就还被把对为"
    "以于到过着来去请问会能可要想说些个一]"
)
_APOSTROPHE = re.compile(r"(?<=\w)[\u2019']s?\b")

FUNCTION_WORDS = frozenset(
    """
    a about after again ago all also am an and another any anybody anyone anything are around as ask at available
    away be because been before being both bring but by can check come could describe detail did do does doing done
    each either else ever every exactly few find found for from further get give given go going got had has have
    having he hello help her here hers him his how i if in indeed into is it its just kind know last lately let like
    ll look made make many may maybe me mean might mind mine more most much must my need no nor not now of off often
    on once one only onto or other our out over own part patient please possible put quite rather re really recent
    recently regard regarding relevant report said same say see seem she should show since sir so some somebody
    someone something sort still such take tell than thank that the their theirs them then there these they thing
    things this those through time to today together too toward towards told try under until up upon us use used
    usual usually ve very want was we well were what when where whether which while who whole whom whose why will
    with within without would yes yet you your yours yourself don doesn didn hasn haven hadn isn aren wasn weren won
    wouldn couldn shouldn t s d m doctor ma madam okay ok notice noticed currently current mention anyway actually
    tried past even ones far getting keep taken during moment asking using type amount status special came comes
    goes gone seen able bit feel feels felt feeling specifically present due normal abnormal dont doesnt didnt cant
    isnt arent whats hows wheres im id ive youre youve theyre hes shes theres thats wont couldnt wouldnt hasnt
    havent minor following previous prior earlier term suffer stay
    """.split()
)
"""Words that say nothing about what a clinical question is about."""

_IRREGULAR = dict(
    pair.split(":")
    for pair in """
    feet:foot teeth:tooth children:child women:woman men:man drank:drink drunk:drink ate:eat eaten:eat felt:feel
    slept:sleep bled:bleed broke:break broken:break fell:fall fallen:fall lost:lose heard:hear began:begin
    begun:begin threw:throw thrown:throw gave:give worse:worsen went:go bit:bite bitten:bite swollen:swell died:die
    dying:die dies:die lying:lie drew:draw wore:wear born:birth births:birth biopsies:biopsy diagnoses:diagnosis
    metastases:metastasis pelvic:pelvis abdominal:abdomen vaginal:vagina rectal:rectum renal:kidney hepatic:liver
    cardiac:heart pulmonary:lung thoracic:chest cranial:head ocular:eye oral:mouth nasal:nose dermal:skin
    cutaneous:skin urinary:urine muscular:muscle neurologic:neurologic neurological:neurologic tumour:tumor
    oedema:edema anaemia:anemia haemoglobin:hemoglobin diarrhoea:diarrhea oesophagus:esophagus foetal:fetal
    leucocyte:leukocyte paediatric:pediatric colour:color tumours:tumor coloured:color haematuria:hematuria
    behaviour:behavior vomits:vomit travelled:travel travelling:travel rays:ray gas:gas gases:gas diabetes:diabetes
    pus:pus bus:bus this:this thus:thus lens:lens his:his herpes:herpes rabies:rabies scabies:scabies caries:caries
    species:species series:series pancreas:pancreas ascites:ascites uterus:uterus fetus:fetus measles:measles
    mumps:mumps during:during hearing:hearing finding:finding findings:finding seeing:seeing living:living
    hears:hear calves:calf ulcers:ulcer loose:loose looser:loose loosened:loose fatigued:fatigue jaundiced:jaundice
    confused:confusion seizures:seizure veins:vein anemic:anemia febrile:febrile conditions:condition
    bilateral:bilateral bigger:big larger:large heavier:heavy thinner:thin evening:evening morning:morning
    sibling:sibling ring:ring thing:thing bed:bed red:red need:need bleed:bleed feed:feed breed:breed speed:speed
    blood:blood wheezes:wheeze wheezing:wheeze pimples:pimple aged:age aging:age ages:age passed:pass passing:pass
    itchy:itch itches:itch sweaty:sweat dizzy:dizzy yellowish:yellow reddish:red bluish:blue shaky:shake
    stiffness:stiff numbness:numb weakness:weak tiredness:tired dizziness:dizzy drowsiness:drowsy tenderness:tender
    redness:red dryness:dry sickness:sick illness:ill illnesses:ill fullness:full tightness:tight hoarseness:hoarse
    wellness:well painful:pain harmful:harm
    """.split()
)
"""Word -> stem, where the rule below would part or join the wrong ones."""


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """The stem of a lower-case English word; a light rule, made to join inflections rather than to be right."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or not word.isascii():
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for suffix in ("ing", "ed"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            base = word[: -len(suffix)]
            if not re.search("[aeiouy]", base):
                break
            if base[-1] == base[-2] and base[-1] not in "sl":
                return base[:-1]
            word = base
            break
    if word.endswith("e") and len(word) > 4:
        word = word[:-1]
    if word.endswith("i") and len(word) > 4:
        word = word[:-1] + "y"
    return word


@lru_cache(maxsize=16384)
def tokenise(text: str) -> tuple[str, ...]:
    """Lower-case words and numbers in order, without punctuation; Chinese as overlapping pairs of characters."""
    folded = (text if text.isascii() else _without_accents(text)).casefold()
    tokens = _TOKEN.findall(_APOSTROPHE.sub("", folded))
    if text.isascii() or not has_chinese(text):
        return tuple(tokens)
    return tuple(part for token in tokens for part in (_pairs(token) if has_chinese(token) else (token,)))


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(character for character in decomposed if unicodedata.category(character) != "Mn")


def _pairs(run: str) -> list[str]:
    """Overlapping pairs of the characters between function characters; a lone character stands for itself."""
    pairs: list[str] = []
    for part in _CHINESE_FUNCTION.split(run):
        pairs.extend(part[start : start + 2] for start in range(max(1, len(part) - 1)) if part)
    return pairs


def fold(text: str) -> str:
    """Lower case, full-width and other compatibility forms folded."""
    return unicodedata.normalize("NFKC", text).casefold()


def content_runs(text: str) -> list[str]:
    """The stretches of Chinese characters between function words and anything else, in order; and Latin words."""
    runs: list[str] = []
    for token in _TOKEN.findall(text):
        if has_chinese(token):
            runs.extend(part for part in _CHINESE_FUNCTION.split(token) if part)
        elif not token[0].isdigit():
            runs.append(token)
    return runs


def has_chinese(text: str) -> bool:
    """Whether the text holds a Chinese character."""
    return _CHINESE.search(text) is not None
