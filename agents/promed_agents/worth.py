"""What a belief is worth on the cases at hand: measured before its Shapley values are believed.

    worth = measure(LMBelief(make_llm("hf:smollm2")), cases)
    worth.informative            # is it above chance, with all facts before it?

Shapley values share out v(all facts) - v(no facts). Of a model that cannot answer they share out noise. Beside that,
probes of contamination: a model that has seen the cases answers without the facts, depends on the order in which the
options were printed, or goes on with a presentation word for word.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promed_agents.statistics import bootstrap_interval, paired_bootstrap, wilson_interval
from promed_env.beliefs import Belief, characteristic, key_log_probability
from promed_env.beliefs.lm import LMBelief, mean_over_orders
from promed_env.case import Case
from promed_env.errors import BackendError
from promed_env.llm import LanguageModel

__all__ = ["Share", "Worth", "measure", "naming"]

_WORDS = 12  # that a presentation is continued by
_OVERLAP = 0.05  # difference of overlaps from which a continuation counts as remembered
_TOKENS = 32


@dataclass(frozen=True)
class Share:
    """A share of cases, or a difference of such, with its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Worth:
    """What was measured.

    Attributes:
        belief: Name of the belief.
        cases: How many cases.
        chance: Accuracy of guessing, by which a case with two right options of five is right in 2/5.
        accuracy: With all facts, most probable option.
        accuracy_without: With no facts; above chance it is a sign of contamination, or of options that tell.
        harmed: Share of cases with v(all facts) < v(no facts).
        letters: For beliefs that choose letters: share of cases in which each letter is chosen with all facts, the
            options in their own order; {} for others.
        order_gap: For the same: accuracy with the options in their own order, minus that in the other orders.
        continued: For language models: share of the next words of the case that it says, given the first half, minus
            the share that it would by chance (the words of another case).
    """

    belief: str
    cases: int
    chance: float
    accuracy: Share
    accuracy_without: Share
    harmed: Share
    letters: dict[str, float]
    order_gap: Share | None = None
    continued: Share | None = None

    @property
    def informative(self) -> bool:
        """Whether the lower bound of the accuracy with all facts exceeds chance."""
        return self.accuracy.low > self.chance

    @property
    def warnings(self) -> tuple[str, ...]:
        """What speaks for contamination, in words."""
        found = []
        if self.accuracy_without.low > self.chance:
            found.append(f"answers {self.accuracy_without} without any fact; chance is {self.chance:.3f}")
        if self.order_gap is not None and self.order_gap.low > 0:
            found.append(f"is better by {self.order_gap} when the options stand in their own order")
        if self.continued is not None and self.continued.low > _OVERLAP:
            found.append(f"goes on with the text of a case: {self.continued} of the next words above chance")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "informative": self.informative, "warnings": list(self.warnings)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Worth:
        """Read what `to_json` wrote."""
        shares: dict[str, Any] = {
            name: None if row[name] is None else Share(**row[name])
            for name in ("accuracy", "accuracy_without", "harmed", "order_gap", "continued")
        }
        rest: dict[str, Any] = {name: row[name] for name in ("belief", "cases", "chance", "letters")}
        return cls(**rest, **shares)


