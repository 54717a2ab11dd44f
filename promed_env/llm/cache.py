"""What a language model has rated before, kept on disk: a rating is found again by the content of what was rated.

    model = CachedModel(make_llm("hf:smollm2"), "ratings.sqlite")

One SQLite file in write-ahead mode: many processes may read and write it at once, on one machine, and a kill at any
moment loses no more than the batch that was being rated.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from promed_env.errors import BackendError
from promed_env.llm.base import PREFIX, Completion, LanguageModel, Likelihood, Messages

__all__ = ["CachedModel", "fingerprint_of"]

_PATIENCE = 60.0  # seconds to wait for another writer
_MANY = 500  # keys looked up at once; SQLite takes 999
_COLUMNS = [("key", "BLOB"), ("value", "BLOB")]


def fingerprint_of(model: LanguageModel) -> str:
    """What tells a model's ratings from those of others: its `fingerprint`, or its name where it has none."""
    return str(getattr(model, "fingerprint", model.name))


class CachedModel:
    """A `LanguageModel` that rates nothing twice; what it says in `chat` is not kept.

    Attributes:
        model: The model.
        path: The file.
        fingerprint: The model's, which each rating is kept under.
        hits: Ratings found in the file so far.
        misses: Ratings asked of the model so far.
    """

    def __init__(self, model: LanguageModel, path: str | Path) -> None:
        """Open or make the file.

        Raises:
            BackendError: The file is no such cache, or cannot be written.
        """
        self.model, self.path = model, Path(path)
        self.hits = self.misses = 0
        self.fingerprint = fingerprint_of(model)
        self._connections: dict[int, sqlite3.Connection] = {}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self._refuse_another_programs()
        with self._transaction() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS ratings (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
            )

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    @property
    def tokens_rated(self) -> int:
        """The model's, where it counts them; 0 where it does not."""
        return int(getattr(self.model, "tokens_rated", 0))

    def chat(
        self,
        batch: Sequence[Messages],
        *,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        seed: int | Sequence[int] = 0,
        stop: Sequence[str] = (),
        unlike: Sequence[Sequence[str]] | None = None,
    ) -> list[Completion]:
        """See `LanguageModel.chat`."""
        return self.model.chat(
            batch,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
            stop=stop,
            **({} if unlike is None else {"unlike": unlike}),
        )

    def choice_logprobs(
        self, batch: Sequence[Messages], letters: Sequence[Sequence[str]], prefix: str = PREFIX
    ) -> list[NDArray[np.float64]]:
        """See `LanguageModel.choice_logprobs`."""
        keys = [self._key("letters", messages, [*own, prefix]) for messages, own in zip(batch, letters, strict=True)]
        return self._through(
            keys,
            lambda missing: self.model.choice_logprobs(
                [batch[index] for index in missing], [letters[index] for index in missing], prefix
            ),
        )

    def logprob(self, contexts: Sequence[Messages], continuations: Sequence[str]) -> list[Likelihood]:
        """See `LanguageModel.logprob`."""
        keys = [self._key("text", messages, [text]) for messages, text in zip(contexts, continuations, strict=True)]
        found = self._through(
            keys,
            lambda missing: [
                np.array(likelihood)
                for likelihood in self.model.logprob(
                    [contexts[index] for index in missing], [continuations[index] for index in missing]
                )
            ],
        )
        return [Likelihood(float(total), float(mean)) for total, mean in found]

    def _key(self, kind: str, messages: Messages, said: Sequence[str]) -> bytes:
        told = [self.fingerprint, kind, [[message["role"], message["content"]] for message in messages], list(said)]
        return sha256(json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogatepass")).digest()

    def _through(
        self, keys: Sequence[bytes], rate: Callable[[list[int]], list[NDArray[np.float64]]]
    ) -> list[NDArray[np.float64]]:
        known = self._read(set(keys))
        missing = list({key: index for index, key in enumerate(keys) if key not in known}.values())
        self.hits += len(keys) - len(missing)
        self.misses += len(missing)
        if missing:
            fresh = {keys[index]: row for index, row in zip(missing, rate(missing), strict=True)}
            with self._transaction() as connection:
                connection.executemany(
                    "INSERT OR IGNORE INTO ratings VALUES (?, ?)",
                    [(key, np.asarray(row, dtype="<f8").tobytes()) for key, row in fresh.items()],
                )
            known |= fresh
        return [known[key] for key in keys]

    def _read(self, keys: set[bytes]) -> dict[bytes, NDArray[np.float64]]:
        wanted, found = list(keys), {}
        with self._transaction() as connection:
            for start in range(0, len(wanted), _MANY):
                part = wanted[start : start + _MANY]
                marks = ",".join("?" * len(part))
                for key, value in connection.execute(f"SELECT key, value FROM ratings WHERE key IN ({marks})", part):
                    found[key] = np.frombuffer(value, dtype="<f8").astype(np.float64)
        return found

    def _refuse_another_programs(self) -> None:
        """See that a file is a cache, or empty, without changing it."""
        with (
            self._mishaps_named(),
            closing(sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True)) as file,
        ):
            names = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
            columns = [(name, kind) for _, name, kind, *_ in file.execute("PRAGMA table_info(ratings)")]
        if names and (names != ["ratings"] or columns != _COLUMNS):
            raise BackendError(
                f"{self.path} cannot be used as a cache of ratings: its table {names[0]!r} is another program's; "
                "choose another file"
            )

    @contextmanager
    def _mishaps_named(self) -> Iterator[None]:
        """What SQLite has against the file, as an error that names it.

        Raises:
            BackendError: The file is no database, locked, full or read-only.
        """
        try:
            yield
        except sqlite3.Error as error:
            raise BackendError(
                f"{self.path} cannot be used as a cache of ratings: {error}; see that no other program holds it, that "
                "it may be written and that there is room, or choose another file"
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction with the file."""
        with self._mishaps_named(), self._connection() as connection:
            yield connection

    def _connection(self) -> sqlite3.Connection:
        """This process's connection: one that was open when a process was forked must not be used by the child."""
        if os.getpid() not in self._connections:
            connection = sqlite3.connect(self.path, timeout=_PATIENCE)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            self._connections = {os.getpid(): connection}
        return self._connections[os.getpid()]
