"""Ways in which a language model can consult: each turns dialogues into utterances.

* `direct` answers at once: the likeliest option letter.
* `cot` thinks aloud first, then answers at once.
* `ask` says whatever it says, as fine-tuned doctors do: it asks and answers by itself.
* `abstain` asks until one option is likely enough, as MediQ's doctors abstain (https://arxiv.org/abs/2406.00922).
* `uncertainty` does so too, but chooses among its own questions the one that is expected to leave least uncertainty,
  after Uncertainty of Thoughts (https://arxiv.org/abs/2402.03271).

A style that answers states the probability of its answer as the confidence. Where the options are hidden there are no
letters to weigh, and what the model says is said.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from promed_agents.base import state_answer
from promed_agents.llm.prompts import PROMPTS
from promed_env.actions import parse_action
from promed_env.case import Language, Option
from promed_env.errors import BeliefRequired
from promed_env.llm import LanguageModel

__all__ = [
    "ONE_LINE",
    "STYLES",
    "Abstain",
    "Ask",
    "Direct",
    "Judge",
    "Scene",
    "Style",
    "Think",
    "Uncertainty",
    "as_question",
    "expected_entropy",
    "question_scene",
]

ONE_LINE = ("\n",)
"""Where a model stops that is asked for one question."""

Chat = list[dict[str, str]]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """A dialogue in which the doctor speaks next.

    Attributes:
        messages: The dialogue as chat messages, the newest observation last.
        options: The options that were shown; () where they are hidden.
        several: Whether the question asks for all options that apply.
        must_answer: Whether only an answer is accepted now.
        language: Of the case.
        seed: For what is drawn in this turn.
    """

    messages: Chat
    options: tuple[Option, ...]
    several: bool
    must_answer: bool
    language: Language
    seed: int

    def prompt(self, name: str) -> str:
        """A text of `PROMPTS` in the language of the case."""
        return PROMPTS[self.language][name]

    def told(self, name: str) -> Chat:
        """The dialogue under a system message of `PROMPTS`, in place of its own if it has one."""
        talk = self.messages[1:] if self.messages[0]["role"] == "system" else self.messages
        return [{"role": "system", "content": self.prompt(name)}, *talk]

    def answer(self, posterior: Floats) -> str:
        """The utterance that gives the likeliest option."""
        return state_answer(self.options, posterior, by_key=True, several=self.several)


class Judge:
    """What a model takes each option's probability for; it remembers what it was asked last."""

    def __init__(self, model: LanguageModel) -> None:
        """Make a judge that asks this model."""
        self._model = model
        self._last: dict[str, Floats] = {}

    def __call__(self, chats: Sequence[Chat], options: Sequence[tuple[Option, ...]]) -> list[Floats]:
        """For each dialogue p(option), shape (n_options,), from the letters' probabilities after "answer:"."""
        keys = [json.dumps([chat, [option.key for option in own]]) for chat, own in zip(chats, options, strict=True)]
        new = [index for index, key in enumerate(keys) if key not in self._last]
        found = self._model.choice_logprobs(
            [chats[index] for index in new], [[option.key for option in options[index]] for index in new]
        )
        known = {keys[index]: np.exp(row) for index, row in zip(new, found, strict=True)}
        judged = [known[key] if key in known else self._last[key] for key in keys]
        self._last = dict(zip(keys, judged, strict=True))
        return judged


class Style(Protocol):
    """A way to consult."""

    def speak(self, model: LanguageModel, judge: Judge, scenes: Sequence[Scene]) -> list[str]:
        """The next utterance in each scene."""


@dataclass(frozen=True)
class Ask:
    """Sends the dialogue as it is and says what comes back.

    Attributes:
        max_new_tokens: Most tokens of an utterance.
        temperature: See `LanguageModel.chat`.
        no_repeat: Never say again what it has said in the same dialogue.
    """

    max_new_tokens: int = 64
    temperature: float = 0.0
    no_repeat: bool = False

    def speak(self, model: LanguageModel, judge: Judge, scenes: Sequence[Scene]) -> list[str]:
        """See `Style.speak`."""
        chats = [scene.messages for scene in scenes]
        said = [[message["content"] for message in chat if message["role"] == "assistant"] for chat in chats]
        unlike = said if self.no_repeat else None
        return _say(model, chats, scenes, self.max_new_tokens, self.temperature, unlike=unlike)


