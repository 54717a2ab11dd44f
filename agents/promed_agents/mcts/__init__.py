"""Planning by Monte Carlo tree search.

`tree` is the search; `belief` the world of a doctor with a knowledge base, `doctor` that doctor; `record` the world of
a planner that may read the case, to build training data.
"""

from promed_agents.mcts.belief import BeliefState, BeliefWorld, Candidates
from promed_agents.mcts.doctor import MCTSDoctor
from promed_agents.mcts.record import (
    PAPER,
    CatalogueProposer,
    FactProposer,
    Plan,
    Proposer,
    RecordWorld,
    plan_consultations,
)
from promed_agents.mcts.tree import Node, Outcome, Prospect, Search, World, search

__all__ = [
    "PAPER",
    "BeliefState",
    "BeliefWorld",
    "Candidates",
    "CatalogueProposer",
    "FactProposer",
    "MCTSDoctor",
    "Node",
    "Outcome",
    "Plan",
    "Proposer",
    "Prospect",
    "RecordWorld",
    "Search",
    "World",
    "plan_consultations",
    "search",
]
