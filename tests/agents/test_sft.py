"""Fine-tuning: the loss is on the doctor's turns only, resuming changes nothing, and the best player is kept."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext

import pytest
import torch
from promed_agents.answer_forks import forking
from promed_agents.chat import read_chat
from promed_agents.chat_format import ChatFormat
from promed_agents.evaluate import evaluate
from promed_agents.interviews import write_interviews
from promed_agents.language_policy import LanguagePolicy
from promed_agents.models import PROVENANCE, Lora, habits, load_model
from promed_agents.setting import Setting
from promed_agents.sft import SFTSettings, _Trainer, answer_as, fine_tune, tokenized
from promed_agents.trajectories import Job, write_trajectories
from promed_agents.zoo import make_agent

from promed_env.errors import BackendError, DatasetError

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # the library's own

SETTING = Setting("ProMed-MedQA-v0", reward="diagnosis", max_questions=3)
TINY = {"hidden": 32, "layers": 1, "length": 2048}


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    """Twelve planned dialogues."""
    path = tmp_path_factory.mktemp("plans") / "plans.jsonl"
    write_trajectories(Job(Setting("ProMed-MedQA-v0", max_questions=3)), path, 12)
    return path


def settings(plans, **changes):
    given = {
        "data": (str(plans),),
        "setting": SETTING,
        "validation_split": None,
        "validation_episodes": 4,
        "max_new_tokens": 8,
        "batch_size": 4,
        "evaluations": 2,
        "epochs": 2.0,
        "tiny": TINY,
        "cpu": True,
    }
    return SFTSettings(**{**given, **changes})


@pytest.fixture(scope="module")
def doctor(plans, tmp_path_factory):
    """A model fine-tuned for six steps, its folder and what it scored."""
    out = tmp_path_factory.mktemp("doctor")
    return out, fine_tune(settings(plans), out, quiet=True)


def test_only_what_the_doctor_says_has_a_label(plans):
    _, tokenizer = load_model("tiny", SETTING, tiny=TINY)
    chat = ChatFormat(tokenizer)
    dialogues = read_chat(plans)
    cases = SETTING.load_all()
    said = [answer_as(dialogue, "stated", cases.by_id(dialogue.case_id)) for dialogue in dialogues]
    for messages, row in zip(said, tokenized(said, chat), strict=True):
        spoken = [token for token in row["shift_labels"] if token != -100]
        assert spoken == [t for m in messages if m["role"] == "assistant" for t in chat.doctor(m["content"])]
        assert any(m["role"] == "assistant" for m in messages[:-1])
        heard = [{**m, "weight": 0} if m["role"] == "assistant" else m for m in messages[:-1]] + messages[-1:]
        (unasked,) = tokenized([heard], chat)  # the same tokens, of which the answer alone is learnt
        assert unasked["input_ids"] == row["input_ids"]
        assert [token for token in unasked["shift_labels"] if token != -100] == chat.doctor(messages[-1]["content"])
        assert row["shift_labels"][-1] == -100
        for token, label in zip(row["input_ids"][1:], row["shift_labels"][:-1], strict=True):
            assert label in (-100, token)


def test_a_dialogue_whose_answer_is_not_learnt_has_it_at_no_turn(plans):
    _, tokenizer = load_model("tiny", SETTING, tiny=TINY)
    chat, dialogues, all_cases = ChatFormat(tokenizer), read_chat(plans), SETTING.load_all()
    cases = [all_cases.by_id(dialogue.case_id) for dialogue in dialogues]
    said = [answer_as(dialogue, "stated", case) for dialogue, case in zip(dialogues, cases, strict=True)]
    asked = [[*messages[:-1], {**messages[-1], "weight": 0}] for messages in said]
    for messages, whole, row in zip(said, tokenized(said, chat, cases), tokenized(asked, chat, cases), strict=True):
        length = len(row["input_ids"])
        assert row["input_ids"] == whole["input_ids"][:length]
        assert len(whole["input_ids"]) > length or len(messages) == 2
        questions = [t for m in messages[:-1] if m["role"] == "assistant" for t in chat.doctor(m["content"])]
        assert [token for token in row["shift_labels"] if token != -100] == questions


@pytest.mark.parametrize("every_turn", [False, True])
def test_the_trainers_loss_is_that_of_the_labels_alone(plans, tmp_path, monkeypatch, every_turn):
    """Against all logits of the forked dialogues, and a cross-entropy that leaves out what has no label."""
    found = []

    def seen(self, model, inputs, *args, **kwargs):
        loss = ours(self, model, dict(inputs), *args, **kwargs)
        plain = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        with torch.no_grad(), forking(model, inputs["positions"], inputs["forks"]) if every_turn else nullcontext():
            logits = model(**plain).logits.flatten(0, 1)
        labels = inputs["shift_labels"].flatten()
        found.append((loss.detach(), torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100)))
        return loss

    ours = _Trainer.compute_loss
    monkeypatch.setattr(_Trainer, "compute_loss", seen)
    fine_tune(settings(plans, every_turn=every_turn, epochs=0.7), tmp_path, quiet=True)
    assert len(found) == 2
    for loss, expected in found:
        torch.testing.assert_close(loss, expected)


def test_the_loss_and_its_gradient_are_the_librarys(doctor, plans, tmp_path, monkeypatch):
    """The one that is worked out over the doctor's tokens alone."""
    from trl import SFTTrainer

    found = []

    def both(self, model, inputs, *args, **kwargs):
        for owner in (_Trainer, SFTTrainer):
            loss = ours(self, model, dict(inputs)) if owner is _Trainer else theirs(self, model, dict(inputs))
            model.zero_grad()
            loss.backward()
            found.append((loss.detach(), torch.cat([p.grad.flatten().clone() for p in model.parameters()])))
        model.zero_grad()
        return ours(self, model, dict(inputs), *args, **kwargs)

    ours, theirs = _Trainer.compute_loss, SFTTrainer.compute_loss
    monkeypatch.setattr(_Trainer, "compute_loss", both)
    fine_tune(settings(plans, epochs=0.5), tmp_path, quiet=True)
    (loss, gradient), (expected, expected_gradient) = found[:2]
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-6, rtol=1e-4)
    assert expected_gradient.abs().max() > 0


