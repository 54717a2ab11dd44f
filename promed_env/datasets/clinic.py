"""Cases drawn from a knowledge base without end: the synthetic clinic behind ProMed-PrimaryCare-v0.

A seed makes a case. Complaint, age and sex are drawn first; then the five options, around an anchor condition and
those that are hardest to tell from it; then the truth, from the prior among the options; then every finding, from its
probability under the truth. The truth is drawn after the options, so that the choice of options says nothing beyond
the prior, and the volunteered findings are chosen without a look at their values: the posterior is exact. Train,
validation and test are disjoint ranges of seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promed_env.case import Case, Fact, Option, Profile
from promed_env.datasets.dataset import GeneratedDataset
from promed_env.errors import DatasetError
from promed_env.knowledge import AGE_BANDS, SEXES, KnowledgeBase, Sex, primary_care

__all__ = ["N_OPTIONS", "QUESTION", "SEED_RANGES", "SPLITS", "ClinicDataset", "clinic_dataset"]

N_OPTIONS = 5
QUESTION = "What is the most likely diagnosis?"
SEED_RANGES: Mapping[str, range] = MappingProxyType(
    {
        "train": range(1_000_000_000),
        "validation": range(1_000_000_000, 1_001_000_000),
        "test": range(2_000_000_000, 2_001_000_000),
    }
)
"""Split -> seeds of its cases."""

SPLITS = (*SEED_RANGES, "train-known", "validation-known", "test-known", "test-held-out")
"""What `clinic_dataset` takes: all conditions; "-known": without the held-out ones; "test-held-out": around them."""

_SPREAD = 0.5
"""How far beyond the nearest look-alikes the options reach, in nats of Bhattacharyya distance."""
_COMPLAINT_ROW = -1e-3  # log p of what the complaint itself affirms: the same for every option, so without weight
_WORLD_STREAM = 8_514  # keeps these draws apart from other uses of the same seed


@dataclass(frozen=True, eq=False)
class ClinicDataset(GeneratedDataset):
    """Cases of a knowledge base, one a seed.

    Attributes:
        knowledge: The knowledge base.
        split: Name of the split.
        seeds: The seeds, in the order of the cases.
        anchors: Ids of conditions around which options are chosen; None for all.
        without: Ids of conditions that never occur.

    Raises:
        DatasetError: With these conditions no complaint has five options for any age and sex.
    """

    knowledge: KnowledgeBase
    split: str
    seeds: range
    anchors: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self._cells.any():
            raise DatasetError(
                f"data set {self.name!r}: no complaint has {N_OPTIONS} conditions for any age and sex; hold out fewer"
            )

    @property
    def name(self) -> str:
        """Knowledge base and split, for example "primarycare/test"."""
        return f"{self.knowledge.name}/{self.split}"

    @property
    def description(self) -> str:
        """What the cases are; printed wherever a result uses them."""
        base = self.knowledge
        return (
            f"synthetic clinic, version {base.version}: cases drawn from {len(base.conditions)} conditions and "
            f"{len(base.findings)} findings, independent given the condition; not reviewed by clinicians"
        )

    licence = "MIT"

    def __len__(self) -> int:
        return len(self.seeds)

    def make(self, index: int) -> Case:
        """The case of the seed at `index`."""
        return _case(self, self.seeds[index])

    def by_id(self, case_id: str) -> Case:
        """The case with this id.

        Raises:
            DatasetError: The id is not of this data set.
        """
        prefix, _, number = case_id.rpartition(":")
        if prefix == self._source and number.isdecimal() and int(number) in self.seeds:
            return self[self.seeds.index(int(number))]
        first, last = self.seeds[0], self.seeds[-1]
        raise DatasetError(
            f"no case {case_id!r} in {self.name!r}; its ids are {self._source}:{first} to {self._source}:{last}"
        )

    @cached_property
    def _source(self) -> str:
        """First part of the cases' ids: equal ids are equal cases, whatever the split."""
        variant = "" if self.anchors is None and not self.without else f"-{self.split}"
        return f"{self.knowledge.name}-v{self.knowledge.version}{variant}"

    @cached_property
    def _joint(self) -> NDArray[np.float64]:
        """`KnowledgeBase.joint` of the conditions that may occur."""
        kept = np.array([condition.id not in self.without for condition in self.knowledge.conditions])
        return np.asarray(self.knowledge.joint * kept[:, None, None])

    @cached_property
    def _cells(self) -> NDArray[np.float64]:
        """How often (complaint, band, sex) is drawn, (n_complaints, n_bands, 2); 0 for those without enough options.

        A complaint is drawn uniformly among those that remain.
        """
        joint = self._joint
        weights = joint.sum(axis=1)
        weights[(joint > 0).sum(axis=1) < N_OPTIONS] = 0
        if self.anchors is not None:
            chosen = np.array([condition.id in self.anchors for condition in self.knowledge.conditions])
            weights = np.where((joint * chosen[:, None, None]).sum(axis=1) > 0, weights, 0)
        totals = weights.sum(axis=(1, 2), keepdims=True)
        return np.asarray(np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0))

    @cached_property
    def _draws(self) -> _Draws:
        return _Draws.of(self)


