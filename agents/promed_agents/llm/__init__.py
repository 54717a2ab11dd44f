"""Language models as doctors (`LLMDoctor`, by style) and as proposers of questions for tree search."""

from promed_agents.llm.doctor import LLMDoctor
from promed_agents.llm.proposer import LLMProposer
from promed_agents.llm.styles import STYLES

__all__ = ["STYLES", "LLMDoctor", "LLMProposer"]
