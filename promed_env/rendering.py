"""Consultations as people like to read them: a transcript with a small SIG bar per question, made with rich."""

from __future__ import annotations

import io
import sys

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from promed_env.consultation import Consultation, Turn
from promed_env.dynamics import Dynamics

__all__ = ["print_newest", "sig_bar", "transcript", "transcript_text"]

_BAR = 16  # characters


def sig_bar(gain: float, scale: float) -> Text:
    """A bar of at most 16 characters for `gain`, full at `scale`, with the number beside it; red if negative."""
    share = min(1.0, abs(gain) / scale) if scale > 0 else 0.0
    cells = round(share * _BAR)
    colour = "green" if gain >= 0 else "red"
    return Text.assemble((f"{gain:+.3f} ", colour), ("\u2588" * cells, colour), ("\u2591" * (_BAR - cells), "dim"))


def transcript(consultation: Consultation, dynamics: Dynamics) -> Group:
    """The whole dialogue, one block a turn."""
    blocks: list[Group | Table] = [_heading(consultation, dynamics)]
    blocks += [_turn(consultation, number, dynamics) for number in range(1, consultation.turn + 1)]
    return Group(*blocks)


def transcript_text(consultation: Consultation, dynamics: Dynamics, width: int = 100) -> str:
    """The whole dialogue as text with terminal colours, `width` characters wide."""
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=True, color_system="standard").print(
        transcript(consultation, dynamics)
    )
    return stream.getvalue()


def print_newest(consultation: Consultation, dynamics: Dynamics) -> None:
    """Print the newest turn to standard output; the heading, if there is none yet."""
    console = Console(file=sys.stdout)
    if consultation.turn == 0:
        console.print(_heading(consultation, dynamics))
    else:
        console.print(_turn(consultation, consultation.turn, dynamics))


def _heading(consultation: Consultation, dynamics: Dynamics) -> Group:
    case = consultation.case
    title = Text.assemble((case.case_id, "bold"), (f"  ({dynamics.dataset})", "dim"))
    return Group(title, Padding(Text(dynamics.opening(consultation)), (0, 0, 1, 2)))


def _turn(consultation: Consultation, number: int, dynamics: Dynamics) -> Table:
    turn = consultation.turns[number - 1]
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=3, justify="right", style="dim")
    grid.add_column(ratio=1)
    if turn.kind == "question" and turn.reply is not None:
        grid.add_column(width=_BAR + 12)
        grid.add_row(str(number), Text(turn.text, style="bold cyan"), _gain(consultation, number, dynamics))
        grid.add_row("", Text(turn.reply.text), "")
    elif turn.kind == "invalid":
        grid.add_row(str(number), Text(f"(invalid: {turn.text})", style="yellow"))
    else:
        grid.add_row(str(number), _verdict(consultation.prefix(number), turn))
    return grid


def _verdict(state: Consultation, turn: Turn) -> Text:
    if turn.chosen is None:
        return Text("(asks for the options)", style="dim")
    said = Text.assemble(("Answer: ", "bold"), turn.text)
    if turn.confidence is not None:
        said.append(f" (confidence {turn.confidence:.2f})")
    if state.correct:
        return said.append("  right", "green")
    case = state.case
    right = ", ".join(f"{option.key}. {option.text}" for option in case.options if option.key in case.answer)
    return said.append(f"  wrong; right is {right}", "red")


def _gain(consultation: Consultation, number: int, dynamics: Dynamics) -> Text:
    sig = dynamics.sig_for(consultation.case)
    if sig is None:
        return Text("")
    weights = sig.fact_weights(consultation.case)
    gain = float(sig.gains(consultation)[number - 1])
    return Text("SIG ", style="dim").append(sig_bar(gain, max((abs(w) for w in weights), default=0.0)))
