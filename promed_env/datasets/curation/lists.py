"""Cuts the list of a clause into its items, each with the words before the list: the third of the cuts of `facts`.

A list hangs on a head ("denies", "history of", "is") and runs to the end of the clause. An "and" joins two findings,
but also two places, two adjectives of one noun, or two objects of one preposition; what is not known to be a list
stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from promed_env.datasets.curation.clauses import FINITE, outside
from promed_env.datasets.curation.vetoes import garbled
from promed_env.datasets.curation.words import denies

__all__ = ["list_items"]

_TRIGGER = re.compile(
    r"\b(?:(?:has|have|had) been|den(?:ies|ied|ying)(?: any| having| recent| the use of| use of)?|reports|reported|"
    r"complain(?:s|ed|ing) of|complaints? of|"
    r"because of|due to|with|without|shows?|showed|showing|reveals?|revealed|revealing|demonstrates?|demonstrated|"
    r"exhibits|"
    r"displays|(?:significant|notable|remarkable|positive|negative) (?:only )?for|histor(?:y|ies) of|includ(?:es?|ed|"
    r"ing)|"
    r"is|are|was|were|has|had|have|having|takes|take|taking|develops|developed|experienc(?:ed|es|ing)|symptoms of|"
    r"feelings? of|sensations? of|onset of|"
    r"episodes of|diagnosed with|presents with|treated with|no|any|signs of|evidence of|feels|feeling|appears|seems|"
    r"requires|required|underwent|received|(?:started|placed|maintained) on|"
    r"(?:\d+|one|two|three|four|five|several) (?:minutes|hours|days|weeks|months|years) of(?! (?:life|age)\b)|"
    r"findings of|drinks|uses|elicits|elicited|(?:treated|evaluated|admitted) for|(?:difficulty|trouble|"
    r"problems?) \w+ing(?= (?!and\b|or\b|in\b|with\b)\w)|(?:dis)?oriented to)\b:?\s*",
    re.IGNORECASE,
)

_BREAK = re.compile(r",\s+(?:and|or|as well as|but|along with)\s+|,\s+|\s+(?:and|or|as well as|along with)\s+")

_PREPOSITION = re.compile(
    r"\b(?:in|on|of|over|to|at|from|between|around|into|for|through|along|across|under|within|during|after|with|"
    r"without|"
    r"by|near|per|about|against|than|upon|behind|below|above|throughout)\b"
)

_FINITE_IN = re.compile(rf"\b{FINITE}\b")
_RELATIVE = re.compile(r"\b(?:which|who|that|whose|whom|where|when|because|if|while|as|since|after|before|than)\b")
_NOT_ITEM = re.compile(
    rf"^(?:who|which|that|when|where|because|but|then|if|while|although|however|for|in|on|at|over|since|after|before|"
    rf"to|"
    rf"by|with|from|followed|accompanied|associated|including|especially|"
    rf"particularly|as|such|respectively|both|so|than|he|she|they|it|"
    rf"{FINITE})\b",
    re.IGNORECASE,
)

_MODIFIER = re.compile(
    r"^(?:[\w-]+(?:al|ic|ous|ive|ed|ent|ant|ar|ary|ory|ble|less|ful|lar|ial|oid|id)|right|left|upper|lower|personal|"
    r"family|"
    r"mild|severe|warm|dry|scaly|itchy|red|white|black|brown|yellow|blue|dark|deep|soft|firm|hard|large|small|thin|"
    r"thick|"
    r"fast|rapid|slow|weak|smooth|rough|fine|coarse|high|low|long|short|first|second|third|anterior|posterior|medial|past|poor|good|"
    r"recent|current|new|sudden|abrupt|watery|greasy|bloody|crusty|flaky|shiny|dull|sharp|tall|coordination|\d+|[IVX]+|"
    r"[A-Z]\d?|one|"
    r"two|three|urine|blood|alcohol|tobacco)$",
    re.IGNORECASE,
)

_FINDING = re.compile(
    r"\b(?:\w+(?:ia|itis|osis|emia|aemia|algia|uria|pnea|megaly|ness|pathy|rrhea|ache|rrhage|edema|penia)|pain|fevers?|"
    r"chills|cough|vomiting|nausea|fatigue|rash|swelling|bleeding|weight loss|sweats|difficulty|loss|constipation|"
    r"discharge|"
    r"bruits?|rigidity|guarding|rebound|malaise|pallor|rales|wheez\w+|feelings?|trouble|problems?|changes?|anxiety|"
    r"nervousness|irritability|insomnia|dizziness|weakness|inability|crackles|murmur|lesions?|mass|itching|numbness|"
    r"tingling|palpitations|headaches?|seizures?|asthma|hypertension|diabetes|depression|disease|cancer|syndrome)\b",
    re.IGNORECASE,
)

_NEW_FINDING = re.compile(
    r"(?:an?|no|multiple|several|mild|moderate|severe|diffuse|bilateral|absent|normal|elevated|decreased|increased|"
    r"reduced|"
    r"diminished|scattered|occasional|frequent|recurrent|generalized|intermittent|poor)\b",
    re.IGNORECASE,
)

_DEGREE = re.compile(
    r"(?:normal|decreased|increased|elevated|reduced|diminished|absent|worsening|recurrent|impaired|abnormal|limited)\b",
    re.IGNORECASE,
)

_TIME_TAIL = re.compile(
    r"\s(?:(?:in|within) the (?:past|last|previous)\b.*"
    r"|(?:for|over|during|since|beginning|starting) (?:the )?(?:past|last|previous|several|about|almost|"
    r"approximately|nearly|\d[\d.-]*|one|two|three|four|five|six|seven|eight|nine|ten|a few|many)\b.*"
    r"|(?:that|which) (?:started|began|have|has|had)\b.*|since (?:yesterday|birth|this|last|the).*)$",
    re.IGNORECASE,
)

_SHARED_NOUN = re.compile(r" or (?P<other>personal|family|[\w-]+(?:al|ic|ous|ary|id)) (?P<noun>[a-z].*)", re.DOTALL)

_LONGEST_ITEM = 14  # words

_IN_RELATIVE = re.compile(r"\b(?:that|which|who) (?:\w+ )?$")  # its verb heads no list of the clause
_DENIAL = re.compile(r"(?:no|without(?: any)?|denies(?: any)?|not) ", re.IGNORECASE)
_AUXILIARY = re.compile(
    r"\b(?:is|are|was|were|has|had|have|having|been)(?: (?:not|also|recently|ever))*\s*$", re.IGNORECASE
)
_CAUSE = re.compile(
    r"\b(?<!liters )(?<!grams )(?:of|for|with|by|due to|because of|"
    r"(?:(?<=oriented )|(?<=only )|(?<=allergic )|(?<=responsive ))to)\s+(?!\d|the (?:past|last)|several\b)"
)
_DEED = re.compile(
    r"(?:not |also |then |\w+ly )*(?:\w{2,}(?:ed|ing)|set|given|taken|found|told|sent|seen|put|kept|brought|begun|born|"
    r"driven|able|unable) "
    r"|(?:\w+ly )?\w{2,}(?:ed|ing)$"
)
_DONE = re.compile(r"(?:\w+ly )?\w+ed (?:with|on|to|for|by|in|from|at)\b")
_STATE = re.compile(r"(?:not|very|without|in|on|at|under|\w+ly) \w+")
_DEED_NEXT = re.compile(r"\w+ (?:the|an?|his|her|their|its|to|up)\b")  # the infinitive of a deed
_PASSIVE = re.compile(r"(?:not |\w+ly )*\w+ed (?:by|with|for)\s+(?=[\w-]+,? [\w-]+$|[\w-]+$)")
_PARTICIPLE = re.compile(
    r"(?:(?:also|not|recently|never|ever|\w+ly) )*(?:\w{2,}ed|become|grown|taken|given|lost|seen|begun|gone|"
    r"known|eaten|undergone|felt|had|been \w+ing|\w{3,}ing)\b"
    r"(?! (?:to|in|on|at|from|for|with|by|like|him|them)\b)\s*"
)
_SUBJECTS = re.compile(
    r"^(?P<one>(?:An?|The|His|Her) [\w\s()-]{1,50}?) and (?P<other>(?:an?|the|his|her) [\w\s()-]{1,50}?) (?P<verb>are|"
    r"were) "
    r"(?!both|similar|equal|the same)(?P<rest>.+)$",
    re.DOTALL,
)

_DOES = re.compile(r"\w{3,}ing (?:his|her|their|the|its|an?)\b")  # a deed with its object

_WITH_NO = re.compile(
    r"^((?P<who>.*?)\b(?:is|are|was|were|seems?|appears?)\b [^,]*?),? with no (?P<what>.+)$", re.DOTALL
)
_PERSON = re.compile(
    r"(?:\w+, )?(?P<who>(?:he|she|they|the (?:patient|child|infant|boy|girl|man|woman)|"
    r"[\w'\u2019]+ (?:\w+ )?(?:father|mother|parents|brothers?|sisters?|siblings?|twin|sons?|daughters?|wife|husband|"
    r"family|children|relatives?|aunt|uncle|grandfather|grandmother|grandparents)))\s*$",
    re.IGNORECASE,
)
_PLURAL = re.compile(r"(?:they|.*(?:parents|brothers|sisters|siblings|sons|daughters|children|relatives))$", re.I)

_BODY = (
    r"(?:face|chest|back|thumbs?|trunk|arms?|legs?|neck|"
    r"hands?|feet|foot|abdomen|elbows?|knees?|wrists?|ankles?|scalp|palms?|"
    r"soles?|"
    r"extremit\w+|shoulders?|thighs?|fingers?|toes?|hips?|thorax|groin|axillae?|forearms?|cheeks?|eyes?|ears?|nose|"
    r"mouth|lips?|"
    r"fingernails|nails|buttocks|head|flanks?|mucosae?|limbs?|calves|calf|jaw|forehead|genitals|genitalia|front|"
    r"outside)"
)

_GENERIC = re.compile(
    r"(?:problems?|issues?|difficult\w+|loss|pain|history|use|disease|abnormalities|changes|symptoms|swelling|"
    r"movements?|"
    r"function|pressure|sounds?|pulses?|tests?|levels?|cells?|infections?|cancer|incontinence|tenderness|"
    r"discharge|fractures|injuries)\b"
)

_COPULA = re.compile(r"\b(?:is|are|was|were|appears?|feels|feeling|seems)\s*$", re.IGNORECASE)


def list_items(clause: str) -> Iterator[str]:
    """One text for each item of the clause's list, with the words before it; the clause itself if it has no list."""
    clause = clause.strip(" ,;")
    if subjects := _SUBJECTS.match(clause):
        verb = {"are": "is", "were": "was"}[subjects["verb"]]
        yield from (f"{subjects[name]} {verb} {subjects['rest']}" for name in ("one", "other"))
        return
    if (without := _WITH_NO.match(clause)) and not re.search(
        r" (?:an?|the|his|her) ", without[1][len(without["who"]) :]
    ):
        yield from (without[1], _without(without))
        return
    breaks = [found for found in outside(_BREAK, clause.rstrip(" .")) if not _in_place(clause, found)]
    garbling: set[int] = set()
    for first, found in enumerate(breaks):
        heads = [
            head
            for head in outside(_TRIGGER, clause)
            if head.end() <= found.start() and not _IN_RELATIVE.search(clause[: head.start()])
        ]
        shared = _SHARED_NOUN.match(clause, found.start())
        if shared and len(clause[: found.start()].split()) > 1:
            before, _, modifier = clause[: found.start()].rpartition(" ")
            if _MODIFIER.match(modifier) and not modifier.isdigit():
                yield f"{before} {modifier} {shared['noun']}"
                yield f"{before} {shared['other']} {shared['noun']}"
                return
        if not heads:
            continue
        if (
            len(heads) > 1
            and heads[-1][0].strip().endswith(" of")
            and not heads[-1][0].lower().startswith(("because", "complain"))
            and re.match(r"(?:an?|the|his|her|no) ", clause[found.end() :])
        ):
            heads.pop()  # "a history of asthma and a rash", "a history of asthma and no fever"
        listed = any(later[0].startswith(",") for later in breaks[first:])
        if heads[-1].end() in garbling:
            continue  # a list that this head does not fit
        if any(before[0].startswith(",") and before.start() > heads[-1].end() for before in breaks[:first]):
            continue  # the end of a list whose start is none
        if found[0].strip(" ,") and found[0].startswith(",") and any(before[0] == ", " for before in breaks[:first]):
            continue  # the end of a list that starts before the head
        for start in _starts(clause, heads, found, listed):
            items = _list(clause.rstrip(" ."), start, breaks[first:])
            if not items:
                break
            facts = list(_spread(clause[:start].strip(), items))
            if _parallel(clause[:start], items) and not any(garbled(fact, clause) for fact in facts):
                yield from facts
                return
            garbling.add(heads[-1].end())
    yield clause


