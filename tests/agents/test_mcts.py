"""Tree search: on small worlds it finds what dynamic programming finds, and its trees keep their books."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promed_agents.evaluate import evaluate
from promed_agents.knowledge import KnowledgeDoctor
from promed_agents.mcts import (
    BeliefState,
    BeliefWorld,
    Candidates,
    MCTSDoctor,
    Node,
    Outcome,
    Prospect,
    Search,
    search,
)
from promed_agents.setting import Setting

from promed_env.beliefs.evidence import log_softmax
from promed_env.errors import BeliefRequired

WORLDS = st.tuples(st.integers(1, 4), st.integers(2, 4), st.integers(1, 3), st.integers(0, 2**32 - 1))


def belief(n: int, k: int, left: int, seed: int) -> BeliefState:
    """A random belief world: n questions, k conditions."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.05, 0.95, size=(n, k))
    return BeliefState(Candidates([f"q{i}" for i in range(n)], p), log_softmax(rng.normal(size=k)), frozenset(), left)


def optimum(state: BeliefState, cost: float) -> tuple[float, dict[int, float]]:
    """By dynamic programming: what the state is worth, and each first question."""
    p = state.candidates.p

    @cache
    def value(told: tuple[tuple[int, bool], ...]) -> tuple[float, tuple[tuple[int, float], ...]]:
        scores = np.exp(state.log_posterior)
        for question, present in told:
            scores = scores * (p[question] if present else 1 - p[question])
        mass = scores.sum()
        worth = scores.max() / mass
        actions = []
        if len(told) < state.left:
            for question in range(len(p)):
                if question in {asked for asked, _ in told}:
                    continue
                total = -cost
                for present in (True, False):
                    chance = float((scores * (p[question] if present else 1 - p[question])).sum() / mass)
                    total += chance * value(tuple(sorted((*told, (question, present)))))[0]
                actions.append((question, total))
        return max([worth, *(total for _, total in actions)]), tuple(actions)

    best, actions = value(())
    return best, dict(actions)


def nodes(tree: Node[Any]) -> list[Node[Any]]:
    return [tree, *(n for action in tree.actions for child in action.children for n in nodes(child))]


@given(WORLDS, st.sampled_from([0.0, 0.02]))
@settings(max_examples=40)
def test_with_enough_simulations_it_is_what_dynamic_programming_gives(
    world: tuple[int, int, int, int], cost: float
) -> None:
    state = belief(*world)
    best, actions = optimum(state, cost)
    (tree,) = search(BeliefWorld(8, 0.0, cost), [state], Search(simulations=1500, exploration=0.5))
    assert tree.value == pytest.approx(best, abs=1e-9)
    chosen = tree.best
    if chosen is None:
        assert math.exp(state.log_posterior.max()) == pytest.approx(best, abs=1e-9)
    else:
        assert actions[int(tree.actions[chosen].label[1:])] == pytest.approx(best, abs=1e-9)


def test_regret_falls_with_simulations() -> None:
    states = [belief(6, 4, 3, seed) for seed in range(60)]
    truths = [optimum(state, 0.0) for state in states]
    regrets = []
    for simulations in (2, 32, 512):
        trees = search(BeliefWorld(6, 0.05), states, Search(simulations))
        chosen = [
            truth[1][int(tree.actions[tree.best or 0].label[1:])] for tree, truth in zip(trees, truths, strict=True)
        ]
        regrets.append(float(np.mean([truth[0] - value for value, truth in zip(chosen, truths, strict=True)])))
    assert min(regrets) >= 0 and regrets[-1] < 0.001
    assert regrets[-1] < regrets[0] / 4 and regrets[-1] < regrets[1]


@given(WORLDS, st.integers(1, 60))
@settings(max_examples=40)
def test_a_tree_keeps_its_books(world: tuple[int, int, int, int], simulations: int) -> None:
    state = belief(*world)
    tree, other = search(BeliefWorld(3, 0.1), [state, state], Search(simulations))
    assert tree.sketch(4, 9) == other.sketch(4, 9)  # roots do not disturb each other, and nothing is drawn by chance
    assert tree.visits == simulations
    for node in nodes(tree):
        assert node.value >= node.stop - 1e-12  # to stop is always possible
        assert sum(action.visits for action in node.actions) <= node.visits
        assert math.fsum(np.exp(node.state.log_posterior)) == pytest.approx(1)
        for action in node.actions:
            assert bool(action.visits) == bool(action.children)
            if action.outcomes:
                assert sum(outcome.probability for outcome in action.outcomes) == pytest.approx(1)
                # what is believed is believed on average after the answer, too
                mean = sum(o.probability * np.exp(o.state.log_posterior) for o in action.outcomes)
                np.testing.assert_allclose(mean, np.exp(node.state.log_posterior), atol=1e-12)
                assert sum(o.probability * o.reward for o in action.outcomes) >= -1e-12  # entropy falls on average


