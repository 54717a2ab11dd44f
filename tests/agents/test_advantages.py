"""Advantages: laws, TRL's own numbers, and the exact gradient of a toy that is small enough to be enumerated."""

from __future__ import annotations

import importlib.util
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from promed_agents.sig_grpo.advantages import ESTIMATORS, paper, return_to_go, standardized, trajectory

_place = Path(__file__).resolve().parents[2] / "benchmarks" / "advantages.py"
_spec = importlib.util.spec_from_file_location("benchmark_advantages", _place)
toy = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = toy
_spec.loader.exec_module(toy)


@st.composite
def batches(draw, identical=False):
    """Groups of dialogues: rewards (B, K), turn ids (B, T) with the patient's tokens between turns, group ids."""
    size, groups = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    rewards, ids = [], []
    for _ in range(groups):
        made = []
        for _ in range(size):
            turns = draw(st.integers(1, 4))
            own = draw(st.lists(st.floats(-5, 5), min_size=turns, max_size=turns))
            tokens = []
            for turn in range(turns):
                tokens += [turn] * draw(st.integers(1, 3)) + [-1] * draw(st.integers(0, 2)) * (turn + 1 < turns)
            made.append((own, tokens))
        if identical:
            made = [made[0]] * size
        rewards += [own for own, _ in made]
        ids += [tokens for _, tokens in made]
    k, t = max(map(len, rewards)), max(map(len, ids))
    wide = np.array([own + [0.0] * (k - len(own)) for own in rewards])
    long = np.array([tokens + [-1] * (t - len(tokens)) for tokens in ids])
    return wide, long, np.repeat(np.arange(groups), size)


every = pytest.mark.parametrize("name", sorted(ESTIMATORS))


@every
@given(data=st.data())
def test_a_permutation_within_groups_permutes_the_advantages(name, data):
    rewards, ids, groups = data.draw(batches())
    order = np.concatenate(
        [data.draw(st.permutations(np.flatnonzero(groups == group).tolist())) for group in np.unique(groups)]
    ).astype(int)
    before = ESTIMATORS[name](rewards, ids, groups)
    after = ESTIMATORS[name](rewards[order], ids[order], groups[order])
    np.testing.assert_allclose(after, before[order], atol=1e-9)


@pytest.mark.parametrize("name", sorted(set(ESTIMATORS) - {"paper"}))
@given(batch=batches(identical=True))
def test_identical_dialogues_have_no_advantage(name, batch):
    np.testing.assert_allclose(ESTIMATORS[name](*batch), 0.0, atol=1e-6)


def test_identical_dialogues_have_one_in_the_paper_mode():
    rewards, ids = np.array([[1.0, 3.0]] * 2), np.array([[0, -1, 1]] * 2)
    assert paper(rewards, ids, np.zeros(2, int)).tolist() == [[-1.0, 0.0, 1.0]] * 2


@every
@given(batch=batches())
def test_what_the_doctor_did_not_choose_has_no_advantage(name, batch):
    rewards, ids, groups = batch
    assert (ESTIMATORS[name](rewards, ids, groups)[ids < 0] == 0).all()


@every
@given(batch=batches(), shift=st.floats(-3, 3))
def test_groups_do_not_touch_each_other_where_every_turn_has_mates(name, batch, shift):
    rewards, ids, groups = batch
    ids = np.where(ids >= 0, 0, -1)  # one turn each, so that everybody has mates at every turn
    rewards = rewards[:, :1]
    moved = rewards + shift * (groups == groups[0])[:, None]
    before, after = (ESTIMATORS[name](each, ids, groups) for each in (rewards, moved))
    np.testing.assert_allclose(after, before, atol=1e-6)


@given(batch=batches())
def test_the_paper_mode_sums_to_zero_over_the_tokens_of_a_group(batch):
    rewards, ids, groups = batch
    found = paper(rewards, ids, groups)
    for group in np.unique(groups):
        assert abs(found[groups == group].sum()) < 1e-8