def _starts(clause: str, heads: list[re.Match[str]], found: re.Match[str], listed: bool) -> Iterator[int]:
    """Where the first item may start; each is tried where the ones before it make something garbled."""
    if len(heads) > 1 and _DONE.match(clause, heads[-2].end()) and _DONE.match(clause, found.end()):
        yield heads[-2].end()  # "is diagnosed with gout and started on colchicine"
        return
    yield _head_end(clause, heads[-1].end(), found, listed)
    if not re.match(r"(?:\w+ )?been\b", clause[heads[-1].end() :]):
        yield heads[-1].end()
    if len(heads) > 1 and (not _COPULA.search(heads[-2][0]) or _DEED.match(clause, heads[-2].end())):
        yield heads[-2].end()  # "shows no rash and no fever" hangs on "shows"
    rest = re.split(_BREAK, clause[found.end() :].rstrip(" ."))
    if all(map(_is_finding, rest)):
        yield from (place.end() for place in list(_CAUSE.finditer(clause[: found.start()]))[-1:])


def _parallel(head: str, items: list[str]) -> bool:
    """Whether the items behind "is" go on as the first does: "is set at 2 L, volume 1 L" has a verb and a noun."""
    if not re.search(r"(?<!there )\b(?:is|are|was|were|been)(?: not)?\s*$", head, re.IGNORECASE):
        return True
    if " " not in items[0] or not _DEED.match(items[0]):
        return True
    intends = re.search(r" to (?!the |an? |his |her )\w", items[0])  # "supposed to collect, document"
    lasts = re.match(r"\w+ing\b", items[0])
    return not any(
        (" " not in item and intends)
        or (re.match(r"\w+ing\b", item) and not lasts)
        or not (" " not in item or _DEED.match(item) or _STATE.match(item))
        for item in items[1:]
    )


