"""Cuts an English sentence of a vignette into self-contained atomic facts, by rules.

Three cuts, from the outside in: the person is parted from what brings them ("A 40-year-old man" / "comes ... because of
cough"); clauses are parted, and a verb that lost its subject gets it back ("He smokes and drinks" gives two facts about
"He"); lists are parted, and every item gets the words before the list ("denies fever, chills, and cough" gives three
denials). Words are only ever copied, so nothing is invented; a cut that would lose a word or garble a fact (`vetoes`)
is not made. `benchmarks/curation.py` measures the rules on vignettes split by hand.
"""

from __future__ import annotations

import re

from promed_env.datasets.curation.clauses import clauses
from promed_env.datasets.curation.lists import list_items
from promed_env.datasets.curation.vetoes import garbled
from promed_env.datasets.curation.words import content_words, denies, invented, lost

__all__ = ["split_sentence"]


def split_sentence(sentence: str) -> tuple[str, ...]:
    """The atomic facts of a sentence, in the order in which it states them.

    Every content word of a fact is in the sentence, and every content word of the sentence in a fact. Denials are
    carried to every item of a list.

    Args:
        sentence: One sentence of a vignette, or a row of a table with what it stands under.
    """
    facts = tuple(_finished(fact) for clause in clauses(sentence.strip()) for fact in list_items(clause))
    facts = tuple(fact for fact in facts if re.search(r"\w", fact))
    if not facts or lost(sentence, facts) or any(invented(fact, sentence) for fact in facts):
        return (sentence.strip(),) if re.search(r"\w", sentence) or content_words(sentence) else ()
    if (denies(sentence) and not any(map(denies, facts))) or any(garbled(fact, sentence) for fact in facts):
        return (sentence.strip(),)
    return facts


def _finished(fact: str) -> str:
    fact = re.sub(r"\s+", " ", fact).strip(" ,;")
    if not fact:
        return ""
    fact = fact[0].upper() + fact[1:]
    return fact if fact.endswith((".", "!", "?", '"', "\u201d", ":", "\u3002")) else f"{fact}."
