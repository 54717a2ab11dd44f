"""Word vectors distilled from a sentence encoder: numpy only, one look-up a word piece.

`scripts/build_static_table.py` makes the table; `data/README.md` says where it comes from. Words are cut into pieces
as BERT does it: greedily, longest piece first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from promed_env.patients.words import tokenise

__all__ = ["EMBEDDING_DIM", "Table", "encode", "table"]

EMBEDDING_DIM = 128
"""Dimensions of a vector."""
_LONGEST = 40


@dataclass(frozen=True)
class Table:
    """The word pieces and their vectors.

    Attributes:
        ids: Piece -> row; a piece inside a word starts with "##". Rows are in order of frequency.
        vectors: int8 (pieces, EMBEDDING_DIM).
        scales: float32 (pieces,); a piece's vector is its row times its scale.
    """

    ids: dict[str, int]
    vectors: NDArray[np.int8]
    scales: NDArray[np.float32]

    def pieces(self, word: str) -> tuple[int, ...]:
        """Rows of the word's pieces; () if it cannot be spelt with them."""
        rows = []
        start = 0
        while start < len(word):
            end = min(len(word), start + _LONGEST)
            while end > start and (piece := ("##" if start else "") + word[start:end]) not in self.ids:
                end -= 1
            if end == start:
                return ()
            rows.append(self.ids[piece])
            start = end
        return tuple(rows)

    def word(self, word: str) -> NDArray[np.float32]:
        """The sum of the vectors of the word's pieces, (EMBEDDING_DIM,); zero for an unknown word."""
        return _word(word)

    def rarity(self, word: str) -> float:
        """How rare the word is, from 0 (function words) to 1, by the rank of its rarest piece."""
        rows = self.pieces(word)
        return float(np.log1p(max(rows, default=0)) / np.log1p(len(self.ids)))


@lru_cache(maxsize=1)
def table() -> Table:
    """The shipped table; loaded once."""
    folder = files("promed_env.patients").joinpath("data")
    pieces = folder.joinpath("word_pieces.txt").read_text(encoding="utf-8").splitlines()
    with folder.joinpath("word_pieces.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        vectors, scales = arrays["vectors"], arrays["scales"].astype(np.float32)
    return Table({piece: row for row, piece in enumerate(pieces)}, vectors, scales)


@lru_cache(maxsize=4096)
def encode(text: str) -> NDArray[np.float32]:
    """The unit vector of a text, (EMBEDDING_DIM,), read-only; zero for a text without known words."""
    total = np.zeros(EMBEDDING_DIM, dtype=np.float32)
    for token in tokenise(text):
        total += _word(token)
    norm = float(np.linalg.norm(total))
    vector = (total / norm if norm > 0 else total).astype(np.float32)
    vector.setflags(write=False)
    return vector


@lru_cache(maxsize=32768)
def _word(word: str) -> NDArray[np.float32]:
    shipped = table()
    rows = list(shipped.pieces(word))
    vector: NDArray[np.float32] = (shipped.vectors[rows].astype(np.float32) * shipped.scales[rows, None]).sum(axis=0)
    return vector
