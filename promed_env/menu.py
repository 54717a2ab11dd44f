"""Menus: a fixed catalogue of questions and the option slots as discrete actions, with arrays as observations.

    menu = Menu.of(env)                 # the one that fits the environment's data set
    menu.utterance(17, case)            # "question: Do you smoke?"

`TextMenu` is for vignettes, `FindingsMenu` for the cases of a knowledge base. `promed_env.wrappers.MenuActions` and the
vector environment's `actions="menu"` are built on them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from promed_env.actions import parse_action
from promed_env.case import Case
from promed_env.consultation import Consultation, ShowOptions
from promed_env.errors import DatasetError
from promed_env.interview import CATALOGUES
from promed_env.knowledge import AGE_BANDS, SEXES, KnowledgeBase

if TYPE_CHECKING:
    from promed_env.env import ConsultationEnv

__all__ = ["FindingsMenu", "Menu", "TextMenu"]

Observation = dict[str, NDArray[np.float32]]


class Menu(ABC):
    """A fixed catalogue of questions and the option slots as discrete actions.

    Actions 0 .. n_questions - 1 ask the catalogue's questions, the next ones answer with the option in that slot. The
    catalogue is the same for every case, and the mask depends on what was asked, the turn and the number of options
    only. One action answers with one option, so a case with several right options cannot be solved by a menu.

    A subclass sets `observation_space`, a Dict of Boxes of float32, and defines `observe_batch`.
    """

    observation_space: spaces.Dict

    def __init__(self, questions: Sequence[str], slots: int, show_options: ShowOptions) -> None:
        """Make a menu.

        Args:
            questions: The catalogue.
            slots: Option slots, the most options a case has.
            show_options: As in `ConsultationEnv`: hidden options have zero embeddings and are answered by their text.

        Raises:
            ValueError: The catalogue is empty, has a question twice, or one that the grammar would change.
        """
        self.questions = tuple(questions)
        if isinstance(questions, str) or not self.questions or len(set(self.questions)) < len(self.questions):
            raise ValueError("a menu needs a sequence of at least one question, none twice")
        for question in self.questions:
            if parse_action(f"question: {question}") != ("question", question, None):
                raise ValueError(f"{question!r} cannot be asked as it stands: the grammar would change it")
        self.slots = slots
        self.show_options = show_options
        self._index = {question: index for index, question in enumerate(self.questions)}
        self.action_space = spaces.Discrete(len(self.questions) + slots)

    @staticmethod
    def of(env: ConsultationEnv, questions: Sequence[str] | None = None) -> Menu:
        """The menu that fits an environment.

        Args:
            env: The environment.
            questions: The catalogue; by default the canonical questions of the knowledge base that the cases were
                drawn from, or else the catalogue of `promed_env.interview` in the first case's language.
        """
        slots = max(len(case.options) for case in env.source.samples)
        knowledge = env.dataset.knowledge
        if knowledge is not None and questions is None:
            return FindingsMenu(knowledge, slots, env.dynamics.show_options)
        if questions is None:
            questions = CATALOGUES[env.source.samples[0].language]
        return TextMenu(questions, slots, env.dynamics.show_options)

    def utterance(self, action: int, case: Case) -> str:
        """The text of an action. A slot beyond the case's options answers with a key that does not exist.

        Raises:
            ValueError: The action is out of range.
        """
        if not 0 <= action < self.action_space.n:
            raise ValueError(f"menu actions are 0 to {self.action_space.n - 1}, got {action}")
        if action < len(self.questions):
            return f"question: {self.questions[action]}"
        slot = action - len(self.questions)
        if slot >= len(case.options):
            return "answer: (an empty slot)"
        option = case.options[slot]
        return f"answer: {option.key if self.show_options == 'always' else option.text}"

    def mask(self, state: Consultation) -> NDArray[np.bool_]:
        """Which actions make sense now, bool (n_actions,): the options, and questions not asked yet, while accepted."""
        mask = np.zeros(int(self.action_space.n), dtype=np.bool_)
        if not state.must_answer:
            mask[: len(self.questions)] = True
            mask[[self._index[turn.text] for turn in state.turns if turn.text in self._index]] = False
        mask[len(self.questions) : len(self.questions) + len(state.case.options)] = True
        return mask

    def observe(self, state: Consultation) -> Observation:
        """The observation of one state."""
        return {key: value[0] for key, value in self.observe_batch([state]).items()}

    @abstractmethod
    def observe_batch(self, states: Sequence[Consultation]) -> Observation:
        """The observations of many states, with a leading axis."""

    def _zeros(self, n: int) -> Observation:
        return {
            key: np.zeros((n, *(space.shape or ())), dtype=np.float32)
            for key, space in self.observation_space.spaces.items()
        }


class TextMenu(Menu):
    """The menu of vignettes: observations are frozen embeddings of what was said.

    Observation, with d = 128: "presentation" (d,), "question" (d,), "options" (n_slots * d,), "replies"
    (n_questions * d,): the last reply to each question, zero if it was not asked; "asked" (n_questions,) in {0, 1};
    "turns_left" (1,) as a share of the budget.
    """

    def __init__(self, questions: Sequence[str], slots: int, show_options: ShowOptions) -> None:
        """See `Menu`."""
        from promed_env.patients.embedding import EMBEDDING_DIM

        super().__init__(questions, slots, show_options)
        n, d = len(self.questions), EMBEDDING_DIM
        box: dict[str, spaces.Space[Any]] = {
            "presentation": spaces.Box(-1, 1, (d,), np.float32),
            "question": spaces.Box(-1, 1, (d,), np.float32),
            "options": spaces.Box(-1, 1, (slots * d,), np.float32),
            "replies": spaces.Box(-1, 1, (n * d,), np.float32),
            "asked": spaces.Box(0, 1, (n,), np.float32),
            "turns_left": spaces.Box(0, 1, (1,), np.float32),
        }
        self.observation_space = spaces.Dict(box)

    def observe_batch(self, states: Sequence[Consultation]) -> Observation:
        """See `Menu.observe_batch`."""
        batch = self._zeros(len(states))
        options = batch["options"].reshape(len(states), self.slots, -1)  # views of the flat arrays
        replies = batch["replies"].reshape(len(states), len(self.questions), -1)
        for row, state in enumerate(states):
            case = state.case
            batch["presentation"][row] = _embed(case.presentation)
            batch["question"][row] = _embed(case.question)
            if state.options_shown(self.show_options):
                for slot, option in enumerate(case.options):
                    options[row, slot] = _embed(option.text)
            for turn in state.turns:
                index = self._index.get(turn.text)
                if index is not None and turn.reply is not None:
                    batch["asked"][row, index] = 1
                    replies[row, index] = _embed(turn.reply.text)
            batch["turns_left"][row] = state.questions_left / max(1, state.max_questions)
        return batch


class FindingsMenu(Menu):
    """The menu of a knowledge base: all its canonical questions; observations are what is known of each finding.

    Observation: "findings" (n_findings,): 1 present, -1 absent, 0 unknown; "age" (1,) as a share of the oldest;
    "sex" (2,) and "complaint" (n_complaints,), one-hot; "options" (n_slots * n_conditions,): one-hot in each slot, zero
    where options are not shown; "turns_left" (1,) as a share of the budget.
    """

    def __init__(self, knowledge: KnowledgeBase, slots: int, show_options: ShowOptions) -> None:
        """Make the menu of a knowledge base; `slots` and `show_options` as for `Menu`."""
        super().__init__(knowledge.questions, slots, show_options)
        self.knowledge = knowledge
        box: dict[str, spaces.Space[Any]] = {
            "findings": spaces.Box(-1, 1, (len(knowledge.findings),), np.float32),
            "age": spaces.Box(0, 1, (1,), np.float32),
            "sex": spaces.Box(0, 1, (len(SEXES),), np.float32),
            "complaint": spaces.Box(0, 1, (len(knowledge.complaints),), np.float32),
            "options": spaces.Box(0, 1, (slots * len(knowledge.conditions),), np.float32),
            "turns_left": spaces.Box(0, 1, (1,), np.float32),
        }
        self.observation_space = spaces.Dict(box)

    def observe_batch(self, states: Sequence[Consultation]) -> Observation:
        """See `Menu.observe_batch`."""
        batch = self._zeros(len(states))
        options = batch["options"].reshape(len(states), self.slots, -1)  # a view of the flat array
        for row, state in enumerate(states):
            known = list(state.known)
            coded = _coded(self.knowledge, state.case)
            batch["findings"][row, coded.columns[known]] = coded.signs[known]
            batch["age"][row] = coded.age
            batch["sex"][row, coded.sex] = 1
            batch["complaint"][row, coded.complaint] = 1
            if state.options_shown(self.show_options):
                options[row, np.arange(len(coded.options)), coded.options] = 1
            batch["turns_left"][row] = state.questions_left / max(1, state.max_questions)
        return batch


class _Coded(NamedTuple):
    """A case of a knowledge base in numbers."""

    columns: NDArray[np.int64]  # finding of each fact
    signs: NDArray[np.float32]  # 1 present, -1 absent
    age: float
    sex: int
    complaint: int
    options: list[int]


@lru_cache(maxsize=16384)
def _coded(base: KnowledgeBase, case: Case) -> _Coded:
    presented = base.presented(case.presentation)
    if presented is None:
        raise DatasetError(
            f"case {case.case_id!r} is not one of the knowledge base {base.name!r}; choose other questions"
        )
    age, sex, complaint = presented
    return _Coded(
        columns=np.array([base.question_index[fact.question_text or ""] for fact in case.facts]),
        signs=np.array([1 if fact.status == "present" else -1 for fact in case.facts], dtype=np.float32),
        age=min(1.0, age / AGE_BANDS[-1][1]),
        sex=SEXES.index(sex),
        complaint=base.complaint_index[complaint.id],
        options=[base.name_index[option.text] for option in case.options],
    )


@lru_cache(maxsize=65536)
def _embed(text: str) -> NDArray[np.float32]:
    from promed_env.patients.embedding import encode

    embedding: NDArray[np.float32] = encode(text)
    return embedding
