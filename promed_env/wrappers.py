"""Wrappers: the whole dialogue as text or as chat messages, and a menu of discrete actions for classic RL.

    env = TranscriptObservation(gym.make("ProMed-MedQA-v0"))   # observation: all that was said
    env = ChatObservation(gym.make("ProMed-MedQA-v0"))         # observation: messages for a chat template
    env = MenuActions(gym.make("ProMed-MedQA-v0"))             # Discrete actions, arrays, action_masks()

The vector environment offers the menu by `actions="menu"`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from promed_env.actions import MAX_ACTION_LENGTH
from promed_env.env import ConsultationEnv
from promed_env.menu import Menu
from promed_env.spaces import Utterance

__all__ = ["MAX_TRANSCRIPT_LENGTH", "ChatObservation", "MenuActions", "TranscriptObservation"]

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


class MenuActions(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Discrete actions and array observations (`promed_env.menu`), with `action_masks()` for MaskablePPO."""

    def __init__(self, env: gym.Env[str, str], questions: Sequence[str] | None = None) -> None:
        """Wrap an environment of consultations.

        Args:
            env: The environment.
            questions: The catalogue; by default that of the environment's data set.

        Raises:
            TypeError: The unwrapped environment is no `ConsultationEnv`.
        """
        RecordConstructorArgs.__init__(self, questions=None if questions is None else tuple(questions))
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