def _without(found: re.Match[str]) -> str:
    """What a clause's "with no" denies: of a person by name, of anything else as being there."""
    if person := _PERSON.match(found["who"]):
        return f"{person['who']} {'have' if _PLURAL.match(person['who']) else 'has'} no {found['what']}"
    return f"There is no {found['what']}"


def _head_end(clause: str, start: int, found: re.Match[str], listed: bool) -> int:
    """Where the first item starts: behind a participle or preposition that belongs to the head of all items."""
    if not _AUXILIARY.search(clause[:start]):
        return start
    left, right = clause[start : found.start()], clause[found.end() :]
    participle = _PARTICIPLE.match(left)
    if re.match(r"\w+(?:ed|ing)\b", right) and re.match(
        r"(?:\w+ly )?\w+(?:ed|ing)\b", left
    ):  # "is intubated, stabilized, and transferred"
        return start
    if passive := _PASSIVE.match(left):  # "is accompanied by nausea, vomiting"
        if not re.match(r"(?:\w+ly )?\w+ed\b", right):
            return start + passive.end()
    elif (
        not listed
        and found[0].strip() in ("and", "or")
        and not (_NEW_FINDING.match(right) or re.match(r"(?:the )?\d", right))
    ):
        prepositions = [place for place in _CAUSE.finditer(left) if place.start()]
        infinitive = re.search(r"\bto (?=\w+$)", left) or (
            _DEED_NEXT.match(right) and re.search(r"\bto (?!.*\bto )", left)
        )
        if infinitive:  # "able to eat and drink"
            return start + infinitive.end()
        if prepositions:
            return start + prepositions[-1].end()
    return start + participle.end() if participle and participle.end() < len(left) else start


