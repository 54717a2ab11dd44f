"""Rows of tokens that begin alike, read once: packs of a prefix tree for one forward pass.

Coalitions of one case, styles of one dialogue and options of one question share most of their tokens. Laid out as a
tree, each shared token is computed once; a token attends to those on its own path only, and its position is its depth,
so every row is read exactly as it would be alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pack", "distinct_tokens", "packs"]


class Pack(NamedTuple):
    """Some rows as one tree.

    Attributes:
        members: Indexes of the rows.
        ids: Tokens of the tree, (T,).
        depths: Their positions, (T,).
        attends: Whether token i attends to token j, (T, T).
        paths: For each member, the places of its tokens in `ids`.
    """

    members: list[int]
    ids: NDArray[np.int64]
    depths: NDArray[np.int64]
    attends: NDArray[np.bool_]
    paths: list[NDArray[np.int64]]


def packs(rows: Sequence[Sequence[int]], most: int) -> Iterator[Pack]:
    """Put rows into trees of at most so many tokens each (a longer row makes a tree of its own).

    Args:
        rows: Token ids.
        most: Most tokens in a tree.
    """
    order = sorted(range(len(rows)), key=lambda index: list(rows[index]))
    start = 0
    while start < len(order):
        size, stop = len(rows[order[start]]), start + 1
        while stop < len(order):
            row = rows[order[stop]]
            size += len(row) - _shared(rows[order[stop - 1]], row)
            if size > most:
                break
            stop += 1
        yield _pack(rows, order[start:stop])
        start = stop


def distinct_tokens(rows: Sequence[Sequence[int]]) -> int:
    """Tokens of the one tree that holds all rows."""
    ordered = sorted(map(list, rows))
    shared = sum(_shared(before, row) for before, row in itertools.pairwise(ordered))
    return sum(map(len, ordered)) - shared


def _pack(rows: Sequence[Sequence[int]], members: list[int]) -> Pack:
    ids: list[int] = []
    depths: list[int] = []
    parents: list[int] = []
    paths: list[NDArray[np.int64]] = []
    for place, index in enumerate(members):
        row = rows[index]
        common = _shared(rows[members[place - 1]], row) if place else 0
        path = paths[-1][:common].tolist() if place else []
        for depth in range(common, len(row)):
            parents.append(path[-1] if path else -1)
            path.append(len(ids))
            ids.append(row[depth])
            depths.append(depth)
        paths.append(np.array(path, dtype=np.int64))
    attends = np.zeros((len(ids), len(ids)), dtype=bool)
    for token, parent in enumerate(parents):  # parents come first
        if parent >= 0:
            attends[token] = attends[parent]
        attends[token, token] = True
    return Pack(members, np.array(ids), np.array(depths), attends, paths)


def _shared(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the common beginning."""
    for place, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return place
    return min(len(left), len(right))
