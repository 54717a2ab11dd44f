"""`ConsultationEnv`: the Gymnasium environment of one consultation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np

from promed_env.actions import MAX_ACTION_LENGTH
from promed_env.beliefs import Belief, make_belief
from promed_env.case import Case
from promed_env.consultation import Consultation, ShowOptions, Tracker
from promed_env.datasets import CaseDataset, GeneratedDataset, load_dataset
from promed_env.dynamics import Dynamics
from promed_env.errors import DatasetError
from promed_env.patients import Patient, make_patient
from promed_env.rewards import RewardTerm, make_reward
from promed_env.spaces import Utterance
from promed_env.understanding import make_tracker

__all__ = ["MAX_OBSERVATION_LENGTH", "CaseSource", "ConsultationEnv", "Initial", "Order"]

MAX_OBSERVATION_LENGTH = 16_384
"""Longest observation in characters."""

_MAX_CASE_LENGTH = 15_000  # characters of a case in one observation: with what the environment says, they fit

Initial = Literal["dataset", "first", "half"] | int
Order = Literal["random", "sequential"]


class ConsultationEnv(gym.Env[str, str]):
    """A doctor asks a patient, then answers a multiple-choice question.

    Description:
        A case is a set of atomic facts of which the presentation states a few. The doctor brings out more by asking,
        and ends the consultation with an answer. Each question is paid its Shapley Information Gain: how much the facts
        that it brought out matter to the answer. After "ProMed" (https://arxiv.org/abs/2508.13514). For research, not
        for care.

    Action Space:
        `Utterance(8192)`: free text, `question: ...` or `answer: ...` (`promed_env.actions`). Any other string is an
        invalid turn.

    Observation:
        `Utterance(16384)`: the newest text only. At first the presentation, the question, the options and the rules;
        then each reply and how many questions are left. It holds no undisclosed fact and not the key.

    Rewards:
        Terms that add up (`promed_env.rewards`). Default "promed": 2 SIG for a question; 3 and the episode's SIG for a
        right answer; -1 for an invalid turn.

    Termination:
        An answer ends the episode. After `max_questions` turns the next one must answer; anything else ends it too, as
        wrong. Both are `terminated`; `truncated` is always False.

    Registered Configurations:
        - `ProMed-MedQA-v0`: 60 original vignettes in the style of MedQA, with evidence tables.
        - `ProMed-CMB-v0`: 30 original Chinese vignettes in the style of CMB, with evidence tables.
        - `ProMed-PrimaryCare-v0`: a synthetic clinic: cases drawn without end from an original knowledge base.
        - `ProMed-DDXPlus-v0`, `ProMed-AgentClinic-v0`: real data sets, which you fetch; paid for the diagnosis.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "human"], "render_fps": 1}  # noqa: RUF012 (Gymnasium's type)

    def __init__(
        self,
        *,
        dataset: str | Path | Sequence[Case] = "medqa",
        split: str | None = None,
        patient: str | Patient = "static",
        belief: str | Belief | None = "evidence",
        reward: str | RewardTerm = "promed",
        tracker: str | Tracker | None = None,
        initial: Initial = "dataset",
        max_questions: int = 10,
        facts_per_reply: int = 3,
        reportable_only: bool = False,
        show_options: ShowOptions = "always",
        order: Order = "random",
        shard: tuple[int, int] = (0, 1),
        render_mode: str | None = None,
    ) -> None:
        """Make the environment.

        Args:
            dataset: A registered name, a path to a file of cases, a data set or a sequence of cases.
            split: Which part of a registered data set; None for its default.
            patient: "static" (default), "lexical", "semantic", "knowledge", one of them in imperfections such as
                "forgetful(static, 0.3)", or a `Patient`.
            belief: "evidence" (the case's own table), "knowledge" (the knowledge base of the synthetic clinic), a
                `Belief` or None; used by rewards that need one.
            reward: A preset, a weighted sum of terms as a string, or a `RewardTerm`.
            tracker: Which facts count as known: "disclosed" (default: those that replies disclosed),
                "understanding:MODEL" (`promed_env.understanding`), or a `Tracker`.
            initial: Facts stated at the start: as the data set says, the "first", the first "half", or the first k.
            max_questions: Turns before the doctor must answer.
            facts_per_reply: Most facts in one reply; for a patient given by name.
            reportable_only: Asking brings out only what a patient can report, no finding of an examination or a test;
                for a patient given by name.
            show_options: "always" (the paper), "at_answer" or "never".
            order: Draw cases at "random", or deal them in "sequential" order.
            shard: (index, count): deal rows index, index + count, ... only; for sequential order.
            render_mode: "ansi" (`render` returns text) or "human" (prints every turn); with any other, nothing is
                rendered.

        Raises:
            DatasetError: The data set cannot be loaded or is empty.
            BeliefRequired: The reward needs a belief that a case lacks.
            ValueError: Another argument is out of range; the message names it.
            TypeError: Dataset, patient, belief or reward is no such thing.
        """
        self.source = CaseSource(dataset, split, initial, order, shard, max_questions)
        if show_options not in get_args(ShowOptions):
            raise ValueError(f"show_options must be one of {', '.join(get_args(ShowOptions))}, got {show_options!r}")
        self._belief = make_belief(belief)
        bound = make_reward(reward).bind(self._belief)
        for case in self.source.samples:
            bound.check(_opened(case, initial))
        made = make_patient(patient, facts_per_reply=facts_per_reply, reportable_only=reportable_only)
        self.dynamics = Dynamics(made, bound, make_tracker(tracker), show_options, self.source.label)
        self.action_space = Utterance(MAX_ACTION_LENGTH)
        self.observation_space = Utterance(MAX_OBSERVATION_LENGTH)
        # Others' tools ask every environment for "rgb_array"; Gymnasium warns of modes that are not offered.
        self.render_mode = render_mode if render_mode in self.metadata["render_modes"] else None
        self._consultation: Consultation | None = None

    @property
    def dataset(self) -> CaseDataset | GeneratedDataset:
        """The cases."""
        return self.source.cases

    @property
    def patient(self) -> Patient:
        """Who replies; fixed when the environment is made, as are the belief and the reward."""
        return self.dynamics.patient

    @property
    def belief(self) -> Belief | None:
        """The belief that rewards were given where they needed one."""
        return self._belief

    @property
    def reward(self) -> RewardTerm:
        """What a step pays, with its belief."""
        return self.dynamics.reward

    @property
    def consultation(self) -> Consultation:
        """The immutable state. Assign a state to restore it.

        Raises:
            gymnasium.error.ResetNeeded: There is none before the first `reset`.
        """
        if self._consultation is None:
            raise gym.error.ResetNeeded("call reset() before using the consultation")
        return self._consultation

    @consultation.setter
    def consultation(self, consultation: Consultation) -> None:
        self._consultation = consultation

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start a consultation.

        Args:
            seed: Seeds the draw of cases and patients that vary; restarts a sequential order.
            options: `{"case_id": ...}` picks a case.

        Returns:
            The opening and `info`.

        Raises:
            DatasetError: No case has that id.
        """
        super().reset(seed=seed)
        if seed is not None:
            self.source.rewind()
        case_id = None if options is None else options.get("case_id")
        self._consultation = self.source.start(self.np_random, case_id)
        if self.render_mode == "human":
            self._show()
        return self.dynamics.opening(self._consultation), self.dynamics.reset_info(self._consultation)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take the doctor's turn.

        Args:
            action: Any string; see `promed_env.actions` for the grammar.

        Returns:
            The newest text, reward, terminated, truncated (always False) and `info`. After the end: reward 0,
            terminated.

        Raises:
            InvalidAction: The action is not a string.
        """
        before, dynamics = self.consultation, self.dynamics
        after = dynamics.hear(before, action)
        if isinstance(after, str):
            after = dynamics.told(before, after, dynamics.patient.reply(before, after))
        terms = {} if after is before else dynamics.reward.terms(before, after)
        self._consultation = after
        if self.render_mode == "human" and after is not before:
            self._show()
        info = dynamics.info(before, after, terms)
        return dynamics.observation(before, after), float(sum(terms.values())), after.finished, False, info

    def render(self) -> str | None:
        """The transcript as text in mode "ansi"; None in mode "human", which prints as it goes.

        Raises:
            gymnasium.error.ResetNeeded: Called before `reset`.
        """
        if self.render_mode != "ansi":
            return None
        from promed_env.rendering import transcript_text

        return transcript_text(self.consultation, self.dynamics)

    def _show(self) -> None:
        from promed_env.rendering import print_newest

        print_newest(self.consultation, self.dynamics)


