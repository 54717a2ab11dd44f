"""`Utterance`: a space of strings with a length bound, at home in Gymnasium's vector environments.

Gymnasium's `Text` admits letters and digits unless told otherwise and its shared memory cannot hold other characters;
an utterance is any Unicode string of at most `max_length` characters. Importing this module registers the space with
`gymnasium.vector.utils`, so that `SyncVectorEnv` and `AsyncVectorEnv` (with shared memory) carry it.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, overload

import numpy as np
from gymnasium import Space
from gymnasium.vector.utils import (
    create_empty_array,
    create_shared_memory,
    read_from_shared_memory,
    write_to_shared_memory,
)

__all__ = ["Utterance"]

_SAMPLED_WORDS = (
    "question: answer: A B C D do you have any pain fever cough how long since when what is the does it family smoke ?"
).split()
_HEADER = 4  # bytes that hold the length of an utterance in shared memory
_ENCODING = ("utf-8", "surrogatepass")


class Utterance(Space[str]):
    """All strings of at most `max_length` characters. Samples are short word salads, valid actions among them."""

    def __init__(self, max_length: int, seed: int | np.random.Generator | None = None) -> None:
        """Make the space.

        Args:
            max_length: Most characters, inclusive.
            seed: Seed of `sample`.

        Raises:
            ValueError: `max_length` is not positive.
        """
        if max_length < 1:
            raise ValueError(f"an Utterance needs max_length >= 1, got {max_length}")
        self.max_length = int(max_length)
        super().__init__(shape=(), dtype=None, seed=seed)

    def sample(self, mask: None = None, probability: None = None) -> str:
        """A short random text.

        Raises:
            ValueError: A mask or a probability is given; this space supports neither.
        """
        if mask is not None or probability is not None:
            raise ValueError("Utterance.sample supports neither mask nor probability")
        words = self.np_random.choice(_SAMPLED_WORDS, size=int(self.np_random.integers(1, 8)))
        return " ".join(words)[: self.max_length]

    def contains(self, x: Any) -> bool:
        """Whether x is a string of at most `max_length` characters."""
        return isinstance(x, str) and len(x) <= self.max_length

    @property
    def is_np_flattenable(self) -> bool:
        """False: strings have no array form."""
        return False

    def to_jsonable(self, sample_n: Iterable[str]) -> list[str]:
        """Strings are JSON already."""
        return list(sample_n)

    def from_jsonable(self, sample_n: list[str]) -> list[str]:
        """Strings are JSON already."""
        return list(sample_n)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Utterance) and self.max_length == other.max_length

    def __repr__(self) -> str:
        return f"Utterance({self.max_length})"


class SharedUtterances(Sequence[str]):
    """The utterances in shared memory as they are now: `AsyncVectorEnv` reads once and expects a live view.

    Deep-copying it, as `AsyncVectorEnv` does before it hands observations out, gives a plain tuple.
    """

    def __init__(self, shared_memory: Any, slot: int, n: int) -> None:
        """View n slots of `slot` bytes each."""
        self._memory = memoryview(shared_memory.get_obj()).cast("B")
        self._slot = slot
        self._n = n

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(self._n)))
        start = range(self._n)[index] * self._slot
        length = int.from_bytes(self._memory[start : start + _HEADER], "little")
        return bytes(self._memory[start + _HEADER : start + _HEADER + length]).decode(*_ENCODING)

    def __deepcopy__(self, memo: dict[int, Any]) -> tuple[str, ...]:
        return tuple(self)


@create_empty_array.register(Utterance)
def _empty(space: Utterance, n: int = 1, fn: Any = np.zeros) -> tuple[str, ...]:
    return ("",) * n


@create_shared_memory.register(Utterance)
def _create_shared(space: Utterance, n: int = 1, ctx: ModuleType | Any = multiprocessing) -> Any:
    return ctx.Array("B", n * _slot(space))


@read_from_shared_memory.register(Utterance)
def _read_shared(space: Utterance, shared_memory: Any, n: int = 1) -> SharedUtterances:
    return SharedUtterances(shared_memory, _slot(space), n)


@write_to_shared_memory.register(Utterance)
def _write_shared(space: Utterance, index: int, value: str, shared_memory: Any) -> None:
    encoded, start = value.encode(*_ENCODING), index * _slot(space)
    memory = memoryview(shared_memory.get_obj()).cast("B")
    memory[start : start + _HEADER] = len(encoded).to_bytes(_HEADER, "little")
    memory[start + _HEADER : start + _HEADER + len(encoded)] = encoded


def _slot(space: Utterance) -> int:
    return _HEADER + 4 * space.max_length
