"""A belief that is asked about cases here, or in several processes, each with a belief of its own."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache, partial
from multiprocessing import get_context
from typing import Self, TypeVar

from promed_env.beliefs import Belief
from promed_env.case import Case
from promed_env.datasets import CaseDataset
from promed_env.errors import BackendError

__all__ = ["BeliefWorkers"]

S = TypeVar("S")
T = TypeVar("T")


class BeliefWorkers:
    """Where a belief is: in this process, or one in each of some workers, and then none here.

    Workers get the cases as they start, and are then told places: a pool whose workers die while much is on its way to
    them never ends (https://github.com/python/cpython/issues/94777, in Python before 3.11.5 and 3.12).
    """

    def __init__(self, load: Callable[[], Belief], workers: int, cases: CaseDataset) -> None:
        """Load the belief, or have each worker load its own once it is asked.

        Args:
            load: Makes the belief; for several workers it must be possible to pickle it.
            workers: How many; 1 for this process alone.
            cases: The cases that the belief will be asked about, by their places.

        Raises:
            ValueError: There are to be none.
        """
        if workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        self._workers, self._cases = workers, cases
        self._belief = load() if workers == 1 else None
        self._pool: ProcessPoolExecutor | None = None
        if workers > 1:
            self._pool = ProcessPoolExecutor(
                workers, mp_context=get_context("spawn"), initializer=_start, initargs=(load, tuple(cases))
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def ask(self, function: Callable[[Belief, Sequence[Case]], T], places: Sequence[int]) -> T:
        """function(belief, the cases at these places).

        Raises:
            BackendError: A worker died.
        """
        return next(self._each(partial(_of_all, function), [places]))

    def map(self, function: Callable[[Belief, Case], T], places: Iterable[int]) -> Iterator[T]:
        """function(belief, case) for the case at each place, as they are finished.

        Raises:
            BackendError: A worker died.
        """
        return self._each(partial(_of_one, function), places)

    def _each(self, function: Callable[[Belief, Sequence[Case], S], T], asked: Iterable[S]) -> Iterator[T]:
        """function(belief, all cases, item) for each item."""
        if self._pool is None:
            assert self._belief is not None
            yield from map(partial(function, self._belief, self._cases), asked)
            return
        waiting = iter(asked)
        try:
            running = {self._submit(function, item) for item in itertools.islice(waiting, 2 * self._workers)}
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                # What was finished is handed over before a failure ends everything.
                for future in sorted(finished, key=lambda each: each.exception() is not None):
                    yield future.result()
                running |= {self._submit(function, item) for item in itertools.islice(waiting, len(finished))}
        except BrokenProcessPool as error:
            raise BackendError(
                f"a worker died, most often for want of memory; use fewer workers than {self._workers}; run again "
                "to go on from what is finished"
            ) from error

    def _submit(self, function: Callable[[Belief, Sequence[Case], S], T], item: S) -> Future[T]:
        assert self._pool is not None
        with _interrupt_blocked():  # a worker that is started now must not be interrupted before `_start`
            return self._pool.submit(_in_worker, function, item)


def _of_all(
    function: Callable[[Belief, Sequence[Case]], T], belief: Belief, cases: Sequence[Case], places: Sequence[int]
) -> T:
    return function(belief, [cases[place] for place in places])


def _of_one(function: Callable[[Belief, Case], T], belief: Belief, cases: Sequence[Case], place: int) -> T:
    return function(belief, cases[place])


@contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """Hold Ctrl-C back in this thread, and in processes that it starts, where the system can."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_work: list[tuple[Callable[[], Belief], tuple[Case, ...]]] = []  # of a worker


def _start(load: Callable[[], Belief], cases: tuple[Case, ...]) -> None:
    """Begin a worker, which Ctrl-C ends at once and without a traceback: what there is to say, the parent says.

    Where Ctrl-C is ignored, as in the background of a shell script, workers ignore it too.
    """
    _work.append((cache(load), cases))
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _in_worker(function: Callable[[Belief, Sequence[Case], S], T], item: S) -> T:
    load, cases = _work[0]
    return function(load(), cases, item)
