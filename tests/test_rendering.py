"""Rendering: a transcript with a SIG bar per question, as text and as it goes."""

from __future__ import annotations

import re

import gymnasium as gym
import pytest

from promed_env.rendering import sig_bar


def plain(text: str) -> str:
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())


def played(**kwargs: object) -> gym.Env[str, str]:
    env = gym.make("ProMed-MedQA-v0", **kwargs)
    env.reset(seed=0)
    for action in ("question: What medications do you take?", "gibberish", "answer: A (confidence: 0.25)"):
        env.step(action)
    return env


def test_ansi_gives_the_whole_dialogue() -> None:
    text = plain(str(played(render_mode="ansi").render()))
    for part in (
        "medqa-sample:",
        "not comparable with MedQA",
        "What medications do you take?",
        "SIG +",
        "(invalid: neither a question nor an answer)",
        "Answer: A (confidence 0.25)",
        "wrong; right is C.",
    ):
        assert part in text


def test_human_prints_every_turn_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    env = played(render_mode="human")
    assert env.render() is None
    text = plain(capsys.readouterr().out)
    assert text.index("Questions left: 10") < text.index("What medications") < text.index("wrong; right is")


def test_without_a_mode_nothing_is_rendered(capsys: pytest.CaptureFixture[str]) -> None:
    env = played()
    assert env.unwrapped.render() is None
    assert capsys.readouterr().out == ""


def test_a_request_for_the_options_is_shown_as_one() -> None:
    env = gym.make("ProMed-MedQA-v0", render_mode="ansi", show_options="at_answer")
    env.reset(seed=0)
    env.step("answer: show me")
    env.step("answer: C")
    text = plain(str(env.render()))
    assert "(asks for the options)" in text and "Answer: C right" in text


def test_cases_without_values_have_no_bar() -> None:
    case = gym.make("ProMed-MedQA-v0").unwrapped.dataset[0]  # type: ignore[attr-defined]
    import dataclasses

    bare = dataclasses.replace(case, evidence=None, shapley=None)
    env = gym.make("ProMed-MedQA-v0", dataset=[bare], reward="diagnosis", render_mode="ansi")
    env.reset(seed=0)
    env.step("question: What medications do you take?")
    assert "SIG" not in plain(str(env.render()))


@pytest.mark.parametrize(
    ("gain", "scale", "full"),
    [(0.0, 1.0, 0), (0.5, 1.0, 8), (1.0, 1.0, 16), (3.0, 1.0, 16), (-0.5, 1.0, 8), (0.1, 0.0, 0)],
)
def test_a_bar_is_as_long_as_its_share(gain: float, scale: float, full: int) -> None:
    bar = sig_bar(gain, scale)
    assert bar.plain.count("█") == full
    assert len(bar.plain.split()[1]) == 16
    assert bar.plain.startswith(f"{gain:+.3f}")
