"""Fine-tuning: the loss is on the doctor's turns only, resuming changes nothing, and the best player is kept."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from promed_agents.chat import read_chat
from promed_agents.chat_format import ChatFormat
from promed_agents.evaluate import evaluate
from promed_agents.language_policy import LanguagePolicy
from promed_agents.models import PROVENANCE, Lora, load_model
from promed_agents.setting import Setting
from promed_agents.sft import SFTSettings, _collate, answer_as, fine_tune, tokenized
from promed_agents.trajectories import Job, write_trajectories
from promed_agents.zoo import make_agent

from promed_env.errors import DatasetError

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
        assert row["shift_labels"][-1] == -100
        for token, label in zip(row["input_ids"][1:], row["shift_labels"][:-1], strict=True):
            assert label in (-100, token)


def test_the_trainer_gives_other_tokens_no_gradient(plans):
    """Token by token: the gradient of the loss with respect to the logits is 0 where there is no label."""
    model, tokenizer = load_model("tiny", SETTING, tiny=TINY)
    chat = ChatFormat(tokenizer)
    cases = SETTING.load_all()
    said = [answer_as(dialogue, "key", cases.by_id(dialogue.case_id)) for dialogue in read_chat(plans)[:3]]
    batch = _collate(list(tokenized(said, chat)), pad_id=tokenizer.pad_token_id)
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    logits.retain_grad()
    targets = batch["shift_labels"]
    loss = model.loss_function(logits=logits, labels=None, shift_labels=targets, vocab_size=model.config.vocab_size)
    loss.backward()
    assert ((logits.grad.abs().sum(dim=-1) > 0) == (targets != -100)).all()


def test_the_loss_and_its_gradient_are_the_librarys(doctor, plans, tmp_path, monkeypatch):
    """The one that is worked out over the doctor's tokens alone."""
    from promed_agents.sft import _Trainer
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
    policy = LanguagePolicy.load(out, max_new_tokens=128)
    assert policy.no_repeat is no_repeat
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
    assert fine_tune(settings(plans), tmp_path, resume=True, quiet=True) == figures
    whole, resumed = (LanguagePolicy.load(folder / "checkpoint-6").model.state_dict() for folder in (out, tmp_path))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


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


def test_bad_input_is_refused(plans, doctor, tmp_path):
    with pytest.raises(ValueError, match="holds a run already"):
        fine_tune(settings(plans), doctor[0])
    with pytest.raises(ValueError, match="no checkpoint to resume"):
        fine_tune(settings(plans), tmp_path, resume=True)
    with pytest.raises(FileNotFoundError, match="holds no model"):
        fine_tune(settings(plans, model=str(tmp_path / "none")), tmp_path)
    with pytest.raises(DatasetError, match="episodes must be 1 to 60"):  # before anything is trained
        fine_tune(settings(plans, validation_episodes=61), tmp_path / "new")
    assert not list((tmp_path / "new").glob("checkpoint-*"))
    for changes, message in [
        ({"data": ()}, "at least one file"),
        ({"answers": "sung"}, "stated, key or words"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"epochs": 0.0}, "above 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            settings(plans, **changes)
