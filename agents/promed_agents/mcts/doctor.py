"""The doctor who looks ahead: Monte Carlo tree search over beliefs, from the dialogue and a public knowledge base.

It reads the dialogue as `promed_agents.knowledge.KnowledgeDoctor` does and sees no case. Before each question it
searches among the findings with the highest expected information gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from promed_agents.base import state_answer
from promed_agents.knowledge import KnowledgeDoctor, Picture
from promed_agents.mcts.belief import BeliefState, BeliefWorld, Candidates
from promed_agents.mcts.tree import Node, Search, search
from promed_env.beliefs.evidence import log_softmax

__all__ = ["MCTSDoctor"]


@dataclass
class MCTSDoctor(KnowledgeDoctor):
    """Asks what a search over beliefs finds best; every finding at most once.

    Attributes:
        simulations: For each question.
        candidates: Findings that are searched among: those with the highest expected information gain now.
        width: Findings considered at each node of the tree.
        exploration: See `Search`.
        entropy_weight: See `BeliefWorld`.
    """

    simulations: int = 100
    candidates: int = 32
    width: int = 8
    exploration: float = 0.1
    entropy_weight: float = 0.2
    name: str = "mcts"

    def act(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[str]:
        """See `Agent.act`.

        Raises:
            BeliefRequired: The dialogue is not one of the knowledge base's clinic.
        """
        self._listen(observations)
        utterances = [""] * len(infos)
        asking: list[int] = []
        for index, (picture, info) in enumerate(zip(self._pictures, infos, strict=True)):
            posterior = picture.posterior
            if info["must_answer"] or posterior.max() >= self.stop_at or picture.asked.all():
                utterances[index] = state_answer(picture.options, posterior, by_key=info["by_key"])
            else:
                asking.append(index)
        trees = self.plan(
            [self._pictures[index] for index in asking], [infos[index]["questions_left"] for index in asking]
        )
        for index, (findings, tree) in zip(asking, trees, strict=True):
            best = tree.best
            label = tree.actions[0 if best is None else best].label
            finding = self.knowledge.question_index[label]
            assert finding in findings
            self._pictures[index].pending = finding
            utterances[index] = f"question: {label}"
        return utterances

    def plan(self, pictures: Sequence[Picture], left: Sequence[int]) -> list[tuple[list[int], Node[BeliefState]]]:
        """The findings that were searched among and the tree, for each dialogue.

        Args:
            pictures: The dialogues as the doctor sees them.
            left: Questions left in each, at least 1.
        """
        world = BeliefWorld(self.width, self.entropy_weight)
        how = Search(self.simulations, self.exploration)
        plans: list[tuple[list[int], Node[BeliefState]] | None] = [None] * len(pictures)
        alike: dict[tuple[int, int], list[tuple[int, list[int], BeliefState]]] = {}
        for index, picture in enumerate(pictures):
            gains = self.gains(picture)
            findings = np.argsort(-gains, kind="stable")[: self.candidates]
            findings = findings[np.isfinite(gains[findings])]
            p = self.knowledge.probabilities[np.ix_(picture.conditions, findings)].T
            candidates = Candidates([self.knowledge.questions[finding] for finding in findings], p)
            state = BeliefState(candidates, log_softmax(picture.scores), frozenset(), left[index])
            alike.setdefault(p.shape, []).append((index, findings.tolist(), state))
        for group in alike.values():
            trees = search(world, [state for _, _, state in group], how)
            for (index, findings_, _), tree in zip(group, trees, strict=True):
                plans[index] = (findings_, tree)
        return [plan for plan in plans if plan is not None]
