"""Ratings kept on disk: never asked twice, safe among writers and after a kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from promed_env.errors import BackendError
from promed_env.llm import LanguageModel
from promed_env.llm.base import Completion, Likelihood
from promed_env.llm.cache import CachedModel


class Counting:
    """A model whose ratings are a function of the text, and that counts how often it was asked."""

    name = "counting"

    def __init__(self, fingerprint: str = "1", pause: float = 0.0) -> None:
        self.fingerprint, self.pause, self.asked = fingerprint, pause, 0

    def chat(self, batch: Any, **how: Any) -> list[Completion]:
        return [Completion("hello", 1) for _ in batch]

    def choice_logprobs(self, batch: Any, letters: Any, prefix: str = "") -> list[Any]:
        self.asked += len(batch)
        return [np.log(np.full(len(own), 1 / len(own))) for own in letters]

    def logprob(self, contexts: Any, continuations: Any) -> list[Likelihood]:
        self.asked += len(contexts)
        time.sleep(self.pause)
        return [
            Likelihood(-float(len(context[0]["content"])), -float(len(text)))
            for context, text in zip(contexts, continuations, strict=True)
        ]


def said(*texts: str) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": text}] for text in texts]


def test_a_rating_is_asked_for_once_by_content(tmp_path: Path) -> None:
    inner = Counting()
    model = CachedModel(inner, tmp_path / "deep" / "ratings.sqlite")
    assert isinstance(model, LanguageModel) and model.name == "counting"
    first = model.logprob(said("a", "bb", "a"), ["x", "x", "x"])
    assert [each.total for each in first] == [-1, -2, -1] and inner.asked == 2
    assert CachedModel(inner, model.path).logprob(said("bb", "ccc"), ["x", "x"])[0] == first[1]
    assert inner.asked == 3
    model.logprob(said("a"), ["y"])
    assert inner.asked == 4
    letters = model.choice_logprobs(said("a", "a"), [["A", "B"], ["A", "B", "C"]])
    np.testing.assert_allclose(model.choice_logprobs(said("a"), [["A", "B", "C"]])[0], letters[1])
    assert inner.asked == 6
    model.choice_logprobs(said("a"), [["A", "B"]], prefix="I say ")
    assert inner.asked == 7
    assert model.chat(said("a"))[0].text == "hello"
    assert model.logprob([], []) == []


def test_other_weights_have_other_ratings(tmp_path: Path) -> None:
    CachedModel(Counting("1"), tmp_path / "r").logprob(said("a"), ["x"])
    other = Counting("2")
    CachedModel(other, tmp_path / "r").logprob(said("a"), ["x"])
    assert other.asked == 1


def test_many_ratings_are_looked_up(tmp_path: Path) -> None:
    inner = Counting()
    texts = [str(index) for index in range(1_500)]
    for _ in range(2):
        assert len(CachedModel(inner, tmp_path / "r").logprob(said(*texts), ["x"] * 1_500)) == 1_500
    assert inner.asked == 1_500


def _write(path: Path, start: int) -> None:
    model = CachedModel(Counting(), path)
    for index in range(start, start + 40):
        model.logprob(said(str(index)), ["x"])


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path / "r", 20 * index)) for index in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    inner = Counting()
    CachedModel(inner, tmp_path / "r").logprob(said(*map(str, range(80))), ["x"] * 80)
    assert inner.asked == 0


def _write_slowly(path: Path) -> None:
    model = CachedModel(Counting(pause=0.01), path)
    for index in range(10_000):
        model.logprob(said(str(index)), ["x"])


def test_a_kill_loses_nothing_that_was_written(tmp_path: Path) -> None:
    writer = multiprocessing.get_context("spawn").Process(target=_write_slowly, args=(tmp_path / "r",))
    writer.start()
    deadline = time.monotonic() + 60
    rows = 0
    while rows < 5 and time.monotonic() < deadline:
        if (tmp_path / "r").exists():
            with sqlite3.connect(tmp_path / "r", timeout=10) as connection:
                found = connection.execute("SELECT name FROM sqlite_master WHERE name = 'ratings'").fetchall()
                rows = connection.execute("SELECT COUNT(*) FROM ratings").fetchone()[0] if found else 0
            connection.close()
        time.sleep(0.02)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    inner = Counting()
    CachedModel(inner, tmp_path / "r").logprob(said(*map(str, range(rows))), ["x"] * rows)
    assert rows >= 5 and inner.asked == 0


def test_a_file_that_is_no_cache_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("These are my notes, and they are long enough to be no database. " * 20)
    with pytest.raises(BackendError, match="cannot be used as a cache"):
        CachedModel(Counting(), tmp_path / "notes.txt")