def _list(clause: str, start: int, breaks: list[re.Match[str]]) -> list[str]:
    """The items of the list that starts here and runs to the end of the clause, or nothing if it is none."""
    commas = [found for found in breaks if found[0].startswith(",")]
    final = [found for found in commas if found[0].strip(" ,")]
    if final:
        cuts = [found for found in commas if found.start() <= final[-1].start()]
        cuts = cuts if len(cuts) > 1 or _alike(clause, start, cuts[0]) else []
    elif commas:
        last = [found for found in breaks if found.start() > commas[-1].start() and not found[0].startswith(",")]
        cuts = [*commas, last[0]] if last else []
    else:
        cuts, since = [], start
        for found in breaks:
            if _alike(clause, since, found):
                cuts.append(found)
                since = found.end()
    if not cuts or (commas and cuts[0] is not breaks[0] and len(cuts) < 2):
        return []
    edges = [start, *(edge for found in cuts for edge in found.span()), len(clause)]
    items = [clause[a:b].strip() for a, b in zip(edges[::2], edges[1::2], strict=True)]
    if not _COPULA.search(clause[:start]):  # "sudden, jerking movements and tremor" has two items
        for index in reversed(range(len(cuts))):
            bare = cuts[index][0].strip() == ","
            alone = len(items[index].split()) == 1 and _MODIFIER.match(items[index])
            if bare and alone and len(items[index + 1].split()) > 1 and not _FINDING.search(items[index]):
                items[index : index + 2] = [f"{items[index]}, {items[index + 1]}"]
    if not _all_items(items):
        return []
    if re.match(r"normal \w", items[0]) and any(" " not in item for item in items[1:]) and len(items) > 2:
        return []  # "normal heart rate, movement, and tone": all of them are
    if re.search(r"\b(?:exception|absence|lack) of ", items[0]) and not items[-1].startswith("the presence"):
        return []
    if re.search(r" (?:that|which|who) ", items[0]) and any(not _is_finding(item) for item in items[1:]):
        return []  # "hypertension that is treated with lisinopril, ramipril, and insulin"
    return _denied(items) if re.search(r"\bor\b", cuts[-1][0]) else items


