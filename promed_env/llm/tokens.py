"""How dialogues become tokens, and what is to be rated rows of tokens, for backends that hold the tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from promed_env.errors import BackendError
from promed_env.llm.base import Messages, check_choices

__all__ = ["Choice", "choice_tokens", "completing", "encode", "prompt_tokens", "rows_to_choose", "rows_to_rate"]


class Choice(NamedTuple):
    """A choice among letters as tokens.

    Attributes:
        said: What the assistant has said before the letter, which all letters share.
        letters: The one token of each letter.
    """

    said: list[int]
    letters: list[int]


def encode(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text, with nothing added."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def prompt_tokens(tokenizer: Any, messages: Messages) -> list[int]:
    """A dialogue up to the assistant's first word, by the model's own chat template.

    Raises:
        BackendError: The tokenizer has no chat template.
    """
    if not tokenizer.chat_template:
        raise BackendError(
            f"the tokenizer of {tokenizer.name_or_path!r} has no chat template, so it cannot hold a dialogue; "
            "use an instruction model, or set tokenizer.chat_template"
        )
    text = tokenizer.apply_chat_template(
        [dict(message) for message in messages], tokenize=False, add_generation_prompt=True
    )
    return encode(tokenizer, text)


def choice_tokens(tokenizer: Any, prefix: str, letters: Sequence[str]) -> Choice:
    """The tokens of prefix and letter, where all letters differ in their last token only.

    A letter often makes one token with the space before it, so prefix and letter are tokenised together.

    Raises:
        BackendError: They differ in more than that, so that one next-token distribution cannot tell.
    """
    whole = [encode(tokenizer, prefix + letter) for letter in letters]
    said = whole[0][:-1]
    last = [tokens[-1] for tokens in whole if tokens]
    if any(tokens[:-1] != said for tokens in whole) or len(set(last)) != len(letters):
        raise BackendError(
            f"the tokenizer of {tokenizer.name_or_path!r} does not end {prefix!r} and one of {list(letters)} "
            "on a token of its own for each; choose another prefix, or rate the answers with logprob"
        )
    return Choice(said, last)


def rows_to_choose(
    tokenizer: Any, batch: Sequence[Messages], letters: Sequence[Sequence[str]], prefix: str
) -> tuple[list[list[int]], list[Choice]]:
    """What `LanguageModel.choice_logprobs` reads: the tokens before each letter, and the letters' tokens.

    Raises:
        ValueError: See `check_choices`.
        BackendError: See `choice_tokens` and `prompt_tokens`.
    """
    check_choices(batch, letters)
    choices = [choice_tokens(tokenizer, prefix, own) for own in letters]
    rows = [prompt_tokens(tokenizer, messages) + choice.said for messages, choice in zip(batch, choices, strict=True)]
    return rows, choices


def rows_to_rate(
    tokenizer: Any, contexts: Sequence[Messages], continuations: Sequence[str]
) -> tuple[list[list[int]], list[list[int]]]:
    """What `LanguageModel.logprob` reads: each context with its continuation, and the continuation alone.

    Raises:
        ValueError: A continuation is empty.
        BackendError: See `prompt_tokens`.
    """
    tails = [encode(tokenizer, text) for text in continuations]
    if empty := [text for text, tail in zip(continuations, tails, strict=True) if not tail]:
        raise ValueError(f"cannot rate an empty text: {empty[0]!r}")
    rows = [prompt_tokens(tokenizer, messages) + tail for messages, tail in zip(contexts, tails, strict=True)]
    return rows, tails


def completing(said: Sequence[int], texts: Sequence[Sequence[int]]) -> list[int]:
    """The tokens that would make what has been said one of these texts."""
    return [text[-1] for text in texts if len(text) == len(said) + 1 and list(text[:-1]) == list(said)]
