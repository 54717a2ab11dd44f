"""Vignettes tell the truth of a case, some of it, and end with the right answer."""

from __future__ import annotations

import json

import numpy as np
import pytest
from promed_agents.chat import read_chat
from promed_agents.cli import app
from promed_agents.setting import Setting
from promed_agents.vignettes import volunteered, write_vignettes
from typer.testing import CliRunner

from promed_env.errors import DatasetError
from promed_env.patients.facts import quote

CLINIC = Setting("ProMed-PrimaryCare-v0", split="train", seed=3)
BUNDLED = Setting("ProMed-MedQA-v0", seed=3)


@pytest.mark.parametrize("setting", [CLINIC, BUNDLED])
def test_every_vignette_is_answered_right_and_tells_each_of_its_facts_as_a_reply_would(tmp_path, setting):
    path = tmp_path / "vignettes.jsonl"
    write_vignettes(setting, path, 30)
    cases = setting.load_all()
    told = []
    for dialogue in read_chat(path):
        case = cases.by_id(dialogue.case_id)
        opening, *unasked, answer = dialogue.messages
        assert [message.role for message in dialogue.messages] == ["user"] * (1 + len(unasked)) + ["assistant"]
        assert answer.content == f"answer: {', '.join(case.answer)}"
        assert dialogue.fields["correct"] is True
        assert dialogue.fields["access"] == "record"
        assert opening.content.startswith(case.presentation)
        assert "Questions left: 10." in opening.content
        alone = {quote(case, (index,)).text: index for index in case.hidden}
        stated = []
        for message in unasked:
            speaker, space, said = message.content.partition(": ")
            if message.content not in alone:  # several facts, and no other words
                sentences = [text.partition(": ")[2] for text in alone if text.startswith(speaker + space)]
                found = [sentence for sentence in sentences if sentence in said]
                assert 2 <= len(found) <= 3
                assert sorted(" ".join(found)) == sorted(said)
                stated += [alone[speaker + space + sentence] for sentence in found]
            else:
                stated.append(alone[message.content])
        assert len(set(stated)) == len(stated)
        told.append(len(stated))
    assert len(told) == 30
    assert len(set(told)) > 3  # shares differ


def test_the_share_that_is_told_goes_from_none_to_all_and_what_is_denied_stays_a_few():
    case = CLINIC.load_all()[0]
    there = {index for index in case.hidden if case.facts[index].status == "present"}
    rng = np.random.default_rng(0)
    shares, denials = [], []
    for _ in range(300):
        replies = volunteered(case, rng)
        told = [index for reply in replies for index in reply]
        assert len(set(told)) == len(told)
        assert all(len(reply) <= 3 for reply in replies)
        assert not set(told) & case.initial
        shares.append(len(set(told) & there) / len(there))
        denials.append(len(set(told) - there))
    assert min(shares) == 0
    assert max(shares) == 1
    assert np.mean(shares) == pytest.approx(0.5, abs=0.08)
    assert max(denials) == 10
    assert min(denials) == 0


def test_a_seed_gives_the_same_file_and_another_seed_others(tmp_path):
    for name, setting in {
        "a": CLINIC,
        "b": CLINIC,
        "c": Setting("ProMed-PrimaryCare-v0", split="train", seed=4),
    }.items():
        write_vignettes(setting, tmp_path / name, 5)
    read = {name: (tmp_path / name).read_text() for name in "abc"}
    assert read["a"] == read["b"] != read["c"]


def test_cases_with_an_end_come_in_whole_rounds(tmp_path):
    n = len(BUNDLED.load_all())
    counted: list[int] = []
    write_vignettes(BUNDLED, tmp_path / "v", 2 * n + 1, progress=counted.append)
    ids = [json.loads(line)["case_id"] for line in (tmp_path / "v").read_text().splitlines()]
    assert sum(counted) == len(ids) == 2 * n + 1
    assert len(set(ids[:n])) == len(set(ids[n : 2 * n])) == n
    assert ids[:n] != ids[n : 2 * n]


def test_bad_input_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "there").write_text("mine")
    with pytest.raises(DatasetError, match="exists"):
        write_vignettes(CLINIC, tmp_path / "there", 5)
    assert (tmp_path / "there").read_text() == "mine"
    with pytest.raises(ValueError, match="at least 1"):
        write_vignettes(CLINIC, tmp_path / "new", 0)
    assert not (tmp_path / "new").exists()


def test_the_command_writes_them_and_says_what_is_wrong(tmp_path):
    out = tmp_path / "v.jsonl"
    arguments = ["vignettes", "ProMed-MedQA-v0", "--episodes", "3", "--out", str(out)]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    assert "3 vignettes written" in told.output
    assert len(out.read_text().splitlines()) == 3
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1
    assert "exists" in again.output
