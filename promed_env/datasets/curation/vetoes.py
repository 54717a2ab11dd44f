"""What no fact that a cut made may look like: the check, beside that of its words, behind which a sentence stays whole.

A cut puts words side by side that the sentence has apart, and most garbled facts are garbled at such a seam: "a history
of | no fever", "increased | a rash", "the patient is | nausea". A long true fact is better than a short false one, so
the rules may refuse some English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

__all__ = ["garbled"]

_WORD = re.compile(r"[\w'\u2019/%.-]*\w|[,;:()\u201c\u201d\"]")

_OPEN_END = re.compile(
    r"\b(?:that|which|who|whom|whose|because|due to|than|if|whether|and|or|but|of|with|without|for|to|from|by|into|"
    r"between|during|the|an?|his|their|no|any|is|are|was|were|has been)[\s.]*$"
)
_BARE_ADJECTIVE = re.compile(  # without its noun: "shows a left-sided", "shortened upper"
    r"\b(?:(?:an?|shows|reveals|multiple|several) (?:(?:\w+ly|[\w-]+ed) )?"
    r"(?:(?!hospital|clinic|trial|professional|animal|alcoholic|diabetic|mechanic)[\w-]+(?:ous|al|ic|sided|ened|defined|demarcated|shaped)|round|firm|soft|warm|dry|tender|swollen|large|small|"
    r"thin|thick|mild|severe|painful|painless)"
    r"|bulge (?:in|su)ferior|(?:for|\w+ed|\w+al) (?:upper|lower)|\w+-)[\s.]*$"
)

_BE = r"(?:is|are|was|were)"
_DENIAL = r"(?:no|not|any|without(?: any)?)"
_DEGREE = (
    r"(?:normal|increased|decreased|elevated|reduced|diminished|severe|mild|sudden|worsening|progressive|absent|low|"
    r"high|recent|other|recurrent|increasing)"
)
_PREPOSITION = r"(?:with|without|of|for|by|from|in|on|at|to|due to|because of)"
_HAVE = r"(?:has|have|had|having)"
_SHOW = r"(?:show|reveal|demonstrate)\w*"
_VERB = (  # of a subject, which a head has already
    r"(?:is|are|was|were|has|have|had|does|did|cannot|could|should|takes|took|denies|denied|states|says|said|tells|"
    r"feels|appears|seems|lives|began|begins|became|becomes|develops|notices|complains|reveals|demonstrates|refuses|"
    r"presents|comes|came|arrives|recalls|admits|describes|mentions|exhibits|displays|gets|goes|went|wakes|woke|"
    r"experiences|underwent|receives|requires|remains|occurs|worsens|improves|resolves|radiates|weighs|suggests|"
    r"confirms|contains|lasts|consumes|prefers|returns|immigrated|attends|knows|agrees|withdraws|produces|avoids|fell|"
    r"tries|thinks|believes|sleeps|sits|localizes|yields|elicits|includes|claims|indicates|suffers|ran|gave|gives|"
    r"brings|provokes|forgets|hears|sees|involves|extends|endorses|insists|lacks|offers|declines|dies|prepares|"
    r"usually \w+s)"
)
_SYMPTOM = (  # that nobody is
    r"(?:\w+(?:emia|algia|uria|phobia|phagia|pnea|rrhea|rrhagia|itis|osis|megaly|penia)|nausea|pains?|fevers?|chills|"
    r"cough|fatigue|malaise|rash|diarrhea|constipation|headaches?|dizziness|weakness|numbness|tingling|palpitations|"
    r"seizures?|insomnia|anorexia|urination|thirst|weight (?:loss|gain)|(?:loss|shortness|difficulty|inability) \w+|"
    r"hypertension|hypotension|tachycardia|bradycardia|diabetes|asthma|convulsions|syphilis|dentition|marks|"
    r"photosensitivity|incontinence|edema|hematochezia|volume|pressure|rate)"
)
_LIMB = r"(?:fingers?|thumbs?|toes?|arms?|legs?|hands?|feet|foot|knees?|wrists?|elbows?)"

_SEAMS = tuple(
    (re.compile(rf"\b{before}$", re.IGNORECASE), re.compile(rf"{after}\b", re.IGNORECASE))
    for before, after in (
        # A denial behind what has no use for one: "of no", "increased no", "shows not".
        (rf"(?:of|for|to|by|from|on|in|at|due to|{_DENIAL}|{_DEGREE})", r"(?:no|not|without|denies|neither)"),
        (rf"(?:with|been|denies|reports|{_HAVE}|{_SHOW})", r"(?:not|without|denies|and|or|but)"),
        (r"no", r"[^,]* up[- ]to[- ]date"),
        # No noun behind a word that needs one: "no a rash", "increased a rash", "with followed by", "for because".
        (
            rf"(?:{_DENIAL}|{_DEGREE})",
            r"(?:an?|the|his|her|their|he|she|it|they|there|that|which|who|was|were|is|are)",
        ),
        (
            rf"(?:{_PREPOSITION}|no|any|{_HAVE}|denies|shows?|reveals?|{_DEGREE})",
            r"(?:\w+ly |well )?(?:followed by|\w{3,}ed (?:by|with|to|for|from|as|at|in|on)|given|aggravated|relieved|"
            r"except|discharged|transferred|admitted|referred|sent|(?:positive|negative) for|with|for|of|because|"
            r"despite|although|then|so)",
        ),
        (r"(?:of|for|with)", r"(?:think|feel|\w+ being \w+ed) "),
        (_DEGREE, rf"(?:[\w-]+ ){{0,2}}{_LIMB}(?=\.|$| of| and)"),
        (rf"(?:no|any|feeling|{_DEGREE})", r"(?:feeling|having|being)"),
        (_DENIAL, r"\w{3,}ing (?:an?|the|his|her|facial)"),
        (
            rf"(?:with|of|has|{_SHOW})",
            r"(?:firm|soft|round|warm|dry|tender|swollen|lateral to|medial to)(?=\.|$| to)",
        ),
        # A verb behind a head that has one, or behind a preposition: "is lacks", "with denies", "has opening".
        (
            rf"(?:{_PREPOSITION}|no|any|not|been|{_BE}|tends? to|{_HAVE}|experienc\w+|{_DEGREE}|\w{{2,}}ed)",
            rf"(?:(?:currently|sometimes|occasionally|usually|also|often|now|then) )?{_VERB}",
        ),
        (rf"(?:been|being|been \w+ing|has|{_BE})", r"(?:\w+ly |sometimes |often |usually )?(?:feel|have|be)"),
        (r"(?:has|have|had) not", r"\w+ing"),
        (r"(?:has|have|had) \w+ing", r"\w+"),
        (r"having", r"\w+ing (?:an?|the|his|her|objects)"),
        (r"(?:difficulty|trouble|problems?) \w+ing", r"(?:an?|frequent|recurrent|new|\w+ing)"),
        (r"\w+ing", r"(?:stopped|started|became|lost)"),
        # A finding, a place, a clause or a deed that somebody cannot be: "the patient is nausea", "is kick a ball".
        (
            r"(?:(?<!here )(?:is|was)|(?:patient|boy|girl|man|woman|child|infant|he|she|they) (?:are|were)|not)",
            rf"(?:an? )?(?:[\w-]+ (?:and )?){{0,2}}?{_SYMPTOM}",
        ),
        (r"(?:is|was|appears|seems|feels)", r"[a-z]+[^\Wsui]s (?:\w+ly|during|to|with|in|on|at)"),
        (r"\d+ \w+ (?:with|of|in)", r"\d+ \w+ (?:with|of|in)"),
        (rf"{_BE} not", r"(?:vomiting|itching|swelling|bleeding|wheezing)"),
        (_BE, r"(?:an? feeling|react|return|except|followed|which|that|when|while|place|person|time|coughs)"),
        (
            _BE,
            r"(?!(?:in|on|at|not|such|of|from|under|over|within|like|as|with|all|both|only|by|for|about|to)\b)"
            r"\w+(?<!ed)(?<!ing)(?<!ly) (?:an?|the|his|her)",
        ),
        # What a participle or an adjective was followed by is gone: "is evaluated fever", "is concerned his leg".
        (
            r"(?:is|was) (?:evaluated|admitted|hospitalized|seen|brought|referred|treated)",
            r"(?!for|to|with|by|after|in|at|from|on|and)",
        ),
        (r"(?:concerned|aware|afraid)", r"(?:his|her|their|the|an?)"),
        # A verb that is not its subject's: "breath sounds has", "examination do".
        (r"(?!diabetes|herpes|rabies)[a-z]{2,}[^\Wsui]s", r"(?:is|has|does|was)"),
        (r"(?:examination|exam|history|patient|abdomen|skin|pain)", r"(?:are|do|have|were)"),
    )
)


def garbled(fact: str, source: str) -> bool:
    """Whether a cut of the source left a text that ends in the air or joins what cannot stand side by side.

    Args:
        fact: What the cut made.
        source: What was cut; what it has side by side itself is not judged.
    """
    if found := _OPEN_END.search(fact):
        end = re.escape(found[0].strip(" ."))
        if not re.search(rf"\b{end}\s*(?:[.,;:!?)\u201d\"]|$)", source, re.IGNORECASE):
            return True
    if (bare := _BARE_ADJECTIVE.search(fact)) and not source.rstrip(" .").endswith(bare[0].strip(" .")):
        return True
    return any(
        before.search(left) is not None and after.match(right) is not None
        for left, right in _seams(fact, source)
        for before, after in _SEAMS
    )


def _seams(fact: str, source: str) -> Iterator[tuple[str, str]]:
    """The fact parted wherever two of its words do not follow each other in the source."""
    together = set(pairwise(word[0].casefold() for word in _WORD.finditer(source)))
    for left, right in pairwise(_WORD.finditer(fact)):
        if (left[0].casefold(), right[0].casefold()) not in together:
            yield fact[: left.end()], fact[right.start() :]
