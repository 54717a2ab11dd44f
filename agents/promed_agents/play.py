"""A person as the doctor, in the terminal."""

from __future__ import annotations

import gymnasium as gym
from rich.console import Console
from rich.table import Table
from rich.text import Text

from promed_env.actions import parse_action, resolve_answer
from promed_env.env import ConsultationEnv

__all__ = ["play"]

HELP = {
    "always": "Type a question, or answer with an option's letter. Ctrl-D leaves.",
    "at_answer": 'Type a question; "answer: ready" shows the options. Ctrl-D leaves.',
    "never": 'Type a question, or "answer: " and the answer in words. Ctrl-D leaves.',
}


def play(env: gym.Env[str, str], console: Console, *, seed: int | None = None, case_id: str | None = None) -> None:
    """Play one consultation; after each question its reply and its SIG are printed.

    A line without `question:` or `answer:` is an answer if it names an option, and a question otherwise.

    Args:
        env: An environment of consultations with render_mode "human".
        console: Where to print and to read from.
        seed: Seed of the reset.
        case_id: The case, or None for a random one.
    """
    base = env.unwrapped
    assert isinstance(base, ConsultationEnv)
    env.reset(seed=seed, options={"case_id": case_id} if case_id else None)
    console.print(HELP[base.dynamics.show_options], style="dim")
    total, terminated = 0.0, False
    while not terminated:
        left = base.consultation.questions_left
        try:
            line = console.input(f"[dim]({left} left)[/dim] > ").strip()
        except EOFError:
            console.print("\nThe consultation was left before an answer.")
            return
        if not line:
            continue
        if parse_action(line).kind == "invalid":
            state = base.consultation
            named = resolve_answer(line, state.case, keys=base.dynamics.options_shown(state))
            line = f"answer: {line}" if named else f"question: {line}"
        _, reward, terminated, _, _ = env.step(line)
        total += float(reward)
    final = base.consultation
    console.print(f"Return {total:.2f}, {final.fact_recall:.0%} of the hidden facts found.", style="bold")
    sig = base.dynamics.sig_for(final.case)
    missed = [fact for fact in final.case.hidden if fact not in final.known]
    if sig is not None and missed:
        weights = sig.fact_weights(final.case)
        console.print("What was not asked, by weight:")
        grid = Table.grid(padding=(0, 2))
        for fact in sorted(missed, key=lambda index: -weights[index]):
            grid.add_row(f"{weights[fact]:+.3f}", Text(final.case.facts[fact].text))
        console.print(grid)
