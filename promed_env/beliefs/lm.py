"""The belief of a language model: who would answer what, knowing a set of facts (extra `llm`).

Two characteristic functions:

* `answer_text`, the authors' (https://arxiv.org/abs/2508.13514): no options are shown, v(S) is the mean log-probability
  per token of the right answer's text after the question and the facts S;
* `option_letter`, ours: all options are shown, and v(S) = log p(key | S) from the one distribution over their letters,
  averaged over rotated orders of the options, so that a liking for a letter cancels out.

The question stands first and the facts follow in the order of the case, so v is a function of the set, and coalitions
share beginnings: a backend that keeps those computes them once (`promed_env.llm.hf` reads them as a tree, vLLM has a
prefix cache). What a model's values are worth is another matter: `docs/annotating.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from promed_env.beliefs import key_columns, key_log_probability
from promed_env.case import Case, Language
from promed_env.llm import PREFIX, LanguageModel, Messages, make_llm

__all__ = ["PROMPT_VERSION", "Characteristic", "LMBelief", "make_lm_belief", "mean_over_orders"]

Characteristic = Literal["option_letter", "answer_text"]

PROMPT_VERSION = 1
"""Goes into the belief's name: annotations made with other prompts are other annotations."""

_CHUNK = 1024  # coalitions whose prompts are held at a time
_TEXTS: dict[Language, dict[str, str]] = {
    "en": {"known": "What is known of the patient:", "nothing": "What is known of the patient: nothing.", "and": "; "},
    "zh": {"known": "已知的患者情况\uff1a", "nothing": "已知的患者情况\uff1a无。", "and": "\uff1b"},
}