def measure(belief: Belief, cases: Sequence[Case]) -> Worth:
    """Measure a belief on cases that it covers and that have facts.

    Args:
        belief: The belief.
        cases: The cases, at least one; they cost two evaluations each, and a continuation.

    Raises:
        ValueError: No case has facts and is covered.
        BackendError: The model cannot rate a case; the message names it.
    """
    chosen = [case for case in cases if case.n_facts and belief.covers(case)]
    if not chosen:
        raise ValueError("no case has facts and is covered by the belief, so there is nothing to measure it on")
    told, values, orders = [], [], []
    for case in chosen:
        ends = np.array([np.ones(case.n_facts, dtype=bool), np.zeros(case.n_facts, dtype=bool)])  # all facts, and none
        with naming(case):
            if isinstance(belief, LMBelief) and belief.characteristic == "option_letter":
                by_order = belief.by_order([case, case], list(ends))
                orders.append(by_order[0])
                told.append(np.array([mean_over_orders(each) for each in by_order]))  # what the belief says
                values.append(key_log_probability(case, told[-1]))
            else:
                told.append(belief(case, ends))
                values.append(characteristic(belief, case, ends))
    letters, order_gap = _orders(chosen, orders) if orders else ({}, None)
    continued = _continued(belief.model, chosen) if isinstance(belief, LMBelief) else None
    right, right_without = (
        [_is_right(case, row[end]) for case, row in zip(chosen, told, strict=True)] for end in (0, 1)
    )
    harmed = [bool(full < empty) for full, empty in values]
    return Worth(
        belief.name,
        len(chosen),
        float(np.mean([len(case.answer) / len(case.options) for case in chosen])),
        _share(right),
        _share(right_without),
        _share(harmed),
        letters,
        order_gap,
        continued,
    )


@contextmanager
def naming(case: Case) -> Iterator[None]:
    """Whatever a model has against a case, named by the case.

    Raises:
        BackendError: In place of the model's `BackendError` or `ValueError`.
    """
    try:
        yield
    except (BackendError, ValueError) as error:
        raise BackendError(
            f"case {case.case_id!r}: {error}. If it is this case alone, leave the case out, or use a model with a "
            "longer context where it is too long"
        ) from error


def _is_right(case: Case, told: Any) -> bool:
    return case.keys[int(np.argmax(told))] in case.answer


def _share(found: Sequence[bool]) -> Share:
    return Share(float(np.mean(found)), *wilson_interval(sum(found), len(found)))


def _orders(cases: Sequence[Case], orders: Sequence[NDArray[np.float64]]) -> tuple[dict[str, float], Share | None]:
    """Letters chosen with the options in their own order, and what that order is worth over the others."""
    counts = Counter(chr(ord("A") + int(np.argmax(each[0]))) for each in orders)
    letters = {letter: counts[letter] / len(cases) for letter in sorted(counts)}
    if any(len(each) == 1 for each in orders):
        return letters, None
    own = [float(_is_right(case, each[0])) for case, each in zip(cases, orders, strict=True)]
    others = [
        float(np.mean([_is_right(case, row) for row in each[1:]])) for case, each in zip(cases, orders, strict=True)
    ]
    return letters, Share(float(np.mean(own) - np.mean(others)), *paired_bootstrap(own, others))


def _continued(model: LanguageModel, cases: Sequence[Case]) -> Share | None:
    """How much more of the next words of a case a model says than of another case's; None for a single case."""
    halves = []
    for case in cases:
        words = " ".join(fact.text for fact in case.facts).split()
        if len(words) >= 2 * _WORDS:
            halves.append((words[: len(words) // 2], words[len(words) // 2 :][:_WORDS]))
    if len(halves) < 2:
        return None
    asked = [
        [{"role": "user", "content": f"Continue this text word for word:\n\n{' '.join(first)}"}] for first, _ in halves
    ]
    said = [completion.text.split() for completion in model.chat(asked, max_new_tokens=_TOKENS)]
    own = [_overlap(words, rest) for words, (_, rest) in zip(said, halves, strict=True)]
    other = [_overlap(words, halves[index - 1][1]) for index, words in enumerate(said)]
    more = [a - b for a, b in zip(own, other, strict=True)]
    return Share(float(np.mean(more)), *bootstrap_interval(more))


def _overlap(said: Sequence[str], true: Sequence[str]) -> float:
    """Share of the pairs of neighbouring words of a text that were said."""
    pairs = [(a.lower(), b.lower()) for a, b in itertools.pairwise(true)]
    spoken = {(a.lower(), b.lower()) for a, b in itertools.pairwise(said)}
    return sum(pair in spoken for pair in pairs) / len(pairs)