@given(WORLDS)
@settings(max_examples=20)
def test_more_simulations_never_lower_the_value(world: tuple[int, int, int, int]) -> None:
    state = belief(*world)
    values = [search(BeliefWorld(4, 0.1), [state], Search(n))[0].value for n in (1, 5, 25, 125)]
    assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(values))


class Corridor:
    """A deterministic world of two ways: the left one pays little at once, the right one much after `steps` steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.opened = 0

    def open(self, states: Sequence[tuple[str, int]]) -> list[Prospect[tuple[str, int]]]:
        self.opened += len(states)
        return [self._prospect(*state) for state in states]

    def _prospect(self, way: str, step: int) -> Prospect[tuple[str, int]]:
        ways = ["left", "right"] if not way else [way] if step < self.steps else []
        return Prospect(
            0.0,
            ways,
            [1.0] * len(ways),
            lambda index: [Outcome(1.0, self._pay(ways[index], step), (ways[index], step + 1))],
        )

    def _pay(self, way: str, step: int) -> float:
        return 0.1 if way == "left" and step == 0 else float(way == "right" and step == self.steps - 1)


@pytest.mark.parametrize("backup", ["expected", "mean"])
@pytest.mark.parametrize("formula", ["puct", "uct"])
def test_it_finds_the_reward_at_the_end_of_the_right_way(formula: Any, backup: Any) -> None:
    (tree,) = search(Corridor(4), [("", 0)], Search(60, 1.0, formula, backup))
    assert tree.best is not None and tree.actions[tree.best].label == "right"
    (tree,) = search(Corridor(4), [("", 0)], Search(200, 1.0, formula, "expected", discount=0.5))
    assert tree.value == pytest.approx(max(0.1, 0.5**3))
    (tree,) = search(Corridor(5), [("", 0)], Search(200, 1.0, formula, "expected", discount=0.5))
    assert tree.value == pytest.approx(0.1)
    assert tree.best is not None and tree.actions[tree.best].label == "left"


def test_a_sketch_can_be_read() -> None:
    (tree,) = search(BeliefWorld(4), [belief(3, 3, 2, 1)], Search(40))
    lines = tree.sketch().splitlines()
    assert lines[0].startswith("stop 0.") and "40 visits" in lines[0]
    assert any("yes (p " in line for line in lines) and any("q" in line and "visits, prior" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"simulations": 0}, "simulations must be at least 1, got 0"),
        ({"exploration": -1.0}, "exploration must be at least 0"),
        ({"discount": 0.0}, r"discount in \(0, 1\]"),
        ({"formula": "ucb"}, "formula is one of"),
        ({"backup": "max"}, "backup one of"),
    ],
)
def test_settings_out_of_range_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Search(**arguments)


def test_worlds_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="width must be at least 1"):
        BeliefWorld(0)
    with pytest.raises(ValueError, match="a row for each of the 2 questions"):
        Candidates(["a", "b"], np.full((1, 2), 0.5))
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        Candidates(["a"], np.array([[0.5, 1.0]]))


def test_the_doctor_reads_the_dialogue_only_and_is_not_below_greedy() -> None:
    setting = Setting("ProMed-PrimaryCare-v0", split="validation", reward="diagnosis", max_questions=4)
    cases = setting.load(150)
    greedy = evaluate(KnowledgeDoctor(), setting, cases)
    planned = evaluate(MCTSDoctor(simulations=24), setting, cases)
    again = evaluate(MCTSDoctor(simulations=24), setting, cases[:40])
    assert planned.access == "knowledge"
    assert [e.turns for e in again.episodes] == [e.turns for e in planned.episodes[:40]]  # alone or in a batch
    assert planned.summaries["all"].accuracy >= greedy.summaries["all"].accuracy - 0.05


def test_the_doctor_needs_a_knowledge_base() -> None:
    with pytest.raises(BeliefRequired, match="knowledge base 'primarycare' only"):
        evaluate(MCTSDoctor(), Setting("ProMed-MedQA-v0"), Setting("ProMed-MedQA-v0").load(2))
