"""Dialogues as chat messages in JSON Lines: what planners write, `promed score` judges and fine-tuning learns from.

One dialogue a line, an object with two fields; others may stand beside them:

    {"case_id": "promed:1", "messages": [{"role": "assistant", "content": "question: Do you smoke?"}, ...]}

The doctor is the "assistant", the other side the "user"; "system" is an instruction to the doctor. A message of the
doctor with "weight": 0 is read in fine-tuning and not learnt, as in the files of OpenAI's fine-tuning.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from promed_env.actions import parse_action
from promed_env.consultation import Consultation
from promed_env.dynamics import Dynamics
from promed_env.errors import DatasetError

__all__ = ["Dialogue", "Message", "Role", "read_chat", "spoken", "to_messages"]

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One message of a dialogue.

    Attributes:
        role: Who speaks: "assistant" is the doctor.
        content: What is said.
        weight: 0 where fine-tuning is not to learn it, else 1; of the doctor's messages only.
    """

    role: Role
    content: str
    weight: int = 1


@dataclass(frozen=True)
class Dialogue:
    """One dialogue of a file.

    Attributes:
        case_id: The case it is about.
        messages: What was said, in order; the doctor speaks at least once.
        where: "FILE:LINE", for messages to people.
        fields: The whole JSON object, with whatever stands beside these.
    """

    case_id: str
    messages: tuple[Message, ...]
    where: str
    fields: Mapping[str, Any]


def spoken(utterance: str) -> str:
    """An utterance as the dialogue keeps it: as training dialogues write it, or as it is where it is invalid."""
    kind, text, confidence = parse_action(utterance)
    if kind == "invalid":
        return utterance
    return f"{kind}: {text}" + ("" if confidence is None else f" (confidence: {confidence:.2f})")


def to_messages(final: Consultation, dynamics: Dynamics) -> list[dict[str, str]]:
    """A consultation as chat messages, as `promed_env.wrappers.ChatObservation` gives them: the assistant asks."""
    chat = [{"role": "user", "content": dynamics.opening(final.prefix(0))}]
    for turn in range(final.turn):
        before, after = final.prefix(turn), final.prefix(turn + 1)
        taken = after.turns[-1]
        said = f"{taken.kind}: {taken.text}"
        if taken.confidence is not None:
            said += f" (confidence: {taken.confidence:.2f})"
        chat.append({"role": "assistant", "content": said})
        if not after.finished:
            chat.append({"role": "user", "content": dynamics.observation(before, after)})
    return chat


def read_chat(path: str | Path, on_bad: Callable[[DatasetError], None] | None = None) -> list[Dialogue]:
    """Read the dialogues of a JSON Lines file; blank lines are none.

    Args:
        path: The file.
        on_bad: Called with what is wrong with a line, which is then left out; None raises it.

    Raises:
        DatasetError: The file cannot be read or holds no line; or a line is wrong, and `on_bad` is None.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error
    lines = [
        (f"{path}:{number}", line)
        for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1)
        if line.strip()
    ]
    if not lines:
        raise DatasetError(f"{path}: holds no dialogues")
    dialogues = []
    for where, line in lines:
        try:
            dialogues.append(_dialogue(where, line))
        except DatasetError as error:
            if on_bad is None:
                raise
            on_bad(error)
    return dialogues


def _dialogue(where: str, line: bytes) -> Dialogue:
    try:
        fields = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DatasetError(f"{where}: not UTF-8: {error.reason}") from error
    except json.JSONDecodeError as error:
        raise DatasetError(f"{where}: not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise DatasetError(f"{where}: JSON nested too deeply to read") from error
    if not isinstance(fields, dict):
        raise DatasetError(f"{where}: expected a JSON object, got {type(fields).__name__}")
    case_id, said = fields.get("case_id"), fields.get("messages")
    if not isinstance(case_id, str) or not case_id:
        raise DatasetError(f"{where}: field 'case_id': expected the id of a case, got {case_id!r}")
    if not isinstance(said, list) or not said:
        raise DatasetError(f"{where}: field 'messages': expected a list of messages, got {_brief(said)}")
    messages = tuple(_message(where, number, message) for number, message in enumerate(said))
    if all(message.role != "assistant" for message in messages):
        raise DatasetError(f"{where}: field 'messages': the doctor (role 'assistant') never speaks")
    return Dialogue(case_id, messages, where, fields)


def _message(where: str, number: int, message: Any) -> Message:
    place = f"{where}: field 'messages', message {number}"
    if not isinstance(message, dict):
        raise DatasetError(f"{place}: expected an object with role and content, got {_brief(message)}")
    role: Any = message.get("role")
    content = message.get("content")
    if role not in get_args(Role):
        raise DatasetError(f"{place}: 'role' must be one of {', '.join(get_args(Role))}, got {_brief(role)}")
    if not isinstance(content, str):
        raise DatasetError(f"{place}: 'content' must be a string, got {_brief(content)}")
    weight = message.get("weight", 1)
    if isinstance(weight, bool) or weight not in (0, 1) or (weight == 0 and role != "assistant"):
        raise DatasetError(f"{place}: 'weight' must be 0 or 1, and 1 but for the assistant, got {_brief(weight)}")
    return Message(role, content, weight)


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
