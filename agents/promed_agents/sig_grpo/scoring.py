"""Log-probabilities of dialogues, at the price of the tokens that matter.

In a batch of dialogues most positions are padding or the patient's words. TRL pads all dialogues to one length; here
those of like length are read together, without the padding they do not need, and only the doctor's tokens are projected
on the vocabulary. The figures are the same (the tests compare them).
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from promed_agents.answer_forks import NO_FORK, PADDING, forking
from promed_agents.scored_positions import scoring_only

__all__ = ["FORBIDDEN", "FORKS", "ScoresDoctorTokens", "check_logits"]

FORKS = ("fork_ids", "fork_targets", "fork_positions", "forks")
"""Names of the branches among the inputs of the loss."""

FORBIDDEN = "forbidden"
"""Name, among the inputs of the loss, of the tokens that could not be drawn, (B, T, most); the rest is -1."""

_CHANGED = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")

_TOKENS = 4096
"""Tokens that are read together at most: about what the caches of a processor hold of a small model's activations."""


class ScoresDoctorTokens:
    """A mixin for `trl.GRPOTrainer`, to be named before it.

    Attributes:
        answer_loss: Weight of the cross-entropy of the right answer after every turn. The inputs of the loss then have
            the branches of `answer_forks` as `fork_ids`, `fork_targets`, `fork_positions` and `forks`, each (B, F);
            positions are counted from the first token of the completion.
        sampled: Log-probabilities of the tokens of this process's completions, as they were drawn, while the library
            scores them: it would work out again what is known. None if it is to do so.
        forbidden: While they are scored, the tokens that could not be drawn in the place of each, as `FORBIDDEN`; None
            if all could. Probabilities are those among the others: of the doctor that plays.
    """

    answer_loss: float = 0.0
    sampled: list[list[float]] | None = None
    forbidden: torch.Tensor | None = None
    _scored: torch.Tensor | None = None
    _branches: dict[str, torch.Tensor] | None = None
    _answers: torch.Tensor | float = 0.0

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        this: Any = self
        self._scored, self.forbidden = inputs["completion_mask"] * inputs["tool_mask"], inputs.get(FORBIDDEN)
        if self.answer_loss:
            self._branches = {name: inputs[name] for name in FORKS}
            self._answers = 0.0
        try:
            loss: torch.Tensor = super()._compute_loss(model, inputs)  # type: ignore[misc]
        finally:
            self._scored = self._branches = self.forbidden = None
        if self.answer_loss:  # normalised as TRL does the tokens of the dialogue (loss "dapo")
            tokens = inputs["num_items_in_batch"].clamp(min=1.0) / this.accelerator.num_processes
            tokens = tokens * this.current_gradient_accumulation_steps / this.args.steps_per_generation
            loss = loss - self.answer_loss * self._answers / tokens
            asked = int((inputs["fork_targets"] != -100).sum())
            mean = torch.as_tensor(self._answers).detach() / max(asked, 1)
            this._metrics["train"]["answers/log_probability"].append(float(mean))
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
        if self.sampled is not None:
            return (
                pad_sequence([torch.tensor(row) for row in self.sampled], batch_first=True).to(model.device),
                None,
                None,
            )
        if compute_aux_loss or any(value is not None for value in images.values()):
            raise ValueError("SIG-GRPO trains language models that read text and are not mixtures of experts")
        scored = torch.zeros_like(attention_mask, dtype=torch.bool)
        scored[:, -logits_to_keep:] = (
            attention_mask[:, -logits_to_keep:] if self._scored is None else self._scored
        ) > 0
        log_probs = torch.zeros(input_ids.shape, device=input_ids.device)
        entropies = torch.zeros_like(log_probs)
        this: Any = self
        inner = this.accelerator.unwrap_model(model)
        for rows in _alike(attention_mask, batch_size or len(input_ids)):
            first, last = _span(attention_mask[rows])
            ids = input_ids[rows, first:last]
            wanted = scored[rows, first:last]
            wanted[:, 0] = False  # nothing stands before it
            seen, targets, predicting = attention_mask[rows, first:last], ids.roll(-1, dims=1), wanted.roll(-1, dims=1)
            forked: Any = nullcontext()
            if self._branches is not None:
                own = {name: each[rows] for name, each in self._branches.items()}
                begin = input_ids.shape[1] - logits_to_keep - first  # the completion's first column
                real = own["forks"] != PADDING
                columns = torch.arange(ids.shape[1], device=ids.device).expand(ids.shape)
                positions = torch.cat([columns, own["fork_positions"] + begin], dim=1)
                trunk = torch.where(seen > 0, NO_FORK, PADDING)
                forked = forking(inner, positions, torch.cat([trunk, own["forks"] + begin * real], dim=1))
                ids = torch.cat([ids, own["fork_ids"]], dim=1)
                seen = torch.cat([seen, real.to(seen.dtype)], dim=1)
                targets = torch.cat([targets, own["fork_targets"]], dim=1)
                predicting = torch.cat([predicting, own["fork_targets"] != -100], dim=1)
            with forked, scoring_only(inner, predicting) as hidden, this.accelerator.autocast():
                found = model(
                    input_ids=ids, attention_mask=seen, shift_labels=targets[predicting][None], fused_lm_head=True
                )
            said = predicting.nonzero()[:, 1] < wanted.shape[1]
            if self._branches is not None:
                self._answers = self._answers + found.log_probs[0][~said].float().sum()
            row, column = wanted.nonzero(as_tuple=True)
            places = rows[row], column + first
            log_probs = log_probs.index_put(places, found.log_probs[0][said].float())
            if compute_entropy:  # a model that is only compared with gives none
                entropies = entropies.index_put(places, found.entropy[0][said].detach().float())
            if self.forbidden is None:
                continue
            barred = self.forbidden[places[0], places[1] - input_ids.shape[1] + logits_to_keep]
            some = (barred >= 0).any(dim=1)
            if some.any():
                places = places[0][some], places[1][some]
                logits = inner.get_output_embeddings()(hidden[0][0][said][some]).float() / this.temperature
                free = _without(logits, barred[some]).log_softmax(dim=-1)
                log_probs = log_probs.index_put(places, free.gather(1, input_ids[places][:, None])[:, 0])
                if compute_entropy:
                    entropies = entropies.index_put(places, torch.special.entr(free.detach().exp()).sum(dim=-1))
        kept = slice(-logits_to_keep, None)
        return log_probs[:, kept], entropies[:, kept] if compute_entropy else None, None


def check_logits(config: Any) -> None:
    """See that a model's logits are what its head gives, as they must be where some tokens could not be drawn.

    Raises:
        ValueError: The architecture scales or caps them.
    """
    text = config.get_text_config()
    if changed := [name for name in _CHANGED if getattr(text, name, None) not in (None, 1.0)]:
        raise ValueError(f"no_repeat cannot be learnt by a model that changes its logits ({', '.join(changed)})")


def _without(logits: torch.Tensor, barred: torch.Tensor) -> torch.Tensor:
    """Logits, (n, vocabulary), where those of some tokens, (n, most) with -1 for none, are minus infinity."""
    row, column = (barred >= 0).nonzero(as_tuple=True)
    return logits.index_put((row, barred[row, column]), logits.new_tensor(-torch.inf))


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
