"""Log-probabilities of dialogues, at the price of the tokens that matter.

In a batch of dialogues most positions are padding or the patient's words. TRL pads all dialogues to one length; here
those of like length are read together, without the padding they do not need, and only the doctor's tokens are projected
on the vocabulary. The figures are the same (the tests compare them).
"""

from __future__ import annotations

from typing import Any

import torch

from promed_agents.scored_positions import scoring_only

__all__ = ["ScoresDoctorTokens"]

_TOKENS = 4096
"""Tokens that are read together at most: about what the caches of a processor hold of a small model's activations."""


class ScoresDoctorTokens:
    """A mixin for `trl.GRPOTrainer`, to be named before it."""

    _scored: torch.Tensor | None = None

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        self._scored = inputs["completion_mask"] * inputs["tool_mask"]
        try:
            loss: torch.Tensor = super()._compute_loss(model, inputs)  # type: ignore[misc]
        finally:
            self._scored = None
        return loss

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **images: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """See TRL's; 0 where nothing is to be scored: at padding and, in the loss, at the patient's tokens."""
        if compute_aux_loss or any(value is not None for value in images.values()):
            raise ValueError("SIG-GRPO trains language models that read text and are not mixtures of experts")
        scored = torch.zeros_like(attention_mask, dtype=torch.bool)
        scored[:, -logits_to_keep:] = (
            attention_mask[:, -logits_to_keep:] if self._scored is None else self._scored
        ) > 0
        log_probs = torch.zeros(input_ids.shape, device=input_ids.device)
        entropies = torch.zeros_like(log_probs)
        inner = self.accelerator.unwrap_model(model)  # type: ignore[attr-defined]
        for rows in _alike(attention_mask, batch_size or len(input_ids)):
            first, last = _span(attention_mask[rows])
            ids = input_ids[rows, first:last]
            wanted = scored[rows, first:last]
            wanted[:, 0] = False  # nothing stands before it
            with scoring_only(inner, wanted.roll(-1, dims=1)), self.accelerator.autocast():  # type: ignore[attr-defined]
                found = model(
                    input_ids=ids,
                    attention_mask=attention_mask[rows, first:last],
                    shift_labels=ids[wanted][None],
                    fused_lm_head=True,
                )
            row, column = wanted.nonzero(as_tuple=True)
            places = rows[row], column + first
            log_probs = log_probs.index_put(places, found.log_probs[0].float())
            entropies = entropies.index_put(places, found.entropy[0].detach().float())
        kept = slice(-logits_to_keep, None)
        return log_probs[:, kept], entropies[:, kept] if compute_entropy else None, None


def _alike(attention_mask: torch.Tensor, most: int) -> list[torch.Tensor]:
    """Rows in parts of like length, each at most `_TOKENS` tokens wide times high, and at most so many rows."""
    lengths = attention_mask.sum(dim=1)
    order = lengths.argsort(descending=True, stable=True)
    parts, start = [], 0
    while start < len(order):
        rows = min(most, max(1, _TOKENS // int(lengths[order[start]])))
        parts.append(order[start : start + rows])
        start += rows
    return parts


def _span(attention_mask: torch.Tensor) -> tuple[int, int]:
    """First and last + 1 of the columns that some row needs."""
    columns = attention_mask.any(dim=0).nonzero()[:, 0]
    return int(columns[0]), int(columns[-1]) + 1
