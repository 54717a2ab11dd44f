"""The answer asked for after every turn: side branches of a dialogue, read in the same pass as the dialogue.

A dialogue of ten questions ends in one answer, so it teaches the answer once. Here, where the doctor asks a question,
the dialogue forks: beside the question stands what the doctor should answer if it had to now. A branch takes the
positions of the question, attends to all before it, and nothing else attends to it: each is what the model would read
if the dialogue ended there, for the price of its few tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from promed_agents.chat_format import ChatFormat
from promed_agents.scored_positions import inner_model
from promed_env.case import Case

__all__ = ["NO_FORK", "PADDING", "Forks", "answer_forks", "begin_alike", "forked_attention", "forking", "padded"]

NO_FORK = 1 << 30
"""In `Forks.forks` and its like: a token of the dialogue itself."""

PADDING = -1
"""In `Forks.forks` and its like: no token."""


@dataclass(frozen=True)
class Forks:
    """The branches of one dialogue, one after the other, to be put behind its tokens; all lists have one length.

    Attributes:
        ids: Tokens; the last of an answer is left out, as nothing is to be predicted after it.
        targets: For each the token to be predicted after it; -100 where all answers begin alike.
        positions: Position of each token in the dialogue that ends with its branch.
        forks: Position at which its branch leaves the dialogue.
    """

    ids: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    forks: list[int] = field(default_factory=list)


def begin_alike(answers: Sequence[Sequence[int]]) -> int:
    """How many tokens these answers, of which none begins with all of another, have in common before they part."""
    return next(place for place, tokens in enumerate(zip(*answers, strict=False)) if len(set(tokens)) > 1)


def answer_forks(case: Case, starts: Sequence[int], chat: ChatFormat, *, words: bool) -> Forks:
    """The right answer at each of these places.

    Args:
        case: Its answer.
        starts: Positions of the first tokens of doctor's turns.
        chat: How it becomes tokens.
        words: Answer by the option's text, not by its key.

    Raises:
        ValueError: The tokenizer joins the word "answer" with the options.
    """
    said = {option.key: option.text if words else option.key for option in case.options}
    every = [chat.doctor(f"answer: {text}") for text in said.values()]
    right = chat.doctor("answer: " + ("; " if words else ", ").join(said[key] for key in case.answer))
    alike = begin_alike([*every, right])
    if not alike:
        raise ValueError(f"the tokenizer of {chat.tokenizer.name_or_path!r} makes 'answer: ' and an option one token")
    found = Forks()
    for start in starts:
        found.ids.extend(right[:-1])
        found.targets.extend([-100] * (alike - 1) + right[alike:])
        found.positions.extend(range(start, start + len(right) - 1))
        found.forks.extend([start] * (len(right) - 1))
    return found


def padded(rows: Sequence[Mapping[str, Sequence[int]]], fills: Mapping[str, int]) -> dict[str, torch.Tensor]:
    """Columns of rows as tensors, (B, T) each, padded on the right.

    Args:
        rows: Column name -> its values, as many in each column of a row.
        fills: Names of the columns, and what each is padded with.
    """
    return {
        name: pad_sequence([torch.tensor(row[name], dtype=torch.long) for row in rows], True, fill)
        for name, fill in fills.items()
    }


def forked_attention(positions: torch.Tensor, forks: torch.Tensor) -> torch.Tensor:
    """Which token attends to which.

    Args:
        positions: (B, T).
        forks: (B, T): where a token's branch leaves the dialogue, `NO_FORK` or `PADDING`.

    Returns:
        (B, 1, T, T) bool: row i is what token i attends to.
    """
    before = positions[:, None, :] <= positions[:, :, None]
    trunk = (forks[:, None, :] == NO_FORK) & (positions[:, None, :] < forks[:, :, None])
    own = forks[:, None, :] == forks[:, :, None]
    return (before & (trunk | own))[:, None]


@contextmanager
def forking(model: Any, positions: torch.Tensor, forks: torch.Tensor) -> Iterator[None]:
    """While it lasts, a causal language model attends as `forked_attention` says, whatever mask it is given.

    Args:
        model: The unwrapped model, with adapters or without.
        positions: (B, T).
        forks: (B, T).

    Raises:
        ValueError: The model's attention cannot be masked so.
    """
    mask = forked_attention(positions, forks)
    config = model.config
    kind = config._attn_implementation
    if kind not in ("sdpa", "eager") or "sliding_attention" in (getattr(config, "layer_types", None) or ()):
        raise ValueError(
            f"branches need a mask of their own, which attention of the kind {kind!r} or by sliding windows does not "
            "take; load the model with sdpa or eager attention, or learn the answer at the end only"
        )
    if kind == "eager":  # which adds its mask to the scores
        mask = torch.where(mask, 0.0, torch.finfo(model.dtype).min).to(model.dtype)

    def put(module: Any, arguments: Any, options: dict[str, Any]) -> Any:
        return arguments, {**options, "attention_mask": mask, "position_ids": positions}

    hook = inner_model(model).register_forward_pre_hook(put, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