@dataclass(frozen=True)
class LMBelief:
    """A `Belief` that asks a language model.

    Attributes:
        model: The language model, on any backend that rates answers.
        characteristic: What v(S) is, see the head of this module.
        rotations: Orders of the options that are averaged over, for `option_letter`; None for as many as options.
        shapley_budget: Most coalitions that Shapley values are computed from where the caller does not say.
    """

    model: LanguageModel
    characteristic: Characteristic = "option_letter"
    rotations: int | None = None
    shapley_budget: int = 256

    def __post_init__(self) -> None:
        if self.characteristic not in get_args(Characteristic):
            raise ValueError(
                f"unknown characteristic function {self.characteristic!r}; expected one of "
                f"{', '.join(get_args(Characteristic))}"
            )
        if self.rotations is not None and self.rotations < 1:
            raise ValueError(f"rotations must be at least 1, got {self.rotations}")

    @property
    def name(self) -> str:
        """Characteristic function, model and version of the prompt: "option_letter(hf:smollm2)/1"."""
        turned = "" if self.rotations is None or self.characteristic == "answer_text" else f"/{self.rotations}"
        return f"{self.characteristic}({self.model.name})/{PROMPT_VERSION}{turned}"

    def covers(self, case: Case) -> bool:
        """Whether the case has at least two options; a model has a view of any."""
        return len(case.options) > 1 and bool(case.answer)

    def __call__(self, case: Case, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """See `Belief.__call__`; for `answer_text` the options' mean log-probabilities, made to add up to 1."""
        found = self.batch([case] * len(coalitions), list(coalitions))
        return np.array(found).reshape(len(coalitions), len(case.options))

    def batch(self, cases: Sequence[Case], coalitions: Sequence[NDArray[np.bool_]]) -> list[NDArray[np.float64]]:
        """Log p(option | facts) for many cases at once: for each its (n_options,)."""
        if self.characteristic == "option_letter":
            return [mean_over_orders(orders) for orders in self.by_order(cases, coalitions)]
        texts = [[option.text for option in case.options] for case in cases]
        rated = self._texts(cases, coalitions, texts)
        return [row - np.logaddexp.reduce(row) for row in rated]

    def value(self, case: Case, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The characteristic function: (m, n_facts) bool -> v (m,), in nats."""
        if self.characteristic == "option_letter":
            return key_log_probability(case, self(case, coalitions))
        key = _TEXTS[case.language]["and"].join(case.options[column].text for column in key_columns(case))
        rated = self._texts([case] * len(coalitions), list(coalitions), [[key]] * len(coalitions))
        return np.array(rated).reshape(len(coalitions))

    def _texts(
        self, cases: Sequence[Case], coalitions: Sequence[NDArray[np.bool_]], texts: Sequence[Sequence[str]]
    ) -> list[NDArray[np.float64]]:
        """Mean log-probability per token of each text."""
        found: list[NDArray[np.float64]] = []
        for start in range(0, len(cases), _CHUNK):
            part = slice(start, start + _CHUNK)
            asked = [_told(case, facts) for case, facts in zip(cases[part], coalitions[part], strict=True)]
            contexts = [messages for messages, own in zip(asked, texts[part], strict=True) for _ in own]
            said = [PREFIX + text for own in texts[part] for text in own]
            before = iter(self.model.logprob(contexts, said))
            found += [np.array([next(before).mean for _ in own]) for own in texts[part]]
        return found

    def by_order(self, cases: Sequence[Case], coalitions: Sequence[NDArray[np.bool_]]) -> list[NDArray[np.float64]]:
        """Log p(option | facts) for each order in which the options are shown, their own first: (rotations, n_options).

        It is what `option_letter` averages, and shows a liking for a letter.
        """
        found: list[NDArray[np.float64]] = []
        for start in range(0, len(cases), _CHUNK):
            part = slice(start, start + _CHUNK)
            batch: list[Messages] = []
            letters: list[list[str]] = []
            turns = [min(self.rotations or len(case.options), len(case.options)) for case in cases[part]]
            for case, facts, many in zip(cases[part], coalitions[part], turns, strict=True):
                for turn in range(many):
                    batch.append(_told(case, facts, turn))
                    letters.append(_alphabet(case))
            rated = iter(self.model.choice_logprobs(batch, letters))
            for many in turns:
                found.append(np.array([np.roll(next(rated), turn) for turn in range(many)]))
        return found


def mean_over_orders(orders: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the mean probability over orders: (rotations, n_options) -> (n_options,)."""
    found: NDArray[np.float64] = np.logaddexp.reduce(orders, axis=0) - np.log(len(orders))
    return found


def _told(case: Case, facts: NDArray[np.bool_], turn: int | None = None) -> Messages:
    """The question, the options turned by so many places unless there are to be none, then the facts, in order."""
    texts = _TEXTS[case.language]
    lines = [case.question]
    if turn is not None:
        options = [*case.options[turn:], *case.options[:turn]]
        lines += [f"{letter}. {option.text}" for letter, option in zip(_alphabet(case), options, strict=True)]
    known = [f"- {case.facts[index].text}" for index in np.flatnonzero(facts)]
    lines += ["", texts["known"] if known else texts["nothing"], *known]
    return [{"role": "user", "content": "\n".join(lines)}]


def _alphabet(case: Case) -> list[str]:
    return [chr(ord("A") + index) for index in range(len(case.options))]


def make_lm_belief(spec: str) -> LMBelief:
    """The belief that a string names.

    Args:
        spec: "hf:MODEL", "vllm:MODEL", "openai:MODEL" or "vllm-server:MODEL@URL" (`promed_env.llm.BACKENDS`) for
            `option_letter`; "answer_text(hf:MODEL)" for the other one.

    Raises:
        ValueError: The string names no model.
        BackendError: The backend is not installed, or there is no such model.
    """
    for characteristic in get_args(Characteristic):
        if spec.startswith(f"{characteristic}(") and spec.endswith(")"):
            return LMBelief(make_llm(spec[len(characteristic) + 1 : -1]), characteristic)
    return LMBelief(make_llm(spec))