@pytest.mark.parametrize(
    ("answers", "last"), [("stated", "answer: D (confidence: 0.90)"), ("key", "answer: D"), ("words", "answer: {text}")]
)
def test_answers_take_the_form_that_is_asked_for(tmp_path, answers, last):
    case = SETTING.load_all()[0]
    messages = [
        {"role": "user", "content": "I hurt."},
        {"role": "assistant", "content": "answer: D (confidence: 0.90)"},
    ]
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps({"case_id": case.case_id, "messages": messages}))
    found = answer_as(read_chat(path)[0], answers, case)
    assert found[-1]["content"] == last.format(text=next(o.text for o in case.options if o.key == "D"))


def test_what_is_kept_is_the_best_player_with_its_provenance(doctor, plans):
    out, figures = doctor
    told = json.loads((out / PROVENANCE).read_text())
    assert told["validation"] == figures
    assert told["access"] == "text"
    assert told["teacher"] == ["record"]
    assert told["dialogues"] == len(read_chat(plans))
    state = json.loads(max(out.glob("checkpoint-*/trainer_state.json")).read_text())
    scored = [entry["eval_accuracy"] for entry in state["log_history"] if "eval_accuracy" in entry]
    assert figures["accuracy"] == max(scored)
    assert len(scored) >= 2
    assert list((out / "logs").iterdir())
    policy = LanguagePolicy.load(out, max_new_tokens=8)
    policy.reset(1)
    assert policy.speak(["I hurt."], [0])


