"""Scores as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from promed_agents.score import DialogueScore, Score
from promed_env.consultation import Consultation
from promed_env.dynamics import Dynamics
from promed_env.rendering import transcript

__all__ = ["score_example", "score_heading", "score_table"]

_NAMES = {
    "answered": "answered",
    "accuracy": "accuracy (no answer is a wrong one)",
    "questions": "questions",
    "new": "new facts",
    "sig": "SIG",
    "fact_recall": "recall: share of the hidden facts brought out",
    "redundant": "redundant questions",
    "compound": "compound questions",
    "refused": "refused questions",
    "nothing": "questions that found nothing",
    "invalid": "invalid turns",
}
_SHARES = ("answered", "accuracy", "sig", "fact_recall")
_LISTED = 20  # dialogues in the table; the file has all of them


def score_heading(result: Score) -> Text:
    """What was scored and how, in a few lines."""
    setting = result.setting
    replies = f"patient {result.patient}" if result.patient is not None else "replies as they stand in the transcripts"
    lines = [
        f"{setting.env_id}: {result.dataset}. For research, not for care.",
        f"{replies}; at most {setting.max_questions} questions"
        + (f"; at most {setting.facts_per_reply} facts a reply" if result.patient is not None else ""),
    ]
    if "sig" not in result.totals:
        lines.append("SIG is not available: these cases carry neither Shapley values nor evidence tables.")
    return Text("\n".join(lines))


def score_example(result: Score, finished: Sequence[tuple[Consultation, Dynamics]]) -> Group:
    """The dialogue that brought out most, with the SIG of each question, and what it never brought out.

    Args:
        result: The scores.
        finished: The replayed consultations with their rules, one for each of the scores' dialogues.
    """
    number = max(
        range(len(finished)), key=lambda index: len(finished[index][0].known - finished[index][0].case.initial)
    )
    shown = result.dialogues[number]
    title = Text(f"\nThe dialogue that brought out most ({shown.where}):", style="bold")
    parts: list[Text | Padding] = [title, Padding(transcript(*finished[number]), (0, 0, 1, 0))]
    if shown.missed:
        grid = Table.grid(padding=(0, 2))
        for missed in shown.missed:
            grid.add_row("" if missed.weight is None else f"{missed.weight:+.3f}", Text(missed.text))
        weighed = ", by weight" if shown.missed[0].weight is not None else ""
        parts += [Text(f"Never brought out{weighed}:", style="bold"), Padding(grid, (0, 0, 1, 2))]
    return Group(*parts)


def score_table(result: Score) -> Group:
    """Means over dialogues; then recall by section, question by question, dialogue by dialogue; then what was cut."""
    tables: list[Table | Text] = [_totals(result), _sections(result)]
    if result.by_question:
        tables.append(_questions(result))
    tables.append(_dialogues(result))
    return Group(*tables, *_notes(result))


def _totals(result: Score) -> Table:
    cases = len({each.case_id for each in result.dialogues})
    title = f"Means of {len(result.dialogues)} dialogues on {cases} cases"
    table = _table(title, ("a dialogue",), ("mean", "95% interval"))
    for name, found in result.totals.items():
        digits = 3 if name in _SHARES else 2
        low, high = found.interval
        table.add_row(_NAMES[name], f"{found.mean:.{digits}f}", f"{low:.2f} to {high:.2f}")
    return table


def _sections(result: Score) -> Table:
    table = _table("Recall by section of the record", (), [section[:7] for section in result.section_recall])
    table.add_row(*(f"{share:.2f}" for share in result.section_recall.values()))
    return table


def _questions(result: Score) -> Table:
    shown = result.by_question[:12]
    table = _table("Question by question", ("question",), [str(number) for number in range(1, len(shown) + 1)])
    table.add_row("dialogues", *(str(n) for n, _, _ in shown))
    table.add_row("new facts", *(f"{new:.2f}" for _, new, _ in shown))
    if any(gain is not None for _, _, gain in shown):
        table.add_row("SIG", *("-" if gain is None else f"{gain:.3f}" for _, _, gain in shown))
    return table


def _dialogues(result: Score) -> Table:
    listed = result.dialogues[:_LISTED]
    more = f", the first {_LISTED} of {len(result.dialogues)}" if len(result.dialogues) > _LISTED else ""
    table = _table(f"Dialogues{more}", ("case",), ("answer", "asked", "new", "SIG", "recall"))
    table.add_column("never brought out" + (" (the heaviest)" if "sig" in result.totals else " (the first)"))
    for each in listed:
        table.add_row(
            _brief(each.case_id.partition(":")[2] or each.case_id, 24),
            _verdict(each),
            str(len(each.questions)),
            str(sum(len(question.new) for question in each.questions)),
            "-" if each.sig is None else f"{each.sig:.3f}",
            f"{each.fact_recall:.2f}",
            _brief(each.missed[0].text if each.missed else "-", 46),
        )
    return table


def _brief(words: str, width: int) -> Text:
    text = Text(words)
    text.truncate(width, overflow="ellipsis")
    return text


def _verdict(dialogue: DialogueScore) -> str:
    if dialogue.correct is None:
        return "none"
    return "right" if dialogue.correct else "wrong"


def _notes(result: Score) -> list[Text]:
    """What was not scored, and how to have it scored."""
    notes = []
    over = [each for each in result.dialogues if each.over_budget]
    if over:
        turns = sum(each.over_budget for each in over)
        notes.append(
            f"{len(over)} dialogues ({over[0].where} first) go past the budget of {result.setting.max_questions}: "
            f"{turns} of their turns brought out nothing and count as no answer; "
            f"--max-questions {max(each.turns for each in over)} plays them all."
        )
    after = [each for each in result.dialogues if each.after_answer]
    if after:
        turns = sum(each.after_answer for each in after)
        notes.append(
            f"{len(after)} dialogues ({after[0].where} first) go on after their answer; {turns} turns not played."
        )
    if result.skipped:
        notes.append(f"{len(result.skipped)} lines were left out; the first: {result.skipped[0]}")
    return [Text(note, style="yellow") for note in notes]


def _table(title: str, words: tuple[str, ...], numbers: tuple[str, ...] | list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in words:
        table.add_column(column, no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table
