"""Turns a question that a doctor asks ("Do you have a cough?") and its answer into a statement about the patient.

The rules cover the forms of English questions that can be turned around word by word: an auxiliary, "you" or a noun
from a short list, and the rest. Whatever has another form is quoted with its answer, which is never wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["affirmed", "denied", "quoted", "stated"]

_NOUN = r"(?:your|the) (?:symptoms|vaccinations|skin|cheeks|lesions|pain|mother|person)(?! (?:of|in|on|at|to)\b)"
_SUBJECT = rf"you|{_NOUN}"
_ADVERBS = r"(?:(?:currently|recently|regularly|constantly|suddenly|previously|temporarily|ever) )*"
_CLAUSE = re.compile(
    rf"(?P<verb>Do|Does|Did|Have|Has|Are|Is|Were|Was) (?P<subject>{_SUBJECT}) (?P<adverbs>{_ADVERBS})"
    r"(?P<rest>(?!(?:or|and)\b)[a-z].*)",
    re.DOTALL | re.IGNORECASE,
)
_LEAD = re.compile(r"(?P<lead>(?:In|During|Within|Over|Since) [^,?]+), (?P<clause>.*)", re.DOTALL)
_NEXT_CLAUSE = re.compile(r",? or (?=(?:do|did|have|are|were) you )")
# Another clause, whose subject is none that the rules know: "or has your mood been unstable".
_OTHER_CLAUSE = re.compile(r"\b(?:or|and) (?:do|does|did|has|are|is|were|was) (?:your|the|a|an|any|there)\b")
_ASIDE = re.compile(r"\w+ly\b|\w+,")  # "Do you currently, or did you ever, have"
_FAMILY = re.compile(r"Have any of your (?P<people>family members) (?:ever )?(?P<rest>.*)", re.DOTALL)
_THERE = re.compile(r"Are there (?P<rest>.*)", re.DOTALL)

_ADDRESSED = (  # "you" as an object, then as a subject; "they" is one patient of either sex
    (re.compile(r"\b(as|to|of|for|with|around|at|wakes?) you\b"), r"\1 them"),
    (re.compile(r"\byou(?= (?:from|up)\b|$|[.,;)])"), "them"),
    (re.compile(r"\byou\b"), "they"),
    (re.compile(r"\byourself\b"), "themselves"),
    (re.compile(r"\byour\b"), "their"),
)
_SOME = (
    (re.compile(r"\b(have|has|had|having|noticed|taking|taken|suffer|suffered) any (?!other\b)"), r"\1 some "),
    (re.compile(r"\bany(?=where\b|one\b)"), "some"),
)
_PAST = {"eat": "ate", "have": "had", "lose": "lost", "suffer": "suffered", "turn": "turned", "vomit": "vomited"}
_AGREEING = {  # verb of a question -> the same for one and for many
    verb: pair
    for pair in (("does", "do"), ("did", "did"), ("has", "have"), ("is", "are"), ("was", "were"))
    for verb in pair
}
_PLURAL = ("symptoms", "vaccinations", "cheeks", "lesions")


def stated(question: str, answers: Sequence[str], *, absent: bool = False) -> str:
    """The statement that the question was answered so.

    Args:
        question: A question in the second person.
        answers: What was said: ("yes",), ("no",), or one or more particulars.
        absent: Whether the answers amount to a no ("nowhere").
    """
    told = ", ".join(answers)
    statement = denied(question) if absent else affirmed(question)
    if statement is None:
        return quoted(question, told)
    return statement if absent or told == "yes" else f"{statement.removesuffix('.')}: {told}."


def quoted(question: str, answer: str) -> str:
    """The question and the answer as they were said."""
    asked = question.strip().removesuffix(":")
    return f'Asked "{asked}", the patient answers: {answer}.'


def affirmed(question: str) -> str | None:
    """The statement that says yes to the question, or None if its form is not covered."""
    question = question.strip()
    if not question.endswith("?") or _OTHER_CLAUSE.search(question):
        return None
    body = question[:-1].strip()
    if family := _FAMILY.fullmatch(body):
        return _sentence(f"at least one of the patient's {family['people']} has", family["rest"])
    if there := _THERE.fullmatch(body):
        return _sentence("there are", there["rest"].removeprefix("any ").replace("your", "the patient's", 1))
    lead = _LEAD.fullmatch(body)
    clauses = _clauses(lead["clause"] if lead else body)
    told = [_turned(clause, first=number == 0) for number, clause in enumerate(clauses)]
    whole = " or ".join(clause for clause in told if clause)
    return None if None in told else _sentence(f"{lead['lead'].lower()}, {whole}" if lead else whole, "")


def denied(question: str) -> str | None:
    """The statement that says no to the question, or None if its form is not covered."""
    question = question.strip()
    body = question.removesuffix("?").strip()
    clause = _CLAUSE.fullmatch(body)
    if clause is None or not question.endswith("?") or _OTHER_CLAUSE.search(body) or len(_clauses(body)) > 1:
        return None
    subject, plural = _subject(clause["subject"])
    verb = _AGREEING[clause["verb"].lower()][plural]
    rest = re.sub(r"\bsome(?=where\b|one\b)", "any", clause["rest"])
    return _sentence(f"{subject} {verb} not", f"{clause['adverbs']}{rest}", some=False)


def _clauses(body: str) -> list[str]:
    return _NEXT_CLAUSE.split(body)


def _turned(text: str, first: bool) -> str | None:
    """The clause with its subject first; a later clause shares the subject of the first."""
    clause = _CLAUSE.fullmatch(text)
    if clause is None or (clause["verb"].lower() in ("do", "does", "did") and _ASIDE.match(clause["rest"])):
        return None
    subject, plural = _subject(clause["subject"])
    verb, rest = _AGREEING[clause["verb"].lower()][plural], clause["rest"]
    word, *others = rest.split(" ", 1)
    if verb in ("do", "does"):
        verb, rest = "", rest if plural else _inflected(rest)
    elif verb == "did" and word in _PAST:
        verb, rest = "", " ".join((_PAST[word], *others))
    words = (subject if first else "", verb, clause["adverbs"].replace("ever ", "").strip(), rest)
    return " ".join(part for part in words if part)


def _subject(words: str) -> tuple[str, bool]:
    """The subject as a statement has it, and whether it is a plural."""
    if words.lower() in ("you", "the person"):
        return "the patient", False
    determiner, noun = words.split(" ")
    return (f"the patient's {noun}" if determiner.lower() == "your" else f"the {noun}"), noun in _PLURAL


def _inflected(rest: str) -> str:
    """The words after "do you" with the verbs in the third person."""
    rest = re.sub(r"^(?:\w+ or )?\w+(?= |$)", lambda verbs: " or ".join(map(_third, verbs[0].split(" or "))), rest)
    return re.sub(r"\bor have\b", "or has", rest)


def _third(verb: str) -> str:
    if verb == "have":
        return "has"
    if verb.endswith(("s", "x", "z", "o", "ch", "sh")):
        return f"{verb}es"
    return f"{verb[:-1]}ies" if re.search(r"[^aeiou]y$", verb) else f"{verb}s"


def _sentence(start: str, rest: str, *, some: bool = True) -> str:
    text = f"{start} {rest}".strip().replace("\u2019re ", " are ")
    for pattern, words in (*_ADDRESSED, *(_SOME if some else ())):
        text = pattern.sub(words, text)
    return f"{text[0].upper()}{text[1:]}."
