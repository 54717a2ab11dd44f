"""`ConsultationVectorEnv`: many consultations at once, with one patient call and one reward call a step.

With numpy components it equals `SyncVectorEnv` of single environments under the same autoreset mode, transition for
transition, where environment i has `shard=(i, num_envs)`. `gym.make_vec("ProMed-MedQA-v0", num_envs=256)` makes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from promed_env.consultation import Consultation
from promed_env.env import CaseSource, ConsultationEnv
from promed_env.patients import Patient, Reply
from promed_env.rewards import RewardTerm

if TYPE_CHECKING:
    from promed_env.menu import Menu

__all__ = ["ConsultationVectorEnv", "VectorSnapshot"]

Observations = Any  # tuple of strings; a dict of arrays with actions="menu"


@dataclass(frozen=True)
class VectorSnapshot:
    """Where a vector of consultations stands; a value, which can be pickled.

    Attributes:
        consultations: The states, one an environment.
        observations: The newest text of each.
        done: Which are over and wait for their reset.
        generators: The state of each generator of cases and seeds; None where there has been no reset.
        dealt: How many cases each has dealt in sequential order.
    """

    consultations: tuple[Consultation, ...]
    observations: tuple[str, ...]
    done: tuple[bool, ...]
    generators: tuple[dict[str, Any] | None, ...]
    dealt: tuple[int, ...]


class ConsultationVectorEnv(VectorEnv[Any, Any, Any]):
    """Batched consultations; keywords as `ConsultationEnv`, and those below.

    Infos follow Gymnasium's convention: an array per key and a mask `_key`. `render` is not offered.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        actions: str = "text",
        render_mode: None = None,
        **kwargs: Any,
    ) -> None:
        """Make the environments.

        Args:
            num_envs: How many.
            autoreset_mode: "NextStep", "SameStep" or "Disabled", see https://farama.org/Vector-Autoreset-Mode.
            actions: "text", or "menu" for the discrete actions and array observations of `MenuActions`.
            render_mode: Must be None.
            **kwargs: As for `ConsultationEnv`.

        Raises:
            ValueError: An argument is out of range.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        if render_mode is not None:
            raise ValueError("a vector of consultations does not render; make a single environment with render_mode")
        if actions not in ("text", "menu"):
            raise ValueError(f"actions must be 'text' or 'menu', got {actions!r}")
        if "shard" in kwargs:
            raise ValueError("shard is set by the vector environment: environment i deals rows i, i + num_envs, ...")
        single = ConsultationEnv(**kwargs)
        self._menu: Menu | None = None
        if actions == "menu":
            from promed_env.menu import Menu

            self._menu = Menu.of(single)
        self.num_envs = num_envs
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = None
        self.dataset, self.belief, self.dynamics = single.dataset, single.belief, single.dynamics
        source = single.source
        self._sources = [
            CaseSource(source.cases, None, source.initial, source.order, (index, num_envs), source.max_questions)
            for index in range(num_envs)
        ]
        self.single_action_space = single.action_space if self._menu is None else self._menu.action_space
        self.single_observation_space = single.observation_space if self._menu is None else self._menu.observation_space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._rngs: list[np.random.Generator | None] = [None] * num_envs
        self._states: list[Consultation] = []
        self._views: list[Any] = [None] * num_envs
        self._done = np.zeros(num_envs, dtype=np.bool_)

    @property
    def patient(self) -> Patient:
        """Who replies; fixed when the environment is made."""
        return self.dynamics.patient

    @property
    def reward(self) -> RewardTerm:
        """What a step pays, with its belief."""
        return self.dynamics.reward

    @property
    def consultations(self) -> tuple[Consultation, ...]:
        """The immutable states, one an environment."""
        return tuple(self._states)

    @property
    def menu(self) -> Menu | None:
        """The menu of actions; None if actions are text."""
        return self._menu

    def snapshot(self) -> VectorSnapshot:
        """Where all consultations and their generators stand.

        Raises:
            gymnasium.error.ResetNeeded: Called before `reset`.
        """
        if not self._states:
            raise gym.error.ResetNeeded("call reset() before snapshot()")
        return VectorSnapshot(
            tuple(self._states),
            tuple(self._views),
            tuple(self._done.tolist()),
            tuple(None if rng is None else dict(rng.bit_generator.state) for rng in self._rngs),
            tuple(source.dealt for source in self._sources),
        )

    def restore(self, snapshot: VectorSnapshot) -> Observations:
        """Go on from a snapshot of this environment, or of one that was made alike.

        Returns:
            The observations there.

        Raises:
            ValueError: It has another number of environments.
        """
        if len(snapshot.consultations) != self.num_envs:
            raise ValueError(f"the snapshot has {len(snapshot.consultations)} environments, this one {self.num_envs}")
        self._states, self._views = list(snapshot.consultations), list(snapshot.observations)
        self._done = np.array(snapshot.done, dtype=np.bool_)
        self._rngs = [None if state is None else _generator(state) for state in snapshot.generators]
        for source, dealt in zip(self._sources, snapshot.dealt, strict=True):
            source.dealt = dealt
        return self._observe()

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Start consultations.

        Args:
            seed: An int s gives environment i the seed s + i; or one seed or None an environment.
            options: "case_id": one id an environment (or None); "reset_mask": which environments to reset, bool
                (num_envs,).

        Returns:
            Observations of all environments, and infos of those that were reset.

        Raises:
            ValueError: seed, case_id or reset_mask do not fit num_envs.
            DatasetError: No case has one of the ids.
        """
        options = dict(options or {})
        seeds = self._seeds(seed)
        mask = self._mask(options.get("reset_mask"))
        case_ids = options.get("case_id")
        if case_ids is None or isinstance(case_ids, str):
            case_ids = [case_ids] * self.num_envs
        if len(case_ids) != self.num_envs:
            raise ValueError(f"options['case_id'] needs {self.num_envs} ids, got {len(case_ids)}")
        if len(self._states) < self.num_envs and not mask.all():
            raise gym.error.ResetNeeded("the first reset must reset every environment; leave out reset_mask")
        infos: dict[int, dict[str, Any]] = {}
        started: dict[int, Consultation] = {}  # kept apart, so that a case that fails leaves the states as they were
        for index in np.flatnonzero(mask).tolist():
            started[index], infos[index] = self._start(index, seeds[index], case_ids[index])
        for index, state in started.items():
            self._states[index : index + 1] = [state]  # appends in the first reset
            self._done[index] = False
        stacked = _Infos(self.num_envs)
        stacked.put_rows(infos)
        return self._observe(), stacked.infos

    def step(
        self, actions: Any
    ) -> tuple[Observations, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Take one turn in every environment.

        Args:
            actions: One string (or menu action) an environment.

        Returns:
            Observations, rewards (num_envs,), terminations, truncations and infos.

        Raises:
            InvalidAction: An action is not a string.
            ValueError: The number of actions is wrong.
            gymnasium.error.ResetNeeded: Called before `reset`.
        """
        if not self._states:
            raise gym.error.ResetNeeded("call reset() before step()")
        if isinstance(actions, str) or len(actions) != self.num_envs:
            raise ValueError(f"need {self.num_envs} actions, got {len(actions)}")
        skip = self._done if self.autoreset_mode is AutoresetMode.NEXT_STEP else np.zeros_like(self._done)
        live = np.flatnonzero(~skip).tolist()
        befores = [self._states[index] for index in live]
        if self._menu is None:
            afters = self._advance(befores, [actions[index] for index in live])
        else:
            texts = [self._menu.utterance(int(actions[index]), self._states[index].case) for index in live]
            afters = self._advance(befores, texts)
        moved = [position for position, after in enumerate(afters) if after is not befores[position]]
        terms = self.dynamics.reward.terms_batch(
            [befores[position] for position in moved], [afters[position] for position in moved]
        )
        rewards = np.zeros(self.num_envs)
        paid = np.zeros(len(moved))
        for column in terms.values():
            paid += column
        rewards[[live[position] for position in moved]] = paid
        done = np.zeros(self.num_envs, dtype=np.bool_)
        infos: dict[int, dict[str, Any]] = {}  # of those that end, have ended or begin
        going: list[int] = []  # of those that have moved and go on
        dynamics, states, views = self.dynamics, self._states, self._views
        for row, position in enumerate(moved):
            index, after = live[position], afters[position]
            states[index] = after
            views[index] = dynamics.observation(befores[position], after)
            if after.finished:
                done[index] = True
                infos[index] = dynamics.info(befores[position], after, {name: terms[name][row] for name in terms})
            else:
                going.append(row)
        if len(moved) < len(live):
            for position in sorted(set(range(len(live))) - set(moved)):
                index, after = live[position], afters[position]
                views[index], infos[index] = dynamics.observation(after, after), dynamics.info(after, after, {})
                done[index] = after.finished
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            for index in np.flatnonzero(skip).tolist():
                self._states[index], infos[index] = self._start(index, None, None)
        elif self.autoreset_mode is AutoresetMode.SAME_STEP:
            for index in np.flatnonzero(done).tolist():
                view = self._views[index] if self._menu is None else self._menu.observe(self._states[index])
                final = {"final_obs": view, "final_info": infos[index]}
                self._states[index], info = self._start(index, None, None)
                infos[index] = {**final, **info}
        stacked = _Infos(self.num_envs)
        if going:
            columns = {name: [column[row] for row in going] for name, column in terms.items()}
            going = [moved[row] for row in going]
            stacked.put(
                np.array([live[position] for position in going]),
                dynamics.info_columns([afters[position] for position in going], columns),
            )
        stacked.put_rows(infos)
        self._done = done.copy()
        return self._observe(), rewards, done, np.zeros(self.num_envs, dtype=np.bool_), stacked.infos

    def action_masks(self) -> NDArray[np.bool_]:
        """Which menu actions make sense now, (num_envs, n_actions); with `actions="menu"`.

        Raises:
            ValueError: The actions are text.
        """
        if self._menu is None:
            raise ValueError("action_masks needs actions='menu'")
        if not self._states:
            raise gym.error.ResetNeeded("call reset() before action_masks()")
        return np.stack([self._menu.mask(state) for state in self._states])

    def _advance(self, befores: list[Consultation], utterances: list[str]) -> list[Consultation]:
        heard = [self.dynamics.hear(before, text) for before, text in zip(befores, utterances, strict=True)]
        asked = [position for position, item in enumerate(heard) if isinstance(item, str)]
        if asked:
            states = [befores[position] for position in asked]
            questions = [str(heard[position]) for position in asked]
            replies: Sequence[Reply] = self.dynamics.patient.reply_batch(states, questions)
            for position, state in zip(asked, self.dynamics.told_batch(states, questions, replies), strict=True):
                heard[position] = state
        return heard  # type: ignore[return-value]  # every question has become a state

    def _start(self, index: int, seed: int | None, case_id: str | None) -> tuple[Consultation, dict[str, Any]]:
        rng = self._rngs[index]
        if rng is None or seed is not None:
            rng = self._rngs[index] = seeding.np_random(seed)[0]
        if seed is not None:
            self._sources[index].rewind()
        state = self._sources[index].start(rng, case_id)
        self._views[index] = self.dynamics.opening(state)
        return state, self.dynamics.reset_info(state)

    def _observe(self) -> Observations:
        if self._menu is None:
            return tuple(self._views)
        return self._menu.observe_batch(self._states)

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int):
            return [seed + index for index in range(self.num_envs)]
        seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"need {self.num_envs} seeds, got {len(seeds)}")
        return seeds

    def _mask(self, mask: Any) -> NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        shape = (self.num_envs,)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != shape or not mask.any():
            raise ValueError(f"options['reset_mask'] must be a bool array of shape {shape} with a True in it")
        return mask


def _generator(state: dict[str, Any]) -> np.random.Generator:
    """A generator in this state, of the kind that Gymnasium makes."""
    rng: np.random.Generator = seeding.np_random(0)[0]
    rng.bit_generator.state = state
    return rng


class _Infos:
    """What `VectorEnv._add_info` makes of single infos, filled column by column: an array per key and a mask `_key`."""

    def __init__(self, num_envs: int) -> None:
        self.infos: dict[str, Any] = {}
        self._num_envs = num_envs
        self._nested: dict[str, _Infos] = {}

    def put(self, rows: NDArray[np.int64], columns: dict[str, Any]) -> None:
        """Write columns, each a sequence with a value for every row, or a dict of such columns."""
        for key, values in columns.items():
            mask = self.infos.get(f"_{key}")
            if mask is None:
                mask = np.zeros(self._num_envs, dtype=np.bool_)
                self._add(key, values)
                self.infos[f"_{key}"] = mask
            mask[rows] = True
            if isinstance(values, dict):
                self._nested[key].put(rows, values)
            else:
                array = self.infos[key]
                array[rows] = np.fromiter(values, dtype=array.dtype, count=len(rows))

    def put_rows(self, infos: dict[int, dict[str, Any]]) -> None:
        """Write whole infos by row; those with the same keys go together."""
        alike: dict[tuple[str, ...], list[int]] = {}
        for row, info in infos.items():
            alike.setdefault(tuple(info), []).append(row)
        for keys, rows in alike.items():
            columns: dict[str, Any] = {}
            for key in keys:
                values = [infos[row][key] for row in rows]
                if isinstance(values[0], dict) and key != "final_obs":
                    inner = self._nested.get(key) or self._add(key, {})
                    assert inner is not None
                    inner.put_rows(dict(zip(rows, values, strict=True)))
                    self.infos.setdefault(f"_{key}", np.zeros(self._num_envs, dtype=np.bool_))[rows] = True
                else:
                    columns[key] = values
            self.put(np.array(rows), columns)

    def _add(self, key: str, values: Any) -> _Infos | None:
        if isinstance(values, dict):
            nested = self._nested[key] = _Infos(self._num_envs)
            self.infos[key] = nested.infos
            return nested
        kind = type(values[0])
        self.infos[key] = (
            np.zeros(self._num_envs, dtype=kind) if kind in _NUMBERS else np.full(self._num_envs, None, dtype=object)
        )
        return None


_NUMBERS: frozenset[type] = frozenset({int, float, bool})
