"""Cuts a vignette into its sentences: abbreviations, decimals and quotations end none, and each row of a table is one.

A table follows a line that ends with a colon ("Laboratory studies show:"), one value a line, some of them under a
heading of their own ("Serum"). Its rows carry what stands above them, because a value alone says too little.
"""

from __future__ import annotations

import re
from itertools import pairwise, zip_longest
from typing import NamedTuple

__all__ = ["Sentence", "sentences"]


class Sentence(NamedTuple):
    """A stretch of a text.

    Attributes:
        start: Where it starts in the text.
        text: Its characters, without blanks around them.
        above: The lines a row of a table stands under, or nothing.
    """

    start: int
    text: str
    above: tuple[str, ...] = ()

    @property
    def stated(self) -> str:
        """The sentence with what a row of a table stands under: a text that says something by itself."""
        return " ".join((*self.above, self.text))


_END = re.compile(r"(?<=[.!?])[\"\u201d\u2019')\]]*\s+(?=[\"\u201c\u2018'(\[]*[A-Z0-9\u00c0-\u00dd\u4e00-\u9fff])")
_CHINESE_END = re.compile(r"(?<=[\u3002\uff01\uff1f\uff1b])[\u201d\u2019\uff09]*\s*")
_ABBREVIATION = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Prof|St|vs|cf|approx|e\.g|i\.e|ca|resp|U\.S)\.$")
_NUMBERED = re.compile(r"\b(?:No|Nos|nr|Fig|Vol|p|pp)\.\s+(?=\d)")  # "No. 3", where "No." ends no sentence
_QUOTED = re.compile(r"\u201c[^\u201d]{0,400}\u201d|\"[^\"]{0,400}\"")
_LONGEST_ROW = 12  # words


def sentences(text: str) -> list[Sentence]:
    """The sentences of a text, in order; together they hold all its characters but blanks."""
    found: list[Sentence] = []
    above: tuple[str, ...] = ()
    for start, line in _lines(text):
        if above and _is_row(line):
            if _is_heading(line):  # inside the table, where it takes the place of the one before
                above = (above[0], line)
                found.append(Sentence(start, line, above[:1]))
            else:
                found.append(Sentence(start, line, above))
            continue
        above = ()
        pieces = list(_cut(line))
        found += [Sentence(start + offset, piece) for offset, piece in pieces]
        if line.endswith(":"):
            above = (pieces[-1][1],)
    return _without_headings(found)


def _lines(text: str) -> list[tuple[int, str]]:
    lines = [(found.start(), found[0]) for found in re.finditer(r"[^\n\r]+", text)]
    return [(start + len(line) - len(line.lstrip()), line.strip()) for start, line in lines if line.strip()]


def _is_row(line: str) -> bool:
    return len(line.split()) <= _LONGEST_ROW and not line.endswith((".", "?", "!", '"'))


def _is_heading(line: str) -> bool:
    return len(line.split()) <= 3 and not re.search(r"\d|:|positive|negative|normal|[+\u2191\u2193]", line)


def _without_headings(found: list[Sentence]) -> list[Sentence]:
    """The sentences without those that their successor carries anyway."""
    return [
        sentence
        for sentence, after in zip_longest(found, found[1:])
        if after is None or sentence.text not in after.above
    ]


def _cut(line: str) -> list[tuple[int, str]]:
    """The sentences of one line with their places in it."""
    shut = [range(*quoted.span()) for quoted in _QUOTED.finditer(line)]
    numbered = {found.end() for found in _NUMBERED.finditer(line)}
    cuts = [0]
    for rule in (_END, _CHINESE_END):
        for found in rule.finditer(line):
            before = line[: found.start()]
            abbreviated = _ABBREVIATION.search(before)
            inside = any(found.start() in place and found.end() - 1 in place for place in shut)
            if not abbreviated and not inside and found.end() not in numbered:
                cuts.append(found.end())
    cuts = sorted({*cuts, len(line)})
    pieces = [(start, line[start:end]) for start, end in pairwise(cuts)]
    return [(start, piece.strip()) for start, piece in pieces if piece.strip()]