class CaseSource:
    """Deals the cases of a data set as fresh consultations, by chance or in order."""

    def __init__(
        self,
        dataset: str | Path | Sequence[Case],
        split: str | None,
        initial: Initial,
        order: Order,
        shard: tuple[int, ...],
        max_questions: int,
    ) -> None:
        """Check and keep the arguments of `ConsultationEnv` that decide what is dealt."""
        self.cases: CaseDataset | GeneratedDataset
        if isinstance(dataset, str | Path):
            self.cases = load_dataset(dataset, split)
        elif isinstance(dataset, CaseDataset | GeneratedDataset):
            self.cases = dataset
        else:
            self.cases = CaseDataset("cases", _checked(dataset))
        if not len(self.cases):
            raise DatasetError(f"the data set {self.cases.name!r} holds no case")
        if isinstance(max_questions, bool) or not isinstance(max_questions, int) or max_questions < 0:
            raise ValueError(f"max_questions must be a whole number of at least 0, got {max_questions!r}")
        if order not in get_args(Order):
            raise ValueError(f"order must be one of {', '.join(get_args(Order))}, got {order!r}")
        if initial not in ("dataset", "first", "half") and (
            isinstance(initial, bool) or not isinstance(initial, int) or initial < 0
        ):
            raise ValueError(f"initial must be 'dataset', 'first', 'half' or a whole number from 0, got {initial!r}")
        numbers = isinstance(shard, tuple | list) and len(shard) == 2 and all(isinstance(item, int) for item in shard)
        if not numbers or not 0 <= shard[0] < shard[1]:
            raise ValueError(f"shard must be (index, count) with 0 <= index < count, got {shard!r}")
        self.label = f"{self.cases.name}: {self.cases.description}" if self.cases.description else self.cases.name
        self.initial, self.order, self.shard, self.max_questions = initial, order, shard, max_questions
        self.dealt = 0

    @property
    def samples(self) -> Sequence[Case]:
        """Cases that show what all are like: all, or one of those that are made alike."""
        return [self.cases[0]] if isinstance(self.cases, GeneratedDataset) else self.cases

    def rewind(self) -> None:
        """Begin a sequential order anew."""
        self.dealt = 0

    def start(self, rng: np.random.Generator, case_id: str | None) -> Consultation:
        """The next consultation, or one of the case with this id.

        Raises:
            DatasetError: No case has that id, or its texts are too long for an observation.
        """
        if case_id is not None:
            if not isinstance(case_id, str):
                raise DatasetError(f"options['case_id'] must be a string, got {case_id!r}")
            case = self.cases.by_id(case_id)
        elif self.order == "sequential":
            index, count = self.shard
            case = self.cases[(index + count * self.dealt) % len(self.cases)]
            self.dealt += 1
        else:
            case = self.cases[int(rng.integers(len(self.cases)))]
        return Consultation(_opened(case, self.initial), (), self.max_questions, int(rng.integers(2**31)))


def _checked(cases: Sequence[Case]) -> tuple[Case, ...]:
    if not isinstance(cases, Sequence) or not all(isinstance(case, Case) for case in cases):
        raise TypeError(f"dataset must be a name, a path or a sequence of cases, got {cases!r:.80}")
    return tuple(cases)


@lru_cache(maxsize=4096)
def _opened(case: Case, initial: Initial) -> Case:
    """The case with the initial facts asked for; they replace its presentation."""
    shown = len(case.question) + sum(len(option.text) for option in case.options)
    told = max(len(case.presentation), sum(len(fact.text) + 1 for fact in case.facts))  # never both in one observation
    if shown + told > _MAX_CASE_LENGTH:
        raise DatasetError(f"case {case.case_id!r}: its texts together exceed {_MAX_CASE_LENGTH:,} characters")
    if initial == "dataset" or not case.facts:
        return case
    count = {"first": 1, "half": case.n_facts // 2}[initial] if isinstance(initial, str) else initial
    stated = range(min(count, case.n_facts))
    return case.with_initial(frozenset(stated), " ".join(case.facts[index].text for index in stated))
