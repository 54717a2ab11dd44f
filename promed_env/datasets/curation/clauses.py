"""Cuts an English sentence into clauses, each with a subject: the second of the three cuts of `facts`.

A clause starts where a conjunction, a comma or a semicolon is followed by a subject with a verb, or by a verb alone,
which then gets the subject of the clause before. "His wife says he coughs and sleeps badly" goes on about him.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from promed_env.datasets.curation.vetoes import garbled

__all__ = ["FINITE", "clauses", "outside"]

FINITE = (
    r"(?:is|are|was|were|has|had|have|does|did|do|can|cannot|could|will|would|should|must|may|might|"
    r"isn['\u2019]t|wasn['\u2019]t|doesn['\u2019]t|didn['\u2019]t|"
    r"takes|took|drinks|drank|smokes|smoked|denies|denied|reports|reported|states|stated|says|said|tells|told|feels|"
    r"felt|"
    r"appears|appeared|seems|seemed|works|worked|lives|lived|uses|used|eats|ate|started|starts|stopped|began|begins|"
    r"vomited|developed|develops|notes|noted|notices|noticed|complains|complained|shows|showed|show|reveals|revealed|"
    r"reveal|demonstrates|demonstrated|refuses|refused|speaks|responds|responded|presents|presented|comes|came|visits|"
    r"visited|arrives|arrived|calls|called|"
    r"recalls|recalled|admits|admitted|describes|described|mentions|mentioned|exhibits|displays|displayed|gained|lost|"
    r"gets|got|goes|went|wakes|woke|experiences|experienced|underwent|received|receives|requires|required|remains|"
    r"remained|becomes|became|makes|made|wants|finds|found|occurs?|occurred|worsens|worsened|improves|improved|"
    r"resolves|resolved|radiates|radiated|measures|measured|weighs|suggests|confirms|confirmed|contains?|"
    r"disappears|lasts|lasted|tastes|follows|consumes|prefers|exercises|performs|travels|travelled|"
    r"traveled|returned|returns|immigrated|moved|tested|attends|knows|likes|plays|plans|agrees|opens|withdraws|moves|"
    r"produces|produced|avoids|avoided|fell|struck|collapsed|died|dies|passed|needs|needed|tried|tries|thinks|believes|"
    r"sleeps|walks|walked|crawls|sits|stands|rolls|responds|localizes|yields|yielded|elicits|elicited|includes?|"
    r"claims|claimed|indicates|indicated|suffers|suffered|sustained|ran|runs|gives|gave|brings|brought|"
    r"provokes|bleeds?|causes|caused|forgets|hears|heard|sees|saw|describes|involves|extends?|spreads?|endorses|endorsed|"
    r"insists|lacks|offers|regains|regained|"
    r"(?<!the )(?<!his )(?<!her )(?<!on )(?<!to )left(?= (?:the|his|her|an?|for|home|work|school)\b))"  # no "left knee"
)

_ADVERB = (
    r"(?:(?:currently|recently|occasionally|usually|also|often|never|always|subsequently|then|now|frequently|rarely|"
    r"still|"
    r"only|otherwise|later|no longer|sometimes|generally|previously|suddenly|initially|therefore|thus|just|\w+ly) )?"
)

_VERB_FIRST = re.compile(rf"{_ADVERB}{FINITE}\b(?! to be\b)", re.IGNORECASE)

_DETERMINER = (
    r"(?:he|she|they|it|there|the|this|these|his|her|their|its|a|an|no|all|both|neither|one|some|several|most|today|"
    r"yesterday|now|"
    r"on|at|[A-Z\d])"
)

_SUBJECT_FIRST = re.compile(
    rf"(?!(?:which|who|that|because|when|while|if|for|with|without|to|by|after|before|since|until|as|including|"
    rf"such|where|whose|whom|of|from|than|during)\b)(?:[\w'\u2019%/.-]+ ){{1,8}}?{_ADVERB}{FINITE}\b"
)

_RELATIVE = re.compile(
    r"\b(?:which|who|that|whose|whom|where|when|because|if|while|as|since|after|before|than|whether|how|what|why)\b"
)

_FINITE_IN = re.compile(rf"\b{FINITE}\b")

_VITAL = re.compile(
    r"(?:(?:and|his|her|the|their|an?|with) )*(?:body |core |oral |rectal |serum |resting )?"
    r"(?:temperature|pulse|heart rate|blood pressure|respirations?|respiratory rate|respiration rate|oxygen saturation|"
    r"pulse oximetry|SpO2|BMI|body mass index|height|weight|BP|HR|RR|saturation|pulse rate|O2 saturation"
    r")(?: (?:is|are|was|were|of|at|reads?|measures?))?:? (?:[<>~\u2265\u2264] ?)?\d"
    r"|(?:[a-z][\w-]* ){1,4}(?:is|are|was|were) (?:[<>~\u2265\u2264] ?)?\d",
    re.IGNORECASE,
)

_PERSON = re.compile(
    r"^(?P<who>(?:An?|The)\s+(?!\w+ of\b)(?:(?:otherwise|previously|obese|healthy|[\w-]+)\s+){0,3}?"
    r"(?:\d[\d.\u00bd-]*|[a-z]+)[\s-]+"
    r"(?:year|month|week|day|hour|minute)s?[\s-]+old\b[^.;:]{0,80}?\b"
    r"(?:man|woman|boy|girl|male|female|infant|newborn|neonate|child|patient|baby|gentleman|lady|primigravida|"
    r"adolescent|"
    r"teenager|toddler)(?:\s+(?:infant|newborn|neonate|patient|child|baby|boy|girl|student|"
    r"gravida \d(?!,? para)|G\dP\d))?"
    r"(?:\s*,? (?:gravida|G)\s?\d,? (?:para|P)\s?\d,?)?)(?=[\s,])(?P<rest>.*)$",
    re.DOTALL,
)

_MAIN = re.compile(
    rf"\b(?:{FINITE}|is brought|is being|has been|was brought|is referred|is evaluated|is admitted|present|come)\b"
)

_ENDS_RELATIVE = re.compile(r"\w[\s,]+(?:who|that|which|whom|whose|and|or|but)(?: \w+ly| also| has| had)?\s*$")
_RELATIVE_IN = re.compile(r"\b(?:who|that|which|whom|whose)\b")
_STILL_WHO = re.compile(
    r"(?!(?:with|who|that|which|from|in|on|at|of|after|during|for|by|under|without|known|born|status|presenting|and)\b)"
    r"(?:(?!\w+(?:ing|ed|ly)\b)[a-z]+ ){0,2}(?!\w+(?:ing|ed|ly)\b)[a-z]+ $"
)

_TELLS = (
    r"(?:says|said|states|stated|reports|reported|mentions|mentioned|notes|noted|notices|noticed|recalls|claims|admits|"
    r"adds|explains|describes|complains|believes|thinks|feels|denies|is concerned|is worried)"
)

_TOLD = re.compile(
    rf"^(?:[^,.;]{{1,80}}, )?(?:[\w'\u2019-]+,? ){{1,6}}?{_ADVERB}(?:has )?(?:also )?{_TELLS} that ", re.IGNORECASE
)

_TOLD_OF = re.compile(
    rf"^((?:[^,.;]{{1,80}}, )?(?:[\w'\u2019-]+ ){{1,6}}?{_TELLS}(?: that)? (?:he|she|it|they|(?:these|those|"
    rf"this) \w+))(?= \w)"
    rf"|^((?:[^,.;]{{1,80}}, )?(?:[\w'\u2019-]+ ){{1,6}}?{_TELLS}(?: that)? (?:the|his|her|"
    rf"their) (?:[\w'\u2019-]+ ){{0,2}}?[\w'\u2019-]+) {_ADVERB}{FINITE}\b",
    re.IGNORECASE,
)

_OF_ITS_OWN = re.compile(  # a clause inside the clause, whose verbs may go on
    rf"[\w,] (?:that|because|as|since|while|when|whenever|although|though|whether|if|so|until|after|before|how|why|"
    rf"where) (?:that )?(?P<who>he|she|it|they|you|(?:the|his|her|their|its|these|those|this|an?|all|both|some|most) "
    rf"(?:[\w'\u2019-]+ ){{1,6}}?{_ADVERB}{FINITE}\b)"
    rf"|, (?P<also>he|she|it|they) {_ADVERB}(?:{FINITE}|\w+s)\b",
    re.IGNORECASE,
)
_PERSONAL = re.compile(
    rf"{_ADVERB}(?:denies|reports|states|says|endorses|thinks|believes|complains|takes|drinks|smokes|lives|works|"
    rf"does not|did not)\b"
)
_OWN = r"(?:he|she|it|they|there|the|his|her|its|their|this|these|all|both)"
_IS_DONE = re.compile(r"\b(?:is|are|was|were) (?:\w+ly )?(?:\w+ed|given|taken|found|brought|seen) [^,]*$")
_NO_VERB_YET = re.compile(
    r"\b(?:that|because|whether|when|while|if|although) (?:both )?(?:the|his|her|an?|their|both)\b[\w\s'\u2019-]*$",
    re.IGNORECASE,
)
_TELLS_THAT = re.compile(rf"\b{_TELLS} that\b", re.IGNORECASE)
_OTHERS = {
    "he": re.compile(
        r"\b(?:father|dad|husband|son|brother|boyfriend|uncle|grandfather|nephew|partner|friend|parents)\b", re.I
    ),
    "she": re.compile(
        r"\b(?:mother|mom|wife|daughter|sister|girlfriend|aunt|grandmother|niece|partner|friend|parents)\b", re.I
    ),
}
_ANEW = re.compile(
    r"\b(?:(?:measured|taken|checked|obtained) again|re-?measured|re-?checked|repeated)\b", re.IGNORECASE
)

_PARTICIPLES = frozenset(
    "heard seen found noted described measured tested used caused required received performed left needed followed "
    "moved reported presented lost made shown".split()
)
_HE_DOES = re.compile(r"^(?:[^,.;]{1,80}, )?(he|she|the patient) (?:\w+ly )?\w+(?:s|ed)\b", re.IGNORECASE)
_RELATIVE_VERB = re.compile(
    rf"\b(?:that|which|who) {_ADVERB}{FINITE}\b"
)  # the next verb may go on in the relative clause
_PREPOSITION = re.compile(r"(?:in|on|at|of|after|during|from|for|by|under|without)\b")
_JOINT = re.compile(r";\s*(?:and |but |however,? |or )?|,?\s+(?:and|but|yet) |,\s+")

_LONGEST_SUBJECT = 9


def clauses(sentence: str) -> Iterator[str]:
    """The clauses of a sentence, each with a subject."""
    person = _PERSON.match(sentence)
    if person is None:
        yield from _coordinated(sentence)
        return
    rest = person["rest"].lstrip(" ,")
    main = next((verb for verb in _MAIN.finditer(rest) if not _ENDS_RELATIVE.search(rest[: verb.start()])), None)
    if main is None or not re.search(r"\w", rest):
        yield from _coordinated(sentence)
        return
    who = person["who"].strip(" ,")
    between, said = rest[: main.start()], rest[main.start() :]
    if _STILL_WHO.match(between):  # "a 20-year-old female college student is ..."
        who, between = f"{who} {between.strip()}", ""
    between = between.strip(" ,")
    yield f"The patient is {who[0].lower()}{who[1:]}" if who.startswith(("A ", "An ")) else who
    if relative := re.match(r"who\s+", rest):
        between, said = "", rest[relative.end() :]
    elif _RELATIVE_IN.search(between):  # "with a cancer that was removed": its clause goes with the person's
        between, said = "", rest
    if between:
        told = re.sub(r"^with\s+", "has ", between)
        if told.startswith("has "):
            yield from _coordinated(f"The patient {told}")
        elif _PREPOSITION.match(between):
            yield f"The patient is {between}"
        else:
            said = f"{between} {said}"
    yield from _coordinated(f"The patient {said}")


def outside(rule: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Matches that stand outside brackets and quotations."""
    shut = [
        range(*found.span())
        for found in re.finditer(r"\([^()]*\)|\[[^\[\]]*\]|\u201c[^\u201d]*\u201d|\"[^\"]*\"", text)
    ]
    for found in rule.finditer(text):
        if not any(found.start() in place for place in shut):
            yield found


