"""The agents by name: one table that the command line and scripts share."""

from __future__ import annotations

from collections.abc import Callable

from promed_agents.base import Agent
from promed_agents.baselines import Oracle, RandomInterview, Reactive, Scripted
from promed_agents.greedy import Greedy
from promed_agents.knowledge import KnowledgeDoctor
from promed_agents.mcts import MCTSDoctor

__all__ = ["AGENTS", "NEEDS_KNOWLEDGE", "NEEDS_TABLE", "make_agent"]

AGENTS: dict[str, Callable[[int], Agent]] = {
    "reactive": lambda seed: Reactive(seed=seed),
    "random": lambda seed: RandomInterview(seed=seed),
    "scripted": lambda seed: Scripted(seed=seed),
    "greedy": lambda seed: Greedy(),
    "knowledge": lambda seed: KnowledgeDoctor(),
    "mcts": lambda seed: MCTSDoctor(),
    "oracle": lambda seed: Oracle(),
}
"""Name -> function of a seed that makes the agent."""

NEEDS_TABLE = frozenset({"greedy", "oracle"})
"""Agents that cannot play cases without an evidence table."""

NEEDS_KNOWLEDGE = frozenset({"knowledge", "mcts"})
"""Agents that can play only cases drawn from a knowledge base."""


def make_agent(name: str, seed: int = 0) -> Agent:
    """Make an agent by its name; "sb3:PATH" is a doctor that `promed train` trained, from its folder.

    Raises:
        ValueError: The name is unknown.
        FileNotFoundError: PATH holds no trained doctor.
        BackendError: The extra `rl` is not installed.
    """
    if name.startswith("sb3:"):
        from promed_agents.sb3 import SB3Doctor  # needs the extra `rl`

        return SB3Doctor(name.removeprefix("sb3:"))
    if name not in AGENTS:
        raise ValueError(f"unknown agent {name!r}; there are {', '.join(AGENTS)}, and sb3:PATH")
    return AGENTS[name](seed)
