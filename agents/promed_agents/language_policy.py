"""A causal language model as a doctor: many dialogues side by side, the key-value cache kept across turns.

The tokens it generates are kept as they are, with their log-probabilities, so that a learner can use them. Rows whose
dialogue is over leave the batch. Needs the extra `llm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from promed_agents.base import Access
from promed_agents.chat import spoken
from promed_agents.chat_format import ChatFormat
from promed_agents.growing_cache import GrowingCache
from promed_agents.models import habits, read_folder
from promed_env.llm.tokens import completing

__all__ = ["LanguagePolicy", "Spoken"]


@dataclass
class Spoken:
    """One dialogue as tokens, from the doctor's side.

    Attributes:
        prompt_ids: All before the doctor's first token.
        completion_ids: All after: the doctor's tokens, and the patient's between them; ends with the doctor's last.
        turns: For each token of the completion the index of the doctor's turn that it belongs to, or -1 if the doctor
            did not choose it: the patient's, and the end of a turn that was cut off.
        log_probs: log p of each token of the completion at the temperature it was sampled at, among the tokens that
            were not forbidden; 0 where `turns` is -1.
        forbidden: For each token of the completion those that could not be drawn in its place.
        texts: What the doctor said in each turn.
    """

    prompt_ids: list[int] = field(default_factory=list)
    completion_ids: list[int] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    forbidden: list[list[int]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def hear(self, ids: Sequence[int]) -> None:
        """Add what was said to the doctor."""
        if not self.texts:
            self.prompt_ids += ids
            return
        self.completion_ids += ids
        self.turns += [-1] * len(ids)
        self.log_probs += [0.0] * len(ids)
        self.forbidden += [[] for _ in ids]

    def listen(self, observation: str, chat: ChatFormat) -> list[int]:
        """Add the newest observation; returns its tokens."""
        ids = chat.next(observation) if self.texts else chat.first(observation)
        self.hear(ids)
        return ids


class LanguagePolicy:
    """A doctor that says what a language model generates after the dialogue so far.

    Attributes:
        model: The language model; it is neither moved nor put into another mode.
        chat: How the dialogue becomes tokens.
        temperature: Of sampling; 0 takes the most probable token.
        max_new_tokens: Longest turn; a longer one is cut off, and is what it is.
        no_repeat: Never say again what it has said in the same dialogue, nor what was heard of it (the first of several
            questions): the token that would complete it is not drawn, and the others share its probability.
        access: `text`.
        dialogues: The dialogues so far, one a row.
    """

    access: Access = "text"

    def __init__(
        self,
        model: Any,
        chat: ChatFormat,
        *,
        temperature: float = 0.0,
        max_new_tokens: int = 64,
        no_repeat: bool = False,
        seed: Sequence[int] = (0,),
        name: str = "policy",
    ) -> None:
        """See the attributes.

        Args:
            model: See the attributes.
            chat: See the attributes.
            temperature: See the attributes.
            max_new_tokens: See the attributes.
            no_repeat: See the attributes.
            seed: Of sampling. Each dialogue draws from a generator of its own, so what it says does not depend on
                those beside it, nor on how many processes share a batch.
            name: For tables.

        Raises:
            ValueError: The temperature is negative, or a turn has no token.
        """
        if temperature < 0 or max_new_tokens < 1:
            raise ValueError(f"need temperature >= 0 and max_new_tokens >= 1, got {temperature} and {max_new_tokens}")
        self.model, self.chat, self.name = model, chat, name
        self.temperature, self.max_new_tokens, self.seed = temperature, max_new_tokens, tuple(seed)
        self.no_repeat = no_repeat
        self.reset(0)

    @classmethod
    def load(cls, path: str | Path, **options: Any) -> LanguagePolicy:
        """The policy of a folder that `promed sft` or `promed grpo` wrote, as it was validated; or any local model.

        Args:
            path: The folder.
            **options: As for the class.

        Raises:
            FileNotFoundError: The folder holds no model.
        """
        model, tokenizer = read_folder(path)
        return cls(model.eval(), ChatFormat(tokenizer), **{"name": Path(path).name, **habits(path), **options})

    def reset(self, n: int, first: int = 0) -> None:
        """Begin n dialogues.

        Args:
            n: How many.
            first: Number of the first; it draws as dialogue `first` of a larger batch would.
        """
        self._rngs = [np.random.default_rng((*self.seed, first + index)) for index in range(n)]
        self.dialogues = [Spoken() for _ in range(n)]
        self._heard_at = [-1] * n
        self._rows = list(range(n))  # dialogues in the cache, in its order
        self._cache = GrowingCache()
        self._mask = torch.zeros((n, 0), dtype=torch.long)
        self._pending: list[list[int]] = [[] for _ in range(n)]  # said, but not yet in the cache

    def act(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[str]:
        """See `Agent.act`. A dialogue whose turn has not moved on is over."""
        live = [index for index, info in enumerate(infos) if info["turn"] > self._heard_at[index]]
        self._heard_at = [info["turn"] for info in infos]
        return self.speak(observations, live)

    def speak(self, observations: Sequence[str], live: Sequence[int]) -> list[str]:
        """The doctor's next turn in the dialogues that go on; "" in the others, which are dropped.

        Args:
            observations: The newest text of each, length n.
            live: Indexes of the dialogues that go on; one that has been left out does not come back.
        """
        said = [""] * len(self.dialogues)
        if live:
            self._keep(live)
            for row, index in enumerate(live):
                self._pending[row] += self.dialogues[index].listen(observations[index], self.chat)
            with torch.no_grad():
                self._generate()
            for index in live:
                said[index] = self.dialogues[index].texts[-1]
        return said

    def _keep(self, live: Sequence[int]) -> None:
        """Drop the rows of other dialogues."""
        places = {index: row for row, index in enumerate(self._rows)}
        rows = [places[index] for index in live]
        if rows != list(range(len(self._rows))):
            chosen = torch.tensor(rows)
            if self._mask.shape[1]:
                self._cache.batch_select_indices(chosen.to(self._device))
            self._mask = self._mask[chosen]
            self._pending = [self._pending[row] for row in rows]
            self._rows = list(live)

    def _generate(self) -> None:
        own = [self.dialogues[index] for index in self._rows]
        turn = [len(dialogue.texts) for dialogue in own]
        said: list[list[int]] = [[] for _ in own]
        earlier = [self._earlier(dialogue) if self.no_repeat else [] for dialogue in own]
        going = torch.ones(len(own), dtype=torch.bool)
        logits = self._read(self._pending)
        for step in range(self.max_new_tokens):
            again = [completing(so_far, turns) for so_far, turns in zip(said, earlier, strict=True)]
            tokens, log_probs = self._choose(logits, going, again)
            for row in going.nonzero()[:, 0].tolist():
                token = int(tokens[row])
                own[row].completion_ids.append(token)
                own[row].turns.append(turn[row])
                own[row].log_probs.append(float(log_probs[row]))
                own[row].forbidden.append(again[row])
                said[row].append(token)
                if token == self.chat.end_id:
                    going[row] = False
            if not going.any() or step + 1 == self.max_new_tokens:
                break
            logits = self._feed([said[row][-1:] if going[row] else [] for row in range(len(own))])
        self._pending = []
        for row, dialogue in enumerate(own):
            self._pending.append(said[row][-1:])
            dialogue.texts.append(self.chat.text(said[row]))
            if going[row]:  # cut off: its end is not the doctor's choice
                dialogue.hear([self.chat.end_id])
                self._pending[-1].append(self.chat.end_id)

    def _earlier(self, dialogue: Spoken) -> list[list[int]]:
        """What the doctor said and what was heard of it, turn by turn, each without its end."""
        turns: list[list[int]] = [[] for _ in dialogue.texts]
        for token, turn in zip(dialogue.completion_ids, dialogue.turns, strict=True):
            if turn >= 0 and token != self.chat.end_id:
                turns[turn].append(token)
        heard = [self.chat.doctor(spoken(text))[:-1] for text in dialogue.texts]
        return turns + [tokens for tokens in heard if tokens not in turns]

    def _choose(
        self, logits: torch.Tensor, going: torch.Tensor, forbidden: Sequence[Sequence[int]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and their log-probabilities, (n,) each; only rows that go on draw, and none of what is forbidden."""
        scaled = logits.float() / (self.temperature or 1.0)
        if any(forbidden):
            scaled = scaled.clone()
            for row, tokens_of in enumerate(forbidden):
                scaled[row, tokens_of] = -torch.inf
        scaled = torch.log_softmax(scaled, dim=-1)
        if self.temperature:
            drawn = [
                self._rngs[index].random() if on else 0.0 for index, on in zip(self._rows, going.tolist(), strict=True)
            ]
            below = scaled.double().exp().cumsum(dim=-1)
            reached = torch.tensor(drawn, dtype=below.dtype, device=below.device)[:, None] * below[:, -1:]
            tokens = torch.searchsorted(below, reached, right=True).clamp(max=below.shape[1] - 1)
        else:
            tokens = scaled.argmax(dim=-1, keepdim=True)
        return tokens[:, 0].cpu(), scaled.gather(1, tokens)[:, 0].cpu()

    def _read(self, pieces: Sequence[Sequence[int]]) -> torch.Tensor:
        """As `_feed`; openings that are alike, as those of a group, are read once and their cache is copied."""
        if self._mask.shape[1]:
            return self._feed(pieces)
        places = {piece: place for place, piece in enumerate(dict.fromkeys(map(tuple, pieces)))}
        if len(places) == len(pieces):
            return self._feed(pieces)
        rows = torch.tensor([places[tuple(piece)] for piece in pieces])
        self._mask = self._mask[: len(places)]
        logits = self._feed(list(places))[rows.to(self._device)]
        self._cache.batch_select_indices(rows.to(self._device))
        self._mask = self._mask[rows]
        return logits

    def _feed(self, pieces: Sequence[Sequence[int]]) -> torch.Tensor:
        """Read tokens into the cache; shorter pieces are padded on the left, and the padding is never attended to.

        Returns:
            Logits of the next token, (n, vocabulary); 0 in rows that have nothing to read.
        """
        width = max(len(piece) for piece in pieces)
        pad = self.chat.tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (width - len(piece)) + list(piece) for piece in pieces])
        mask = torch.tensor([[0] * (width - len(piece)) + [1] * len(piece) for piece in pieces])
        lengths = self._mask.sum(dim=1, keepdim=True)
        positions = (lengths + mask.cumsum(dim=1) - 1).clamp(min=0)
        longest, limit = int(positions.max()) + 1, self.model.config.max_position_embeddings
        if longest > limit:
            raise ValueError(f"a dialogue has {longest} tokens; the model reads at most {limit}. Ask fewer questions")
        self._mask = torch.cat([self._mask, mask], dim=1)
        reading = torch.tensor([row for row, piece in enumerate(pieces) if piece])
        self._cache.read_by(None if len(reading) == len(pieces) else reading.to(self._device))
        output = self.model(
            input_ids=ids[reading].to(self._device),
            attention_mask=self._mask[reading].to(self._device),
            position_ids=positions[reading].to(self._device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        found: torch.Tensor = output.logits[:, -1]
        if len(reading) == len(pieces):
            return found
        logits = found.new_zeros(len(pieces), found.shape[-1])
        logits[reading.to(self._device)] = found
        return logits

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device  # type: ignore[no-any-return]