@lru_cache(maxsize=64)
def clinic_dataset(split: str, knowledge: KnowledgeBase | None = None, held_out: str = "default") -> ClinicDataset:
    """The cases of a split.

    Args:
        split: One of `SPLITS`.
        knowledge: The knowledge base; by default the one that is shipped.
        held_out: Which of its named sets of conditions the splits "-known" and "test-held-out" are about.

    Raises:
        DatasetError: The split or the set is unknown.
    """
    base = primary_care() if knowledge is None else knowledge
    if split not in SPLITS:
        raise DatasetError(f"data set {base.name!r} has no split {split!r}; it has {', '.join(SPLITS)}")
    part, _, variant = split.partition("-")
    if not variant:
        return ClinicDataset(base, split, SEED_RANGES[part])
    if held_out not in base.held_out:
        raise DatasetError(
            f"knowledge base {base.name!r} has no set {held_out!r} of held-out conditions; "
            f"it has {', '.join(base.held_out) or 'none'}"
        )
    conditions = base.held_out[held_out]
    if variant == "known":
        return ClinicDataset(base, split, SEED_RANGES[part], without=conditions)
    return ClinicDataset(base, split, SEED_RANGES[part], anchors=conditions)


@dataclass(frozen=True, eq=False)
class _Draws:
    """What every draw needs, worked out once a data set."""

    cells: NDArray[np.float64]  # cumulative over complaint, band, sex
    distance: NDArray[np.float64]  # between conditions, (n_conditions, n_conditions), nats
    anchor: NDArray[np.bool_]  # (n_conditions,)
    log_p: NDArray[np.float64]  # log p(absent), log p(present): (2, n_conditions, n_findings)
    findings: Mapping[Sex, NDArray[np.int64]]  # those that apply
    facts: tuple[tuple[Fact, Fact], ...]  # of each finding, absent and present

    @classmethod
    def of(cls, data: ClinicDataset) -> _Draws:
        base = data.knowledge
        p = base.probabilities
        both = np.stack([1 - p, p])
        overlap = np.sqrt(both[:, :, None, :] * both[:, None, :, :]).sum(axis=0)
        complaints = data._cells.any(axis=(1, 2)).sum()
        chosen = [data.anchors is None or condition.id in data.anchors for condition in base.conditions]
        return cls(
            cells=np.cumsum(data._cells.ravel() / complaints),
            distance=-np.log(overlap).sum(axis=-1),
            anchor=np.array(chosen),
            log_p=np.log(both),
            findings={
                sex: np.array([i for i, finding in enumerate(base.findings) if finding.sex in (None, sex)])
                for sex in SEXES
            },
            facts=tuple(
                (
                    Fact(finding.no, finding.section, finding.ask, "absent"),
                    Fact(finding.yes, finding.section, finding.ask, "present"),
                )
                for finding in base.findings
            ),
        )


@lru_cache(maxsize=4096)
def _case(data: ClinicDataset, seed: int) -> Case:
    base, draws = data.knowledge, data._draws
    rng = np.random.default_rng((_WORLD_STREAM, seed))
    shape = data._cells.shape
    cell = min(int(np.searchsorted(draws.cells, rng.random(), side="right")), draws.cells.size - 1)
    complaint_row, band, sex_row = (int(index) for index in np.unravel_index(cell, shape))
    complaint, sex = base.complaints[complaint_row], SEXES[sex_row]
    age = int(rng.integers(AGE_BANDS[band][0], AGE_BANDS[band][1] + 1))
    prior = data._joint[complaint_row, :, band, sex_row]

    anchor = rng.choice(len(prior), p=_normalised(prior * draws.anchor))
    nearness = -draws.distance[anchor] / _SPREAD + rng.gumbel(size=len(prior))
    nearness[prior == 0] = -np.inf
    nearness[anchor] = np.inf
    options = rng.permutation(np.argsort(-nearness)[:N_OPTIONS])
    option_prior = _normalised(prior[options])
    key = int(rng.choice(N_OPTIONS, p=option_prior))

    findings = draws.findings[sex]
    present = rng.random(len(findings)) < base.probabilities[options[key], findings]
    own = -1 if complaint.finding is None else int(np.searchsorted(findings, base.finding_index[complaint.finding]))
    if own >= 0:
        present[own] = True
    evidence = draws.log_p[present.astype(np.int64)[:, None], options[None, :], findings[:, None]]
    if own >= 0:
        evidence[own] = _COMPLAINT_ROW
    volunteered = rng.choice(len(complaint.volunteered), size=int(rng.integers(1, 3)), replace=False)
    told = [int(np.searchsorted(findings, base.finding_index[complaint.volunteered[i]])) for i in volunteered]
    facts = tuple([draws.facts[f][v] for f, v in zip(findings.tolist(), present.tolist(), strict=True)])
    says = [f"I am a {age}-year-old {'woman' if sex == 'female' else 'man'}.", complaint.says]
    raw: dict[str, Any] = {"complaint": complaint.id, "condition": base.conditions[options[key]].id, "seed": seed}
    return Case(
        case_id=f"{data._source}:{seed}",
        source=base.name,
        presentation=" ".join([*says, *(facts[index].text for index in told)]),
        question=QUESTION,
        options=tuple(Option("ABCDE"[slot], base.conditions[c].name) for slot, c in enumerate(options.tolist())),
        answer=("ABCDE"[key],),
        facts=facts,
        initial=frozenset(told) | (frozenset([own]) if own >= 0 else frozenset()),
        profile=Profile(age, sex),
        evidence=evidence,
        prior=option_prior,
        raw=raw,
    )


def _normalised(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised
