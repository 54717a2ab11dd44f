"""How a dialogue becomes tokens: the same for fine-tuning, for rollouts and for play, so that a model meets one format.

A chat template is read once, from what it makes of two placeholder turns; from then on a dialogue is joined from
pieces, each tokenised on its own. What a doctor generates is kept as the very ids it generated. Nothing is searched for
in rendered text and nothing is tokenised twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

__all__ = ["ChatFormat", "TokenizedDialogue", "check_turns"]

_REMEMBERED = 100_000
_USER, _DOCTOR, _USER_AGAIN = "ProMedFirstTurn", "ProMedReply", "ProMedSecondTurn"


@dataclass(frozen=True)
class TokenizedDialogue:
    """A dialogue as tokens.

    Attributes:
        ids: Token ids.
        doctor: For each token whether the doctor says it.
        learnt: For each token whether it carries loss: the doctor says it, in a message whose weight is not 0.
    """

    ids: list[int]
    doctor: list[bool]
    learnt: list[bool]


class ChatFormat:
    """The pieces of a tokenizer's chat template around what is said.

    Attributes:
        tokenizer: The tokenizer.
        end: The text that ends a doctor's turn, the tokenizer's end-of-sequence token.

    Raises:
        ValueError: The tokenizer has no chat template, or one that rewrites what was said, or one whose turns of the
            assistant do not end on the end-of-sequence token.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Read the template of a tokenizer."""
        self.tokenizer = tokenizer
        self._encode = lru_cache(_REMEMBERED)(self._tokenized)  # what a patient says comes again and again
        if not tokenizer.chat_template:
            raise ValueError(f"the tokenizer of {tokenizer.name_or_path!r} has no chat template; set chat_template")
        self.end = str(tokenizer.eos_token)
        said = [
            {"role": "user", "content": _USER},
            {"role": "assistant", "content": _DOCTOR},
            {"role": "user", "content": _USER_AGAIN},
        ]
        opening, whole = self._render(said[:1]), self._render(said)
        if not whole.startswith(opening + _DOCTOR + self.end):
            raise ValueError(
                f"the chat template of {tokenizer.name_or_path!r} does not put an assistant's words, followed by "
                f"{self.end!r}, after its generation prompt; use a template that does (ChatML, for example)"
            )
        self._before_first, _, self._before_doctor = opening.partition(_USER)
        later = whole[len(opening + _DOCTOR + self.end) :]
        self._before_next, found, again = later.partition(_USER_AGAIN)
        if not found or again != self._before_doctor:
            raise ValueError(f"the chat template of {tokenizer.name_or_path!r} renders later turns unlike the first")

    def _render(self, messages: Sequence[Mapping[str, str]]) -> str:
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    @cached_property
    def end_id(self) -> int:
        """Id of the token that ends a doctor's turn."""
        return int(self.tokenizer.eos_token_id)

    def first(self, observation: str) -> list[int]:
        """Tokens up to the doctor's first word."""
        return list(self._encode(self._before_first + observation.strip() + self._before_doctor))

    def next(self, observation: str) -> list[int]:
        """Tokens between the end of one doctor's turn and the first word of the next."""
        return list(self._encode(self._before_next + observation.strip() + self._before_doctor))

    def doctor(self, utterance: str) -> list[int]:
        """Tokens of a doctor's turn, with its end."""
        return [*self._encode(utterance.strip()), self.end_id]

    def text(self, ids: Sequence[int]) -> str:
        """What a doctor said, from the ids it generated."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def tokenize(self, messages: Sequence[Mapping[str, Any]]) -> TokenizedDialogue:
        """A whole dialogue: user and assistant in turn, the user first, ended by the assistant.

        Raises:
            ValueError: The roles do not alternate so.
        """
        check_turns(messages)
        found = TokenizedDialogue([], [], [])
        for index, message in enumerate(messages):
            own = message["role"] == "assistant"
            say = self.doctor if own else self.next if index else self.first
            piece = say(message["content"])
            found.ids.extend(piece)
            found.doctor.extend([own] * len(piece))
            found.learnt.extend([own and message.get("weight", 1) != 0] * len(piece))
        return found

    def _tokenized(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))


def check_turns(messages: Sequence[Mapping[str, Any]]) -> None:
    """See that user and assistant speak in turn.

    Raises:
        ValueError: User and assistant do not alternate, the user first and the assistant last.
    """
    roles = [message["role"] for message in messages]
    if not roles or len(roles) % 2 or roles != ["user", "assistant"] * (len(roles) // 2):
        raise ValueError(f"a dialogue alternates user and assistant and ends on the assistant, got {roles}")
