"""The doctor who knows medicine but not the patient: greedy expected information gain on a public knowledge base.

It reads the dialogue as a person would: complaint, age, sex and options from the opening, findings from the sentences
of the replies. What it brings along is the knowledge base, from which the synthetic clinic draws its cases; it sees no
case. With `promed_agents.greedy.expected_information_gain` it asks for the finding that is expected to settle most.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promed_agents.base import Access, state_answer
from promed_agents.greedy import expected_information_gain
from promed_env.beliefs.evidence import log_softmax
from promed_env.case import Option
from promed_env.errors import BeliefRequired
from promed_env.knowledge import KnowledgeBase, primary_care

__all__ = ["KnowledgeDoctor", "Picture"]

_OPTION = re.compile(r"^([A-Z])\. (.+)$", re.MULTILINE)


@dataclass
class Picture:
    """What the doctor has made of one dialogue so far.

    Attributes:
        conditions: The differential, as rows of the knowledge base, (n,).
        options: The same as answer options.
        scores: Unnormalised log-posterior of the differential, (n,), in nats.
        asked: Which findings have been asked for or told, bool (n_findings,).
        pending: The finding asked for last, not to be asked for again whatever the reply; None before.
        shown: Whether the differential is the case's options, in their order; else it is all that could be.
    """

    conditions: NDArray[np.int64]
    options: list[Option]
    scores: NDArray[np.float64]
    asked: NDArray[np.bool_]
    pending: int | None = None
    shown: bool = True

    @property
    def posterior(self) -> NDArray[np.float64]:
        """p(condition | what was told), (n,)."""
        return np.exp(log_softmax(self.scores))


@dataclass
class KnowledgeDoctor:
    """Asks for the finding with the highest expected information gain, each at most once.

    Attributes:
        stop_at: Answer once the most probable condition has this probability.
        knowledge: The knowledge base.
    """

    stop_at: float = 0.95
    knowledge: KnowledgeBase = field(default_factory=primary_care)
    name: str = "knowledge"
    access: Access = "knowledge"

    def __post_init__(self) -> None:
        self._pictures: list[Picture] = []
        p = self.knowledge.probabilities
        self._log_p = np.log(np.stack([1 - p, p]))  # (absent or present, conditions, findings)

    def reset(self, n: int) -> None:
        """See `Agent.reset`."""
        self._pictures = []

    def act(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[str]:
        """See `Agent.act`.

        Raises:
            BeliefRequired: The dialogue is not one of the knowledge base's clinic.
        """
        self._listen(observations)
        return [self._turn(picture, info) for picture, info in zip(self._pictures, infos, strict=True)]

    def leaning(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[NDArray[np.float64] | None]:
        """See `Leaning.leaning`; None until the options are shown."""
        self._listen(observations)  # `act` hears the same again, and each finding counts once
        return [picture.posterior if picture.shown else None for picture in self._pictures]

    def _listen(self, observations: Sequence[str]) -> None:
        if not self._pictures:
            self._pictures = [self.begin(text) for text in observations]
        else:
            for picture, text in zip(self._pictures, observations, strict=True):
                self.hear(picture, text)

    def begin(self, opening: str) -> Picture:
        """Read the first observation; where it names no complaint but options of the knowledge base, all are as likely.

        Raises:
            BeliefRequired: It is not the opening of a case of the knowledge base.
        """
        base = self.knowledge
        presented = base.presented(opening)
        options = [Option(key, name) for key, name in _OPTION.findall(opening)]
        if presented is None and options and all(option.text in base.name_index for option in options):
            conditions = np.array([base.name_index[option.text] for option in options])
            not_for = [finding.sex is not None for finding in base.findings]
            return Picture(conditions, options, np.zeros(len(options)), np.array(not_for))
        if presented is None:
            raise BeliefRequired(
                f"the knowledge doctor plays cases of the knowledge base {base.name!r} only; this opening names no "
                f"complaint of it: {opening[:80]!r}. Play ProMed-PrimaryCare-v0, or choose another doctor."
            )
        age, sex, complaint = presented
        prior = base.prior(complaint.id, age, sex)
        shown = bool(options)
        if shown:
            conditions = np.array([base.name_index[option.text] for option in options])
        else:  # no options are shown: all that could be
            conditions = np.flatnonzero(prior)
            options = [Option("A", base.conditions[row].name) for row in conditions]
        not_for = [finding.sex not in (None, sex) for finding in base.findings]
        picture = Picture(conditions, options, np.log(prior[conditions]), np.array(not_for), shown=shown)
        if complaint.finding is not None:  # the prior is given the complaint
            picture.asked[base.finding_index[complaint.finding]] = True
        self.hear(picture, opening)
        return picture

    def hear(self, picture: Picture, text: str) -> None:
        """Take in the findings that a text states; each counts once."""
        for finding, present in self.knowledge.stated(text):
            if not picture.asked[finding]:
                picture.scores = picture.scores + self._log_p[int(present), picture.conditions, finding]
                picture.asked[finding] = True
        if picture.pending is not None:
            picture.asked[picture.pending] = True

    def gains(self, picture: Picture) -> NDArray[np.float64]:
        """Expected information gain of each finding, (n_findings,), in nats; minus infinity where it has been asked."""
        rows = self._log_p[1][picture.conditions].T
        return np.where(picture.asked, -np.inf, expected_information_gain(picture.posterior, rows))

    def _turn(self, picture: Picture, info: dict[str, Any]) -> str:
        posterior = picture.posterior
        if info["must_answer"] or posterior.max() >= self.stop_at or picture.asked.all():
            return state_answer(picture.options, posterior, by_key=info["by_key"])
        finding = int(self.gains(picture).argmax())
        picture.pending = finding
        return f"question: {self.knowledge.questions[finding]}"