def _denied(items: list[str]) -> list[str]:
    """Items of a list that ends in "or": what follows a denial is denied too ("clear lungs, no rubs, or murmurs")."""
    told: list[str] = []
    for item in items:
        denial = _DENIAL.match(told[-1]) if told else None
        told.append(f"{denial[0]}{item}" if denial and not _DENIAL.match(item) else item)
    return told


def _in_place(clause: str, found: re.Match[str]) -> bool:
    """Whether a place follows that belongs to the place before: "on the face, chest, and back"."""
    before, after = clause[: found.start()], clause[found.end() :]
    place = re.match(
        rf"(?:(?:the|his|her|both|bilateral|left|right|upper|lower|index|middle|ring|radial half of|"
        rf"ulnar half of|\w+al)(?:,? and|,? or)? )*{_BODY}\b(?! \w+ing| pain| ache)",
        after,
        re.I,
    )
    return bool(place) and bool(
        re.search(rf"(?:\b(?:on|over|in|of|to|from|across|around|into|and)\b|,)[^,]*{_BODY}\b[^,]*$", before, re.I)
    )


def _all_items(items: list[str]) -> bool:
    if any(not item or len(item.split()) > _LONGEST_ITEM for item in items):
        return False
    done = all(_DONE.match(item) for item in items)  # "started on" is no verb of its own there
    if any((_NOT_ITEM.match(item) and not done) or re.search(r"\bso \w+ that\b", item) for item in items[1:]):
        return False
    if any(_DOES.match(item) for item in items[1:]) and not _DOES.match(items[0]):
        return False  # "a motion with his lips, pursing his mouth"
    if not done and any(_FINITE_IN.search(item) and not _RELATIVE.search(item) for item in items[1:]):
        return False
    if any(denies(item) and not _DENIAL.match(item) for item in items[:-1]):
        return False  # it may go on denying: "low fluid and no sign of movement, breathing, or heartbeat"
    # "tender, swollen, and warm knee", "no carotid, renal, or abdominal bruits": modifiers of one noun
    last = items[-1].split()
    heads = all(_MODIFIER.match(item.split()[-1]) and not _FINDING.search(item) for item in items[:-1])
    return not (heads and len(last) > 1 and _MODIFIER.match(last[0]))


def _is_finding(item: str) -> bool:
    return bool(_FINDING.search(item) or _NEW_FINDING.match(item))


def _alike(clause: str, start: int, found: re.Match[str]) -> bool:
    """Whether the two sides of a single "and" are findings, and no places or modifiers of one finding."""
    left, right = clause[start : found.start()].strip(), clause[found.end() :].strip()
    if not left or not right or re.search(r"\b(?:between|both|either)\b", clause[: found.start()]):
        return False
    if re.search(r"\d\w*$", left) and re.match(r"\d", right):  # "at the age of 66 and 69 years"
        return False
    if left.split()[-1] == right.split()[0]:  # "more and more"
        return False
    degree = _DEGREE.match(left)
    if _DONE.match(left) and _DONE.match(right):
        return True  # "diagnosed with gout and started on colchicine"
    if " and " in left and " " not in right and not _FINDING.search(right):
        return False  # "red and swollen mucosa and turbinates"
    if re.fullmatch(_BODY, left) or (left.startswith("a normal ") and len(right.split()) == 1):
        return False  # "leg and perineal edema", "a normal vagina and cervix"
    if re.match(r"an? \w+ed (?:left|right) ", left) and re.match(r"(?:left|right) ", right):
        return False  # "an enlarged left ventricle and left atrium"
    if degree and len(left.split()) > 2 and len(right.split()) <= 2 and not _FINDING.search(right):
        return False  # "elevated urinary VMA and metanephrines" raises both
    if _COPULA.search(clause[:start]) and len(left.split()) <= 3 and not _PREPOSITION.search(left):
        return len(right.split()) <= 4 and not re.match(r"(?:the|a|an|his|her)\b", right)
    ahead = right.split()[:2]
    if len(ahead) == 2 and _GENERIC.match(ahead[1]) and len(left.split()) <= 3 and not _FINDING.search(left):
        return False  # "recurrent wrist and neck pain"
    noun = re.split(r" (?:that|which|in|on|of|for|over|with)\b", right)[0].split()
    if len(left.split()) == 1 and 1 < len(noun) <= 4 and not (_FINDING.search(left) or left.endswith("ing")):
        if _GENERIC.fullmatch(noun[-1]):
            return False  # "skin or soft tissue infections"
    if len(left.split()) == 1 and len(right.split()) > 1 and _MODIFIER.match(left):
        return False
    if _PREPOSITION.search(left) or re.search(r"\b(?:that|which|who)\b", left):
        return bool(_NEW_FINDING.match(right) or _FINDING.search(" ".join(right.split()[:4])))
    return True


def _spread(head: str, items: list[str]) -> Iterator[str]:
    """Head, item and, where the last item's time holds for all, its time."""
    tail = _TIME_TAIL.search(items[-1])
    of_its_own = tail is not None and re.search(r"\b(?:since|after|before)\b", items[-1][: tail.start()])
    shared = (
        tail is not None
        and not of_its_own
        and not any(_TIME_TAIL.search(item) or re.search(r"\bhistory\b", item) for item in items[:-1])
    )
    degree = _DEGREE.match(items[0])
    own = _MODIFIER.match(items[1].split()[0]) or re.match(r"(?:an?|the|no|not|without)\b", items[1])
    if degree and len(items) == 2 and len(items[0].split()) == 2 and not own:
        items = [items[0], f"{degree[0]} {items[1]}"]  # "normal strength and sensation"
    for item in items:
        end = tail[0] if tail is not None and shared and item is not items[-1] else ""
        yield f"{head} {item}{end}"
