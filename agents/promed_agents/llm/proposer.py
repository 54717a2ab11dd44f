"""Questions for tree search, proposed by a language model from the dialogue so far."""

from __future__ import annotations

from dataclasses import dataclass

from promed_agents.chat import to_messages
from promed_agents.llm.styles import ONE_LINE, Scene, as_question, question_scene
from promed_env.actions import parse_action
from promed_env.consultation import Consultation
from promed_env.dynamics import Dynamics
from promed_env.llm import LanguageModel

__all__ = ["LLMProposer"]


@dataclass(frozen=True)
class LLMProposer:
    """Samples questions from a language model that reads the dialogue only.

    Attributes:
        model: The model.
        dynamics: Of the environment, whose texts the model reads.
        temperature: At which questions are sampled.
        max_new_tokens: Most tokens of a question.
    """

    model: LanguageModel
    dynamics: Dynamics
    temperature: float = 0.8
    max_new_tokens: int = 48

    def propose(self, consultation: Consultation, k: int) -> list[str]:
        """See `Proposer.propose`: k samples, those that are no question, were asked or came before left out."""
        case = consultation.case
        scene = Scene(to_messages(consultation, self.dynamics), (), case.several, False, case.language, 0)
        seeds = [consultation.seed + rank for rank in range(k)]
        said = self.model.chat(
            [question_scene(scene)] * k,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            seed=seeds,
            stop=ONE_LINE,
        )
        asked = {turn.text for turn in consultation.turns}
        actions = [parse_action(as_question(completion.text)) for completion in said]
        questions = dict.fromkeys(action.text for action in actions if action.kind == "question")
        return [question for question in questions if question not in asked]
