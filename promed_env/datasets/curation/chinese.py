"""Cuts a Chinese sentence of a vignette into atomic facts, by rules.

Chinese vignettes are telegraphic: most stretches between two commas are facts already. Lists are parted, each item with
what the list shares. A false fact is worse than a long true one: a list is parted only where all its items are of a
known kind, only the name of a test and of an organ are said again, and only before what can be nothing else's; any
other clause that says nothing by itself stays with the one before it, as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from promed_env.datasets import chinese_terms as zh
from promed_env.datasets.curation.words import content_words, invented, lost

__all__ = ["split_chinese"]


def split_chinese(sentence: str) -> tuple[str, ...]:
    """The atomic facts of a Chinese sentence, in its order.

    If its content words (in Chinese, its characters, each counted once) and those of the facts differ, the sentence
    itself is the only fact.

    Args:
        sentence: One sentence, or a whole vignette.
    """
    sentence = sentence.strip()
    facts, rest = _person(sentence)
    for stretch in zh.STOP.split(rest):
        for heading, clause in _completed(zh.COMMA.split(stretch)):
            facts += [f"{heading}{part}" for part in _parts(clause)]
    facts = list(dict.fromkeys(facts))
    if not facts or lost(sentence, facts) or any(invented(fact, sentence) for fact in facts):
        return (sentence,) if content_words(sentence) else ()
    return tuple(f"{fact}\u3002" for fact in facts)


def _person(sentence: str) -> tuple[list[str], str]:
    """Who the patient is, if the sentence starts with it, and the rest."""
    said: dict[str, str] = {}
    end = 0
    while (found := zh.PERSON.match(sentence, end)) and (kind := str(found.lastgroup)) not in said:
        if kind == "age" and found[kind][-1] in "天周" and "妇" in said.get("sex", ""):
            break  # how long she has been with child
        said[kind] = re.sub(r"\s", "", found[kind])
        end = found.end()
    who = said.pop("who", "患者")
    facts = [f"{who}{'是' if kind == 'sex' else ''}{word}" for kind, word in said.items()]
    return (facts, sentence[end:]) if facts else ([], sentence)


# What a clause leaves unsaid ------------------------------------------------------------------------------------------


def _completed(clauses: Sequence[str]) -> list[tuple[str, str]]:
    """The heading that each clause stands under, and the clause with its organ or with those that belong to it."""
    told: list[tuple[str, str]] = []
    test = before = ""  # the heading of a test, and the last clause that stands by itself
    for clause in clauses:
        found = zh.HEADING.fullmatch(clause.strip(zh.MARKS))
        if not found or not (said := found["said"].strip(zh.MARKS)):
            continue
        heading = found["heading"] or ""
        if heading or not _is_result(test, said):
            test = heading
        under, last = ("", "") if heading or not told else told[-1]
        affirms, relative = last and not zh.DENIAL.match(last), zh.RELATIVE.match(before)
        bedside = not test and (not under or re.search("查体|体[检格]", under))
        organ = zh.SUBJECT.match(before) if bedside and not zh.LUMP.search(before) else None
        if affirms and organ and zh.OF_ORGAN.fullmatch(organ[0] + said):
            told.append(("", organ[0] + said))
        elif (affirms and zh.SAYS_NOTHING.match(said)) or (last and relative and zh.OF_RELATIVE.match(said)):
            told[-1] = (under, f"{last}\uff0c{said}")
        else:
            told.append((test, said))
            before = said
    return told


def _is_result(test: str, said: str) -> bool:
    """Whether a clause can be nothing but a result of the test before it."""
    return any(re.search(kind, test) and re.fullmatch(result, said) for kind, result in zh.RESULTS.items())


# Lists ----------------------------------------------------------------------------------------------------------------


def _parts(clause: str) -> list[str]:
    """The facts of a clause: itself, unless it is a list that one of the rules knows how to part."""
    if zh.COMMA.search(clause) is None:  # else it was joined
        for rule in (_of_two, _denied, _of_each, _of_one, _findings):
            parts = rule(clause)
            if parts and not lost(clause, parts):
                return parts
    return [clause]


def _items(text: str) -> list[str]:
    if re.search(r"[()\uff08\uff09\"\u201c\u201d]", text):
        return [text]
    return [item.strip() for item in zh.AND.split(text) if item.strip()]


def _of_two(clause: str) -> list[str]:
    """Left and right, heart and lungs: what is said of both is said of each."""
    found = zh.TWO.search(clause)
    if found is None or re.search(zh.SEVERAL, clause):
        return []
    before, after = clause[: found.start()], clause[found.end() :]
    if zh.AND.search(before) or zh.AND.search(after):
        return []
    return [f"{before}{one}{after}" for one in found.groups() if one]


def _denied(clause: str) -> list[str]:
    """Every item of a denial, or the clause itself where one may not be denied."""
    found = zh.DENIAL.fullmatch(clause)
    if found is None:
        return []
    head, items = found["head"], _items(re.sub("或者?", "、", found["list"]))
    if all(map(zh.DENIAL.match, items[1:])):
        return [head + items[0], *items[1:]] if items else [clause]
    items = _of_each("、".join(items)) or items
    if any(zh.AFFIRMED.search(item) or not zh.DENIABLE.search(item) for item in items):
        return [clause]
    history = re.search("(?:接触|过敏|家族)?史$", items[-1])
    for index, item in enumerate(items[:-1]):
        if history and not item.endswith("史"):
            if history[0] in ("接触史", "家族史"):
                return [clause]
            allergen = re.search(f"{zh.ALLERGEN}$", item)
            items[index] += history[0] if allergen else "史" if zh.EVENT.search(item) else ""
    return [f"{head}{item}" for item in items]


def _framed(clause: str) -> tuple[str, list[str], str]:
    """When and how a list began, its items, and how long all of them have lasted."""
    rest = zh.ONSET.sub("", clause)
    listed = zh.LASTED.sub("", rest)
    return clause[: len(clause) - len(rest)], _items(listed), rest[len(listed) :]


def _of_each(clause: str) -> list[str]:
    """Every organ or function of a list, with what is found in all of them."""
    lead, items, lasted = _framed(clause)
    if len(items) < 2 or re.search(rf"{zh.SEVERAL}|\d", "".join(items)):
        return []
    for named, state in ((zh.ORGAN, ".+"), (zh.NAMED, zh.STATE)):
        found = re.fullmatch(f"(?>{named})(?P<state>{state})", items[-1])
        if found and all(re.fullmatch(f"(?:{named})+", item) for item in items[:-1]):
            return [f"{lead}{item}{lasted}" for item in (*(item + found["state"] for item in items[:-1]), items[-1])]
    return []


def _of_one(clause: str) -> list[str]:
    """All that is found in one organ."""
    organ = zh.SUBJECT.match(clause)
    if organ is None:
        return []
    found = clause[organ.end() :]
    signs = re.fullmatch(rf"({zh.SIGN}(?:[、及和]{zh.SIGN})+)(均?明显|均?阳性|[(\uff08]\++[)\uff09])?", found)
    if signs:
        return [f"{organ[0]}{sign}{signs[2] or ''}" for sign in re.findall(zh.SIGN, signs[1])]
    first, *others = found.split("、")
    of_it = [re.match("[有无呈质]|边[界缘]|表面|活动度", item) and not zh.PLACE.search(item) for item in others]
    return [organ[0] + item for item in (first, *others)] if first and all(of_it) else []


def _findings(clause: str) -> list[str]:
    """Every symptom or illness of a list, with when and how all of them began, and how long they have lasted."""
    lead, items, lasted = _framed(clause)
    known = f"{zh.FINDING.pattern}|{zh.ILLNESS}(?:患者)?$" if re.search("[有患史]|既往", lead + lasted) else zh.FINDING
    if len(items) < 2 or any(zh.UNSURE.search(item) or not re.search(known, zh.LASTED.sub("", item)) for item in items):
        return []
    placed = [bool(zh.PLACE.match(item.lstrip("并伴有"))) for item in items]
    if any(re.search(zh.LOCAL, item) and not placed[n] and any(placed[:n]) for n, item in enumerate(items)):
        return []  # it may be in the place of one before it
    if any(map(str.isdigit, "".join(items))):  # each for a time of its own
        return [lead + items[0], *items[1:-1], items[-1] + lasted]
    return [f"{item if item.startswith(('伴', '并伴')) else lead + item}{lasted}" for item in items]
