"""Shapley values for a whole data set, as a run that can be left alone, stopped and continued.

    summary = annotate_dataset(Job("hf:smollm2"), load_dataset("cases.jsonl"), "annotated.jsonl")

`promed annotate` does it. First the belief is measured on the cases (`worth`); one that is not above chance is refused.
Finished annotations are kept beside the output until all are there; then it appears, whole: the cases with their
values, or a sidecar of the values alone (case id, hash of the text), which can be shared where the cases cannot.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from promed_agents.files import kept_lines, write_whole
from promed_agents.worth import Worth, measure
from promed_env import __version__
from promed_env.beliefs import Belief, make_belief
from promed_env.beliefs.lm import LMBelief
from promed_env.case import Case, Game, ShapleyAnnotation
from promed_env.datasets import CaseDataset, write_jsonl
from promed_env.errors import DatasetError, UninformativeBelief
from promed_env.llm.cache import CachedModel
from promed_env.shapley import annotate

__all__ = ["AnnotationSummary", "Job", "annotate_dataset", "apply_sidecar", "text_hash"]

_SIDECAR = "promed-shapley"
_LOOSE = 0.5  # a case is flagged where the mean standard error exceeds this share of the mean absolute value


@dataclass(frozen=True)
class Job:
    """How annotations are made.

    Attributes:
        belief: Whose log p is shared out: "hf:MODEL", "answer_text(vllm:MODEL)", "evidence" (`make_belief`).
        games: Which games.
        budget: Most coalitions of a case and game; all of them, and exact values, where that is enough.
        target_stderr: Stop a case once its largest standard error is at most this, in nats.
        seed: Of the estimator.
        cache: File of ratings (`promed_env.llm.cache`); None to keep none.
    """

    belief: str
    games: tuple[Game, ...] = ("all", "presentation")
    budget: int = 64
    target_stderr: float | None = None
    seed: int = 0
    cache: str | None = None

    @property
    def fingerprint(self) -> str:
        """What distinguishes the values of this job from others'; where ratings are kept does not."""
        told = {**asdict(self), "cache": None}
        return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def load(self) -> Belief:
        """The belief; its ratings go through the cache.

        Raises:
            ValueError: There is no such belief.
            BackendError: Its backend is not installed, or there is no such model.
        """
        belief = make_belief(self.belief)
        if belief is None:
            raise ValueError("annotating needs a belief")
        if self.cache is not None and isinstance(belief, LMBelief):
            return dataclasses.replace(belief, model=CachedModel(belief.model, self.cache))
        return belief


@dataclass(frozen=True)
class AnnotationSummary:
    """What a run did.

    Attributes:
        cases: Cases of the data set.
        annotated: Those that have values now.
        skipped: Those that have no facts, or that the belief does not cover.
        resumed: Annotations that an earlier run had left.
        evaluations: Coalitions evaluated, over all annotated cases.
        tokens: Tokens that the model read in this run; 0 where it does not say.
        seconds: Wall time of this run.
        stderr: Mean standard error of a value, in nats.
        flagged: Case ids whose values are loose (a mean standard error above half the mean absolute value).
        worth: What the belief is worth.
    """

    cases: int
    annotated: int
    skipped: int
    resumed: int
    evaluations: int
    tokens: int
    seconds: float
    stderr: float
    flagged: tuple[str, ...]
    worth: Worth


