"""Ratings kept on disk: never asked twice, safe among writers and after a kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from promed_env.errors import BackendError
from promed_env.llm import LanguageModel
from promed_env.llm.base import Completion, Likelihood
from promed_env.llm.cache import CachedModel
from promed_env.llm.server import ServerModel
from promed_env.llm.vllm import VLLMModel


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


@pytest.mark.parametrize(
    "table",
    ["ratings (id INTEGER, score REAL, who TEXT)", "ratings (key TEXT, value TEXT)", "films (key BLOB, value BLOB)"],
)
def test_another_programs_table_is_no_cache(tmp_path: Path, table: str) -> None:
    connection = sqlite3.connect(tmp_path / "other.sqlite")
    connection.execute(f"CREATE TABLE {table}")
    connection.close()
    before = (tmp_path / "other.sqlite").read_bytes()
    with pytest.raises(
        BackendError, match=rf"other\.sqlite cannot be used .* '{table.split()[0]}' is another program's"
    ):
        CachedModel(Counting(), tmp_path / "other.sqlite")
    assert (tmp_path / "other.sqlite").read_bytes() == before


def test_a_database_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promed_env.llm.cache._PATIENCE", 0.01)
    model = CachedModel(Counting(), tmp_path / "r.sqlite")
    other = sqlite3.connect(tmp_path / "r.sqlite")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(BackendError, match=r"r\.sqlite cannot be used as a cache of ratings: database is locked; see"):
        model.logprob(said("a"), ["x"])
    other.execute("DROP TABLE ratings")
    other.commit()
    other.close()
    with pytest.raises(BackendError, match=r"r\.sqlite cannot be used as a cache of ratings: no such table"):
        model.logprob(said("a"), ["x"])


def test_a_model_of_vllm_is_told_by_its_files_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = SimpleNamespace(get_tokenizer=lambda: None)
    fake = SimpleNamespace(SamplingParams=None, LLM=lambda **settings: engine)
    monkeypatch.setattr("promed_env.llm.vllm.find_spec", lambda name: fake)
    monkeypatch.setattr("promed_env.llm.vllm.import_module", lambda name: fake)
    seen = set()
    for name, weights, config, settings in [
        ("a", b"0" * (9 << 20), "{}", {}),
        ("a", b"0" * (8 << 20) + b"1" * (1 << 20), "{}", {}),
        ("a", b"0" * (9 << 20) + b"0", "{}", {}),
        ("a", b"0" * (9 << 20), '{"rope_theta": 1}', {}),
        ("a", b"0" * (9 << 20), "{}", {"dtype": "float32"}),
        ("b", b"0" * (9 << 20), "{}", {}),  # the first, in another place
    ]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "config.json").write_text(config)
        (folder / "ratings.sqlite").write_text(str(len(seen)))  # no part of the model
        seen.add(CachedModel(VLLMModel(folder, **settings), tmp_path / "r").fingerprint)
    assert len(seen) == 5


def test_two_servers_are_two_models(tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="the extra llm is not installed")
    models = [ServerModel("m", f"http://{host}:1/v1") for host in ("one", "two")]
    assert len({CachedModel(model, tmp_path / "r").fingerprint for model in models}) == 2
