"""Scoring of anyone's dialogues: replay the doctor's turns against the cases, and judge every question.

    result = score_file("dialogues.jsonl", setting_for("ProMed-MedQA-v0"))
    result.totals["sig"].mean, result.dialogues[0].questions[0].new

No agent and no model is needed: a dialogue is a line of chat messages (`promed_agents.chat`) from a person, a model or
another simulator. Its questions are put to the environment's own patient; or else the replies in the transcript are
searched for the facts. `docs/score.md` says what is accepted and what each figure means.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from promed_agents.chat import Dialogue, read_chat
from promed_agents.doctors_turn import is_compound
from promed_agents.files import write_whole
from promed_agents.replay import REPLIES, Replies, replay, replies_of
from promed_agents.setting import Setting
from promed_agents.statistics import bootstrap_interval
from promed_env.actions import normalise
from promed_env.case import SECTIONS
from promed_env.consultation import Consultation
from promed_env.datasets import SOURCES, CaseDataset, GeneratedDataset
from promed_env.dynamics import Dynamics
from promed_env.env import ConsultationEnv
from promed_env.errors import DatasetError
from promed_env.patients import describe
from promed_env.patients.screening import screen
from promed_env.registration import ENVIRONMENTS

__all__ = [
    "SCORE_FILE",
    "SCORE_VERSION",
    "DialogueScore",
    "Mean",
    "Missed",
    "Question",
    "Score",
    "score",
    "score_file",
    "setting_for",
    "write_score",
]

SCORE_FILE = "score.json"
SCORE_VERSION = 1
"""`schema_version` of the score file."""

_MISSED = 5  # facts that are named as missed in a dialogue


@dataclass(frozen=True)
class Question:
    """One question, judged.

    Attributes:
        turn: Number of the doctor's turn, from 1.
        text: The question.
        disclosed: Indexes of the facts that the reply states.
        new: Those that were not known before, in ascending order.
        sig: Shapley Information Gain; None where it cannot be computed.
        redundant: It brought nothing new, and either its reply states only what was known, or it repeats an earlier
            question in the same words (what stands around the question apart).
        compound: It asks several things at once: several question marks, or several questions with the marker.
        refused: Why the patient's screening refuses it (`promed_env.patients.screening`), or None.
        nothing: It is not refused, and its reply states no fact.
    """

    turn: int
    text: str
    disclosed: tuple[int, ...]
    new: tuple[int, ...]
    sig: float | None
    redundant: bool
    compound: bool
    refused: str | None
    nothing: bool


@dataclass(frozen=True)
class Missed:
    """A hidden fact that stayed unknown.

    Attributes:
        fact: Its index.
        text: What it states.
        section: Its section of the record.
        weight: The SIG that bringing it out would have been paid; None where it cannot be computed.
    """

    fact: int
    text: str
    section: str
    weight: float | None


@dataclass(frozen=True)
class DialogueScore:
    """One dialogue, judged.

    Attributes:
        case_id: The case.
        where: "FILE:LINE" of the dialogue.
        questions: Every valid question within the budget.
        invalid: Turns that were neither question nor answer, or came when an answer was due.
        over_budget: The doctor's turns from the first one that had to answer and did not; they brought out nothing.
        after_answer: The doctor's turns after its answer, which are not played.
        turns: The doctor's turns in the transcript, its answer included.
        answered: Whether an answer was given in time.
        correct: Whether it chose exactly the right keys; None without an answer.
        chosen: The keys it chose.
        answer: The right keys.
        confidence: Its stated confidence, from 0 to 1, or None.
        fact_recall: Share of the hidden facts that became known.
        section_recall: Section -> hidden facts that became known, and hidden facts.
        sig: SIG of all questions; None where it cannot be computed.
        missed: The hidden facts that stayed unknown, the heaviest first, at most five; in the order of the case where
            there is no SIG.
    """

    case_id: str
    where: str
    questions: tuple[Question, ...]
    invalid: int
    over_budget: int
    after_answer: int
    turns: int
    answered: bool
    correct: bool | None
    chosen: tuple[str, ...]
    answer: tuple[str, ...]
    confidence: float | None
    fact_recall: float
    section_recall: dict[str, tuple[int, int]]
    sig: float | None
    missed: tuple[Missed, ...]


@dataclass(frozen=True)
class Mean:
    """A mean over dialogues with its 95% percentile bootstrap interval."""

    mean: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Score:
    """All dialogues, judged.

    Attributes:
        setting: The cases and the rules.
        dataset: What the cases are.
        patient: The patient, with its figures; None if the replies are those of the transcripts.
        replies: "patient" or "transcript".
        totals: Figure -> mean over dialogues: "answered", "accuracy" (no answer is a wrong one; left out if no dialogue
            answers), "questions", "new" facts, "sig" (left out where it cannot be computed), "fact_recall",
            "redundant", "compound", "refused", "nothing" and "invalid" (turns of a dialogue).
        section_recall: Section -> share of all its hidden facts that became known.
        by_question: For the first, second, ... question: dialogues that have one, mean new facts, mean SIG or None.
        skipped: What was wrong with each line that was left out.
        dialogues: Every dialogue, in the order of the file.
    """

    setting: Setting
    dataset: str
    patient: str | None
    replies: Replies
    totals: dict[str, Mean]
    section_recall: dict[str, float]
    by_question: tuple[tuple[int, float, float | None], ...]
    skipped: tuple[str, ...]
    dialogues: tuple[DialogueScore, ...]


def setting_for(dataset: str, **rules: Any) -> Setting:
    """The setting of dialogues about the cases of a data set.

    Args:
        dataset: An environment id, a registered data set (played in its environment), or a file of cases (played by the
            rules of ProMed-MedQA-v0).
        rules: Other fields of `Setting`.
    """
    if (dataset.partition(":")[2] or dataset) in ENVIRONMENTS:
        return Setting(dataset, **rules)
    env_id = SOURCES[dataset].env_id if dataset in SOURCES else "ProMed-MedQA-v0"
    return Setting(env_id, dataset=dataset, **rules)


def score_file(
    path: str | Path,
    setting: Setting,
    *,
    replies: Replies = "patient",
    keep_going: bool = False,
    progress: Callable[[int], None] = lambda done: None,
    on_finish: Callable[[tuple[Consultation, Dynamics]], None] = lambda finished: None,
) -> Score:
    """Score the dialogues of a chat-format JSON Lines file.

    Args:
        path: The file.
        setting: The cases and the rules.
        replies: See `score`.
        keep_going: Leave out lines that are wrong and say so in `Score.skipped`, instead of raising.
        progress: See `score`.
        on_finish: See `score`.

    Raises:
        DatasetError: The file or the cases cannot be read; a line is wrong or its case unknown, and `keep_going` is
            not given; or no line is left.
        ValueError: See `score`.
    """
    skipped: list[DatasetError] = []
    on_bad = skipped.append if keep_going else None
    dialogues = read_chat(path, on_bad)
    if not dialogues:
        raise DatasetError(f"{path}: every line is wrong; the first: {skipped[0]}")
    return score(
        dialogues, setting, replies=replies, skipped=skipped, on_bad=on_bad, progress=progress, on_finish=on_finish
    )


def score(
    dialogues: Sequence[Dialogue],
    setting: Setting,
    *,
    replies: Replies = "patient",
    skipped: Sequence[DatasetError] = (),
    on_bad: Callable[[DatasetError], None] | None = None,
    progress: Callable[[int], None] = lambda done: None,
    on_finish: Callable[[tuple[Consultation, Dynamics]], None] = lambda finished: None,
) -> Score:
    """Score dialogues; dialogue i is played with the seed `setting.seed` + i, which matters to patients that vary.

    Args:
        dialogues: At least one.
        setting: The cases and the rules.
        replies: "patient": put the questions to the setting's patient. "transcript": a fact is known once a reply of
            the transcript contains its statement, letter case, punctuation and spacing apart.
        skipped: What was wrong with dialogues left out before; goes into the result, read at the end.
        on_bad: Called if a dialogue's case is unknown; it is then left out. None raises it.
        progress: Called with the number of dialogues finished since the last call.
        on_finish: Called with every replayed consultation and the rules it was played by.

    Raises:
        DatasetError: The cases cannot be loaded, a case is unknown and `on_bad` is None, or no dialogue is left.
        ValueError: `replies` is unknown, or "transcript" and the transcripts hold no reply.
    """
    if replies not in REPLIES:
        raise ValueError(f"replies must be one of {', '.join(REPLIES)}, got {replies!r}")
    asks = any(sum(message.role == "assistant" for message in each.messages) > 1 for each in dialogues)
    if replies == "transcript" and asks and not any(replies_of(dialogue)[1] for dialogue in dialogues):
        raise ValueError(
            "the transcripts hold no reply to any question (a message of role 'user' after one of role "
            "'assistant'); score them with replies from the patient"
        )
    env = _environment(setting)
    judged = []
    for number, dialogue in enumerate(dialogues):
        try:
            env.reset(seed=setting.seed + number, options={"case_id": dialogue.case_id})
        except DatasetError as error:
            wrong = DatasetError(f"{dialogue.where}: {error}")
            if on_bad is None:
                raise wrong from error
            on_bad(wrong)
            continue
        final, unheard = replay(dialogue, env.consultation, env.dynamics, replies)
        judged.append(_judge(dialogue, final, env.dynamics, unheard))
        on_finish((final, env.dynamics))
        progress(1)
    if not judged:
        raise DatasetError(f"no dialogue is about a case of {env.source.label}; the first: {dialogues[0].case_id!r}")
    return Score(
        setting=setting,
        dataset=env.source.label,
        patient=describe(env.patient) if replies == "patient" else None,
        replies=replies,
        totals=_totals(judged),
        section_recall=_section_recall(judged),
        by_question=_by_question(judged),
        skipped=tuple(map(str, skipped)),
        dialogues=tuple(judged),
    )


def write_score(result: Score, folder: str | Path) -> Path:
    """Write a score as `score.json` in a folder, made if needed; the file appears whole or not at all.

    Returns:
        The file's path.

    Raises:
        OSError: The folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / SCORE_FILE
    content = {"schema_version": SCORE_VERSION, **asdict(result)}
    write_whole(target, json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    return target


def _environment(setting: Setting) -> ConsultationEnv:
    """The environment with all cases of the setting's data set, those without end included."""
    cases: CaseDataset | GeneratedDataset = setting.load_all()
    sample = cases[:1] if isinstance(cases, GeneratedDataset) else cases  # those without end are all made alike
    made = gym.make(
        setting.env_id,
        dataset=cases,
        reward=setting.reward_for(sample),
        facts_per_reply=setting.facts_per_reply,
        max_questions=setting.max_questions,
        initial=setting.initial,
        **setting.given(),
    )
    env = made.unwrapped
    assert isinstance(env, ConsultationEnv)
    return env


def _judge(dialogue: Dialogue, final: Consultation, dynamics: Dynamics, unheard: int) -> DialogueScore:
    case = final.case
    sig = dynamics.sig_for(case)
    gains = None if sig is None else sig.gains(final).tolist()
    weights = None if sig is None else sig.fact_weights(case)
    raw = [message.content for message in dialogue.messages if message.role == "assistant"]
    questions: list[Question] = []
    asked: set[str] = set()
    for index, turn in enumerate(final.turns):
        if turn.kind != "question" or turn.reply is None:
            continue
        disclosed = turn.reply.disclosed
        heard = screen(turn.text)
        words = normalise(heard.question)
        refused = None if disclosed else heard.refusal
        questions.append(
            Question(
                turn=index + 1,
                text=turn.text,
                disclosed=disclosed,
                new=turn.new,
                sig=None if gains is None else gains[index],
                redundant=not turn.new and (bool(disclosed) or words in asked),
                compound=is_compound(raw[index]),
                refused=refused,
                nothing=not disclosed and refused is None,
            )
        )
        asked.add(words)
    due = bool(final.turns) and final.turns[-1].kind == "invalid" and final.finished
    answered = final.finished and not due
    missed = [index for index in case.hidden if index not in final.known]
    if weights is not None:
        missed.sort(key=lambda index: -weights[index])
    return DialogueScore(
        case_id=case.case_id,
        where=dialogue.where,
        questions=tuple(questions),
        invalid=sum(turn.kind == "invalid" for turn in final.turns),
        over_budget=unheard + 1 if due else 0,
        after_answer=0 if due else unheard,
        turns=len(raw),
        answered=answered,
        correct=final.correct if answered else None,
        chosen=final.chosen,
        answer=case.answer,
        confidence=final.confidence,
        fact_recall=final.fact_recall,
        section_recall=final.section_recall(),
        sig=None if gains is None else float(sum(gains)),
        missed=tuple(
            Missed(
                index, case.facts[index].text, case.facts[index].section, None if weights is None else weights[index]
            )
            for index in missed[:_MISSED]
        ),
    )


def _totals(judged: Sequence[DialogueScore]) -> dict[str, Mean]:
    figures: dict[str, list[float]] = {"answered": [each.answered for each in judged]}
    if any(figures["answered"]):
        figures["accuracy"] = [each.correct is True for each in judged]
    figures["questions"] = [len(each.questions) for each in judged]
    figures["new"] = [sum(len(question.new) for question in each.questions) for each in judged]
    sums = [each.sig for each in judged if each.sig is not None]
    if len(sums) == len(judged):
        figures["sig"] = sums
    figures["fact_recall"] = [each.fact_recall for each in judged]
    for name in ("redundant", "compound", "refused", "nothing"):
        figures[name] = [sum(bool(getattr(question, name)) for question in each.questions) for each in judged]
    figures["invalid"] = [each.invalid for each in judged]
    return {name: Mean(float(np.mean(values)), bootstrap_interval(values)) for name, values in figures.items()}


def _section_recall(judged: Sequence[DialogueScore]) -> dict[str, float]:
    recall = {}
    for section in SECTIONS:
        counts = [each.section_recall[section] for each in judged if section in each.section_recall]
        if counts:
            recall[section] = sum(found for found, _ in counts) / sum(hidden for _, hidden in counts)
    return recall


def _by_question(judged: Sequence[DialogueScore]) -> tuple[tuple[int, float, float | None], ...]:
    rows = []
    for number in range(max(len(each.questions) for each in judged)):
        asked = [each.questions[number] for each in judged if len(each.questions) > number]
        gains = [question.sig for question in asked if question.sig is not None]
        mean = float(np.mean(gains)) if len(gains) == len(asked) else None
        rows.append((len(asked), float(np.mean([len(question.new) for question in asked])), mean))
    return tuple(rows)
