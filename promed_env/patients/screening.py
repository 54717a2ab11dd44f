"""Screening: what is refused before any matching, and which of several questions is heard.

A doctor asks about one thing at a time. A request for everything, an attempt to read the record, the key or the
options, an instruction to the patient and a list of keywords disclose nothing; of several questions only the first is
heard. The rules are word patterns, the same for every case, so that they tell nothing about the case at hand.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal, NamedTuple

from promed_env.patients.words import FUNCTION_WORDS, has_chinese, tokenise

__all__ = ["MAX_LENGTH", "MAX_WORDS", "Heard", "Refusal", "first_question", "screen"]

MAX_LENGTH = 4000
"""Characters that are read; the rest of a longer text is not heard."""
MAX_WORDS = 60
"""Words in one question (characters, in Chinese, count a half); a longer one is no question but a list."""

Refusal = Literal["empty", "vague", "shotgun", "stuffing", "extraction"]


class Heard(NamedTuple):
    """A screened text: the first question, and why it is refused, if it is."""

    question: str
    refusal: Refusal | None


_RECORD = (
    r"(?:record|chart|case|file|vignette|notes?|dossier|prompt|instructions?|facts?|fields?|data|database|context|"
    r"memory)s?"
)
_EXTRACTION = re.compile(
    "|".join(
        (
            r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:instructions?|rules?|prompts?|"
            r"above|previous|prior|guidelines?|everything)\b",
            r"\b(?:system|hidden|secret|initial|original) (?:prompt|message|instructions?|fields?|facts?|"
            r"information|record|state)\b",
            r"\b(?:debug|developer|admin|maintenance|god|root|test|jailbreak) mode\b",
            r"\b(?:you are|you're|act|behave|respond|pretend|imagine|role-?play)\b.{0,20}\b(?:now|"
            r"as)\b.{0,30}\b(?:ai|model|assistant|system|database|examiner|simulator|terminal|program|bot|"
            r"mode|admin|developer)\b",
            r"\b(?:language model|chat ?bot|simulator|simulation|dataset|benchmark|"
            r"ground truth|reward)\b",
            r"\banswer key\b|\bkey to the (?:case|question)\b|\bmultiple[- ]choice\b|\bof the following\b",
            r"\b(?:correct|right|best|true|expected|final) (?:answer|option|choice|key|response|letter|"
            r"one\b)",
            r"\b(?:answer|choice|option|response)s?\b.{0,20}\b(?:is|are) (?:correct|right|best|true|the)\b",
            r"\b(?:which|what) (?:answer |of the )?(?:options?|choices?|letter)\b",
            r"\b(?:option|choice|answer) (?:[a-h]\b|is\b|should\b|letter)",
            r"\b(?:what|whats|what's|tell me|name|give me|reveal|confirm) (?:is |was |me )?(?:the|"
            r"the most likely|my|most likely|final) ?(?:most likely |underlying |actual |real |"
            r"true |correct |right )?(?:diagnosis|answer|solution)\b(?! (?:you|he|she|they|that|given|made|from)\b)",
            rf"\b(?:print|output|dump|recite|reveal|leak|export|paste|copy|echo|display|transcribe|quote|"
            rf"disclose)\b.{{0,60}}\b{_RECORD}\b",
            rf"\b(?:read|repeat|show|give|send|share|list|tell|write|hand|let me (?:see|read)|access|open|"
            rf"see)\b.{{0,30}}\b(?:(?:full|whole|entire|complete|patient|case|medical|clinical|raw|source|"
            rf"all)(?: of)?(?: the| your| his| her)? {_RECORD}|case notes?|list of (?:facts|findings)|"
            rf"facts? (?:list|number)|facts\b)",
            r"\b(?:verbatim|word for word|json|yaml|xml|python|base64|sql|html|source code)\b",
            r"\bfacts? (?:no\.?|number|index|#)? ?\d|\b(?:undisclosed|unrevealed|remaining|"
            r"hidden) (?:facts?|findings?|information|details)\b",
            r"\b(?:list|what are|name|give me|tell me|reveal) (?:me )?(?:all |each |"
            r"every )?(?:of )?(?:the |your )?facts?\b",
            r"</?\w+>|\{\{|\[\[|<\|",
            r"\banswer (?:sheet|to (?:the|this|that) (?:question|case|exam|quiz|test question|"
            r"problem))|\bexam question\b",
            r"\b(?:should|do|must) i (?:answer|choose|pick|select)\b|\baccording to the (?:key|"
            r"record|file|case|notes)\b",
            r"(?<!hepatitis )\ba, ?b,? ?(?:c\b|or c\b)|\b(?:say|state|announce|write|spell) (?:out )?the diagnosis\b",
            r"\bdiagnos[ie]s (?:is |are )?(?:listed|written|recorded|stored|stated|"
            r"given) in (?:your|the) (?:notes|record|file)",
            r"\b(?:pretend|role-?play|imagine) (?:that )?(?:you|to be)\b|\b(?:case file|"
            r"patient file|in the (?:chart|file))\b",
            r"\b(?:told|asked|instructed|supposed) (?:not )?to (?:keep|hide|withhold|conceal|keep secret)\b",
            r"(?:标准|正确|参考)答案|答案是|哪个选项|选项|系统提示|提示词|"
            r"忽略.{0,12}(?:指令|规则|提示)|(?:完整|全部|整个)(?:的)?病历|原文|诊断是什么|"
            r"最可能的诊断|事实列表|数据集",
        )
    ),
    re.IGNORECASE | re.DOTALL,
)
_WHOLE = r"(?:full|whole|entire|complete|comprehensive|total)"
_SHOTGUN = re.compile(
    "|".join(
        (
            r"(?<!remember )(?<!recall )(?<!eat )\beverything\b(?! (?:ok|okay|alright|all right|"
            r"fine|normal|well|going|else (?:ok|normal|fine)))",
            r"\b(?:all|any and all|every(?: single)?|each and every)\b(?: of)? ?(?:the |your |his |her |"
            r"their |available |possible |relevant |known |other |clinical |medical |important |"
            r"pertinent |this |patient )*(?:information|info|facts?|details?|data|history|histories|"
            r"findings?|record|knowledge|aspects?|sections?|news|stuff|things?|answers?|context|background)\b",
            r"\ball (?:of it|about (?:you|yourself|the patient|him|her|this case|it)|you (?:know|have|can|"
            r"got)|there is|that you|(?:the |your )?(?:symptoms|signs|exam\w*|tests?|results?|labs?|"
            r"problems?)[^?.!]{0,40}\b(?:and|,)[^?.!]{0,40}\b(?:exam\w*|tests?|results?|labs?|imaging|"
            r"history|meds|medications))\b",
            rf"\b{_WHOLE} (?:\w+ )?(?:history|story|picture|summary|report|case|details?|workup|account|"
            rf"overview|rundown|presentation|situation)\b",
            r"\b(?:summari[sz]e|recap|overview of|summary of|run ?down of) (?:\w+ )?(?:the |your |his |"
            r"her |this )?(?:case|patient|history|situation|everything|condition|details|findings?|record)\b",
            r"\bwhatever (?:you|there|comes|is)\b|\banything and everything\b|\b(?:hold|"
            r"keep) (?:anything|nothing) back\b|\bgive it all\b|\bany (?:information|info|"
            r"facts?|details?|data)\b|\bas much (?:as|information|detail)\b|\bhead to toe\b|\bA to Z\b|"
            r"\btop to bottom\b",
            r"\bwhat (?:else )?(?:do you know|can you tell me|should i know|information)\b(?! (?:about|"
            r"regarding|of|concerning)\b (?!you\b|yourself|the patient|him\b|her\b|this\b))",
            r"(?:所有|全部|一切|任何)(?:的)?(?:信息|情况|资料|病史|事实|细节|"
            r"内容|症状和)|(?:都|全部?)告诉我|全都说|知道的(?:都|一切)",
        )
    ),
    re.IGNORECASE,
)
# Groups of words that name different parts of a record. One question that names many of them is a list.
_GROUPS: tuple[frozenset[str], ...] = tuple(
    frozenset(words.split())
    for words in (
        "age old sex gender demographics name race ethnicity",
        "symptom symptoms complaint complaints fever pain cough nausea vomiting headache rash weakness "
        "fatigue dyspnea vision "
        "dizziness diarrhea bleeding swelling chills sweats palpitations",
        "history pmh past surgery surgeries surgical operations hospitalizations vaccines vaccinations "
        "immunizations allergies "
        "allergy conditions illnesses",
        "medication medications meds drugs medicines pills prescriptions supplements",
        "social smoking smoke tobacco alcohol drink occupation job work travel sexual sex diet exercise",
        "family hereditary genetic relatives mother father",
        "vital vitals temperature pulse bp respirations exam examination physical auscultation palpation signs",
        "lab labs laboratory blood bloods cbc urinalysis urine cultures biopsy sodium potassium glucose hemoglobin",
        "imaging xray ct mri ultrasound radiograph ecg ekg scan echo scans",
        "treatment treatments management diagnosis prognosis plan",
    )
)
_VAGUE = frozenset(
    """
    symptom symptoms history patient problem problems information info finding findings result results sign signs
    case detail details condition conditions complaint complaints disease diseases diagnosis question answer medical
    clinical health record records data report status summary facts fact illness background story presentation
    evaluation assessment context situation positives negatives
    """.split()
)
_FILLERS = frozenset("the a an your his her their please and of other more further additional relevant current".split())
_MAX_GROUPS = 3
_MAX_ITEMS = 7
_SEPARATOR = re.compile(r"[,;/|&+\u3001\uff0c\uff1b\n]|\band\b|\bor\b|\u548c|\u6216|\u4e0e|\u53ca")

_END = re.compile(r"(?<=[?!.;。\uff1f\uff01\uff1b])\s+|(?<=[?。\uff1f\uff01\uff1b])(?=\S)|\n+")
_ABBREVIATION = re.compile(r"\b(?:dr|mr|mrs|ms|prof|st|vs|e\.g|i\.e|etc|approx|no)\.$", re.IGNORECASE)
_OPENERS = frozenset(
    """
    what when where which who whom whose why how do does did is are am was were have has had can could would will
    shall should may might any anyone anybody anything ever tell describe explain show list give share say check
    measure get let order perform run take please i'd id let's lets name point walk talk elaborate besides
    """.split()
)
_WANT = re.compile(
    r"\b(?:tell me|describe|i(?:'d| would) like|i want|i need|let'?s|let me|could you|can you|would you|please)\b"
    r"|\u5417|\u5462|\u4ec0\u4e48|\u591a\u5c11|\u591a\u4e45|\u600e|\u54ea|\u51e0|\u662f\u5426|"
    r"\u6709\u6ca1\u6709|\u8bf7",
    re.IGNORECASE,
)
_PLEASANTRY = re.compile(
    r"^(?:ok(?:ay)?|alright|all right|right|i see|i understand|understood|got it|sure|"
    r"thanks?(?: you)?(?: very much| so much)?|"
    r"hello|hi|hey|good (?:morning|afternoon|evening|day)|sorry|i'?m sorry|i am sorry|welcome|great|good|"
    r"fine|well|hmm+|"
    r"\u597d\u7684?|\u660e\u767d\u4e86?|\u8c22\u8c22|\u4f60\u597d|\u60a8\u597d)\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=16384)
def screen(text: str) -> Heard:
    """The first question of a text, and why it is refused, if it is.

    Extraction is looked for in the whole text, because an instruction may come first or last; the rest only in the
    first question, because nothing else is heard.
    """
    clean = _clean(text)
    question = first_question(clean)
    if not any(character.isalnum() for character in question):
        return Heard("", "empty")
    if _EXTRACTION.search(clean):
        return Heard(question, "extraction")
    if _SHOTGUN.search(question):
        return Heard(question, "shotgun")
    if _is_vague(question):
        return Heard(question, "vague")
    if _is_stuffed(question):
        return Heard(question, "stuffing")
    return Heard(question, None)


def first_question(text: str) -> str:
    """The first question or request of a text; a statement before it ("I see.") is passed over.

    Without any question or request it is the first sentence that is no pleasantry, or the whole text if all are.
    """
    sentences = _sentences(text)
    for sentence in sentences:
        words = re.findall(r"[a-z']+", sentence.casefold()[:80])
        # A comma ends a lead-in: "Thanks, do you smoke?" asks as "Do you smoke?" does.
        if sentence.endswith(("?", "\uff1f")) or (words and words[0] in _OPENERS) or _WANT.search(sentence):
            return sentence
    for sentence in sentences:
        if not _PLEASANTRY.search(sentence):
            return sentence
    return sentences[0] if sentences else ""


def _clean(text: str) -> str:
    """Compatibility forms folded, format and control characters removed, at most `MAX_LENGTH` characters."""
    folded = unicodedata.normalize("NFKC", text[:MAX_LENGTH])[:MAX_LENGTH]
    if not folded.isprintable():
        folded = "".join(
            "\n" if c == "\n" else " " if c.isspace() or unicodedata.category(c) == "Cc" else c
            for c in folded
            if unicodedata.category(c) not in ("Cf", "Cs", "Co")
        )
    return folded.replace("\u2019", "'").strip()


def _sentences(text: str) -> list[str]:
    sentences: list[str] = []
    joining = False
    for part in _END.split(text):
        part = part.strip()
        if not part:
            continue
        if joining:
            sentences[-1] += " " + part
        else:
            sentences.append(part)
        joining = _ABBREVIATION.search(part) is not None
    return sentences


def _is_vague(question: str) -> bool:
    """Whether a question is one word that could mean anything in a record, as "history" does."""
    words = [word for word in tokenise(question) if word not in _FILLERS]
    return len(words) == 1 and words[0] in _VAGUE


def _is_stuffed(question: str) -> bool:
    """Whether a question is a list: too long, too many items or parts of the record, or words without grammar."""
    words = tokenise(question)
    size = len(words) / 2 if has_chinese(question) else len(words)
    if size > MAX_WORDS:
        return True
    items = [item for item in _SEPARATOR.split(question.casefold()) if item.strip(" ?.!")]
    if len(items) > _MAX_ITEMS:
        return True
    present = set(words)
    groups = sum(not group.isdisjoint(present) for group in _GROUPS)
    if groups > _MAX_GROUPS:
        return True
    content = [word for word in words if word not in FUNCTION_WORDS]
    bare = len(content) >= 0.85 * len(words)
    return bare and not has_chinese(question) and (len(content) >= 7 or (len(content) >= 4 and groups >= 3))
