"""The vector environment equals Gymnasium's own vector of single environments, transition for transition."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from promed_env.datasets import load_dataset
from promed_env.env import ConsultationEnv
from promed_env.errors import DatasetError, InvalidAction
from promed_env.registration import bundled_ids
from promed_env.vector import ConsultationVectorEnv
from promed_env.wrappers import MenuActions

N = 5
MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED]
QUESTIONS = ("question: What are the vital signs?", "question: What medications do you take?", "nonsense", "")


def single(index: int, env_id: str = "ProMed-MedQA-v0", **kwargs: Any) -> Callable[[], gym.Env[Any, Any]]:
    return lambda: gym.make(f"promed_env:{env_id}", shard=(index, N), max_questions=3, **kwargs)


def pair(mode: AutoresetMode, **kwargs: Any) -> tuple[SyncVectorEnv, ConsultationVectorEnv]:
    sync = SyncVectorEnv([single(index, **kwargs) for index in range(N)], autoreset_mode=mode)
    vector = gym.make_vec("ProMed-MedQA-v0", num_envs=N, max_questions=3, autoreset_mode=mode, **kwargs)
    assert isinstance(vector, ConsultationVectorEnv)
    return sync, vector


def same(left: Any, right: Any) -> bool:
    """Equal in value, structure and dtype."""
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, np.ndarray):
        if not isinstance(right, np.ndarray) or left.dtype != right.dtype or left.shape != right.shape:
            return False
        return all(map(same, left.tolist(), right.tolist())) if left.dtype == object else bool((left == right).all())
    if isinstance(left, tuple | list):
        return type(left) is type(right) and len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and bool(left == right)


def random_actions(rng: np.random.Generator) -> tuple[str, ...]:
    choices = [*QUESTIONS, "answer: A", "answer: B (confidence: 0.6)"]
    return tuple(choices[index] for index in rng.integers(len(choices), size=N))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"order": "sequential"},
        {"reward": "2*information_gain + 3*diagnosis"},
        {"show_options": "at_answer", "initial": "half"},
        {"show_options": "never", "initial": 0, "patient": "lexical"},
    ],
)
def test_it_equals_the_sync_vector_environment(mode: AutoresetMode, kwargs: dict[str, Any]) -> None:
    sync, vector = pair(mode, **kwargs)
    assert same(sync.reset(seed=11), vector.reset(seed=11))
    rng = np.random.default_rng(0)
    over = np.zeros(N, dtype=bool)
    for _ in range(40):
        actions = random_actions(rng)
        left, right = sync.step(actions), vector.step(actions)
        for a, b in zip(left, right, strict=True):
            assert same(a, b)
        over = left[2]
        if mode is AutoresetMode.DISABLED and over.any():
            assert same(
                sync.reset(options={"reset_mask": over.copy()}), vector.reset(options={"reset_mask": over.copy()})
            )


@pytest.mark.parametrize("seed", [3, [5, 1, 5, None, 2], None])
def test_seeds_of_every_form_mean_what_they_mean_in_gymnasium(seed: Any) -> None:
    sync, vector = pair(AutoresetMode.NEXT_STEP)
    sync.reset(seed=9)
    vector.reset(seed=9)
    assert same(sync.reset(seed=seed), vector.reset(seed=seed))
    if seed == 3:
        observation, _ = vector.reset(seed=[3, 4, 5, 6, 7])
        assert observation == vector.reset(seed=3)[0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", ["random", "sequential"])
@pytest.mark.parametrize("seed", [5, None])
def test_a_reset_in_the_middle_begins_anew_as_in_gymnasium(mode: AutoresetMode, order: str, seed: int | None) -> None:
    sync, vector = pair(mode, order=order)
    sync.reset(seed=2)
    vector.reset(seed=2)
    for actions in (["question: Any fever?"] * N, ["answer: A"] * 3 + ["nonsense"] * 2):  # three are over now
        assert same(sync.step(actions), vector.step(actions))
    assert same(sync.reset(seed=seed), vector.reset(seed=seed))
    for actions in (["nonsense"] * N, ["answer: B"] * N):
        assert same(sync.step(actions), vector.step(actions))


def test_arrays_that_were_handed_out_may_be_changed() -> None:
    sync, vector = pair(AutoresetMode.NEXT_STEP)
    sync.reset(seed=3)
    vector.reset(seed=3)
    rng = np.random.default_rng(3)
    for _ in range(12):
        actions = random_actions(rng)
        left, right = sync.step(actions), vector.step(actions)
        assert same(left, right)
        for array in right[1:4]:
            array[:] = 1


def test_cases_can_be_picked_by_id() -> None:
    vector = gym.make_vec("ProMed-MedQA-v0", num_envs=3)
    ids = [case.case_id for case in load_dataset("medqa")[4:7]]
    assert vector.reset(options={"case_id": ids})[1]["case_id"].tolist() == ids
    assert set(vector.reset(options={"case_id": ids[0]})[1]["case_id"]) == {ids[0]}
    with pytest.raises(DatasetError, match="no case 'x'"):
        vector.reset(options={"case_id": ["x", None, None]})


@pytest.mark.parametrize("mode", MODES)
def test_picked_cases_and_masks_are_those_of_the_sync_vector_environment(mode: AutoresetMode) -> None:
    ids = [case.case_id for case in load_dataset("medqa")[7 : 7 + N]]
    sync, vector = pair(mode)
    some = np.array([True, False, True, False, False])
    for options in ({"case_id": ids[0]}, {"case_id": ids[1], "reset_mask": some}):
        assert same(sync.reset(seed=4, options=dict(options)), vector.reset(seed=4, options=dict(options)))
    before, mask = vector.consultations, [True, True, False, True, False]
    vector.reset(options={"case_id": [ids[3], None, ids[2], ids[2], None], "reset_mask": np.array(mask)})
    after = vector.consultations
    assert (after[0].case.case_id, after[3].case.case_id) == (ids[3], ids[2])
    assert [new is not old for new, old in zip(after, before, strict=True)] == mask


def test_what_fails_leaves_the_states_as_they_were() -> None:
    vector = ConsultationVectorEnv(2)
    good = load_dataset("medqa")[0].case_id
    with pytest.raises(DatasetError, match="no case 'bad'"):
        vector.reset(options={"case_id": [good, "bad"]})
    with pytest.raises(gym.error.ResetNeeded):
        vector.step(["answer: A"] * 2)
    vector.reset(seed=0)
    before = vector.consultations
    with pytest.raises(DatasetError, match="no case 'bad'"):
        vector.reset(options={"case_id": [good, "bad"]})
    with pytest.raises(InvalidAction):
        vector.step(["question: Any fever?", None])
    assert vector.consultations == before


def test_components_are_those_of_a_single_environment() -> None:
    vector, alone = ConsultationVectorEnv(2, reward="2*sig"), ConsultationEnv(reward="2*sig")
    assert (vector.reward, vector.belief, vector.dataset) == (alone.reward, alone.belief, alone.dataset)
    assert vector.patient.name == alone.patient.name == "static"


def test_sequential_order_deals_rows_round_robin() -> None:
    vector = gym.make_vec("ProMed-MedQA-v0", num_envs=4, order="sequential", autoreset_mode="SameStep")
    ids = [case.case_id for case in load_dataset("medqa")]
    assert vector.reset(seed=0)[1]["case_id"].tolist() == ids[:4]
    assert vector.step(["answer: A"] * 4)[4]["case_id"].tolist() == ids[4:8]


@pytest.mark.parametrize("env_id", sorted(bundled_ids()))
@pytest.mark.parametrize("shared_memory", [True, False])
def test_worker_processes_play_the_same_episodes(env_id: str, shared_memory: bool) -> None:
    makers = [single(index) for index in range(2)]
    sync = SyncVectorEnv(makers)
    workers = AsyncVectorEnv(makers, shared_memory=shared_memory, context="spawn")
    try:
        assert same(sync.reset(seed=2), workers.reset(seed=2))
        for actions in (("question: What brings you in?", "answer: A"), ("答案", "question: Any fever?")):
            for a, b in zip(sync.step(actions), workers.step(actions), strict=True):
                assert same(a, b)
    finally:
        workers.close()


@pytest.mark.parametrize("env_id", ["ProMed-MedQA-v0", "ProMed-PrimaryCare-v0"])
@pytest.mark.parametrize("mode", MODES)
def test_the_menu_equals_the_wrapped_single_environments(mode: AutoresetMode, env_id: str) -> None:
    sync = SyncVectorEnv(
        [lambda i=index: MenuActions(single(i, env_id)()) for index in range(N)],
        autoreset_mode=mode,  # type: ignore[misc]
    )
    vector = gym.make_vec(env_id, num_envs=N, max_questions=3, autoreset_mode=mode, actions="menu")
    assert isinstance(vector, ConsultationVectorEnv)
    assert sync.single_observation_space == vector.single_observation_space
    left, right = sync.reset(seed=1), vector.reset(seed=1)
    assert same(left, right)
    rng = np.random.default_rng(1)
    for _ in range(12):
        masks = vector.action_masks()
        assert (masks == np.stack(sync.call("action_masks"))).all()
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
        results = sync.step(actions), vector.step(actions)
        for a, b in zip(*results, strict=True):
            assert same(a, b)
        if mode is AutoresetMode.DISABLED and results[0][2].any():
            mask = results[0][2]
            assert same(sync.reset(options={"reset_mask": mask.copy()}), vector.reset(options={"reset_mask": mask}))


def test_a_finished_slot_pays_nothing_until_it_is_reset_when_autoreset_is_disabled() -> None:
    vector = gym.make_vec("ProMed-MedQA-v0", num_envs=2, autoreset_mode="Disabled")
    vector.reset(seed=0)
    vector.step(["answer: A", "question: Any fever?"])
    observation, rewards, terminated, _, _ = vector.step(["answer: B", "question: Any cough?"])
    assert (observation[0], rewards[0], terminated.tolist()) == ("The consultation is over.", 0.0, [True, False])


def test_an_empty_batch_of_asked_questions_needs_no_patient() -> None:
    vector = gym.make_vec("ProMed-MedQA-v0", num_envs=2, patient=None_())
    vector.reset(seed=0)
    assert vector.step(["answer: A", "nonsense"])[1].tolist() != []


class None_:
    """A patient that must not be asked."""

    name = "none"
    figures = ""

    def reply(self, consultation: Any, question: str) -> Any:
        raise AssertionError("asked")

    def reply_batch(self, consultations: Any, questions: Any) -> Any:
        raise AssertionError("asked")


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_envs": 0}, "num_envs must be at least 1"),
        ({"render_mode": "ansi"}, "does not render"),
        ({"actions": "voice"}, "actions must be 'text' or 'menu', got 'voice'"),
        ({"shard": (0, 2)}, "shard is set by the vector environment"),
        ({"autoreset_mode": "Never"}, "Never"),
    ],
)
def test_a_bad_argument_is_named(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConsultationVectorEnv(**{"num_envs": 2, **kwargs})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("actions", ["text", "menu"])
@pytest.mark.parametrize("kwargs", [{}, {"order": "sequential", "initial": "half"}])
def test_a_snapshot_goes_on_as_the_original(mode: AutoresetMode, actions: str, kwargs: dict[str, Any]) -> None:
    def make() -> ConsultationVectorEnv:
        return ConsultationVectorEnv(N, autoreset_mode=mode, actions=actions, max_questions=3, **kwargs)

    def act(turn: int) -> Any:
        rng = np.random.default_rng(turn)
        if vector.menu is None:
            return random_actions(rng)
        return np.array([rng.choice(np.flatnonzero(mask)) for mask in vector.action_masks()])

    vector, other = make(), make()
    vector.reset(seed=1)
    for turn in range(5):  # until some are over
        observations, *_ = vector.step(act(turn))
    snapshot = pickle.loads(pickle.dumps(vector.snapshot()))
    later = [vector.step(act(turn)) for turn in range(5, 15)]
    for copy in (vector, other):  # the same environment goes back, and another one takes over
        assert same(copy.restore(snapshot), observations)
        assert copy.snapshot() == snapshot
        vector = copy
        for turn, expected in zip(range(5, 15), later, strict=True):
            assert all(map(same, vector.step(act(turn)), expected))


def test_a_snapshot_needs_a_start_and_as_many_environments() -> None:
    vector = ConsultationVectorEnv(2)
    assert vector.menu is None
    with pytest.raises(gym.error.ResetNeeded, match="before snapshot"):
        vector.snapshot()
    vector.reset(seed=0)
    with pytest.raises(ValueError, match="the snapshot has 2 environments, this one 3"):
        ConsultationVectorEnv(3).restore(vector.snapshot())


def test_bad_calls_are_named() -> None:
    vector = ConsultationVectorEnv(2)
    with pytest.raises(gym.error.ResetNeeded):
        vector.step(["answer: A"] * 2)
    with pytest.raises(gym.error.ResetNeeded, match="first reset must reset every environment"):
        vector.reset(options={"reset_mask": np.array([True, False])})
    vector.reset(seed=0)
    with pytest.raises(ValueError, match="need 2 actions"):
        vector.step("no")  # two characters are not two actions
    with pytest.raises(gym.error.ResetNeeded, match="before action_masks"):
        ConsultationVectorEnv(2, actions="menu").action_masks()
    with pytest.raises(ValueError, match="need 2 actions, got 1"):
        vector.step(["answer: A"])
    with pytest.raises(InvalidAction):
        vector.step(["answer: A", 3])
    with pytest.raises(ValueError, match="need 2 seeds, got 1"):
        vector.reset(seed=[1])
    with pytest.raises(ValueError, match="needs 2 ids, got 1"):
        vector.reset(options={"case_id": ["a"]})
    for mask in ([True, True], np.array([1, 0]), np.zeros(2, dtype=bool), np.ones(3, dtype=bool)):
        with pytest.raises(ValueError, match="reset_mask"):
            vector.reset(options={"reset_mask": mask})
    with pytest.raises(ValueError, match="action_masks needs actions='menu'"):
        vector.action_masks()
