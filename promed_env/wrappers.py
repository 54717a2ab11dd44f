"""Wrappers: the whole dialogue as text or as chat messages, and a menu of discrete actions for classic RL.

    env = TranscriptObservation(gym.make("ProMed-MedQA-v0"))   # observation: all that was said
    env = ChatObservation(gym.make("ProMed-MedQA-v0"))         # observation: messages for a chat template
    env = MenuActions(gym.make("ProMed-MedQA-v0"))             # Discrete actions, arrays, action_masks()

The vector environment offers the menu by `actions="menu"`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from promed_env.actions import MAX_ACTION_LENGTH, parse_action
from promed_env.case import Case
from promed_env.consultation import Consultation
from promed_env.env import ConsultationEnv
from promed_env.interview import CATALOGUE
from promed_env.spaces import Utterance

__all__ = ["MAX_TRANSCRIPT_LENGTH", "ChatObservation", "Menu", "MenuActions", "TranscriptObservation"]

MAX_TRANSCRIPT_LENGTH = 262_144
"""Longest transcript in characters."""


class TranscriptObservation(gym.Wrapper[str, str, str, str], RecordConstructorArgs):
    """The observation is the whole dialogue: the opening, then what the doctor said (">") and was told."""

    def __init__(self, env: gym.Env[str, str]) -> None:
        """Wrap an environment whose actions and observations are text."""
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self.observation_space = Utterance(MAX_TRANSCRIPT_LENGTH)
        self._lines: list[str] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """See `ConsultationEnv.reset`."""
        text, info = self.env.reset(seed=seed, options=options)
        self._lines = [text]
        return text, info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """See `ConsultationEnv.step`."""
        text, reward, terminated, truncated, info = self.env.step(action)
        self._lines += [f"> {action[:MAX_ACTION_LENGTH]}", text]
        return "\n".join(self._lines)[:MAX_TRANSCRIPT_LENGTH], float(reward), terminated, truncated, info


Messages = tuple[dict[str, str], ...]


class ChatObservation(gym.Wrapper[Any, str, Any, str], RecordConstructorArgs):
    """The observation is the dialogue as chat messages: the patient's side is "user", the doctor's "assistant"."""

    def __init__(self, env: gym.Env[str, str]) -> None:
        """Wrap an environment whose actions and observations are text."""
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        message = spaces.Dict({"role": Utterance(16), "content": Utterance(MAX_TRANSCRIPT_LENGTH)})
        self.observation_space = spaces.Sequence(message)
        self._messages: Messages = ()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Messages, dict[str, Any]]:
        """See `ConsultationEnv.reset`."""
        text, info = self.env.reset(seed=seed, options=options)
        self._messages = ({"role": "user", "content": text},)
        return self._copy(), info

    def step(self, action: str) -> tuple[Messages, float, bool, bool, dict[str, Any]]:
        """See `ConsultationEnv.step`."""
        text, reward, terminated, truncated, info = self.env.step(action)
        said = {"role": "assistant", "content": action[:MAX_ACTION_LENGTH]}
        self._messages = (*self._messages, said, {"role": "user", "content": text})
        return self._copy(), float(reward), terminated, truncated, info

    def _copy(self) -> Messages:
        """Messages of their own, because users keep and change what they are handed."""
        return tuple(dict(message) for message in self._messages)


class Menu:
    """A fixed catalogue of questions and the option slots as discrete actions; frozen embeddings as observations.

    Actions 0 .. n_questions - 1 ask the catalogue's questions, the next ones answer with the option in that slot. The
    catalogue is the same for every case, and the mask depends on what was asked, the turn and the number of options
    only.

    Observation (Dict of Box, float32), with d = 128: "presentation" (d,), "question" (d,), "options" (n_slots * d,),
    "replies" (n_questions * d,): the last reply to each question, zero if it was not asked; "asked" (n_questions,) in
    {0, 1}; "turns_left" (1,) as a share of the budget. One action answers with one option, so a case with several right
    options cannot be solved by a menu.
    """

    def __init__(self, questions: Sequence[str], slots: int, show_options: str) -> None:
        """Make a menu.

        Args:
            questions: The catalogue.
            slots: Option slots, the most options a case has.
            show_options: As in `ConsultationEnv`: hidden options have zero embeddings and are answered by their text.

        Raises:
            ValueError: The catalogue is empty, has a question twice, or one that the grammar would change.
        """
        from promed_env.patients.static import EMBEDDING_DIM

        self.questions = tuple(questions)
        if isinstance(questions, str) or not self.questions or len(set(self.questions)) < len(self.questions):
            raise ValueError("a menu needs a sequence of at least one question, none twice")
        for question in self.questions:
            if parse_action(f"question: {question}") != ("question", question, None):
                raise ValueError(f"{question!r} cannot be asked as it stands: the grammar would change it")
        self.slots = slots
        self.show_options = show_options
        self._index = {question: index for index, question in enumerate(self.questions)}
        n, d = len(self.questions), EMBEDDING_DIM
        self.action_space = spaces.Discrete(n + slots)
        box: dict[str, spaces.Space[Any]] = {
            "presentation": spaces.Box(-1, 1, (d,), np.float32),
            "question": spaces.Box(-1, 1, (d,), np.float32),
            "options": spaces.Box(-1, 1, (slots * d,), np.float32),
            "replies": spaces.Box(-1, 1, (n * d,), np.float32),
            "asked": spaces.Box(0, 1, (n,), np.float32),
            "turns_left": spaces.Box(0, 1, (1,), np.float32),
        }
        self.observation_space = spaces.Dict(box)

    @classmethod
    def of(cls, env: ConsultationEnv, questions: Sequence[str] = CATALOGUE) -> Menu:
        """The menu that fits an environment."""
        slots = max(len(case.options) for case in env.dataset)
        return cls(questions, slots, env.dynamics.show_options)

    def utterance(self, action: int, case: Case) -> str:
        """The text of an action. A slot beyond the case's options answers with a key that does not exist.

        Raises:
            ValueError: The action is out of range.
        """
        if not 0 <= action < self.action_space.n:
            raise ValueError(f"menu actions are 0 to {self.action_space.n - 1}, got {action}")
        if action < len(self.questions):
            return f"question: {self.questions[action]}"
        slot = action - len(self.questions)
        if slot >= len(case.options):
            return "answer: (an empty slot)"
        option = case.options[slot]
        return f"answer: {option.key if self.show_options == 'always' else option.text}"

    def mask(self, state: Consultation) -> NDArray[np.bool_]:
        """Which actions make sense now, bool (n_actions,): the options, and questions not asked yet, while accepted."""
        mask = np.zeros(int(self.action_space.n), dtype=np.bool_)
        if not state.must_answer:
            mask[: len(self.questions)] = True
            mask[[self._index[turn.text] for turn in state.turns if turn.text in self._index]] = False
        mask[len(self.questions) : len(self.questions) + len(state.case.options)] = True
        return mask

    def observe(self, state: Consultation) -> dict[str, NDArray[np.float32]]:
        """The observation of one state."""
        return {key: value[0] for key, value in self.observe_batch([state]).items()}

    def observe_batch(self, states: Sequence[Consultation]) -> dict[str, NDArray[np.float32]]:
        """The observations of many states, with a leading axis."""
        batch = {
            key: np.zeros((len(states), *(space.shape or ())), dtype=np.float32)
            for key, space in self.observation_space.spaces.items()
        }
        options = batch["options"].reshape(len(states), self.slots, -1)  # views of the flat arrays
        replies = batch["replies"].reshape(len(states), len(self.questions), -1)
        for row, state in enumerate(states):
            case = state.case
            batch["presentation"][row] = _embed(case.presentation)
            batch["question"][row] = _embed(case.question)
            if self.show_options == "always" or (self.show_options == "at_answer" and state.must_answer):
                for slot, option in enumerate(case.options):
                    options[row, slot] = _embed(option.text)
            for turn in state.turns:
                index = self._index.get(turn.text)
                if index is not None and turn.reply is not None:
                    batch["asked"][row, index] = 1
                    replies[row, index] = _embed(turn.reply.text)
            batch["turns_left"][row] = state.questions_left / max(1, state.max_questions)
        return batch


@lru_cache(maxsize=65536)
def _embed(text: str) -> NDArray[np.float32]:
    from promed_env.patients.static import encode

    embedding: NDArray[np.float32] = encode(text)
    return embedding


class MenuActions(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Discrete actions and array observations, as `Menu` describes them, with `action_masks()` for MaskablePPO."""

    def __init__(self, env: gym.Env[str, str], questions: Sequence[str] = CATALOGUE) -> None:
        """Wrap an environment of consultations.

        Args:
            env: The environment.
            questions: The catalogue.

        Raises:
            TypeError: The unwrapped environment is no `ConsultationEnv`.
        """
        RecordConstructorArgs.__init__(self, questions=tuple(questions))
        super().__init__(env)
        base = env.unwrapped
        if not isinstance(base, ConsultationEnv):
            raise TypeError(f"MenuActions wraps a ConsultationEnv, not {type(base).__name__}")
        self._base = base
        self.menu = Menu.of(base, questions)
        self.action_space = self.menu.action_space
        self.observation_space = self.menu.observation_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
        """See `ConsultationEnv.reset`."""
        _, info = self.env.reset(seed=seed, options=options)
        return self.menu.observe(self._base.consultation), info

    def step(self, action: np.int64 | int) -> tuple[dict[str, NDArray[np.float32]], float, bool, bool, dict[str, Any]]:
        """See `ConsultationEnv.step`.

        Raises:
            ValueError: The action is out of range.
        """
        text = self.menu.utterance(int(action), self._base.consultation.case)
        _, reward, terminated, truncated, info = self.env.step(text)
        return self.menu.observe(self._base.consultation), float(reward), terminated, truncated, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions make sense now, bool (n_actions,)."""
        return self.menu.mask(self._base.consultation)
