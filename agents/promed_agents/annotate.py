"""Shapley values for a whole data set, as a run that can be left alone, stopped and continued.

    summary = annotate_dataset(Job("hf:smollm2"), load_dataset("cases.jsonl"), "annotated.jsonl")

`promed annotate` does it. First the belief is measured on the cases (`worth`); one that is not above chance is refused.
Finished annotations are kept beside the output until all are there; then it appears, whole: the cases with their
values, or a sidecar of the values alone (case id, hash of the text), which can be shared where the cases cannot.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from promed_agents.belief_workers import BeliefWorkers
from promed_agents.files import damaged, read_unfinished, write_whole
from promed_agents.sidecar import text_hash, write_sidecar
from promed_agents.worth import Worth, measure, naming
from promed_env import __version__
from promed_env.beliefs import Belief, TableBelief, make_belief
from promed_env.beliefs.lm import LMBelief
from promed_env.case import Case, Game, ShapleyAnnotation
from promed_env.datasets import CaseDataset, write_jsonl
from promed_env.errors import DatasetError, UninformativeBelief
from promed_env.llm.cache import CachedModel, fingerprint_of
from promed_env.shapley import annotate

__all__ = ["AnnotationSummary", "Job", "annotate_dataset"]

_UNFINISHED = "an unfinished annotation"
_LM_BUDGET = 64  # coalitions of a case and game, where a language model rates them and nobody says how many
_LOOSE = 0.5  # a case is flagged where the mean standard error exceeds this share of the mean absolute value


@dataclass(frozen=True)
class Job:
    """How annotations are made.

    Attributes:
        belief: Whose log p is shared out: "hf:MODEL", "answer_text(vllm:MODEL)", "evidence" (`make_belief`).
        games: Which games.
        budget: Most coalitions of a case and game, but at least two more than its facts; all of them, and exact values,
            where that is enough. None for 64 of a language model, and for what `promed_env.shapley.case_shapley` takes
            by itself of others.
        target_stderr: Stop a case once its largest standard error is at most this, in nats.
        seed: Of the estimator.
        cache: File of ratings (`promed_env.llm.cache`); None to keep none.

    Raises:
        ValueError: The budget is below 3, or the standard error aimed at not above 0.
    """

    belief: str
    games: tuple[Game, ...] = ("all", "presentation")
    budget: int | None = None
    target_stderr: float | None = None
    seed: int = 0
    cache: str | None = None

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget < 3:
            raise ValueError(f"budget must be at least 3, got {self.budget}")
        if self.target_stderr is not None and not self.target_stderr > 0:
            raise ValueError(f"target_stderr must be above 0, got {self.target_stderr}")

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
        DatasetError: The file exists, or what is beside it was made in another way or is damaged.
        BackendError: The model cannot rate a case, which is named, or a worker died.
        UninformativeBelief: The belief is not above chance.
        ValueError: An argument is out of range.
    """
    out, started = Path(out), time.perf_counter()
    if out.exists():
        raise DatasetError(f"{out} exists; choose another name, or remove it")
    if workers < 1 or measured < 1:
        raise ValueError(f"workers and measured must be at least 1, got {workers} and {measured}")
    part = out.with_name(f".{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    with BeliefWorkers(job.load, workers, cases) as beliefs:
        about = beliefs.ask(_about, range(len(cases)))
        places = [place for place, covered in enumerate(about.covered) if covered]
        todo = [cases[place] for place in places]
        keys = {case.case_id: text_hash(case, tables=about.tables) for case in todo}
        header: dict[str, Any] = {
            "job": job.fingerprint,
            "belief": about.belief,
            "fingerprint": about.fingerprint,
            "measured": list(keys.values())[:measured],
        }
        done, worth = _finished(part, header)
        known = worth is not None
        worth = worth or beliefs.ask(measure, places[:measured])
        on_worth(worth)
        if not worth.informative and not allow_uninformative:
            raise UninformativeBelief(
                f"{worth.belief} answers {worth.accuracy} of {worth.cases} cases right with all facts, which does not "
                f"exceed chance ({worth.chance:.3f}): its Shapley values would share out noise. Use a better model, or "
                "ask for it with --allow-uninformative"
            )
        if not known:
            lines = [{**header, "worth": worth.to_json()}, *(_row(key, note) for key, note in done.items())]
            write_whole(part, "".join(json.dumps(line) + "\n" for line in lines))
        left = [place for place in places if keys[cases[place].case_id] not in done]
        resumed, tokens = len(todo) - len(left), 0
        progress(resumed, len(todo))
        with part.open("a", encoding="utf-8") as stream:
            for made, (case, read) in enumerate(beliefs.map(partial(_annotated, job), left), start=1):
                key, note = keys[case.case_id], case.shapley
                assert note is not None
                done[key] = note
                tokens += read
                stream.write(json.dumps(_row(key, note)) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
                progress(resumed + made, len(todo))
    provenance = _provenance(job, about, worth)
    notes = {}
    for case in todo:
        note = done[keys[case.case_id]]
        notes[case.case_id] = dataclasses.replace(note, provenance={**provenance, **note.provenance})
    if sidecar:
        write_sidecar(cases, notes, out, tables=about.tables)
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


@dataclass(frozen=True)
class _About:
    """What a job's belief, wherever it is loaded, tells of itself and of the cases.

    Attributes:
        belief: Its name.
        fingerprint: Of the model or knowledge base that it asks; None where it asks the cases alone.
        tables: Whether it reads tables, and values depend on the cases' own beside their text.
        covered: For each case, whether it has facts and the belief covers it.
    """

    belief: str
    fingerprint: str | None
    tables: bool
    covered: tuple[bool, ...]


def _about(belief: Belief, cases: Sequence[Case]) -> _About:
    knowledge = getattr(belief, "knowledge", None)
    fingerprint = (
        fingerprint_of(belief.model) if isinstance(belief, LMBelief) else getattr(knowledge, "fingerprint", None)
    )
    covered = tuple(bool(case.n_facts) and belief.covers(case) for case in cases)
    return _About(belief.name, fingerprint, isinstance(belief, TableBelief), covered)


def _row(key: str, note: ShapleyAnnotation) -> dict[str, Any]:
    """A line of what is kept until all are there."""
    return {"text": key, "shapley": note.to_json()}


def _finished(part: Path, header: dict[str, Any]) -> tuple[dict[str, ShapleyAnnotation], Worth | None]:
    """What an interrupted run left: annotations by the hash of the text, and the worth if on the same cases."""
    if not part.exists():
        return {}, None
    kept, rows = read_unfinished(part, _UNFINISHED)
    if kept.get("job") != header["job"]:
        raise DatasetError(f"{part} was made with other settings; finish that run with them, or remove the file")
    if any(kept.get(name) != header[name] for name in ("belief", "fingerprint")):
        raise DatasetError(
            f"{part} was made by something other than this {header['belief']}: other weights, tokenizer, settings or "
            "prompts; finish that run with it, or remove the file"
        )
    try:
        worth = Worth.from_json(kept["worth"]) if kept["measured"] == header["measured"] else None
    except (KeyError, TypeError) as error:
        raise damaged(part, 1, _UNFINISHED, repr(error)) from error
    notes = {}
    for number, row in enumerate(rows, start=2):
        try:
            notes[row["text"]] = ShapleyAnnotation.from_json(row["shapley"])
        except (KeyError, TypeError, DatasetError) as error:
            raise damaged(part, number, _UNFINISHED, repr(error)) from error
    return notes, worth


def _provenance(job: Job, about: _About, worth: Worth) -> dict[str, Any]:
    return {
        "promed": __version__,
        "fingerprint": about.fingerprint,
        "budget": job.budget,
        "target_stderr": job.target_stderr,
        "seed": job.seed,
        "worth": worth.to_json(),
    }


def _annotated(job: Job, belief: Belief, case: Case) -> tuple[Case, int]:
    """The case with its values, and the tokens that were read for them."""
    before = _tokens(belief)
    budget = _LM_BUDGET if job.budget is None and isinstance(belief, LMBelief) else job.budget
    with naming(case):
        made = annotate(
            case,
            belief,
            job.games,
            budget=budget,
            seed=job.seed,
            target_stderr=job.target_stderr,
            provenance={},
        )
    return made, _tokens(belief) - before


def _tokens(belief: Belief) -> int:
    return int(getattr(belief.model, "tokens_rated", 0)) if isinstance(belief, LMBelief) else 0
