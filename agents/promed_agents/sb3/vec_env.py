"""`MenuVecEnv`: the vector environment with a menu of actions, as Stable-Baselines3 wants to see it.

Gymnasium's vector environments and SB3's `VecEnv` differ in reset, infos and the last observation of an episode. This
adapter steps all consultations in one batch, where SB3's own would loop over single environments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from promed_env.errors import BackendError
from promed_env.menu import Menu
from promed_env.vector import ConsultationVectorEnv

try:
    from stable_baselines3.common.vec_env import VecEnv
except ModuleNotFoundError as error:
    raise BackendError(
        f'doctors of Stable-Baselines3 need the package {error.name}: pip install "promed[rl]"'
    ) from error

__all__ = ["MenuVecEnv"]

Indices = None | int | Iterable[int]


class MenuVecEnv(VecEnv):
    """SB3's view of a `ConsultationVectorEnv` with `actions="menu"` and autoreset "SameStep".

    Infos are one dict an environment, as `ConsultationEnv` gives them; where an episode ends, they are those of its
    last step, with "terminal_observation". `env_method("action_masks")` gives a mask an environment.
    """

    def __init__(self, env: ConsultationVectorEnv) -> None:
        """Wrap a vector environment.

        Raises:
            ValueError: Its actions or its autoreset mode are others.
        """
        if env.menu is None:
            raise ValueError("MenuVecEnv needs an environment with actions='menu'")
        if env.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ValueError(f"MenuVecEnv needs autoreset_mode='SameStep', not {env.autoreset_mode.value!r}")
        self.env = env
        self.menu: Menu = env.menu
        self._actions: Sequence[int] | NDArray[np.int64] = ()
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> dict[str, NDArray[np.float32]]:
        """Start all consultations, with the seeds given to `seed` before, if any."""
        observations, infos = self.env.reset(seed=self._seeds)
        self.reset_infos = _rows(infos, self.num_envs)
        self._reset_seeds()
        self._reset_options()
        return dict(observations)

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Take the step."""
        observations, rewards, terminated, _, infos = self.env.step(self._actions)
        rows = _rows(infos, self.num_envs)
        for index in np.flatnonzero(terminated).tolist():
            started = {key: rows[index][key] for key in ("case_id", "dataset", "turn")}
            self.reset_infos[index] = started
            rows[index] = {
                **rows[index]["final_info"],
                "terminal_observation": rows[index]["final_obs"],
                "TimeLimit.truncated": False,  # the limit belongs to the task: nothing to bootstrap over
            }
        return dict(observations), rewards.astype(np.float32), terminated, rows

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """The attribute of the vector environment, once for each index."""
        return [getattr(self.env, attr_name)] * len(self._chosen(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Not offered: the environments share their attributes.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(f"consultations share one {attr_name!r}; make another environment instead")

    def env_method(self, method_name: str, *args: Any, indices: Indices = None, **kwargs: Any) -> list[Any]:
        """Call a method of the vector environment that returns one row an environment, such as "action_masks"."""
        rows = getattr(self.env, method_name)(*args, **kwargs)
        return [rows[index] for index in self._chosen(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Indices = None
    ) -> list[bool]:
        """False: single environments are not wrapped."""
        return [False] * len(self._chosen(indices))

    def _chosen(self, indices: Indices) -> list[int]:
        return list(self._get_indices(indices))


def _rows(infos: dict[str, Any], n: int) -> list[dict[str, Any]]:
    """One dict an environment from Gymnasium's arrays and masks, as plain Python values."""
    rows: list[dict[str, Any]] = [{} for _ in range(n)]
    for key, values in infos.items():
        if key.startswith("_"):
            continue
        column = _rows(values, n) if isinstance(values, dict) else values.tolist()
        for index in np.flatnonzero(infos[f"_{key}"]).tolist():
            rows[index][key] = column[index]
    return rows