@pytest.mark.parametrize("no_repeat", [False, True])
def test_the_doctor_by_name_is_the_model_that_was_validated(doctor, no_repeat, tmp_path):
    """Also in that it repeats itself or not, which its folder tells."""
    out = tmp_path / "doctor"
    shutil.copytree(doctor[0], out)
    told = json.loads((out / PROVENANCE).read_text())
    assert told["settings"]["no_repeat"] is False
    told["settings"]["no_repeat"] = no_repeat
    (out / PROVENANCE).write_text(json.dumps(told))
    policy = LanguagePolicy.load(out)
    assert policy.no_repeat is no_repeat
    assert policy.max_new_tokens == told["settings"]["max_new_tokens"] == 8
    named = make_agent(f"llm:{out}")
    assert named.access == "text"
    episodes = {
        name: evaluate(agent, SETTING, SETTING.load(4)).episodes
        for name, agent in {"named": named, "policy": policy}.items()
    }
    said = {name: [[turn["text"] for turn in e.turns] for e in found] for name, found in episodes.items()}
    assert said["named"] == said["policy"]
    assert [e.chosen for e in episodes["named"]] == [e.chosen for e in episodes["policy"]]


def test_a_run_that_was_interrupted_ends_like_one_that_was_not(doctor, plans, tmp_path):
    out, figures = doctor
    for name in ("checkpoint-3", "logs"):
        shutil.copytree(out / name, tmp_path / name)
    shutil.copy(out / "run.json", tmp_path)
    with pytest.raises(ValueError, match=r"begun with learning_rate = 0\.0\d+, not 0\.5"):
        fine_tune(settings(plans, learning_rate=0.5), tmp_path, resume=True)
    other = tmp_path / "other.jsonl"
    other.write_text("".join(plans.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError, match="begun with data"):
        fine_tune(settings(other), tmp_path, resume=True)
    assert fine_tune(settings(plans), tmp_path, resume=True, quiet=True) == figures
    whole, resumed = (LanguagePolicy.load(folder / "checkpoint-6").model.state_dict() for folder in (out, tmp_path))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_run_with_muon_that_was_interrupted_ends_like_one_that_was_not(plans, tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    figures = fine_tune(settings(plans, optimizer="muon"), whole, quiet=True)
    resumed.mkdir()
    shutil.copytree(whole / "checkpoint-3", resumed / "checkpoint-3")
    shutil.copy(whole / "run.json", resumed)
    saved = torch.load(resumed / "checkpoint-3" / "optimizer.pt", weights_only=True)
    assert any("momentum_buffer" in state for state in saved["state"].values())
    assert fine_tune(settings(plans, optimizer="muon"), resumed, resume=True, quiet=True) == figures
    ends = [LanguagePolicy.load(folder / "checkpoint-6").model.state_dict() for folder in (whole, resumed)]
    assert all(torch.equal(weight, ends[1][name]) for name, weight in ends[0].items())


def test_adapters_change_their_layers_only_and_the_whole_model_is_kept_beside_them(doctor, plans, tmp_path):
    out, _ = doctor
    fine_tune(settings(plans, model=str(out), lora=Lora(rank=2), epochs=2.0, evaluations=1), tmp_path, quiet=True)
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()
    before, after = (LanguagePolicy.load(folder).model.state_dict() for folder in (out, tmp_path))
    assert before.keys() == after.keys()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed and all("q_proj" in name or "v_proj" in name for name in changed)
    again = fine_tune(
        settings(plans, model=str(tmp_path), lora=Lora(rank=2), epochs=0.5), tmp_path / "next", quiet=True
    )
    assert "accuracy" in again  # one stage goes on from the other


def test_a_finished_run_that_is_resumed_is_left_as_it_is(doctor, plans):
    out, figures = doctor
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert fine_tune(settings(plans), out, resume=True) == figures
    with pytest.raises(ValueError, match=r"begun with epochs = 2\.0, not 3\.0"):
        fine_tune(settings(plans, epochs=3.0), out, resume=True)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_the_longest_turn_of_the_dialogues_is_the_longest_in_validation(doctor, plans, tmp_path):
    fine_tune(settings(plans, max_new_tokens=None, epochs=0.5, evaluations=1), tmp_path, quiet=True)
    chat = LanguagePolicy.load(tmp_path).chat
    turns = [m.content for d in read_chat(plans) for m in d.messages if m.role == "assistant"]
    assert habits(tmp_path)["max_new_tokens"] == max(len(chat.doctor(text)) for text in turns)


def test_questions_that_are_not_learnt_do_not_count_for_the_longest_turn(plans, tmp_path):
    write_interviews(SETTING, tmp_path / "interviews.jsonl", 8)
    fine_tune(
        settings(tmp_path / "interviews.jsonl", answers="key", max_new_tokens=None, every_turn=True),
        tmp_path / "reader",
        quiet=True,
    )
    chat = LanguagePolicy.load(tmp_path / "reader").chat
    assert habits(tmp_path / "reader")["max_new_tokens"] == len(chat.doctor("answer: A"))


def test_weights_that_are_trained_are_in_float32_whatever_they_were_saved_in(doctor, tmp_path):
    policy = LanguagePolicy.load(doctor[0])
    policy.model.to(torch.bfloat16).save_pretrained(tmp_path)
    policy.chat.tokenizer.save_pretrained(tmp_path)
    for lora, dtype in ((None, torch.float32), (Lora(rank=2), torch.bfloat16)):
        model, _ = load_model(str(tmp_path), SETTING, lora=lora)
        assert {weight.dtype for weight in model.parameters()} == {dtype}


def test_dialogues_that_cannot_be_learnt_are_named(plans, tmp_path):
    good = json.loads(plans.read_text().splitlines()[0])
    for changes, message in [
        ({"case_id": "nope:1"}, "nope:1"),
        ({"messages": [{"role": "assistant", "content": "answer: A"}]}, "alternates user and assistant"),
        ({"messages": [*good["messages"][:-1], {**good["messages"][-1], "weight": 2}]}, "'weight' must be 0 or 1"),
        ({"messages": [{**m, "weight": int(m["role"] == "user")} for m in good["messages"]]}, "nothing of it"),
        ({"messages": [{**m, "weight": 0} for m in good["messages"]]}, "1 but for the assistant"),
    ]:
        path = tmp_path / "some.jsonl"
        path.write_text("\n".join(map(json.dumps, (good, {**good, **changes}))))
        with pytest.raises(DatasetError, match=rf"some\.jsonl:2: .*{message}"):
            fine_tune(settings(path), tmp_path / "new")
        assert not (tmp_path / "new").exists()


def test_a_model_that_cannot_be_read_is_one_error(doctor, plans, tmp_path):
    shutil.copytree(doctor[0], tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(BackendError, match="cannot load the model in"):
        fine_tune(settings(plans, model=str(tmp_path / "cut")), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    for text in ("{}", "no JSON"):
        (tmp_path / "cut" / PROVENANCE).write_text(text)
        with pytest.raises(BackendError, match=r"promed\.json does not say"):
            habits(tmp_path / "cut")


def test_bad_input_is_refused(plans, doctor, tmp_path):
    with pytest.raises(ValueError, match="holds a run already"):
        fine_tune(settings(plans), doctor[0])
    with pytest.raises(ValueError, match="no checkpoint to resume"):
        fine_tune(settings(plans), tmp_path, resume=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.safetensors").write_bytes(b"precious")
    with pytest.raises(ValueError, match="not an empty folder"):
        fine_tune(settings(plans, model=str(doctor[0])), tmp_path / "mine")
    assert (tmp_path / "mine" / "model.safetensors").read_bytes() == b"precious"
    with pytest.raises(FileNotFoundError, match="holds no model"):
        fine_tune(settings(plans, model=str(tmp_path / "none")), tmp_path / "new")
    with pytest.raises(DatasetError, match="episodes must be 1 to 60"):  # before anything is trained
        fine_tune(settings(plans, validation_episodes=61), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    for changes, message in [
        ({"data": ()}, "at least one file"),
        ({"answers": "sung"}, "stated, key or words"),
        ({"optimizer": "sgd"}, "adamw or muon"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"epochs": 0.0}, "above 0"),
        ({"learning_rate": float("nan")}, "above 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            settings(plans, **changes)