def _coordinated(text: str) -> Iterator[str]:
    """The clauses that stand side by side, each with the subject of the one before if it has none of its own."""
    subject, start, whole = "", 0, text.rstrip(" .")
    if told := _TOLD.match(whole):
        parts = [part for part in re.split(r",? and that ", whole[told.end() :]) if part.strip()]
        if len(parts) > 1:
            for part in parts:
                yield from _coordinated(f"{told[0]}{part}")
            return
    pieces: list[tuple[str, str]] = []  # a clause, and the kind of the one after it
    for found in outside(_JOINT, whole):
        left, right = whole[start : found.start()], whole[found.end() :]
        kind = _boundary(found[0], left, right, bool(pieces))
        if kind:
            pieces.append((left, kind))
            start = found.end()
    pieces.append((whole[start:], ""))
    before = ""
    anew = _ANEW.search(whole)
    made: list[str] = []
    for number, (piece, after) in enumerate(pieces):
        if before == "denial":
            piece = f"there is {piece}"
        elif before == "verb" and subject:
            piece = f"{subject} {piece}"
        else:
            subject = _subject(piece)
        if anew and number and _VITAL.match(piece):
            piece = f"{anew[0]}, {piece}"  # or it would contradict the first measurement
        before = after
        made.append(piece)
    if any(garbled(piece, whole) for piece in made):
        made = [whole]
    yield from made


