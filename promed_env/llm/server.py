"""Models behind an OpenAI-compatible server, through the official `openai` client (extra `llm`).

The key comes from the environment variable OPENAI_API_KEY and stays inside the client: it is in no repr, log or error.
Requests run side by side up to a limit, wait at most a given time, and are tried again a bounded number of times, with
growing pauses, where the server is busy or fails.

What a server tells of its probabilities differs. Any that returns `top_logprobs` can choose among letters: the model is
asked for the bare letter, and a letter that is not among the 20 likeliest tokens shares what probability they leave. A
vLLM server (`prefill=True`) rates given texts, so that it chooses exactly as the models in this process do, at the
price of one request for each letter.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from promed_env.errors import BackendError
from promed_env.llm.base import PREFIX, Completion, Likelihood, Messages, check_choices, seeds_for

__all__ = ["KEY_VARIABLE", "ServerModel"]

KEY_VARIABLE = "OPENAI_API_KEY"
"""Environment variable that holds the key."""

_TOP = 20  # most alternatives that the interface allows
_CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}
T = TypeVar("T")


class ServerModel:
    """A `LanguageModel` behind HTTP.

    Attributes:
        model: Its name on the server.
        name: For tables: backend, model and address, as `make_llm` takes them. A server does not tell its weights, so
            this is also what its ratings are kept under (`promed_env.llm.cache`).
        prefill: Whether it is a vLLM server, which rates given texts.
        concurrency: Most requests at a time.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        prefill: bool = False,
        timeout: float = 60.0,
        max_retries: int = 4,
        concurrency: int = 8,
    ) -> None:
        """Make a client; the server is met with the first call.

        Args:
            model: Its name on the server.
            base_url: Such as "http://localhost:8000/v1"; by default OPENAI_BASE_URL, else OpenAI's own.
            prefill: Whether it is a vLLM server, which rates given texts.
            timeout: Seconds that one attempt may take.
            max_retries: Further attempts after one that failed or that the server put off.
            concurrency: Most requests at a time.

        Raises:
            BackendError: The client is not installed; or there is no key, and the server is OpenAI's own.
            ValueError: A number is out of range.
        """
        if find_spec("openai") is None:
            raise BackendError('OpenAI-compatible servers need the package openai: pip install "promed[llm]"')
        if timeout <= 0 or max_retries < 0 or concurrency < 1:
            raise ValueError(
                f"timeout must be above 0, max_retries at least 0 and concurrency at least 1, got {timeout}, "
                f"{max_retries} and {concurrency}"
            )
        import openai

        base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        key = os.environ.get(KEY_VARIABLE)
        if not key and base_url is None:
            raise BackendError(
                f"the server of OpenAI needs a key: set the environment variable {KEY_VARIABLE}, "
                "or give the address of a server of your own: openai:MODEL@URL"
            )
        # The client wants a key even for a server that wants none.
        self._client = openai.OpenAI(api_key=key or "none", base_url=base_url, timeout=timeout, max_retries=max_retries)
        self._key = key
        self.model = model
        self.prefill = prefill
        self.concurrency = concurrency
        # An address may hold a password or a key, which must not be told.
        self._address = str(self._client.base_url.copy_with(userinfo=b"", query=None)).rstrip("/")
        self._spec = f"{'vllm-server' if prefill else 'openai'}:{model}"
        self.name = f"{self._spec}@{self._address}"

    def __repr__(self) -> str:
        return f"ServerModel({self.model!r}, base_url={self._address!r}, prefill={self.prefill})"

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
        """See `LanguageModel.chat`; whether a seed is kept to is the server's matter."""
        seeds = seeds_for(seed, len(batch))
        if unlike is not None and not self.prefill:
            raise BackendError(f"{self.name} cannot be told what not to say; a vLLM server (vllm-server:) can")

        def ask(index: int) -> Completion:
            answer = self._ask(
                batch[index],
                max_tokens=max_new_tokens,
                temperature=temperature,
                seed=seeds[index],
                **({"stop": list(stop)} if stop else {}),
                **(
                    {"extra_body": {"bad_words": [text for text in unlike[index] if text]}}
                    if unlike is not None
                    else {}
                ),
            )
            used = answer.usage.completion_tokens if answer.usage is not None else 0
            return Completion(answer.choices[0].message.content or "", used)

        return self._side_by_side(ask, len(batch))

    def choice_logprobs(
        self, batch: Sequence[Messages], letters: Sequence[Sequence[str]], prefix: str = PREFIX
    ) -> list[NDArray[np.float64]]:
        """See `LanguageModel.choice_logprobs` and the head of this module."""
        check_choices(batch, letters)

        def ask(index: int) -> NDArray[np.float64]:
            own = letters[index]
            if self.prefill:
                return self._rate_letters(batch[index], own, prefix)
            bare = {"role": "system", "content": f"Reply with one letter and nothing else: {', '.join(own)}."}
            answer = self._ask([bare, *batch[index]], logprobs=True, top_logprobs=_TOP, max_tokens=1, temperature=1.0)
            told = answer.choices[0].logprobs
            if told is None or not told.content or not told.content[0].top_logprobs:
                raise BackendError(
                    f"{self.name} returns no log-probabilities (top_logprobs), which choosing among letters needs; "
                    "use a model and a server that do, or a style of doctor that only talks"
                )
            return self._among(own, [(item.token, item.logprob) for item in told.content[0].top_logprobs])

        return self._side_by_side(ask, len(batch))

    def _rate_letters(self, messages: Messages, letters: Sequence[str], prefix: str) -> NDArray[np.float64]:
        """Log p(letter) from the last token of each answer, rated in a request of its own."""
        told = [self._rated(messages, prefix + letter) for letter in letters]
        if len({len(values) for values in told}) != 1:
            raise BackendError(f"{self.name} does not end {prefix!r} and each of {list(letters)} on one token")
        last = np.array([values[-1] for values in told])
        chosen: NDArray[np.float64] = last - np.logaddexp.reduce(last)
        return chosen

    def _rated(self, messages: Messages, text: str) -> list[float]:
        """Log-probabilities of all tokens of a dialogue whose last message, the assistant's, begins with a text."""
        answer = self._ask(
            [*messages, {"role": "assistant", "content": text}],
            max_tokens=1,
            temperature=0.0,
            extra_body={**_CONTINUE, "prompt_logprobs": 0},
        )
        if not getattr(answer, "prompt_logprobs", None):
            raise BackendError(f"{self._spec} at {self._address} does not rate texts; is it a vLLM server?")
        # Each entry holds the token that stands there, and only that; the first token has none.
        return [next(iter(entry.values()))["logprob"] for entry in answer.prompt_logprobs[1:]]

    def _among(self, letters: Sequence[str], told: Sequence[tuple[str, float]]) -> NDArray[np.float64]:
        """Log p(letter) from the likeliest tokens; letters that are not among them share what these leave."""
        found = np.full(len(letters), -np.inf)
        for token, value in told:
            if token.strip() in letters:
                column = list(letters).index(token.strip())
                found[column] = np.logaddexp(found[column], value)
        missing = np.isneginf(found)
        if missing.all():
            likely = ", ".join(repr(token) for token, _ in told[:5])
            raise BackendError(
                f"{self.name} would say none of the letters {', '.join(letters)} next, but {likely}; "
                "a vLLM server takes the prefix as said (vllm-server:MODEL@URL)"
            )
        if missing.any():
            left = max(1.0 - sum(math.exp(value) for _, value in told), 1e-9) / missing.sum()
            found[missing] = min(math.log(left), min(value for _, value in told))
        chosen: NDArray[np.float64] = found - np.logaddexp.reduce(found)
        return chosen

    def logprob(self, contexts: Sequence[Messages], continuations: Sequence[str]) -> list[Likelihood]:
        """See `LanguageModel.logprob`; a vLLM server can, others cannot."""
        if len(contexts) != len(continuations):
            raise ValueError(f"{len(contexts)} dialogues need {len(contexts)} texts, got {len(continuations)}")
        if empty := [text for text in continuations if not text]:
            raise ValueError(f"cannot rate an empty text: {empty[0]!r}")
        if not self.prefill and contexts:
            raise BackendError(
                f"{self.name}: the OpenAI interface does not rate given texts; "
                "use a vLLM server (vllm-server:MODEL@URL) or a model in this process (hf:PATH)"
            )

        def ask(index: int) -> Likelihood:
            before = self._ask(contexts[index], max_tokens=1, temperature=0.0).usage.prompt_tokens
            told = self._rated(contexts[index], continuations[index])[before - 1 :]
            return Likelihood(float(np.sum(told)), float(np.mean(told)))

        return self._side_by_side(ask, len(contexts))

    def _side_by_side(self, ask: Callable[[int], T], n: int) -> list[T]:
        """The results of n requests, in order, at most `concurrency` at a time; the first failure ends them."""
        with ThreadPoolExecutor(self.concurrency) as pool:
            waiting = [pool.submit(ask, index) for index in range(n)]
            try:
                return [future.result() for future in waiting]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _ask(self, messages: Messages, **wanted: Any) -> Any:
        """One request.

        Raises:
            BackendError: The server did not answer, or not as it should.
        """
        import openai

        chat: Any = self._client.chat.completions
        try:
            answer = chat.create(model=self.model, messages=[dict(message) for message in messages], **wanted)
        except openai.OpenAIError as error:
            # The client's own exception carries the request with its headers, so it must not come along.
            told = self._without_key(f"{type(error).__name__}: {error}")
            raise BackendError(
                f"{self._spec} at {self._address} failed after {self._client.max_retries} more attempts at most: {told}"
            ) from None
        if not getattr(answer, "choices", None):
            raise BackendError(f"{self._spec} at {self._address} gave an answer without choices")
        return answer

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text
