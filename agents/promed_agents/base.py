"""What an agent is, and what each access entitles it to see.

An agent is batched: it plays n consultations side by side. It always sees the observations. Beyond them, the runner
hands it in `infos[i]["view"]` just what its declared access allows:

    text        nothing more: the dialogue only
    knowledge   a `KnowledgeView`: the options, and the evidence rows of the facts already disclosed
    record      the `Consultation` itself, hidden facts included: privileged
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from promed_env.beliefs.evidence import log_softmax
from promed_env.case import Option
from promed_env.consultation import Consultation

__all__ = [
    "Access",
    "Agent",
    "KnowledgeView",
    "Leaning",
    "chosen_options",
    "episode_rng",
    "state_answer",
    "view_for",
]

Access = Literal["text", "knowledge", "record"]


class Agent(Protocol):
    """A doctor that plays many consultations side by side."""

    @property
    def name(self) -> str:
        """A short name for tables."""

    @property
    def access(self) -> Access:
        """What it may see beyond the dialogue."""

    def reset(self, n: int) -> None:
        """Begin n new consultations."""

    def act(self, observations: Sequence[str], infos: Sequence[dict[str, Any]]) -> list[str]:
        """One utterance for each consultation.

        Args:
            observations: The newest text of each, length n. A consultation that is over gets any utterance.
            infos: One dict each, length n: "case_id", "turn", "questions_left", "must_answer", "by_key" (whether the
                doctor has been shown the options' keys), "language" ("en" or "zh") and "view", as the access allows.
        """


@runtime_checkable
class Leaning(Agent, Protocol):
    """A doctor that can tell at any time which option it leans to: optional, for what an evaluation records."""

    def leaning(
        self, observations: Sequence[str], infos: Sequence[dict[str, Any]]
    ) -> Sequence[Sequence[float] | NDArray[np.float64] | None]:
        """What it would answer if it had to answer now.

        Called just before `act`, with the same arguments, and only by those who want to know: `act` must say the same
        whether or not it was called. A consultation that is over gets anything.

        Returns:
            For each consultation p(option), in the order of the case's options, or None where it cannot tell.
        """


@dataclass(frozen=True)
class KnowledgeView:
    """What somebody with a medical textbook knows at this point of a consultation.

    Attributes:
        options: The answer options.
        log_prior: log p(option), (n_options,), in nats.
        rows: log p(fact | option) of every fact that is known, (n_known, n_options); None if the case has no table.
        several: Whether the question asks for all options that apply.
    """

    options: tuple[Option, ...]
    log_prior: NDArray[np.float64]
    rows: NDArray[np.float64] | None
    several: bool = False

    def posterior(self) -> NDArray[np.float64] | None:
        """p(option | known facts), (n_options,); None if the case has no table."""
        if self.rows is None:
            return None
        return np.exp(log_softmax(self.log_prior + self.rows.sum(axis=0)))


def view_for(access: Access, consultation: Consultation) -> KnowledgeView | Consultation | None:
    """What an agent with this access may see of a consultation, beyond the dialogue."""
    if access == "text":
        return None
    if access == "record":
        return consultation
    case = consultation.case
    assert case.prior is not None
    rows = None if case.evidence is None else case.evidence[sorted(consultation.known)]
    return KnowledgeView(case.options, np.log(case.prior), rows, case.several)


def chosen_options(posterior: NDArray[np.float64], *, several: bool) -> list[int]:
    """Indexes of the options to answer with: the most probable one.

    Args:
        posterior: p(option), (n_options,).
        several: Whether the question asks for all options that apply. The options that hold share the probability, so
            all that are more probable than by chance are given.
    """
    if several and (likely := np.flatnonzero(posterior > 1 / len(posterior)).tolist()):
        return [int(index) for index in likely]
    return [int(posterior.argmax())]


def state_answer(
    options: Sequence[Option], posterior: NDArray[np.float64], *, by_key: bool, several: bool = False
) -> str:
    """The utterance that gives the most probable option, with its probability as the confidence.

    Args:
        options: The answer options.
        posterior: p(option), (n_options,).
        by_key: Whether the doctor has been shown the keys; else it answers in the option's words.
        several: See `chosen_options`.
    """
    chosen = chosen_options(posterior, several=several)
    said = ", ".join(options[index].key for index in chosen) if by_key else "; ".join(options[i].text for i in chosen)
    return f"answer: {said} (confidence: {posterior[chosen].sum():.2f})"


def episode_rng(seed: int, case_id: str) -> np.random.Generator:
    """A generator for one agent on one case, the same however the cases are batched."""
    return np.random.default_rng([seed, zlib.crc32(case_id.encode())])
