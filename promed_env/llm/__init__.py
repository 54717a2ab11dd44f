"""Language models behind one small interface, on three backends; nothing is imported before it is used.

    model = make_llm("hf:smollm2")                                    # Transformers, in this process
    model = make_llm("vllm:path/to/model")                            # vLLM, in this process
    model = make_llm("openai:NAME")                                   # an OpenAI-compatible server
    model = make_llm("vllm-server:NAME@http://localhost:8000/v1")     # a vLLM server, which can do more
    model.chat([[{"role": "user", "content": "Hello"}]])[0].text

See `promed_env.llm.base` for what a model offers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from promed_env.llm.base import PREFIX, Completion, LanguageModel, Likelihood, Messages

__all__ = ["BACKENDS", "PREFIX", "Completion", "LanguageModel", "Likelihood", "Messages", "make_llm"]

BACKENDS: dict[str, str] = {
    "hf": "a folder with safetensors, a GGUF file or smollm2, through Transformers",
    "vllm": "the same folder, through vLLM in this process",
    "openai": "a model of an OpenAI-compatible server, NAME or NAME@URL",
    "vllm-server": "a model of `vllm serve`, NAME@URL",
}
"""Backend -> what stands after its colon."""


def make_llm(spec: str | LanguageModel, **settings: Any) -> LanguageModel:
    """The language model that a string names, or the object itself.

    A model that is named again, without settings, is the same object: a doctor and a patient may share one.

    Args:
        spec: "BACKEND:MODEL", see `BACKENDS`; without a backend it is "hf". Or a `LanguageModel`.
        settings: Of the backend: see `promed_env.llm.hf.load_hf`, `promed_env.llm.vllm.VLLMModel` and
            `promed_env.llm.server.ServerModel`.

    Raises:
        ValueError: The string names no model.
        TypeError: The object lacks a part of the interface, or settings are given for an object.
        BackendError: The backend is not installed, or there is no such model.
    """
    if isinstance(spec, str):
        return _load(spec, **settings) if settings else _load_once(spec)
    if not isinstance(spec, LanguageModel):
        raise TypeError(f"a language model has name, chat, choice_logprobs and logprob; {spec!r} does not")
    if settings:
        raise TypeError(f"settings {', '.join(settings)} are for a model given by name, not for {spec.name!r}")
    return spec


def _load(spec: str, **settings: Any) -> LanguageModel:
    backend, found, model = spec.partition(":")
    if not found or backend not in BACKENDS:
        backend, model = "hf", spec
    if not model:
        raise ValueError(f"{spec!r} names no model; write {backend}:MODEL: {BACKENDS[backend]}")
    if backend == "hf":
        from promed_env.llm.hf import load_hf

        return load_hf(model, **settings)
    if backend == "vllm":
        from promed_env.llm.vllm import VLLMModel

        return VLLMModel(model, **settings)
    from promed_env.llm.server import ServerModel

    name, _, url = model.partition("@")
    return ServerModel(name, url or None, prefill=backend == "vllm-server", **settings)


_load_once = lru_cache(maxsize=2)(_load)