def _boundary(separator: str, left: str, right: str, later: bool) -> str:
    """What starts behind the separator: a "clause", a "verb" without subject, a "denial" without a verb, or nothing."""
    if "but" in separator and re.match(r"no\b", right):
        return "denial"
    has_verb = _FINITE_IN.search(left) or _HE_DOES.match(left)
    if _speaks_of_another(left, right) or (_NO_VERB_YET.search(left) and not _FINITE_IN.search(_last_clause(left))):
        return ""
    if separator.startswith(";"):
        return "verb" if _VERB_FIRST.match(right) and _subject(left) else "clause"
    joined = separator.strip(" ,") != ""
    if _VITAL.match(right) and (re.search(r"\d", left)) and (_VITAL.search(left) or later):
        return "clause"
    if not has_verb:
        return ""
    if _VERB_FIRST.match(right):
        listed = joined or re.search(rf",\s+and {_VERB_FIRST.pattern}", right, re.IGNORECASE)
        free = not _in_relative(left) and not _RELATIVE_VERB.search(left) and not _goes_on_within(left, right)
        passive = _IS_DONE.search(left) and re.match(r"(?:started|admitted|moved) (?:on|to|for|with)\b", right)
        return "verb" if listed and (_subject(left) or later) and free and not passive else ""
    found = _SUBJECT_FIRST.match(right)
    if not found or _RELATIVE.search(found[0]) or re.search(r",|\b(?:and|or|but)\b", found[0]):
        return ""
    words = found[0].split()
    own_subject = re.match(rf"{_DETERMINER}\b", words[0]) or words[-1].lower() in ("is", "are", "was", "were", "has")
    if (
        "," not in separator
        and words[-1].lower() in ("are", "were", "have")
        and not re.match(rf"{_OWN}\b", words[0], re.IGNORECASE)
    ):
        before = re.split(r",? and |, ", left)
        if len(before) > 1 and not _FINITE_IN.search(before[-1]):
            return ""  # "he is intubated, and fluids and epinephrine are given"
    if words[-1].lower() in _PARTICIPLES and words[0].lower() not in ("he", "she", "they", "it"):
        return ""  # "a murmur heard at the apex"
    return "clause" if joined and own_subject and not _in_relative(left) else ""


