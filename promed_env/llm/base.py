"""What a language model offers to everything that thinks about a case: to speak, to choose, and to rate what is said.

A model is batched: every method takes many dialogues and gives one result for each, in order. A dialogue is a list of
chat messages, `{"role": "system" | "user" | "assistant", "content": ...}`, and the model is the assistant. An empty
batch gives an empty list and costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["PREFIX", "Completion", "LanguageModel", "Likelihood", "Messages", "check_choices", "seeds_for"]

Messages = Sequence[Mapping[str, str]]
"""One dialogue: chat messages with role and content."""

PREFIX = "answer: "
"""How an answer begins: what stands before the letter that is chosen."""


class Completion(NamedTuple):
    """What a model said.

    Attributes:
        text: The words, without special tokens and without the stop string that ended them.
        tokens: Tokens that were generated, the end of the turn included.
    """

    text: str
    tokens: int


class Likelihood(NamedTuple):
    """How likely a model finds a text.

    Attributes:
        total: Log-probability of the text, in nats: the sum over its tokens.
        mean: The same per token.
    """

    total: float
    mean: float


@runtime_checkable
class LanguageModel(Protocol):
    """A language model on any backend."""

    @property
    def name(self) -> str:
        """Backend and model, for tables."""

    def chat(
        self,
        batch: Sequence[Messages],
        *,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        seed: int | Sequence[int] = 0,
        stop: Sequence[str] = (),
        unlike: Sequence[Sequence[str]] | None = None,
    ) -> list[Completion]:
        """The assistant's next message in each dialogue.

        Args:
            batch: The dialogues, length n.
            max_new_tokens: Most tokens generated in each.
            temperature: 0 for the most probable token each time; else what log-probabilities are divided by.
            seed: Seeds of the dialogues' own generators; a number s gives dialogue i the seed s + i.
            stop: A text ends before the first of these.
            unlike: For each dialogue texts that its message must not be: the token that would complete one of them is
                not generated. None for none.

        Raises:
            BackendError: The model or the server fails, or does not know how to be unlike.
        """

    def choice_logprobs(
        self, batch: Sequence[Messages], letters: Sequence[Sequence[str]], prefix: str = PREFIX
    ) -> list[NDArray[np.float64]]:
        """How the assistant would choose among letters, from the one distribution over what follows the prefix.

        Args:
            batch: The dialogues, length n.
            letters: The letters to choose from in each, length n.
            prefix: What the assistant has said already.

        Returns:
            For each dialogue log p(letter), shape (n_letters,), in nats, over the letters alone: they add up to 1.

        Raises:
            ValueError: There are not as many lists of letters as dialogues, or fewer than two letters in one.
            BackendError: The model or the server fails, or the letters are no single tokens.
        """

    def logprob(self, contexts: Sequence[Messages], continuations: Sequence[str]) -> list[Likelihood]:
        """How likely the assistant is to go on with these words; the end of the turn is not counted.

        Args:
            contexts: The dialogues, length n.
            continuations: One text each, length n.

        Raises:
            ValueError: The numbers differ, or a text is empty.
            BackendError: The model or the server fails, or cannot tell.
        """


def seeds_for(seed: int | Sequence[int], n: int) -> list[int]:
    """One seed for each of n dialogues.

    Raises:
        ValueError: There are not n seeds.
    """
    seeds = [seed + index for index in range(n)] if isinstance(seed, int) else list(seed)
    if len(seeds) != n:
        raise ValueError(f"{n} dialogues need {n} seeds, got {len(seeds)}")
    return seeds


def check_choices(batch: Sequence[Messages], letters: Sequence[Sequence[str]]) -> None:
    """Raise `ValueError` unless every dialogue has letters of its own, at least two and all different."""
    if len(batch) != len(letters):
        raise ValueError(f"{len(batch)} dialogues need {len(batch)} lists of letters, got {len(letters)}")
    for own in letters:
        if len(own) < 2 or len(set(own)) != len(own):
            raise ValueError(f"a choice needs at least two different letters, got {list(own)}")
