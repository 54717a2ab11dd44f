"""The doctor that is a language model: it reads the dialogue and nothing else (access `text`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promed_agents.base import Access, episode_rng
from promed_agents.chat import spoken
from promed_agents.llm.prompts import PROMPTS
from promed_agents.llm.styles import STYLES, Judge, Scene
from promed_env import phrases
from promed_env.case import Option
from promed_env.llm import LanguageModel, make_llm
from promed_env.llm.server import ServerModel

__all__ = ["LLMDoctor", "read_options"]

_OPTION = re.compile(r"([A-Z])\. (.+)")
_SEVERAL = ("Answer with the keys of all options that apply.", "请用所有正确选项的字母作答。")
_SEEDS_A_TURN = 64


class LLMDoctor:
    """A language model as a doctor.

    Attributes:
        model: The model.
        style: How it consults, see `promed_agents.llm.styles`.
        instructions: Whether a system message explains the task with an example. Models that were fine-tuned on
            dialogues were trained without; the first observation states the rules.
        name: Model and style.
        access: "text".
    """

    access: Access = "text"

    def __init__(
        self,
        model: str | LanguageModel,
        style: str = "ask",
        seed: int = 0,
        *,
        instructions: bool = False,
        name: str | None = None,
        **settings: Any,
    ) -> None:
        """Make a doctor.

        Args:
            model: The model, or its name for `make_llm`.
            style: A name in `STYLES`.
            seed: For what is drawn; the same for a case however the cases are batched.
            instructions: See the class.
            name: Its name in tables; by default model and style.
            settings: Of the style, such as threshold or temperature.

        Raises:
            ValueError: The style is unknown, or a setting out of range.
            TypeError: The style has no such setting.
            BackendError: The model cannot be loaded.
        """
        if style not in STYLES:
            raise ValueError(f"unknown style {style!r}; there are {', '.join(STYLES)}")
        self.style = STYLES[style](**settings)
        self.model = make_llm(model)
        self.instructions = instructions
        self.seed = seed
        self.name = name or f"{self.model.name} {style}"
        self._judge = Judge(self.model)
        self._dialogues: list[list[dict[str, str]]] = []
        self._options: list[tuple[Option, ...]] = []
        self._several: list[bool] = []

    def reset(self, n: int) -> None:
        """See `Agent.reset`."""
        self._dialogues = [[] for _ in range(n)]
        self._options = [()] * n
        self._several = [False] * n

    def act(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[str]:
        """See `Agent.act`."""
        going, scenes = self._scenes(observations, infos)
        utterances = ["answer: none"] * len(observations)
        for index, scene, said in zip(going, scenes, self.style.speak(self.model, self._judge, scenes), strict=True):
            utterances[index] = said
            self._dialogues[index] = [*scene.messages, {"role": "assistant", "content": spoken(said)}]
        return utterances

    def leaning(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[NDArray[np.float64] | None]:
        """See `Leaning.leaning`: the options' probabilities after "answer:", where the options are shown.

        A server that cannot rate texts is not asked: it may return no probabilities, and it would double the requests.
        """
        if isinstance(self.model, ServerModel) and not self.model.prefill:
            return [None] * len(observations)
        going, scenes = self._scenes(observations, infos)
        shown = [(index, scene) for index, scene in zip(going, scenes, strict=True) if scene.options]
        judged = self._judge([scene.messages for _, scene in shown], [scene.options for _, scene in shown])
        told: list[NDArray[np.float64] | None] = [None] * len(observations)
        for (index, _), posterior in zip(shown, judged, strict=True):
            told[index] = posterior
        return told

    def _scenes(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> tuple[list[int], list[Scene]]:
        """The consultations that go on, and how each stands now."""
        going, scenes = [], []
        for index, (observation, info) in enumerate(zip(observations, infos, strict=True)):
            language = info["language"]
            if observation.endswith(phrases.over(language)):
                continue
            begun = self._dialogues[index]
            if not begun and self.instructions:
                begun = [{"role": "system", "content": PROMPTS[language]["instructions"]}]
            if info["by_key"] and not self._options[index]:
                self._options[index] = read_options(observation)
            self._several[index] |= any(text in observation for text in _SEVERAL)
            draws = int(episode_rng(self.seed, info["case_id"]).integers(2**31)) + _SEEDS_A_TURN * info["turn"]
            going.append(index)
            scenes.append(
                Scene(
                    [*begun, {"role": "user", "content": observation}],
                    self._options[index],
                    self._several[index],
                    info["must_answer"],
                    language,
                    draws,
                )
            )
        return going, scenes


def read_options(observation: str) -> tuple[Option, ...]:
    """The options that an observation shows: its last lines "A. ...", "B. ..." in this order; () if none."""
    options: list[Option] = []
    for line in observation.split("\n"):
        match = _OPTION.fullmatch(line)
        if match is None:
            continue
        if match[1] == "A":
            options = []
        if match[1] == chr(ord("A") + len(options)):
            options.append(Option(match[1], match[2]))
    return tuple(options)
