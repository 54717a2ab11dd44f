"""A doctor's turn in anyone's words, put into the environment's grammar.

People and models trained elsewhere say neither "question:" nor "answer:". What they say is taken as a question, unless
it is the last turn and names an option in one of a few ways; `docs/score.md` lists them.
"""

from __future__ import annotations

import re

from promed_env.actions import parse_action, resolve_answer
from promed_env.case import Case

__all__ = ["is_compound", "utterance_of"]

_MARK = re.compile(r"\b(question|answer)([ \t*_]*)[:\uff1a]", re.IGNORECASE)
_MARKED_LINE = re.compile(
    r"^[\s*_#`>-]*(?:final\s+)?((?:question|answer)[ \t*_]*[:\uff1a])", re.IGNORECASE | re.MULTILINE
)
_THOUGHT = re.compile(r".*</think>", re.IGNORECASE | re.DOTALL)
_ANSWER_IS = re.compile(
    r"(?:\b(?:answer|diagnosis|option|choice)[*_]*\s*(?:is|would be|[:\uff1a])|(?:答案|诊断|选项|选择|选)应?该?[是为]?)"
    r"[*_\s]*[:\uff1a]?",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!](?=\s)|[。\uff01\uff1b;]")
_REASON = re.compile(r"[,\uff0c]?\s*(?:\b(?:because|since|as)\b|因为)", re.IGNORECASE)
_QUESTION_MARKS = re.compile(r"[?\uff1f][?\uff1f\s]*")


def utterance_of(content: str, case: Case, *, keys: bool, last: bool) -> str:
    """What the doctor said, in the environment's grammar.

    Args:
        content: The message.
        case: The case that it is about.
        keys: Whether the options' keys are accepted in an answer.
        last: Whether it is the doctor's last message; only that can be an answer in free words.
    """
    if parse_action(content).kind != "invalid" or content.startswith("invalid:"):  # as `chat.to_messages` writes one
        return content
    body = _THOUGHT.sub("", content).strip()
    if "<think>" in body.lower():  # cut off in thought: nothing was said
        return content
    if marked := _MARKED_LINE.search(body):
        return body[marked.start(1) :]
    if last and (answer := _free_answer(body, case, keys=keys)):
        return answer
    return "question: " + _MARK.sub(r"\1\2", body)


def is_compound(content: str) -> bool:
    """Whether a turn asks several questions, of which only the first is heard.

    Several question marks tell it, or several "question:"; "Do you smoke or drink?" is one question.
    """
    body = _THOUGHT.sub("", content)
    return len(_QUESTION_MARKS.findall(body)) > 1 or len(_MARK.findall(body)) > 1


def _free_answer(body: str, case: Case, *, keys: bool) -> str | None:
    """The answer that a message in free words gives, as an utterance; None if it gives none."""
    if body.endswith(("?", "\uff1f")):
        return None
    candidates = [body, *[line for line in body.splitlines() if line.strip()][-1:]]
    for found in reversed(list(_ANSWER_IS.finditer(body))):
        rest = body[found.end() :].split("\n", 1)[0]
        candidates += [rest, _SENTENCE_END.split(rest)[0], _REASON.split(rest)[0]]
    for candidate in candidates:
        utterance = f"answer: {candidate}"
        action = parse_action(utterance)
        if action.kind == "answer" and resolve_answer(action.text, case, keys=keys):
            return utterance
    return None
