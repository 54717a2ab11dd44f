"""Splits the stem of an examination question into the vignette and the question at its end."""

from __future__ import annotations

import re
from typing import NamedTuple

from promed_env.case import Language
from promed_env.datasets.curation.sentences import Sentence, sentences

__all__ = ["Stem", "split_question"]

_ASKS = re.compile(
    r"\?|\bwhich of the\b|\bthe following\b"
    r"|^(?:which|what|who|whose|whom|how|when|where|why|identify|select|choose|name|calculate|determine|explain)\b"
    r"|\b(?:most )?likely (?:to be |to )?(?:diagnosis|due to|caused by|reveal|show|result)\b[^.]*$",
    re.IGNORECASE,
)
_LEADS = re.compile(  # a sentence that belongs to the question after it, not to the patient's story
    r"^(?:assum\w+|suppose|consider|imagine|note that|for this question)\b", re.IGNORECASE
)
_FOLLOWS = re.compile(r"^(?:and|or|if so|why|explain|\(|select|choose)\b", re.IGNORECASE)
_CHINESE_ASKS = re.compile(
    r"哪|何|什么|多少|怎|下列|下述|以下|\uff1f|\?|最可能|最应|最适|首选|首先|"
    r"应(?:该|考虑|首|诊断|采|给|为|选|用)|(?:诊断|考虑|证型|治法|方剂|方药|原因|处理)(?:是|为|应)|[\uff08(]\s*[)\uff09]|"
    r"(?:是|为|有|包括|除外)[:\uff1a]?\s*[\u3002.]?\s*$"
)
_CHINESE_LEADS = re.compile(  # a clause that only leads to the question after it, none of the patient's story: now;
    # if ...; while ...; besides ...; to make clear, prevent, relieve ...; from the above; of the following
    r"^(?!.*(?:曾|口服|服[用药]|自服|则|(?<![异正])常(?!规)|长期|就诊|住院|入院|史|不详|(?<![若果需])行|[见示]|结果|阳性|阴性|过敏))(?:此时|这时|目前|现在|首先|其次|"
    r"因此|据此|由此|下一步|[治处]理?疗?上|(?:若(?!干)|假[如设使]|倘若|如(?:果|需|要|欲|出现|发生|仍)).*|在.+(?:同时|基础上|情况下|前提下)|除.+外|"
    r"(?:为(?:了|求)?(?:进一步)?(?:明确|确定|确诊|排除|鉴别|尽[快早]|迅速|及时|预?防|避免|减轻|缓解|控制|改善|治疗)|预防(?!接种))[^\d]{0,10}|"
    r"(?:根据|依据|结合|综合|按照?|鉴于|针对|对于?)(?:上述|以上|该|此|其|目前|现有|本|这)[^\d]*|"
    r"(?:下列|下述|以下(?=关于|有关|对|各))[^\d]*)[\uff0c,]$"
)
_VALUE = re.compile(r"^[^%$?]*\w[^$?]*(?:\d|positive|negative|normal)[^$?]*$", re.IGNORECASE)
_FEWEST_VALUES = 3
_BEHIND_VALUE = re.compile(r"^(.*\d.*?)(?=下列|下述|以下|哪项|最可能)", re.DOTALL)
_CLAUSE = re.compile(r"(?:[^\uff0c,\u3002\uff1b;.]|(?<=\d),(?=\d)|\.(?![\u4e00-\u9fff]))+[\uff0c,\u3002\uff1b;.]*")


class Stem(NamedTuple):
    """A stem in its two parts.

    Attributes:
        vignette: What is told of the patient; may be empty. A table of values behind the question belongs to it.
        question: What is asked.
        start: Where the question starts in the stem.
        found: Whether the end asks something; if not, the last sentence was taken for the question.
    """

    vignette: str
    question: str
    start: int
    found: bool


def split_question(stem: str, language: Language = "en") -> Stem:
    """Split a stem before the question at its end, which may have several sentences.

    Args:
        stem: Vignette and question.
        language: Of the stem. Chinese questions are often the last clause of the last sentence.
    """
    pieces = _clauses(stem) if language == "zh" else sentences(stem)
    if not pieces:
        return Stem("", stem.strip(), 0, False)
    asks = _CHINESE_ASKS if language == "zh" else _ASKS
    last = next((index for index in reversed(range(len(pieces))) if asks.search(pieces[index].text)), None)
    if pieces[-1].text.rstrip('"').endswith((":", "\uff1a")):  # "This patient is most at risk for:"
        last = len(pieces) - 1
    first = len(pieces) - 1 if last is None else last
    if language == "en":
        while first and (
            _LEADS.search(pieces[first - 1].text)
            or pieces[first - 1].text.endswith("?")
            or _FOLLOWS.search(pieces[first].text)
        ):
            first -= 1
    else:
        while first and (
            (first == last and len(pieces[first].text) <= 2) or _CHINESE_LEADS.search(pieces[first - 1].text)
        ):
            first -= 1
    start = pieces[first].start
    question, table = _without_table(stem[start:].strip())
    vignette = "\n".join(part for part in (stem[:start].strip(), table) if part)
    return Stem(vignette, question.strip('"').strip() or question, start, last is not None)


def _without_table(question: str) -> tuple[str, str]:
    """The question, and the lines of values behind it."""
    lines = question.splitlines()
    end = next((number for number, line in enumerate(lines, 1) if line.rstrip().endswith("?")), len(lines))
    values = sum(_VALUE.search(line) is not None for line in lines[end:])
    if values < _FEWEST_VALUES:
        return question, ""
    return "\n".join(lines[:end]).strip(), "\n".join(lines[end:]).strip()


def _clauses(stem: str) -> list[Sentence]:
    """The stretches between the commas of a Chinese stem; a question right behind a value is one of its own."""
    found: list[Sentence] = []
    for clause in _CLAUSE.finditer(stem):
        behind = _BEHIND_VALUE.match(clause[0])
        cut = behind.end() if behind else 0
        for start, text in ((0, clause[0][:cut]), (cut, clause[0][cut:])):
            if text.strip():
                found.append(Sentence(clause.start() + start + len(text) - len(text.lstrip()), text.strip()))
    return found
