"""Project on the vocabulary only what is scored.

In a dialogue most tokens are the patient's, and their predictions are never looked at. TRL's loss projects every
position on the vocabulary, except on GPUs with its own kernels; for a small model that is a third of the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["inner_model", "scoring_only"]


def inner_model(model: Any) -> Any:
    """The transformer below the head of a causal language model, with adapters or without."""
    return getattr(model, "get_base_model", lambda: model)().base_model


@contextmanager
def scoring_only(model: Any, positions: torch.Tensor) -> Iterator[list[torch.Tensor]]:
    """While it lasts, the head of a causal language model sees only some hidden states, as one row (1, n, d).

    The labels are to be given as `shift_labels`, (1, n), to a forward pass that TRL has fused with its head.

    Args:
        model: The unwrapped model, with adapters or without.
        positions: Of which tokens the prediction of the next is scored, (B, T) bool; not all False.

    Yields:
        Where the hidden states that the head saw are put, (1, n, d) a forward pass.
    """
    seen: list[torch.Tensor] = []

    def keep(module: Any, arguments: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[positions][None]
        seen.append(output.last_hidden_state)
        return output

    hook = inner_model(model).register_forward_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()
