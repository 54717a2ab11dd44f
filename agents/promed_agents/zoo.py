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


def make_agent(name: str, seed: int = 0, *, style: str = "ask", instructions: bool = False) -> Agent:
    """Make an agent by its name.

    Args:
        name: A name in `AGENTS`; "sb3:PATH", a doctor that `promed train` trained, from its folder; or "llm:MODEL", a
            language model as `promed_env.llm.make_llm` names it ("llm:smollm2", "llm:path/to/folder", "llm:vllm:PATH");
            one that `promed sft` or `promed grpo` trained speaks as it was validated.
        seed: For agents that draw.
        style: How a language model consults, see `promed_agents.llm.STYLES`.
        instructions: Whether a system message explains the task to a language model.

    Raises:
        ValueError: The name or the style is unknown.
        FileNotFoundError: PATH holds no trained doctor.
        BackendError: The extra `rl` or `llm` is not installed, or there is no such model.
    """
    if name.startswith("llm:"):
        from promed_agents.llm import LLMDoctor
        from promed_agents.models import habits

        model = name.removeprefix("llm:")
        trained = habits(model.removeprefix("hf:").removeprefix("vllm:")) if style == "ask" else {}
        return LLMDoctor(model, style, seed, instructions=instructions, **trained)
    if name.startswith("sb3:"):
        from promed_agents.sb3 import SB3Doctor  # needs the extra `rl`

        return SB3Doctor(name.removeprefix("sb3:"))
    if name not in AGENTS:
        raise ValueError(f"unknown agent {name!r}; there are {', '.join(AGENTS)}, sb3:PATH and llm:MODEL")
    return AGENTS[name](seed)