def test_trajectory_by_hand_and_its_scales():
    rewards, ids, groups = (
        np.array([[1.0, 1.0], [0.0, 0.0], [5.0, 0.0], [1.0, 0.0]]),
        np.zeros((4, 1), int),
        [0, 0, 1, 1],
    )
    groups = np.array(groups)
    assert trajectory(rewards, ids, groups, scale="none")[:, 0].tolist() == [1.0, -1.0, 2.0, -2.0]
    np.testing.assert_allclose(trajectory(rewards, ids, groups)[:, 0], [0.7071, -0.7071, 0.7071, -0.7071], atol=1e-3)
    spread = np.array([2.0, 0.0, 5.0, 1.0]).std(ddof=1)
    np.testing.assert_allclose(
        trajectory(rewards, ids, groups, scale="batch")[:, 0], np.array([1, -1, 2, -2]) / spread, rtol=1e-3
    )


def test_a_turn_without_mates_is_held_against_other_groups():
    rewards = np.array([[0.0, 4.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    ids = np.array([[0, 1], [0, -1], [0, 1], [0, -1]])
    found = return_to_go(rewards, ids, np.array([0, 0, 1, 1]))
    assert found[0].tolist() == [3.0, 3.0]  # its group-mate earned 1 from the start; the other group 1 from turn 1 on
    assert found[2].tolist() == [1.0, -3.0]


@pytest.mark.parametrize(
    ("rewards", "ids", "groups", "message"),
    [
        (np.zeros(2), np.zeros((2, 1), int), np.zeros(2, int), "need turn_rewards"),
        (np.zeros((2, 1)), np.zeros((3, 1), int), np.zeros(2, int), "batch sizes differ"),
        (np.zeros((2, 1)), np.ones((2, 1), int), np.zeros(2, int), "turn_ids must be"),
        (np.full((2, 1), np.nan), np.zeros((2, 1), int), np.zeros(2, int), "finite"),
    ],
)
@every
def test_bad_input_is_refused(name, rewards, ids, groups, message):
    with pytest.raises(ValueError, match=message):
        ESTIMATORS[name](rewards, ids, groups)


def test_return_to_go_refuses_what_distorts():
    with pytest.raises(ValueError, match="none or batch"):
        return_to_go(np.zeros((2, 1)), np.zeros((2, 1), int), np.zeros(2, int), scale="group")


@pytest.mark.parametrize("size", [2, 3])
def test_leave_one_out_is_unbiased(size):
    np.testing.assert_allclose(toy.expected_gradient(return_to_go, size)[0], toy.exact_gradient(), atol=1e-12)


@pytest.mark.parametrize("size", [2, 3])
def test_grpo_without_scaling_shrinks_the_gradient_by_the_group_size_and_keeps_its_direction(size):
    found, _ = toy.expected_gradient(partial(trajectory, scale="none"), size)
    np.testing.assert_allclose(found, toy.exact_gradient() * (size - 1) / size, atol=1e-12)


@pytest.mark.parametrize("estimator", [standardized, paper, trajectory, partial(return_to_go, discount=0.5)])
def test_the_other_estimators_distort_the_direction(estimator):
    exact, (found, _) = toy.exact_gradient(), toy.expected_gradient(estimator, 3)
    assert exact @ found / np.linalg.norm(exact) / np.linalg.norm(found) < 1 - 1e-6


def test_the_enumeration_is_right():
    """Chances add up to 1, scores have mean 0, and the exact gradient is that of a finite difference."""
    found = toy.dialogues()
    assert sum(each.chance for each in found) == pytest.approx(1)
    assert np.allclose(sum(each.chance * np.sum(each.scores, axis=0) for each in found), 0)
    step, slopes = 1e-6, []
    for place in range(8):
        values = []
        for sign in (1, -1):
            flat = np.concatenate(toy.LOGITS)
            flat[place] += sign * step
            values.append(_value((flat[:3], flat[3:6], flat[6:])))
        slopes.append((values[0] - values[1]) / (2 * step))
    np.testing.assert_allclose(toy.exact_gradient(), slopes, atol=1e-7)


def _value(logits):
    """Expected return, by backward induction."""
    worth = 0.0
    for turn in (2, 1, 0):
        chance = np.exp(logits[turn]) / np.exp(logits[turn]).sum()
        worth = sum(
            p * (toy.PAYS[turn][action] + (worth if action == 0 else 0.0))
            for p, action in zip(chance, toy.ACTIONS[turn], strict=True)
        )
    return worth
