"""Models of vLLM in this process (extra `scale`), with prefix caching: dialogues that begin alike are read once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promed_env.errors import BackendError
from promed_env.llm.base import PREFIX, Completion, Likelihood, Messages, seeds_for
from promed_env.llm.tokens import prompt_tokens, rows_to_choose, rows_to_rate

__all__ = ["VLLMModel", "folder_fingerprint"]

_DESCRIBING = {".json", ".jinja", ".model", ".py", ".txt"}  # files of a model's folder beside its weights
_BLOCKS, _BLOCK = 4096, 1024  # bytes of each file of weights that are hashed, evenly over it


def folder_fingerprint(folder: Path) -> str:
    """A hash of a model's folder: configuration and tokenizer whole, of the weights size and bytes from all over."""
    digest = sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix == ".safetensors":
            size = path.stat().st_size
            with path.open("rb") as weights:
                read = bytearray()
                for place in range(0, size, max(_BLOCK, size // _BLOCKS)):
                    weights.seek(place)
                    read += weights.read(_BLOCK)
        elif path.suffix in _DESCRIBING and path.is_file():
            size, read = path.stat().st_size, bytearray(path.read_bytes())
        else:
            continue
        digest.update(f"{path.name} {size} ".encode() + read)
    return digest.hexdigest()


class VLLMModel:
    """A `LanguageModel` of vLLM.

    Attributes:
        engine: The `vllm.LLM`.
        tokenizer: Its tokenizer.
        name: For tables.
    """

    def __init__(self, path: str | Path, *, trust_remote_code: bool = False, **settings: Any) -> None:
        """Load a model.

        Args:
            path: A folder of a model with safetensors.
            trust_remote_code: Whether code that comes with the model may run here.
            settings: Passed to `vllm.LLM`, such as max_model_len, dtype or gpu_memory_utilization.

        Raises:
            BackendError: The extra `scale` is not installed, or there is no such folder.
        """
        if find_spec("vllm") is None:
            raise BackendError('models of vLLM need the package vllm: pip install "promed[scale]"')
        if not Path(path).is_dir():
            raise BackendError(f"there is no folder {str(path)!r} of a model; nothing is downloaded")
        vllm: Any = import_module("vllm")
        self._sampling: Any = vllm.SamplingParams
        self.engine: Any = vllm.LLM(
            model=str(path),
            trust_remote_code=trust_remote_code,
            enable_prefix_caching=True,
            load_format="safetensors",
            # With the letters as the only tokens allowed, the log-probabilities are those over the letters.
            logprobs_mode="processed_logprobs",
            **settings,
        )
        self.tokenizer: Any = self.engine.get_tokenizer()
        self.name = f"vllm:{path}"
        self._folder, self._settings = Path(path), settings

    @cached_property
    def fingerprint(self) -> str:
        """Tells models that rate otherwise: a hash of the folder, and of the settings."""
        told = [folder_fingerprint(self._folder), self._settings]
        return sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"VLLMModel({self.name!r})"

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
        how = [
            self._sampling(
                max_tokens=max_new_tokens,
                temperature=temperature,
                seed=own,
                stop=list(stop),
                bad_words=[text for text in unlike[index] if text] if unlike is not None else None,
            )
            for index, own in enumerate(seeds_for(seed, len(batch)))
        ]
        found = self._run([prompt_tokens(self.tokenizer, messages) for messages in batch], how)
        return [Completion(output.text, len(output.token_ids)) for output in (item.outputs[0] for item in found)]

    def choice_logprobs(
        self, batch: Sequence[Messages], letters: Sequence[Sequence[str]], prefix: str = PREFIX
    ) -> list[NDArray[np.float64]]:
        """See `LanguageModel.choice_logprobs`."""
        rows, choices = rows_to_choose(self.tokenizer, batch, letters, prefix)
        how = [
            self._sampling(
                max_tokens=1, temperature=1.0, seed=0, allowed_token_ids=choice.letters, logprobs=len(choice.letters)
            )
            for choice in choices
        ]
        found = []
        for item, choice in zip(self._run(rows, how), choices, strict=True):
            told = item.outputs[0].logprobs[0]
            own = np.array([told[token].logprob for token in choice.letters], dtype=np.float64)
            found.append(own - np.logaddexp.reduce(own))
        return found

    def logprob(self, contexts: Sequence[Messages], continuations: Sequence[str]) -> list[Likelihood]:
        """See `LanguageModel.logprob`."""
        rows, tails = rows_to_rate(self.tokenizer, contexts, continuations)
        how = [self._sampling(max_tokens=1, temperature=0.0, prompt_logprobs=0)] * len(rows)
        found = []
        for item, row, tail in zip(self._run(rows, how), rows, tails, strict=True):
            start = len(row) - len(tail)
            told = [item.prompt_logprobs[place][row[place]].logprob for place in range(start, len(row))]
            found.append(Likelihood(float(np.sum(told)), float(np.mean(told))))
        return found

    def _run(self, rows: Sequence[list[int]], how: Sequence[Any]) -> list[Any]:
        if not rows:
            return []
        return list(self.engine.generate([{"prompt_token_ids": row} for row in rows], list(how), use_tqdm=False))
