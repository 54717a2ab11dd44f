"""Annotating a data set: what the belief is worth, resuming, sidecars, workers, and the file that is played."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from promed_agents import annotate as module
from promed_agents.annotate import Job, annotate_dataset, apply_sidecar, text_hash
from promed_agents.cli import app
from promed_agents.worth import Worth, measure
from typer.testing import CliRunner

import promed_env  # noqa: F401  # registers the environments
from promed_env.beliefs import EvidenceBelief
from promed_env.beliefs.lm import LMBelief
from promed_env.datasets import CaseDataset, load_dataset
from promed_env.errors import DatasetError, UninformativeBelief
from promed_env.llm.base import Completion
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