def _in_relative(left: str) -> bool:
    """Whether the left side ends inside a subordinate clause that the right side may continue."""
    return bool(
        re.match(r"\s*(?:when|if|while|although|though|because|since|after|before|as)\b", left, re.IGNORECASE)
    ) and ("," not in left)


def _last_clause(left: str) -> str:
    """The left side from its last "that" or "because"."""
    return re.split(r"\b(?:that|because|whether|when|while|if|although)\b", left, flags=re.IGNORECASE)[-1]


def _goes_on_within(left: str, right: str) -> bool:
    """Whether a clause inside the left side, about somebody or something else, may go on with the next verb."""
    if _TOLD_OF.match(left):
        return False
    inside = next(
        (own for own in _OF_ITS_OWN.finditer(left) if own["who"] or _FINITE_IN.search(left[: own.start()])), None
    )
    told = _TELLS_THAT.search(left)
    if inside is None and told is None:
        return False
    if re.match(r"(?:\w+, )?(?:he|she|the patient)\b", left, re.IGNORECASE):  # says something of him- or herself
        who = (inside["who"] or inside["also"]).casefold() if inside else ""
        return not (who in ("he", "she") or (inside is not None and _PERSONAL.match(right)))
    return True


def _speaks_of_another(left: str, right: str) -> bool:
    """Whether the right side's "he" or "she" may be somebody whom the left side is about: "her father ...; he is"."""
    pronoun = re.match(r"(?:he|she)\b", right, re.IGNORECASE)
    if pronoun is None or re.match(rf"{pronoun[0]}\b", left, re.IGNORECASE):
        return False
    return _OTHERS[pronoun[0].casefold()].search(_subject(left) or left) is not None


def _subject(piece: str) -> str:
    """What stands before the first finite verb, if that is short enough to be a subject."""
    if told := _TOLD_OF.match(piece):  # "His mother says he ..." goes on about him
        return told[1] or told[2]
    if does := _HE_DOES.match(piece):
        return does[1]
    verb = _FINITE_IN.search(piece)
    if verb is None:
        return ""
    subject = re.sub(r"\b(?:currently|recently|also|occasionally|last|often|\w+ly)\s*$", "", piece[: verb.start()])
    subject = subject.strip()
    if "," in subject:
        subject = subject.rsplit(",", 1)[1].strip()
    if _RELATIVE.search(subject) or not 0 < len(subject.split()) <= _LONGEST_SUBJECT:
        return ""
    return subject
