"""Search on the record: what a planner that may read the case finds, to build training data as ProMed does.

States are consultations. A question is replied to by the environment's patient and pays its share of the reward (by
default SIG); stopping is worth the chance of a right answer, by the belief over what is known: a lucky guess is worth
little. Candidates come from a proposer: the catalogue, the case's own facts, or any object with
`propose(consultation, k)`. Privileged (`record`).
Source: ProMed, https://arxiv.org/abs/2508.13514, section on MCTS; `PAPER` has its settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from promed_agents.base import state_answer
from promed_agents.mcts.tree import Node, Outcome, Prospect, Search, search
from promed_env.beliefs import Belief, key_log_probability, posteriors
from promed_env.consultation import Consultation
from promed_env.dynamics import Dynamics
from promed_env.interview import CATALOGUES
from promed_env.knowledge import KnowledgeBase
from promed_env.rewards import RewardTerm

__all__ = ["PAPER", "CatalogueProposer", "FactProposer", "Plan", "Proposer", "RecordWorld", "plan_consultations"]

PAPER = Search(simulations=200, exploration=2.2, formula="uct", backup="mean", discount=0.9)
"""The paper's search: UCT with exploration weight 2.2 and decay 0.9 (with at most 8 children, `RecordWorld.width`)."""


class Proposer(Protocol):
    """Suggests what to ask next."""

    def propose(self, consultation: Consultation, k: int) -> Sequence[str]:
        """At most k questions, the most promising first."""


@dataclass(frozen=True)
class FactProposer:
    """Asks for the facts that are not known yet, in their own words: those that weigh most first, where that is known.

    Attributes:
        dynamics: Of the environment, whose SIG orders the facts.
    """

    dynamics: Dynamics

    def propose(self, consultation: Consultation, k: int) -> list[str]:
        """See `Proposer.propose`."""
        case = consultation.case
        asked = {turn.text for turn in consultation.turns}
        sig = self.dynamics.sig_for(case)
        weights = [0.0] * case.n_facts if sig is None else sig.fact_weights(case)
        unknown = sorted(
            (fact for fact in case.hidden if fact not in consultation.known), key=lambda i: (-weights[i], i)
        )
        texts = (case.facts[fact].question_text or case.facts[fact].text for fact in unknown)
        return [text for text in dict.fromkeys(texts) if text not in asked][:k]


@dataclass(frozen=True)
class CatalogueProposer:
    """Asks the questions of a catalogue in their order, none twice.

    Attributes:
        knowledge: The knowledge base whose canonical questions are the catalogue; None for the general interview in
            the language of the case.
    """

    knowledge: KnowledgeBase | None = None

    def propose(self, consultation: Consultation, k: int) -> list[str]:
        """See `Proposer.propose`."""
        language = consultation.case.language
        questions = CATALOGUES[language] if self.knowledge is None else self.knowledge.questions
        asked = {turn.text for turn in consultation.turns}
        return [question for question in questions if question not in asked][:k]


@dataclass(frozen=True)
class RecordWorld:
    """The `World` of consultations.

    Attributes:
        dynamics: Of the environment: patient, tracker, rules.
        proposer: Suggests questions.
        reward: What a question pays on the way.
        belief: Answers when the search stops; None where nothing covers the case, and stopping is worth nothing.
        right: What a right answer is worth.
        width: Most questions considered in a state.
    """

    dynamics: Dynamics
    proposer: Proposer
    reward: RewardTerm
    belief: Belief | None = None
    right: float = 2.0
    width: int = 8

    def open(self, states: Sequence[Consultation]) -> list[Prospect[Consultation]]:
        """See `World.open`: one call of the belief for all states."""
        worths = [self.right * chance for chance in self._chances(states)]
        prospects = []
        for state, worth in zip(states, worths, strict=True):
            questions = [] if state.must_answer else list(self.proposer.propose(state, self.width))
            prospects.append(
                Prospect(
                    worth,
                    questions,
                    [1.0] * len(questions),
                    partial(self._ask, state, questions),
                )
            )
        return prospects

    def _chances(self, states: Sequence[Consultation]) -> list[float]:
        """p(key | what is known) in each state; 0 without a belief."""
        if self.belief is None:
            return [0.0] * len(states)
        found = posteriors(self.belief, [state.case for state in states], [state.known for state in states])
        return [
            math.exp(float(key_log_probability(state.case, row[None])[0]))
            for state, row in zip(states, found, strict=True)
        ]

    def _ask(self, state: Consultation, questions: Sequence[str], index: int) -> list[Outcome[Consultation]]:
        reply = self.dynamics.patient.reply(state, questions[index])
        after = self.dynamics.told(state, questions[index], reply)
        return [Outcome(1.0, self.reward(state, after), after, reply.text)]


@dataclass(frozen=True)
class Plan:
    """The best path of a consultation.

    Attributes:
        final: The consultation that it leads to, answered.
        trees: The tree before each question.
    """

    final: Consultation
    trees: tuple[Node[Consultation], ...]


def plan_consultations(world: RecordWorld, roots: Sequence[Consultation], how: Search = PAPER) -> list[Plan]:
    """Search before every question and ask the best, until stopping is best or the questions are used up.

    The answer is the belief's, or the key itself where there is no belief: these plans are training data.

    Args:
        world: The world.
        roots: The consultations, as they begin.
        how: The search.
    """
    states = list(roots)
    trees: list[list[Node[Consultation]]] = [[] for _ in roots]
    going = list(range(len(states)))
    while going:
        found = search(world, [states[index] for index in going], how)
        still = []
        for index, tree in zip(going, found, strict=True):
            if tree.best is not None:
                trees[index].append(tree)
                states[index] = tree.actions[tree.best].outcomes[0].state
                still.append(index)
        going = [index for index in still if not states[index].must_answer]
    plans = []
    for state, own in zip(states, trees, strict=True):
        utterance = _answer(world, state)
        final = world.dynamics.hear(state, utterance)
        assert isinstance(final, Consultation)
        if not final.finished:  # the options were shown on request
            final = world.dynamics.hear(final, utterance)
            assert isinstance(final, Consultation)
        plans.append(Plan(final, tuple(own)))
    return plans


def _answer(world: RecordWorld, state: Consultation) -> str:
    case = state.case
    by_key = world.dynamics.options_shown(state)
    if world.belief is None:
        right = np.array([float(key in case.answer) for key in case.keys])
        return state_answer(case.options, right / right.sum(), by_key=by_key, several=case.several)
    posterior = np.exp(posteriors(world.belief, [case], [state.known])[0])
    return state_answer(case.options, posterior, by_key=by_key, several=case.several)
