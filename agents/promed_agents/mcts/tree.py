"""Monte Carlo tree search over questions: PUCT or UCT, many roots side by side, leaves evaluated in batches.

    (tree,) = search(world, [root], Search(simulations=400))
    print(tree.sketch())                    # what was looked at, how often, and what it is worth
    action = tree.best

A `World` opens states: it says what may be done in them and what they are worth if nothing more is done. What follows
an action is a list of outcomes with their probabilities, so deterministic worlds (a patient on record) and chance (an
answer that is not known yet) are one case. Sources: L. Kocsis, C. Szepesvari (2006), "Bandit Based Monte-Carlo
Planning"; D. Silver et al. (2017), https://arxiv.org/abs/1712.01815, for PUCT; T. Keller, M. Helmert (2013),
"Trial-Based Heuristic Tree Search for Finite Horizon MDPs", for backups with the outcomes' probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar, get_args

__all__ = ["Backup", "Formula", "Node", "Outcome", "Prospect", "Search", "World", "search"]

State = TypeVar("State")
Formula = Literal["puct", "uct"]
Backup = Literal["expected", "mean"]


class Outcome(NamedTuple, Generic[State]):
    """One thing that may follow an action.

    Attributes:
        probability: Of this outcome; those of an action add up to 1.
        reward: What the step pays.
        state: The state afterwards.
        label: What happened, for a reader.
    """

    probability: float
    reward: float
    state: State
    label: str = ""


class Prospect(NamedTuple, Generic[State]):
    """What a state offers.

    Attributes:
        value: What it is worth to stop here (to answer now).
        actions: What may be done, for a reader; none in a final state.
        priors: How promising each action looks, at least 0; PUCT explores in proportion to it.
        outcomes: What may follow the action of an index.
    """

    value: float
    actions: Sequence[str]
    priors: Sequence[float]
    outcomes: Callable[[int], Sequence[Outcome[State]]]


class World(Protocol[State]):
    """What is searched."""

    def open(self, states: Sequence[State]) -> Sequence[Prospect[State]]:
        """The prospects of many states, in one batch."""


@dataclass(frozen=True)
class Search:
    """How to search.

    Attributes:
        simulations: Actions that are looked into, for each root.
        exploration: Weight of the exploration term.
        formula: "puct": c * prior * sqrt(visits of the node) / (1 + visits of the action), added to the value.
            "uct": c * sqrt(ln(visits of the node) / visits of the action); every action is tried once, in order.
        backup: "expected": an action is worth the outcomes' values weighted by their probabilities, a node the best of
            its actions and of stopping. "mean": both are worth the mean of the returns seen in them, as in UCT.
        discount: A reward one step later counts for this much.

    Raises:
        ValueError: A setting is out of range.
    """

    simulations: int = 200
    exploration: float = 0.5
    formula: Formula = "puct"
    backup: Backup = "expected"
    discount: float = 1.0

    def __post_init__(self) -> None:
        if self.simulations < 1:
            raise ValueError(f"simulations must be at least 1, got {self.simulations}")
        if self.exploration < 0 or not 0 < self.discount <= 1:
            raise ValueError(
                f"exploration must be at least 0 and discount in (0, 1], got {self.exploration} and {self.discount}"
            )
        if self.formula not in get_args(Formula) or self.backup not in get_args(Backup):
            raise ValueError(
                f"formula is one of {get_args(Formula)} and backup one of {get_args(Backup)}, "
                f"got {self.formula!r} and {self.backup!r}"
            )


@dataclass(slots=True)
class _Action(Generic[State]):
    """An action of a node, with its outcomes once it has been tried."""

    label: str
    prior: float
    visits: int = 0
    value: float = 0.0
    outcomes: Sequence[Outcome[State]] = ()
    children: list[Node[State]] = field(default_factory=list)


@dataclass(slots=True)
class Node(Generic[State]):
    """A state in the tree.

    Attributes:
        state: The state.
        stop: What it is worth to stop here.
        value: What it is worth, as far as the search has seen.
        visits: Simulations that came through.
        prospect: What the state offers.
    """

    state: State
    stop: float
    value: float
    visits: int
    prospect: Prospect[State]
    _actions: list[_Action[State]] | None = None

    @property
    def actions(self) -> list[_Action[State]]:
        """What may be done; made when it is looked at, because most leaves are never entered."""
        if self._actions is None:
            labels, priors = self.prospect.actions, self.prospect.priors
            self._actions = [_Action(label, prior) for label, prior in zip(labels, priors, strict=True)]
        return self._actions

    @property
    def best(self) -> int | None:
        """Index of the action worth most, the most visited among equals; None if stopping is worth more, or all."""
        tried = [index for index, action in enumerate(self.actions) if action.visits]
        if not tried:
            return None
        best = max(tried, key=lambda index: (self.actions[index].value, self.actions[index].visits))
        return best if self.actions[best].value >= self.stop else None

    def sketch(self, depth: int = 2, width: int = 4) -> str:
        """The tree as text: of each node the actions worth most, with visits, values and outcomes.

        Args:
            depth: Actions in a row that are shown.
            width: Actions of a node that are shown.
        """
        head = f"stop {self.stop:.3f}, value {self.value:.3f}, {self.visits} visits"
        return "\n".join([head, *self._lines(depth, width)])

    def _lines(self, depth: int, width: int) -> list[str]:
        lines: list[str] = []
        tried = sorted((action for action in self.actions if action.visits), key=lambda action: -action.value)
        for action in tried[:width] if depth else []:
            lines.append(f"  {action.label}: {action.value:.3f} ({action.visits} visits, prior {action.prior:.2f})")
            for outcome, child in zip(action.outcomes, action.children, strict=True):
                said = outcome.label or "then"
                lines.append(
                    f"    {said} (p {outcome.probability:.2f}, reward {outcome.reward:.3f}): {child.value:.3f}"
                )
                lines.extend("    " + line for line in child._lines(depth - 1, width))
        return lines


def search(world: World[State], roots: Sequence[State], how: Search) -> list[Node[State]]:
    """Search from many roots side by side; every simulation opens the new states of all roots in one batch.

    It draws no random numbers: an action's outcomes are visited in proportion to their probabilities, the one that lags
    behind most first.

    Args:
        world: Opens states.
        roots: Where to start, independently of each other.
        how: The settings.

    Returns:
        The tree of each root.
    """
    trees = [_node(state, prospect) for state, prospect in zip(roots, world.open(roots), strict=True)]
    live = [tree for tree in trees if tree.prospect.actions]
    for _ in range(how.simulations):
        paths = [_descend(tree, how) for tree in live]
        leaves = [path[-1] for path in paths]
        fresh = [action for _, action, _ in leaves if not action.children]
        states = [outcome.state for action in fresh for outcome in action.outcomes]
        if states:
            opened = iter(world.open(states))
            for action in fresh:
                action.children = [_node(outcome.state, next(opened)) for outcome in action.outcomes]
        for path in paths:
            _back_up(path, how)
    return trees


_Path = list[tuple[Node[State], _Action[State], int]]


def _node(state: State, prospect: Prospect[State]) -> Node[State]:
    return Node(state, prospect.value, prospect.value, 0, prospect)


def _descend(root: Node[State], how: Search) -> _Path[State]:
    """From the root to an action that is new, or to one whose outcome offers nothing more."""
    path: _Path[State] = []
    node = root
    while True:
        index = _choose(node, how)
        action = node.actions[index]
        if not action.outcomes:
            action.outcomes = node.prospect.outcomes(index)
            likeliest = max(range(len(action.outcomes)), key=lambda item: action.outcomes[item].probability)
            path.append((node, action, likeliest))
            return path
        outcome = _lagging(action)
        path.append((node, action, outcome))
        node = action.children[outcome]
        if not node.prospect.actions:
            return path


def _choose(node: Node[State], how: Search) -> int:
    """The action to look into, the first among equals."""
    c, actions = how.exploration, node.actions
    if how.formula == "puct":
        root_visits, stop = math.sqrt(node.visits + 1), node.stop
        # What has not been tried counts as no better and no worse than stopping here.
        scores = [
            (action.value if action.visits else stop) + c * action.prior * root_visits / (1 + action.visits)
            for action in actions
        ]
    else:
        untried = next((index for index, action in enumerate(actions) if not action.visits), None)
        if untried is not None:
            return untried
        logarithm = math.log(node.visits + 1)
        scores = [action.value + c * math.sqrt(logarithm / action.visits) for action in actions]
    return scores.index(max(scores))


def _lagging(action: _Action[State]) -> int:
    """The outcome whose visits lag most behind its share."""
    children = action.children
    if len(children) == 1:
        return 0
    visits = action.visits
    lags = [
        outcome.probability * visits - child.visits for outcome, child in zip(action.outcomes, children, strict=True)
    ]
    return lags.index(max(lags))


def _back_up(path: _Path[State], how: Search) -> None:
    """Carry what was found at the end of the path to its beginning."""
    _, last, outcome = path[-1]
    last.children[outcome].visits += 1  # those before it are counted as nodes of the path
    gain = _expected(last, how)
    for node, action, outcome in reversed(path):
        if how.backup == "expected":
            action.value = _expected(action, how)
            node.value = max(node.value, action.value)
        else:
            if action is not last:
                gain = action.outcomes[outcome].reward + how.discount * gain
            action.value += (gain - action.value) / (action.visits + 1)
            node.value += (gain - node.value) / (node.visits + 1)
        action.visits += 1
        node.visits += 1


def _expected(action: _Action[State], how: Search) -> float:
    total = 0.0
    for item, child in zip(action.outcomes, action.children, strict=True):
        total += item.probability * (item.reward + how.discount * child.value)
    return total
