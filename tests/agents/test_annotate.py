"""Annotating a data set: what the belief is worth, resuming, sidecars, workers, and the file that is played."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from promed_agents import annotate as module
from promed_agents.annotate import Job, annotate_dataset
from promed_agents.cli import app
from promed_agents.files import read_unfinished
from promed_agents.sidecar import apply_sidecar, text_hash
from promed_agents.worth import Worth, measure
from typer.testing import CliRunner

import promed_env  # noqa: F401  # registers the environments
from promed_env.beliefs import EvidenceBelief
from promed_env.beliefs.lm import LMBelief
from promed_env.datasets import CaseDataset, load_dataset
from promed_env.errors import BackendError, DatasetError, UninformativeBelief
from promed_env.llm.base import Completion, Likelihood
from promed_env.shapley import case_shapley

JOB = Job("evidence", budget=40)


class Parrot:
    """Likes letter A, and says what it was told to continue with, if it has read the cases."""

    name = "fake:parrot"

    def __init__(self, cases: Any = (), right: bool = False) -> None:
        self.texts = [" ".join(fact.text for fact in case.facts) for case in cases]
        self.keys = {option.text for case in cases for option in case.options if option.key in case.answer}
        self.right = right

    def chat(self, batch: Any, **how: Any) -> list[Completion]:
        found = []
        for (message,) in batch:
            asked = message["content"].partition("\n\n")[2]
            rest = next((text[len(asked) :] for text in self.texts if text.startswith(asked)), "I cannot.")
            found.append(Completion(rest, 1))
        return found

    def choice_logprobs(self, batch: Any, letters: Any, prefix: str = "") -> list[Any]:
        found = []
        for (message,), own in zip(batch, letters, strict=True):
            lines = [line[3:] for line in message["content"].split("\n") if line[1:3] == ". "]
            scores = np.zeros(len(own))
            scores[next((i for i, line in enumerate(lines) if self.right and line in self.keys), 0)] = 2.0
            found.append(scores - np.logaddexp.reduce(scores))
        return found

    def logprob(self, contexts: Any, continuations: Any) -> list[Any]:
        raise NotImplementedError


@pytest.fixture(scope="module")
def cases() -> CaseDataset:
    bare = tuple(dataclasses.replace(case, shapley=None) for case in load_dataset("medqa")[:12])
    return CaseDataset("twelve", bare)


def test_a_belief_that_likes_a_letter_is_worth_nothing(cases):
    worth = measure(LMBelief(Parrot()), list(cases))
    assert worth.letters == {"A": 1.0}
    assert worth.accuracy.value == worth.accuracy_without.value
    assert not worth.informative and not worth.warnings
    assert worth.order_gap is not None and worth.continued is not None


def test_a_model_that_has_read_the_cases_is_found_out(cases):
    worth = measure(LMBelief(Parrot(cases, right=True)), list(cases))
    assert worth.informative and worth.accuracy.value == 1
    assert len(worth.warnings) == 2
    assert "without any fact" in worth.warnings[0] and "goes on with the text" in worth.warnings[1]
    assert Worth.from_json(json.loads(json.dumps(worth.to_json()))) == worth


def test_evidence_tables_are_worth_something(cases):
    worth = measure(EvidenceBelief(), list(cases))
    assert worth.informative and worth.harmed.value == 0 and worth.continued is None
    with pytest.raises(ValueError, match="nothing to measure"):
        measure(EvidenceBelief(), [dataclasses.replace(cases[0], facts=(), initial=frozenset(), evidence=None)])


def test_the_file_holds_the_values_and_plays(cases, tmp_path):
    seen = []
    summary = annotate_dataset(JOB, cases, tmp_path / "a.jsonl", progress=lambda done, of: seen.append((done, of)))
    assert (summary.cases, summary.annotated, summary.skipped, summary.resumed) == (12, 12, 0, 0)
    assert seen[0] == (0, 12) and seen[-1] == (12, 12)
    made = load_dataset(str(tmp_path / "a.jsonl"))
    for case, other in zip(made, cases, strict=True):
        assert case.shapley is not None
        expected = case_shapley(other, EvidenceBelief(), "all", budget=max(40, other.n_facts + 2)).values
        np.testing.assert_allclose(case.shapley.values["all"], expected, atol=1e-8)
        assert set(case.shapley.values) == {"all", "presentation"}
        assert case.shapley.provenance["worth"]["informative"] is True
    env = gym.make("ProMed-MedQA-v0", dataset=str(tmp_path / "a.jsonl"), reward="promed")
    env.reset(seed=0)
    assert np.isfinite(env.step("question: Do you smoke?")[1])
    with pytest.raises(DatasetError, match="exists"):
        annotate_dataset(JOB, cases, tmp_path / "a.jsonl")


def test_a_run_that_was_killed_goes_on_and_does_nothing_twice(cases, tmp_path, monkeypatch):
    out, made = tmp_path / "a.jsonl", []
    real = module.annotate

    def until(limit):
        def annotate(case, *args, **kwargs):
            if len(made) == limit:
                raise KeyboardInterrupt
            made.append(case.case_id)
            return real(case, *args, **kwargs)

        return annotate

    monkeypatch.setattr(module, "annotate", until(5))
    with pytest.raises(KeyboardInterrupt):
        annotate_dataset(JOB, cases, out)
    assert not out.exists()
    part = tmp_path / ".a.jsonl.part"
    part.write_text(part.read_text()[:-20])  # the last line was cut off in the middle of being written
    monkeypatch.setattr(module, "annotate", until(-1))
    with pytest.raises(DatasetError, match="other settings"):
        annotate_dataset(Job("evidence", budget=41), cases, out)
    summary = annotate_dataset(JOB, cases, out)
    assert summary.resumed == 4 and not part.exists()
    assert made == [*[case.case_id for case in cases][:5], *[case.case_id for case in cases][4:]]
    annotate_dataset(JOB, cases, tmp_path / "b.jsonl")
    assert out.read_text() == (tmp_path / "b.jsonl").read_text()


def test_two_processes_give_what_one_gives(cases, tmp_path):
    annotate_dataset(JOB, cases[:5], tmp_path / "one.jsonl")
    annotate_dataset(JOB, cases[:5], tmp_path / "two.jsonl", workers=2)
    assert (tmp_path / "one.jsonl").read_text() == (tmp_path / "two.jsonl").read_text()


def test_a_sidecar_has_no_text_and_fits_its_cases_only(cases, tmp_path):
    annotate_dataset(JOB, cases, tmp_path / "s.jsonl", sidecar=True)
    text = (tmp_path / "s.jsonl").read_text()
    assert not any(fact.text in text for case in cases for fact in case.facts)
    annotate_dataset(JOB, cases, tmp_path / "a.jsonl")
    assert list(apply_sidecar(cases, tmp_path / "s.jsonl")) == list(load_dataset(str(tmp_path / "a.jsonl")))
    fact = dataclasses.replace(cases[0].facts[0], text="Something else.")
    changed = dataclasses.replace(cases[0], facts=(fact, *cases[0].facts[1:]))
    with pytest.raises(DatasetError, match="another text"):
        apply_sidecar(CaseDataset("one", (changed,)), tmp_path / "s.jsonl")
    (tmp_path / "bad.jsonl").write_text('{"schema": "other"}\n')
    with pytest.raises(DatasetError, match=r"bad\.jsonl:1 is no line"):
        apply_sidecar(cases, tmp_path / "bad.jsonl")
    assert len({text_hash(case) for case in cases}) == 12


def test_a_belief_at_chance_is_refused_unless_asked_for(cases, tmp_path, monkeypatch):
    monkeypatch.setattr(Job, "load", lambda self: LMBelief(Parrot()))
    job = Job("fake", budget=12)
    with pytest.raises(UninformativeBelief, match=r"does not exceed chance.*--allow-uninformative"):
        annotate_dataset(job, cases, tmp_path / "a.jsonl")
    assert not list(tmp_path.iterdir())
    summary = annotate_dataset(job, cases[:2], tmp_path / "a.jsonl", allow_uninformative=True)
    assert not summary.worth.informative
    note = load_dataset(str(tmp_path / "a.jsonl"))[0].shapley
    assert note is not None and note.provenance["worth"]["informative"] is False


def test_what_a_language_model_made_plays_where_no_table_covers_the_case(cases, tmp_path, monkeypatch):
    monkeypatch.setattr(Job, "load", lambda self: LMBelief(Parrot(cases, right=True)))
    bare = CaseDataset("bare", tuple(dataclasses.replace(case, evidence=None) for case in cases))
    annotate_dataset(Job("fake", budget=12), bare, tmp_path / "a.jsonl")
    env = gym.make("ProMed-MedQA-v0", dataset=str(tmp_path / "a.jsonl"), reward="2*sig_signed + 3*diagnosis")
    env.reset(seed=0, options={"case_id": cases[0].case_id})
    case = env.unwrapped.consultation.case
    question = case.facts[case.hidden[0]].question_text
    *_, info = env.step(f"question: {question}")
    paid = sum(case.shapley.values["all"][fact] for fact in info["new"])
    assert info["reward_terms"]["sig_signed"] == pytest.approx(2 * paid)


def test_cases_without_facts_stay_as_they_are(cases, tmp_path):
    empty = dataclasses.replace(cases[0], case_id="medqa:none", facts=(), initial=frozenset(), evidence=None)
    summary = annotate_dataset(JOB, CaseDataset("few", (empty, *cases[1:7])), tmp_path / "a.jsonl")
    assert (summary.annotated, summary.skipped) == (6, 1)
    assert [case.shapley is None for case in load_dataset(str(tmp_path / "a.jsonl"))] == [True] + [False] * 6


def test_the_command_annotates_merges_and_names_what_is_wrong(tmp_path):
    runner = CliRunner()
    out, side, merged = (str(tmp_path / name) for name in ("a.jsonl", "s.jsonl", "m.jsonl"))
    done = runner.invoke(app, ["annotate", "medqa", "--belief", "evidence", "--cases", "8", "--out", out])
    assert done.exit_code == 0, done.output
    assert "accuracy with all facts" in done.output and "8 of 8 cases annotated" in done.output
    assert runner.invoke(app, ["annotate", out, "--belief", "evidence", "--out", side, "--sidecar"]).exit_code == 0
    assert runner.invoke(app, ["annotate", out, "--from", side, "--out", merged]).exit_code == 0
    for arguments, message in [
        (["annotate", "medqa", "--belief", "evidence", "--out", out], "exists"),
        (["annotate", "medqa", "--out", str(tmp_path / "x.jsonl")], "give --belief"),
        (["annotate", "medqa", "--belief", "faith", "--out", str(tmp_path / "x.jsonl")], "unknown belief"),
        (["annotate", out, "--belief", "evidence", "--game", "chess", "--out", str(tmp_path / "x")], "unknown game"),
        (["annotate", "nowhere.jsonl", "--belief", "evidence", "--out", str(tmp_path / "x.jsonl")], "nowhere.jsonl"),
    ]:
        failed = runner.invoke(app, arguments)
        assert failed.exit_code == 1
        assert message in " ".join(failed.output.split())


class Rolling(Parrot):
    """Rolls dice: what it prefers has nothing to do with the case."""

    name = "fake:rolling"

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.rng, self.fingerprint = np.random.default_rng(seed), f"weights {seed}"

    def choice_logprobs(self, batch: Any, letters: Any, prefix: str = "") -> list[Any]:
        rolled = [self.rng.normal(size=len(own)) for own in letters]
        return [scores - np.logaddexp.reduce(scores) for scores in rolled]


def test_chance_counts_every_right_option(cases):
    assert measure(EvidenceBelief(), list(load_dataset("cmb"))).chance > 0.2
    two = [
        dataclasses.replace(case, case_id=f"{case.case_id}-{copy}", answer=case.keys[:2])
        for case in cases
        for copy in range(25)
    ]
    worth = measure(LMBelief(Rolling()), two)
    assert worth.chance == pytest.approx(np.mean([2 / len(case.options) for case in two]))
    assert worth.accuracy.low < worth.chance < worth.accuracy.high and not worth.informative


@pytest.fixture
def stopping(monkeypatch):
    """Stops the annotation before its n-th case, or not at all."""
    real = module.annotate

    def set_limit(limit):
        made = []

        def annotate(case, *args, **kwargs):
            if len(made) == limit:
                raise KeyboardInterrupt
            made.append(case.case_id)
            return real(case, *args, **kwargs)

        monkeypatch.setattr(module, "annotate", annotate)
        return made

    return set_limit


def begun(cases, out, stopping, job=JOB, after=5, **how):
    """A run that was stopped."""
    stopping(after)
    with pytest.raises(KeyboardInterrupt):
        annotate_dataset(job, cases, out, **how)
    return stopping(-1)


def test_other_weights_under_the_same_name_do_not_go_on_with_a_run(cases, tmp_path, monkeypatch, stopping):
    out, job, how = tmp_path / "a.jsonl", Job("hf:models/mine", budget=30), {"allow_uninformative": True}
    monkeypatch.setattr(Job, "load", lambda self: LMBelief(Rolling(1)))
    begun(cases, out, stopping, job, **how)
    monkeypatch.setattr(Job, "load", lambda self: LMBelief(Rolling(2)))
    with pytest.raises(DatasetError, match=r"\.a\.jsonl\.part was made by something other than this .*fake:rolling"):
        annotate_dataset(job, cases, out, **how)
    monkeypatch.setattr(Job, "load", lambda self: LMBelief(Rolling(1)))
    assert annotate_dataset(job, cases, out, **how).resumed == 5
    assert {case.shapley.provenance["fingerprint"] for case in load_dataset(str(out))} == {"weights 1"}


def corrected(cases):
    """The same texts with other tables."""
    changed = [dataclasses.replace(case, evidence=np.roll(case.evidence, 1, axis=1)) for case in cases]
    return dataclasses.replace(cases, cases=tuple(changed))


def test_corrected_tables_are_noticed_by_beliefs_that_read_them(cases, tmp_path, monkeypatch, stopping):
    begun(cases, tmp_path / "a.jsonl", stopping)
    assert annotate_dataset(JOB, corrected(cases), tmp_path / "a.jsonl", allow_uninformative=True).resumed == 0
    annotate_dataset(JOB, cases, tmp_path / "s.jsonl", sidecar=True)
    with pytest.raises(DatasetError, match="evidence table, prior or key differ"):
        apply_sidecar(corrected(cases), tmp_path / "s.jsonl")
    prior = np.arange(1, 1 + len(cases[0].options))
    with pytest.raises(DatasetError, match="evidence table, prior or key differ"):
        one = dataclasses.replace(cases[0], prior=prior / prior.sum())
        apply_sidecar(CaseDataset("one", (one,)), tmp_path / "s.jsonl")
    monkeypatch.setattr(Job, "load", lambda self: LMBelief(Parrot(cases, right=True)))
    annotate_dataset(Job("fake", budget=12), cases[:6], tmp_path / "lm.jsonl", sidecar=True, allow_uninformative=True)
    assert apply_sidecar(corrected(cases), tmp_path / "lm.jsonl")[0].shapley is not None
    other = dataclasses.replace(cases[0], language="zh")
    with pytest.raises(DatasetError, match="another text"):
        apply_sidecar(CaseDataset("one", (other,)), tmp_path / "lm.jsonl")


def test_the_worth_is_that_of_the_cases_at_hand(cases, tmp_path, monkeypatch, stopping):
    measured = []

    def counting(belief, chosen):
        measured.append(len(chosen))
        return measure(belief, chosen)

    monkeypatch.setattr(module, "measure", counting)
    begun(cases[:8], tmp_path / "a.jsonl", stopping)
    begun(cases[:8], tmp_path / "a.jsonl", stopping, after=1)
    assert measured == [8]
    summary = annotate_dataset(JOB, cases, tmp_path / "a.jsonl")
    assert measured == [8, 12] and summary.worth.cases == 12 and summary.resumed == 6
    told = [case.shapley.provenance["worth"] for case in load_dataset(str(tmp_path / "a.jsonl"))]
    assert told == [summary.worth.to_json()] * 12


def test_progress_counts_the_cases_at_hand(cases, tmp_path, stopping):
    begun(cases, tmp_path / "a.jsonl", stopping)
    seen = []
    annotate_dataset(JOB, cases[3:7], tmp_path / "a.jsonl", progress=lambda done, of: seen.append((done, of)))
    assert seen == [(2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("left", "message"),
    [
        ("", r"\.a\.jsonl\.part:1 is no line of an unfinished annotation \(the header is missing\); remove the file"),
        ("cut off", r"\.part:1 is no line of .* \(the header is missing\); remove the file to begin anew"),
        ("garbage\n", r"\.part:1 is no line of .*Expecting value.*; remove the file to begin anew"),
        ("[1]\n", r"\.part:1 is no line of .*expected an object, got list"),
        ("\udcff\n", r"\.part:1 is no line of .*decode"),
        ('{"a": 1}\n', r"\.part was made with other settings; .*remove the file"),
        ('{HEAD}\n{"a": 1}\n', r"\.part:2 is no line of .*KeyError\('shapley'\).*; remove that line .* or the file"),
        ('{HEAD}\n{"text": "x", "shapley": {}}\n', r"\.part:2 is no line of .*; remove that line"),
    ],
)
def test_a_damaged_or_foreign_state_is_named_and_left_as_it_is(cases, tmp_path, stopping, left, message):
    begun(cases, tmp_path / "a.jsonl", stopping, after=0)
    part = tmp_path / ".a.jsonl.part"
    (head,) = part.read_text().splitlines()
    part.write_bytes(left.replace("{HEAD}", head).encode(errors="surrogateescape"))
    before = part.read_bytes()
    with pytest.raises(DatasetError, match=message):
        annotate_dataset(JOB, cases, tmp_path / "a.jsonl")
    assert part.read_bytes() == before
    part.unlink()
    assert annotate_dataset(JOB, cases[:6], tmp_path / "a.jsonl").annotated == 6


def test_what_is_unfinished_is_read_up_to_where_it_was_cut_off(tmp_path):
    path = tmp_path / "part"
    path.write_bytes('{"job": 1}\n{"a": "\u2028"}\n{"b": "\u00e9'.encode()[:-1])  # within a character
    assert read_unfinished(path, "a test") == ({"job": 1}, [{"a": "\u2028"}])
    assert path.read_bytes() == '{"job": 1}\n{"a": "\u2028"}\n'.encode()


def test_a_budget_is_kept_to_and_each_game_tells_how_it_was_computed(cases, tmp_path, monkeypatch):
    many = load_dataset("primarycare")[:6]
    assert min(case.n_facts for case in many) > 200

    def games(job, chosen, name):
        annotate_dataset(job, chosen, tmp_path / name)
        return [
            game for case in load_dataset(str(tmp_path / name)) for game in case.shapley.provenance["games"].values()
        ]

    for game in games(Job("evidence", budget=100), many, "given.jsonl"):
        assert game["budget"] == 100 and game["evaluations"] <= 100
    assert {game["method"] for game in games(Job("evidence"), many, "many.jsonl")} == {"permutation"}
    assert {(game["budget"], game["method"]) for game in games(Job("evidence"), cases, "few.jsonl")} == {
        (1 << 16, "exact")
    }
    monkeypatch.setattr(Job, "load", lambda self: LMBelief(Parrot(cases, right=True)))
    found = games(Job("fake"), cases, "lm.jsonl")
    assert all(game["budget"] == 64 and game["evaluations"] <= 64 for game in found)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_stderr": -1.0}, "target_stderr must be above 0, got -1.0"),
        ({"target_stderr": 0.0}, "target_stderr must be above 0"),
        ({"target_stderr": float("nan")}, "target_stderr must be above 0"),
        ({"budget": 2}, "budget must be at least 3, got 2"),
    ],
)
def test_a_job_that_cannot_be_done_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Job("evidence", **settings)


class Short(Parrot):
    """Reads short texts only, and rates no empty ones."""

    def __init__(self, cases: Any, longest: int) -> None:
        super().__init__(cases, right=True)
        self.longest = longest

    def choice_logprobs(self, batch: Any, letters: Any, prefix: str = "") -> list[Any]:
        if max(len(message["content"]) for (message,) in batch) > self.longest:
            raise BackendError("fake:short reads at most so much")
        return super().choice_logprobs(batch, letters, prefix)

    def logprob(self, contexts: Any, continuations: Any) -> list[Any]:
        if any(text.endswith(" empty") for text in continuations):
            raise ValueError("cannot rate an empty text: ''")
        return [Likelihood(-len(text), -1.0) for text in continuations]


def test_a_case_that_the_model_cannot_rate_is_named(cases, tmp_path, monkeypatch):
    texts = [" ".join(fact.text for fact in case.facts) for case in cases]
    longest = max(range(12), key=lambda index: len(texts[index]))
    ordered = [case for index, case in enumerate(cases) if index != longest] + [cases[longest]]
    ordered = CaseDataset("ordered", tuple(ordered))
    room = max(len(case.question) + sum(len(o.text) + 9 for o in case.options) for case in cases) + 200
    room += max(sum(len(fact.text) + 3 for fact in case.facts) for case in ordered[:11])
    far = dataclasses.replace(
        ordered[11], facts=tuple(dataclasses.replace(fact, text=fact.text * 9) for fact in ordered[11].facts)
    )
    ordered = dataclasses.replace(ordered, cases=(*ordered.cases[:11], far))
    monkeypatch.setattr(Job, "load", lambda self: LMBelief(Short(ordered, room)))
    message = rf"case '{far.case_id}': fake:short reads at most .* leave the case out, or use a model with a longer"
    for measured in (12, 6):
        with pytest.raises(BackendError, match=message):
            annotate_dataset(Job("fake", budget=20), ordered, tmp_path / "a.jsonl", measured=measured)
    assert annotate_dataset(Job("fake", budget=20), ordered[:11], tmp_path / "a.jsonl", measured=6).resumed == 11
    empty = dataclasses.replace(
        cases[1], options=(dataclasses.replace(cases[1].options[0], text="empty"), *cases[1].options[1:])
    )
    with pytest.raises(BackendError, match=f"case '{empty.case_id}': cannot rate an empty text"):
        measure(LMBelief(Short(cases, room), "answer_text"), [cases[0], empty])


@dataclasses.dataclass(frozen=True)
class Mortal(EvidenceBelief):
    """Ends the process that asks it for the values of a case."""

    fatal: str = ""

    def __call__(self, case: Any, coalitions: Any) -> Any:
        if case.case_id == self.fatal:
            os._exit(1)
        return super().__call__(case, coalitions)


@dataclasses.dataclass(frozen=True)
class Watched(Job):
    """A job that keeps the processes that load its belief in a file; may be deadly."""

    folder: str = ""
    fatal: str = ""

    @property
    def fingerprint(self) -> str:
        return JOB.fingerprint

    def load(self) -> Any:
        with (Path(self.folder) / "loaded").open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        return Mortal(fatal=self.fatal)


def test_a_worker_that_dies_is_one_error_and_what_was_finished_is_kept(cases, tmp_path):
    folder = tmp_path / "processes"
    folder.mkdir()
    job = Watched("evidence", budget=40, folder=str(folder), fatal=cases[11].case_id)
    with pytest.raises(BackendError, match=r"a worker died, .*memory; use fewer workers than 2; run again to go on"):
        annotate_dataset(job, cases, tmp_path / "a.jsonl", workers=2, measured=8)
    loaded = (folder / "loaded").read_text().split()
    assert len(set(loaded)) == len(loaded) <= 2 and str(os.getpid()) not in loaded  # no copy in this process
    assert annotate_dataset(JOB, cases, tmp_path / "a.jsonl", measured=8).resumed >= 8


def test_a_belief_that_does_not_load_is_told_by_a_worker_too(cases, tmp_path):
    with pytest.raises(ValueError, match="unknown belief 'faith'"):
        annotate_dataset(Job("faith"), cases, tmp_path / "a.jsonl", workers=2)


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal to a group of processes")
@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_says_one_thing_whatever_the_workers_do(tmp_path, ignored):
    """In a terminal it stops the run; in the background of a shell script, where it is ignored, nothing does."""
    handler = "signal.SIG_IGN" if ignored else "signal.default_int_handler"  # whatever these tests run under
    start = f"import signal; signal.signal(signal.SIGINT, {handler}); from promed_agents.cli import app; app()"
    command = [sys.executable, "-c", start, "annotate", "primarycare", "--belief"]
    command += ["knowledge", "--cases", "12" if ignored else "400", "--budget", "2000", "--measured", "5"]
    command += ["--allow-uninformative", "--workers", "2", "--out", str(tmp_path / "a.jsonl")]
    part = tmp_path / ".a.jsonl.part"
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        until = time.monotonic() + 120
        while time.monotonic() < until and not (part.exists() and part.read_bytes().count(b"\n") > 1):
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does; the second worker may still be starting
        assert running.wait(120) == (0 if ignored else 1)
    told = " ".join((tmp_path / "log").read_text(encoding="utf-8").split())
    if ignored:
        assert len((tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()) == 12, told
        return
    assert "Traceback" not in told and "KeyboardInterrupt" not in told, told
    assert "of 400 cases are kept beside" in told and "the same command goes on" in told
    assert len(read_unfinished(part, "a test")[1]) >= 1


def test_the_command_says_truly_what_is_kept_when_it_is_stopped(tmp_path, monkeypatch, stopping):
    runner = CliRunner(env={"COLUMNS": "300"})
    command = ["annotate", "medqa", "--belief", "evidence", "--cases", "8", "--out", str(tmp_path / "a.jsonl")]

    def stop(*asked):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "measure", stop)
    told = " ".join(runner.invoke(app, command).output.split())
    assert "stopped before a case was annotated; this run left nothing new beside" in told
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(module, "measure", measure)
    stopping(3)
    told = " ".join(runner.invoke(app, command).output.split())
    assert "3 of 8 cases are kept beside" in told and "the same command goes on" in told


def test_values_from_a_sidecar_are_counted_and_take_no_other_options(cases, tmp_path):
    runner = CliRunner(env={"COLUMNS": "300"})
    side, other, merged = (str(tmp_path / name) for name in ("s.jsonl", "other.jsonl", "m.jsonl"))
    annotate_dataset(JOB, cases[:8], side, sidecar=True)
    done = runner.invoke(app, ["annotate", "medqa", "--from", side, "--out", merged])
    assert done.exit_code == 0
    assert "8 of 60 cases from the sidecar, 52 keep what they had" in " ".join(done.output.split())
    for options in (["--belief", "evidence"], ["--sidecar"], ["--workers", "2"], ["--cache", "c"], ["--budget", "9"]):
        failed = runner.invoke(app, ["annotate", "medqa", "--from", side, "--out", other, *options])
        assert failed.exit_code == 1
        assert f"--from takes the values as they are, so it does not go with {options[0]}" in failed.output
    failed = runner.invoke(app, ["annotate", "cmb", "--from", side, "--out", other])
    assert failed.exit_code == 1 and "none of the 30 cases is in it; it has values of 8 others" in failed.output
    failed = runner.invoke(app, ["annotate", merged, "--split", "test", "--from", side, "--out", other])
    assert failed.exit_code == 1 and "is a file, which has no splits" in failed.output
    old = [{**json.loads(line), "schema": "promed-shapley"} for line in Path(side).read_text().splitlines()]
    Path(side).write_text("".join(json.dumps(row) + "\n" for row in old))
    failed = runner.invoke(app, ["annotate", "medqa", "--from", side, "--out", other])
    assert failed.exit_code == 1 and "make an older one anew" in failed.output
    assert not Path(other).exists()
