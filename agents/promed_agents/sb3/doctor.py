"""`SB3Doctor`: a trained policy as an agent that sees the dialogue only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promed_agents.base import Access
from promed_agents.sb3.config import TrainConfig
from promed_agents.sb3.dialogue import begin, hear
from promed_agents.sb3.train import MENU_FILE, load_model, newest_checkpoint, predict, read_menu
from promed_env.beliefs.evidence import log_softmax
from promed_env.consultation import Consultation
from promed_env.errors import BackendError, DatasetError
from promed_env.menu import FindingsMenu, Menu

try:
    import torch
except ModuleNotFoundError as error:
    raise BackendError(
        f'doctors of Stable-Baselines3 need the package {error.name}: pip install "promed[rl]"'
    ) from error

__all__ = ["SB3Doctor"]


class SB3Doctor:
    """Plays the most probable action of a trained policy.

    The policy wants the menu's arrays; they are rebuilt from the texts (`promed_agents.sb3.dialogue`). It never looks
    at the view that it is handed.

    Attributes:
        access: "text"; "knowledge" if its judge has the knowledge base built in.
        config: How it was trained.
        menu: Its questions and arrays.
    """

    def __init__(self, path: str | Path, name: str | None = None) -> None:
        """Load a trained doctor; load only files that you trust.

        Args:
            path: A checkpoint, or the folder of a run, of which the newest checkpoint is taken.
            name: Its name in tables; by default algorithm and reward.

        Raises:
            FileNotFoundError: There is no checkpoint.
            DatasetError: It was trained on another version of the knowledge base.
        """
        folder = Path(path)
        if not (folder / MENU_FILE).is_file():
            folder = newest_checkpoint(folder)
        self.config = TrainConfig.load(folder / "config.json")
        self.menu: Menu = read_menu(folder / MENU_FILE)
        self.name = name or f"{self.config.algo}({self.config.reward})"
        self._knowledge = self.menu.knowledge if isinstance(self.menu, FindingsMenu) else None
        knowing = self._knowledge is not None and self.config.judge == "knowledge"
        self.access: Access = "knowledge" if knowing else "text"
        self._model = load_model(self.config.algo, folder)
        self._states: list[Consultation] = []
        self._asked: list[str | None] = []

    def reset(self, n: int) -> None:
        """See `Agent.reset`."""
        self._states, self._asked = [], [None] * n

    def act(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[str]:
        """See `Agent.act`.

        Raises:
            DatasetError: The consultation is not one that the doctor can play; the message says why.
        """
        arrays = self.observe(observations, infos)
        masks = np.stack([self.menu.mask(state) for state in self._states])
        return [self._say(row, action) for row, action in enumerate(predict(self._model, arrays, masks).tolist())]

    def leaning(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[NDArray[np.float64] | None]:
        """See `Leaning.leaning`: what the policy would say if it could only answer; DQN has no probabilities: None."""
        arrays = self.observe(observations, infos)
        if self.config.algo == "dqn":
            return [None] * len(self._states)
        policy: Any = self._model.policy
        with torch.no_grad():
            logits = policy.get_distribution(policy.obs_to_tensor(arrays)[0]).distribution.logits.double().numpy()
        first = len(self.menu.questions)
        return [
            np.exp(log_softmax(row[first : first + len(state.case.options)]))
            for row, state in zip(logits, self._states, strict=True)
        ]

    def observe(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> dict[str, NDArray[np.float32]]:
        """The arrays that `act` would see after these observations, with a leading axis; takes them in once."""
        self._listen(observations, infos)
        return self.menu.observe_batch(self._states)

    def _listen(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> None:
        if not self._states:
            self._states = [self._begin(text, info) for text, info in zip(observations, infos, strict=True)]
            return
        for row, text in enumerate(observations):
            asked, self._asked[row] = self._asked[row], None  # so that it is heard once, whoever asks first
            if asked is not None and not self._states[row].must_answer:  # else the consultation is over
                self._states[row] = hear(self._states[row], asked, text, self._knowledge)

    def _begin(self, opening: str, info: dict[str, Any]) -> Consultation:
        state = begin(opening, info["language"], self._knowledge)
        if len(state.case.options) > self.menu.slots:
            raise DatasetError(
                f"case {info['case_id']!r} has {len(state.case.options)} options; the doctor {self.name} was trained "
                f"with at most {self.menu.slots}. Train it on such cases."
            )
        return state

    def _say(self, row: int, action: int) -> str:
        text = self.menu.utterance(action, self._states[row].case)
        self._asked[row] = self.menu.questions[action] if action < len(self.menu.questions) else None
        return text
