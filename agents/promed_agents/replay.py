"""A dialogue played again: the doctor's turns against a case, with the patient or as the transcript has it."""

from __future__ import annotations

from typing import Literal, get_args

from promed_agents.chat import Dialogue
from promed_agents.doctors_turn import utterance_of
from promed_env.actions import normalise
from promed_env.case import Case
from promed_env.consultation import Consultation
from promed_env.dynamics import Dynamics
from promed_env.patients import Reply

__all__ = ["REPLIES", "Replies", "replay", "replies_of"]

Replies = Literal["patient", "transcript"]
REPLIES: tuple[Replies, ...] = get_args(Replies)
"""Who replies: the environment's patient anew, or the other side of the transcript as it stands."""


def replay(dialogue: Dialogue, root: Consultation, dynamics: Dynamics, replies: Replies) -> tuple[Consultation, int]:
    """Play the doctor's turns of a dialogue.

    Args:
        dialogue: The dialogue.
        root: A consultation of its case before the first turn.
        dynamics: The rules.
        replies: "patient": the patient of the rules replies. "transcript": a reply is what the other side said there; a
            fact is known once a reply contains its statement, letter case, punctuation and spacing apart, or the
            opening did.

    Returns:
        The consultation after the last turn, and how many turns came after its end.
    """
    said = [message.content for message in dialogue.messages if message.role == "assistant"]
    opening, told = replies_of(dialogue)
    state = _informed(root, opening) if replies == "transcript" else root
    for number, content in enumerate(said):
        if state.finished:
            return state, len(said) - number
        utterance = utterance_of(content, state.case, keys=dynamics.options_shown(state), last=number == len(said) - 1)
        heard = dynamics.hear(state, utterance)
        if isinstance(heard, str):
            reply = (
                dynamics.patient.reply(state, heard)
                if replies == "patient"
                else Reply(told.get(number, ""), _stated(state.case, told.get(number, "")), "patient")
            )
            heard = dynamics.told(state, heard, reply)
        state = heard
    return state, 0


def replies_of(dialogue: Dialogue) -> tuple[str, dict[int, str]]:
    """What the other side said before the doctor's first turn, and after each of its turns, by the turn's index."""
    opening: list[str] = []
    told: dict[int, str] = {}
    turn = -1
    for message in dialogue.messages:
        if message.role == "assistant":
            turn += 1
        elif message.role == "user" and turn < 0:
            opening.append(message.content)
        elif message.role == "user":
            told[turn] = f"{told[turn]}\n{message.content}" if turn in told else message.content
    return "\n".join(opening), told


def _informed(root: Consultation, opening: str) -> Consultation:
    """The start of a dialogue whose opening may state more facts than the case's own presentation does."""
    case = root.case.with_initial(root.case.initial.union(_stated(root.case, opening)))
    return Consultation(case, (), root.max_questions, root.seed)


def _stated(case: Case, text: str) -> tuple[int, ...]:
    """Indexes of the facts whose statement a text contains, in their order."""
    spaced = case.language == "en"  # Chinese runs words together, so a statement may begin anywhere
    around = " " if spaced else ""
    heard = f"{around}{normalise(text)}{around}"
    statements = [normalise(fact.text) for fact in case.facts]
    return tuple(index for index, words in enumerate(statements) if words and f"{around}{words}{around}" in heard)