def text_hash(case: Case) -> str:
    """SHA-256 of what a case says to a belief: question, options, facts, which are initial, and the key."""
    told = [
        case.question,
        [[option.key, option.text] for option in case.options],
        [fact.text for fact in case.facts],
        sorted(case.initial),
        list(case.answer),
    ]
    return sha256(json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def annotate_dataset(
    job: Job,
    cases: CaseDataset,
    out: str | Path,
    *,
    sidecar: bool = False,
    workers: int = 1,
    measured: int = 100,
    allow_uninformative: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
    on_worth: Callable[[Worth], None] = lambda worth: None,
) -> AnnotationSummary:
    """Annotate all cases; goes on with a run of the same job that was interrupted.

    Args:
        job: How.
        cases: The cases.
        out: The file, which must not exist.
        sidecar: Write values without the text of the cases.
        workers: Processes, each with a model of its own.
        measured: Cases that the belief is measured on first.
        allow_uninformative: Annotate although the belief is not above chance.
        progress: Called with the number of cases done, those of an earlier run included, and of all.
        on_worth: Called once the belief has been measured.

    Raises:
        DatasetError: The file exists, or what is beside it was made in another way.
        UninformativeBelief: The belief is not above chance.
        ValueError: An argument is out of range.
    """
    out, started = Path(out), time.perf_counter()
    if out.exists():
        raise DatasetError(f"{out} exists; choose another name, or remove it")
    if workers < 1 or measured < 1:
        raise ValueError(f"workers and measured must be at least 1, got {workers} and {measured}")
    belief = job.load()
    todo = [case for case in cases if case.n_facts and belief.covers(case)]
    part = out.with_name(f".{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    done, worth = _finished(part, job)
    if worth is None:
        worth = measure(belief, todo[:measured])
    on_worth(worth)
    if not worth.informative and not allow_uninformative:
        raise UninformativeBelief(
            f"{worth.belief} answers {worth.accuracy} of {worth.cases} cases right with all facts, which does not "
            f"exceed chance ({worth.chance:.3f}): its Shapley values would share out noise. Use a better model, or "
            "ask for it with --allow-uninformative"
        )
    if not part.exists():
        write_whole(part, json.dumps({"job": job.fingerprint, "worth": worth.to_json()}) + "\n")
    left = [case for case in todo if text_hash(case) not in done]
    resumed, provenance = len(todo) - len(left), _provenance(job, worth)
    progress(resumed, len(todo))
    tokens = 0
    with part.open("a", encoding="utf-8") as stream:
        for made, read in _made(job, belief, left, provenance, workers):
            key, note = text_hash(made), made.shapley
            assert note is not None
            done[key] = note
            tokens += read
            stream.write(json.dumps({"text": key, "shapley": note.to_json()}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
            progress(len(done), len(todo))
    notes = {case.case_id: done[text_hash(case)] for case in todo}
    if sidecar:
        lines = [
            {
                "schema": _SIDECAR,
                "case_id": case.case_id,
                "text": text_hash(case),
                "shapley": notes[case.case_id].to_json(),
            }
            for case in todo
        ]
        write_whole(out, "".join(json.dumps(line) + "\n" for line in lines))
    else:
        write_jsonl([dataclasses.replace(case, shapley=notes.get(case.case_id, case.shapley)) for case in cases], out)
    part.unlink()
    spread = [np.concatenate(list(note.stderr.values())).mean() for note in notes.values()]
    size = [np.abs(np.concatenate(list(note.values.values()))).mean() for note in notes.values()]
    return AnnotationSummary(
        len(cases),
        len(notes),
        len(cases) - len(notes),
        resumed,
        sum(note.evaluations for note in notes.values()),
        tokens,
        time.perf_counter() - started,
        float(np.mean(spread)) if spread else 0.0,
        tuple(name for name, loose, mean in zip(notes, spread, size, strict=True) if loose > _LOOSE * mean),
        worth,
    )


def apply_sidecar(cases: CaseDataset, path: str | Path) -> CaseDataset:
    """The cases with the values of a sidecar; cases that it does not have stay as they are.

    Raises:
        DatasetError: The file is no sidecar, or was made for another text of a case.
    """
    notes: dict[str, tuple[str, ShapleyAnnotation]] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            if row["schema"] != _SIDECAR:
                raise KeyError(f"schema is {row['schema']!r}")
            notes[row["case_id"]] = row["text"], ShapleyAnnotation.from_json(row["shapley"])
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{path}:{number} is no line of a sidecar of Shapley values: {error!r}") from error
    found = []
    for case in cases:
        text, note = notes.get(case.case_id, (None, None))
        if text is not None and text != text_hash(case):
            raise DatasetError(
                f"{path}: the values of case {case.case_id!r} were made for another text (facts, options, initial "
                "facts or key differ); annotate these cases anew"
            )
        found.append(dataclasses.replace(case, shapley=note) if note else case)
    return dataclasses.replace(cases, cases=tuple(found))


def _finished(part: Path, job: Job) -> tuple[dict[str, ShapleyAnnotation], Worth | None]:
    """Annotations of an interrupted run, by the hash of the text; a last line that was cut off is taken away."""
    if not part.exists():
        return {}, None
    head, *rows = map(json.loads, kept_lines(part))
    if head["job"] != job.fingerprint:
        raise DatasetError(f"{part} was made with other settings; finish that run with them, or remove the file")
    return {row["text"]: ShapleyAnnotation.from_json(row["shapley"]) for row in rows}, Worth.from_json(head["worth"])


def _provenance(job: Job, worth: Worth) -> dict[str, Any]:
    return {
        "promed": __version__,
        "budget": job.budget,
        "target_stderr": job.target_stderr,
        "seed": job.seed,
        "worth": worth.to_json(),
    }


def _made(
    job: Job, belief: Belief, cases: list[Case], provenance: Mapping[str, Any], workers: int
) -> Iterator[tuple[Case, int]]:
    """The annotated cases as they are finished, and the tokens that each took."""
    if workers == 1:
        for case in cases:
            yield _annotated(job, belief, case, provenance)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start, initargs=(job,)) as pool:
        waiting = iter(cases)
        running = {pool.submit(_in_worker, case, provenance) for case in itertools.islice(waiting, 2 * workers)}
        while running:
            finished = next(as_completed(running))
            running.remove(finished)
            running |= {pool.submit(_in_worker, case, provenance) for case in itertools.islice(waiting, 1)}
            yield finished.result()


_worker: list[tuple[Job, Belief]] = []


def _start(job: Job) -> None:
    _worker.append((job, job.load()))


def _in_worker(case: Case, provenance: Mapping[str, Any]) -> tuple[Case, int]:
    job, belief = _worker[0]
    return _annotated(job, belief, case, provenance)


def _annotated(job: Job, belief: Belief, case: Case, provenance: Mapping[str, Any]) -> tuple[Case, int]:
    before = _tokens(belief)
    made = annotate(
        case,
        belief,
        job.games,
        budget=max(job.budget, case.n_facts + 2),
        seed=job.seed,
        target_stderr=job.target_stderr,
        provenance=provenance,
    )
    return made, _tokens(belief) - before


def _tokens(belief: Belief) -> int:
    return int(getattr(belief.model, "tokens_rated", 0)) if isinstance(belief, LMBelief) else 0