@dataclass(frozen=True)
class Direct:
    """Answers at once.

    Attributes:
        max_new_tokens: Most tokens of an answer in words.
    """

    max_new_tokens: int = 64

    def speak(self, model: LanguageModel, judge: Judge, scenes: Sequence[Scene]) -> list[str]:
        """See `Style.speak`."""
        judged = iter(judge([s.messages for s in scenes if s.options], [s.options for s in scenes if s.options]))
        hidden = [scene for scene in scenes if not scene.options]
        said = iter(_say(model, [scene.told("answer") for scene in hidden], hidden, self.max_new_tokens))
        return [scene.answer(next(judged)) if scene.options else next(said) for scene in scenes]


@dataclass(frozen=True)
class Think:
    """Thinks aloud, then answers at once.

    Attributes:
        max_new_tokens: Most tokens of a thought.
        temperature: See `LanguageModel.chat`.
    """

    max_new_tokens: int = 192
    temperature: float = 0.0

    def speak(self, model: LanguageModel, judge: Judge, scenes: Sequence[Scene]) -> list[str]:
        """See `Style.speak`."""
        chats = [scene.told("think" if scene.options else "think_and_answer") for scene in scenes]
        said = _say(model, chats, scenes, self.max_new_tokens, self.temperature)
        thoughts = [text.replace("<think>", "").partition("</think>")[0].strip() for text in said]
        shown = [index for index, scene in enumerate(scenes) if scene.options]
        thought = [
            [
                *scenes[index].messages,
                {"role": "assistant", "content": f"<think>{thoughts[index]}</think>"},
                {"role": "user", "content": scenes[index].prompt("now")},
            ]
            for index in shown
        ]
        for index, posterior in zip(shown, judge(thought, [scenes[index].options for index in shown]), strict=True):
            said[index] = f"<think>{thoughts[index]}</think>\n{scenes[index].answer(posterior)}"
        return said


@dataclass(frozen=True)
class Abstain:
    """Asks until one option is likely enough, or it must answer.

    Attributes:
        threshold: Least probability of an option to answer with it.
        max_new_tokens: Most tokens of a question.
        temperature: See `LanguageModel.chat`.
    """

    threshold: float = 0.8
    max_new_tokens: int = 48
    temperature: float = 0.0

    def __post_init__(self) -> None:
        _check_threshold(self.threshold)

    def speak(self, model: LanguageModel, judge: Judge, scenes: Sequence[Scene]) -> list[str]:
        """See `Style.speak`.

        Raises:
            BeliefRequired: The options are hidden.
        """
        said, asking = _answers(judge, scenes, self.threshold)
        chats = [question_scene(scenes[index]) for index in asking]
        asked = _say(model, chats, [scenes[i] for i in asking], self.max_new_tokens, self.temperature, ONE_LINE)
        for index, text in zip(asking, asked, strict=True):
            said[index] = as_question(text)
        return said


