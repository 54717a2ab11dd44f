"""Small language models from scratch: a Llama of about a million parameters and a tokenizer made from dialogues.

Every sentence that occurs often (a canonical question, a finding as the patient puts it, the name of a condition) is
one token, and so is what the patient's side puts beside each other in most consultations; a consultation of ten
questions takes some 75 tokens. What is left is spelt in bytes, so nothing is ever lost.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from promed_env.errors import BackendError

__all__ = ["phrase_tokenizer", "phrases", "tiny_llama"]

_TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
)
_AGE = r"(?<=\ba )\d+(?=-year-old)"
_GAP = r"(?<=[.?!]) (?=[A-Z])|\n+|(?<=\n[A-Z]\.) |(?<=Patient:) |(?<=Examiner:) "
_EMBEDDING_DEVIATION = 0.1
_ANSWER = re.compile(r"(?<=^answer: )")
_SPLIT = re.compile(f"({_GAP}|{_AGE})")


def phrases(messages: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """Each turn in pieces that join up to it.

    A question is one piece. An answer is two, so that naming an option is saying again what stands among the options.
    What the patient says is split into sentences and what is between them.
    """
    return [
        [
            piece
            for piece in (_ANSWER if message["role"] == "assistant" else _SPLIT).split(message["content"].strip())
            if piece
        ]
        for message in messages
    ]


def phrase_tokenizer(dialogues: Iterable[Sequence[Mapping[str, str]]], least: int = 5) -> Any:
    """A tokenizer whose words are the phrases that occur at least `least` times; all else is spelt in bytes.

    Args:
        dialogues: Chat messages of each.
        least: Occurrences that make a phrase a token.

    Returns:
        A `transformers.PreTrainedTokenizerFast` with a chat template, an end-of-sequence and a padding token.

    Raises:
        BackendError: The extra `llm` is not installed.
    """
    try:
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        raise BackendError('tokenizers need the extra llm: pip install "promed[llm]"') from error
    said: list[list[str]] = []
    heard: list[list[str]] = []
    total = 0
    for messages in dialogues:
        total += any(message["role"] == "assistant" for message in messages)
        for message, turn in zip(messages, phrases(messages), strict=True):
            (said if message["role"] == "assistant" else heard).append(turn)
    counts = Counter(phrase for turn in (*said, *_merged(heard, total / 2)) for phrase in turn)
    alphabet = {byte: index for index, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    words = sorted(phrase for phrase, count in counts.items() if count >= least and len(phrase) > 1)
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = _TEMPLATE
    made.padding_side = "left"
    return made


def _merged(turns: list[list[str]], often: float) -> list[list[str]]:
    """Join neighbours that stand beside each other at least so often, the most frequent first, as byte pairs are."""
    while True:
        pairs = Counter(pair for turn in turns for pair in itertools.pairwise(turn))
        if not pairs or pairs.most_common(1)[0][1] < often:
            return turns
        (left, right), _ = pairs.most_common(1)[0]
        turns = [_join(turn, left, right) for turn in turns]


def _join(turn: list[str], left: str, right: str) -> list[str]:
    joined: list[str] = []
    for piece in turn:
        if joined and joined[-1] == left and piece == right:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def tiny_llama(
    tokenizer: Any, *, hidden: int = 128, layers: int = 4, heads: int = 4, length: int = 1024, seed: int = 0
) -> Any:
    """A `LlamaForCausalLM` with random weights, tied embeddings, for a tokenizer.

    Args:
        tokenizer: Gives the vocabulary and the special tokens.
        hidden: Width.
        layers: Blocks.
        heads: Attention heads.
        length: Longest dialogue, in tokens.
        seed: Of the weights.

    Raises:
        BackendError: The extra `llm` is not installed.
    """
    try:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError as error:
        raise BackendError('language models need the extra llm: pip install "promed[llm]"') from error
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=length,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        with torch.no_grad():  # so that attention tells tokens apart from the start: options are copied far sooner
            model.get_input_embeddings().weight.mul_(_EMBEDDING_DEVIATION / config.initializer_range)
        return model