@dataclass(frozen=True)
class Uncertainty:
    """Asks, of its own candidate questions, the one that is expected to leave least uncertainty about the options.

    A candidate is imagined to be answered by yes and by no. How likely each is follows from the law of total
    probability: the mixture of the two posteriors that comes nearest to what is believed now (`expected_entropy`).
    A turn costs `candidates` generations and two distributions for each of them.

    Attributes:
        threshold: Least probability of an option to answer with it.
        candidates: Questions that are sampled.
        max_new_tokens: Most tokens of a question.
        temperature: At which they are sampled.
    """

    threshold: float = 0.8
    candidates: int = 3
    max_new_tokens: int = 48
    temperature: float = 0.8

    def __post_init__(self) -> None:
        _check_threshold(self.threshold)
        if self.candidates < 1:
            raise ValueError(f"candidates must be at least 1, got {self.candidates}")

    def speak(self, model: LanguageModel, judge: Judge, scenes: Sequence[Scene]) -> list[str]:
        """See `Style.speak`.

        Raises:
            BeliefRequired: The options are hidden.
        """
        said, asking = _answers(judge, scenes, self.threshold)
        owners = [index for index in asking for _ in range(self.candidates)]
        texts = model.chat(
            [question_scene(scenes[index]) for index in owners],
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            seed=[scenes[index].seed + rank % self.candidates for rank, index in enumerate(owners)],
            stop=ONE_LINE,
        )
        found: dict[int, list[str]] = {index: [] for index in asking}
        for index, completion in zip(owners, texts, strict=True):
            found[index].append(as_question(completion.text))
        imagined: list[tuple[int, str]] = []
        for index, utterances in found.items():
            questions = [text for text in dict.fromkeys(utterances) if parse_action(text).kind == "question"]
            said[index] = (questions or utterances)[0]
            imagined += [(index, text) for text in questions] if len(questions) > 1 else []
        chats = [
            [
                *scenes[index].messages,
                {"role": "assistant", "content": text},
                {"role": "user", "content": scenes[index].prompt(reply)},
            ]
            for index, text in imagined
            for reply in ("yes", "no")
        ]
        now = judge([scenes[index].messages for index, _ in imagined], [scenes[index].options for index, _ in imagined])
        after = judge(chats, [scenes[index].options for index, _ in imagined for _ in range(2)])
        left: dict[int, float] = {}
        for place, (index, text) in enumerate(imagined):
            expected = expected_entropy(now[place], after[2 * place], after[2 * place + 1])
            if expected < left.get(index, np.inf):
                left[index], said[index] = expected, text
        return said


STYLES: dict[str, type[Ask] | type[Direct] | type[Think] | type[Abstain] | type[Uncertainty]] = {
    "direct": Direct,
    "cot": Think,
    "ask": Ask,
    "abstain": Abstain,
    "uncertainty": Uncertainty,
}
"""Name -> style."""


def question_scene(scene: Scene) -> Chat:
    """The dialogue under the request for one question."""
    return scene.told("question")


def as_question(text: str) -> str:
    """The utterance of a model that was asked for a question only: with the mark of a question, if it has none."""
    text = text.strip()
    marked = parse_action(text)
    return f"question: {text}" if text and marked.kind == "invalid" and "neither" in marked.text else text


def expected_entropy(now: Floats, yes: Floats, no: Floats) -> float:
    """Entropy of the options, in nats, that is expected after a reply of yes or no.

    Args:
        now: p(option) before, (n_options,).
        yes: p(option) after yes.
        no: p(option) after no.
    """
    apart = yes - no
    spread = float(apart @ apart)
    share = 0.5 if spread < 1e-12 else min(1.0, max(0.0, float((now - no) @ apart) / spread))
    return share * _entropy(yes) + (1 - share) * _entropy(no)


def _entropy(p: Floats) -> float:
    return float(-(p * np.log(np.maximum(p, 1e-300))).sum())


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be above 0 and at most 1, got {threshold}")


def _say(
    model: LanguageModel,
    chats: Sequence[Chat],
    scenes: Sequence[Scene],
    max_new_tokens: int,
    temperature: float = 0.0,
    stop: Sequence[str] = (),
    unlike: Sequence[Sequence[str]] | None = None,
) -> list[str]:
    seeds = [scene.seed for scene in scenes]
    asked = {} if unlike is None else {"unlike": unlike}
    said = model.chat(chats, max_new_tokens=max_new_tokens, temperature=temperature, seed=seeds, stop=stop, **asked)
    return [completion.text for completion in said]


def _answers(judge: Judge, scenes: Sequence[Scene], threshold: float) -> tuple[list[str], list[int]]:
    """The answers of those that are sure or must answer, "" for the others, and the indexes of these."""
    if any(not scene.options for scene in scenes):
        raise BeliefRequired(
            "this style weighs the options' letters, but the options are hidden; "
            "play with show_options='always', or choose the style ask, direct or cot"
        )
    said, asking = [""] * len(scenes), []
    judged = judge([scene.messages for scene in scenes], [scene.options for scene in scenes])
    for index, (scene, posterior) in enumerate(zip(scenes, judged, strict=True)):
        if scene.must_answer or posterior.max() >= threshold:
            said[index] = scene.answer(posterior)
        else:
            asking.append(index)
    return said, asking
