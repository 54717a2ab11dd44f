"""SIG-GRPO on TRL: its numbers, its masks, its traps; resuming; two processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from promed_agents.chat_format import ChatFormat
from promed_agents.language_policy import LanguagePolicy
from promed_agents.models import PROVENANCE, Lora, load_model
from promed_agents.rollout import play
from promed_agents.setting import Setting
from promed_agents.sig_grpo.advantages import ESTIMATORS
from promed_agents.sig_grpo.budget import EnvironmentSteps
from promed_agents.sig_grpo.settings import GRPOSettings
from promed_agents.sig_grpo.trainer import SAMPLES, SIGGRPOTrainer, config_for, train, training_rows
from promed_agents.sig_grpo.vllm_policy import VLLMPolicy
from promed_agents.trajectories import Job, write_trajectories
from trl import GRPOTrainer

from promed_env.errors import BeliefRequired

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # the library's own

SETTING = Setting("ProMed-MedQA-v0", reward="promed", max_questions=2)
TINY = {"hidden": 32, "layers": 1, "length": 4096}


def settings(**changes):
    given = {
        "setting": SETTING,
        "updates": 4,
        "cases": 2,
        "group_size": 3,
        "learning_rate": 1e-2,
        "max_new_tokens": 6,
        "validation_split": None,
        "validation_episodes": 4,
        "evaluations": 2,
        "tiny": TINY,
        "cpu": True,
    }
    return GRPOSettings(**{**given, **changes})


def make_trainer(out, **changes):
    chosen = settings(**changes)
    model, tokenizer = load_model("tiny", chosen.setting, tiny=chosen.tiny)
    return SIGGRPOTrainer(model, tokenizer, chosen, config_for(chosen, out, quiet=True), training_rows(chosen))


@pytest.fixture
def batch(tmp_path):
    """A trainer and a batch that it has generated and scored."""
    trainer = make_trainer(tmp_path)
    trainer.model.train()
    rows = [row for row in trainer.train_dataset.select(range(2)).to_list() for _ in range(3)]
    return trainer, trainer._generate_and_score_completions(rows)


def test_tokens_masks_and_advantages_lie_side_by_side(batch):
    trainer, scored = batch
    shape = scored["completion_ids"].shape
    assert scored["advantages"].shape == scored["tool_mask"].shape == shape
    rewards = np.zeros((6, max(len(r.rewards) for r in trainer.rollouts)))
    turns = np.full(shape, -1)
    for row, rollout in enumerate(trainer.rollouts):
        ids = scored["completion_ids"][row][scored["completion_mask"][row].bool()].tolist()
        assert ids == rollout.spoken.completion_ids  # as they were generated, not tokenised again
        rewards[row, : len(rollout.rewards)] = rollout.rewards
        turns[row, : len(rollout.spoken.turns)] = rollout.spoken.turns
    real = scored["completion_mask"].bool().numpy()
    assert (scored["tool_mask"].numpy()[real] == (turns >= 0)[real]).all()
    expected = ESTIMATORS["return_to_go"](rewards, turns, np.array([0, 0, 0, 1, 1, 1]))
    np.testing.assert_allclose(scored["advantages"].numpy(), expected, atol=1e-6)


def test_a_group_shares_the_case_and_its_seed(batch):
    trainer, _ = batch
    finals = [rollout.final for rollout in trainer.rollouts]
    for group in (finals[:3], finals[3:]):
        assert len({(final.case.case_id, final.seed) for final in group}) == 1
    assert finals[0].case.case_id != finals[3].case.case_id


def test_what_the_patient_says_carries_no_loss(batch):
    """Token by token: the loss moves with the advantage of each of the doctor's tokens, and of no other."""
    trainer, scored = batch
    advantages = scored["advantages"].clone().requires_grad_()
    trainer._metrics["train"].clear()
    trainer.current_gradient_accumulation_steps = 1
    trainer._compute_loss(trainer.model, {**scored, "advantages": advantages}).backward()
    touched = advantages.grad.abs() > 0
    doctors = (scored["completion_mask"] * scored["tool_mask"]).bool()
    assert (touched == doctors).all()


@pytest.mark.parametrize("tokens", [1, 300, 10**6])
def test_log_probabilities_entropies_and_gradients_are_the_librarys(batch, tokens, monkeypatch):
    """However the dialogues are put together to be read."""
    monkeypatch.setattr("promed_agents.sig_grpo.scoring._TOKENS", tokens)
    trainer, scored = batch
    trainer.current_gradient_accumulation_steps = 1
    input_ids = torch.cat([scored["prompt_ids"], scored["completion_ids"]], dim=1)
    mask = torch.cat([scored["prompt_mask"], scored["completion_mask"]], dim=1)
    arguments = (trainer.model, input_ids, mask, scored["completion_ids"].shape[1])
    found = {}
    for name, owner in {"ours": SIGGRPOTrainer, "theirs": GRPOTrainer}.items():
        trainer.model.zero_grad()
        log_probs, entropies, _ = owner._get_per_token_logps_and_entropies(trainer, *arguments, compute_entropy=True)
        real = scored["completion_mask"].bool()
        (log_probs * real).pow(2).sum().backward()
        gradients = torch.cat([p.grad.flatten() for p in trainer.model.parameters()])
        found[name] = log_probs.detach()[real], entropies.detach()[real], gradients
    for ours, theirs in zip(found["ours"], found["theirs"], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)
    assert found["theirs"][2].abs().max() > 0


def test_the_answer_loss_is_the_cross_entropy_of_the_right_answer_after_every_turn(tmp_path):
    """Against one dialogue after the other, ended there; the rest of the loss is as it was."""
    trainer = make_trainer(tmp_path, answer_loss=0.5)
    trainer.current_gradient_accumulation_steps = 1
    rows = [row for row in trainer.train_dataset.select(range(2)).to_list() for _ in range(3)]
    trainer.model.train()
    scored = trainer._generate_and_score_completions(rows)
    loss = trainer._compute_loss(trainer.model, scored)
    expected, asked = torch.zeros(()), 0
    for rollout in trainer.rollouts:
        spoken = rollout.spoken
        right = trainer.chat.doctor(f"answer: {rollout.final.case.answer[0]}")
        others = [trainer.chat.doctor(f"answer: {option.key}") for option in rollout.final.case.options]
        alike = next(place for place in range(9) if len({other[place] for other in others}) > 1)
        for turn in range(len(spoken.texts)):
            before = spoken.prompt_ids + spoken.completion_ids[: spoken.turns.index(turn)]
            logits = trainer.model(input_ids=torch.tensor([before + right])).logits[0].log_softmax(dim=-1)
            for place in range(alike, len(right)):
                expected = expected - logits[len(before) + place - 1, right[place]]
                asked += 1
    assert asked > 6
    expected = 0.5 * expected / float(scored["num_items_in_batch"])
    trainer.answer_loss = 0.0
    plain = trainer._compute_loss(trainer.model, scored)
    torch.testing.assert_close(loss - plain, expected, atol=1e-5, rtol=1e-4)
    gradients = [torch.autograd.grad(each, list(trainer.model.parameters())) for each in (loss - plain, expected)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_trajectory_equals_the_librarys_own_advantages(tmp_path, scale, monkeypatch):
    trainer = make_trainer(tmp_path, advantage="trajectory", advantage_options={"scale": scale})
    trainer.scale_rewards = scale
    own = {}
    ours = SIGGRPOTrainer._generate_and_score_completions
    plain = GRPOTrainer._generate_and_score_completions

    def remember(self, inputs):
        scored = plain(self, inputs)
        own["advantages"] = scored["advantages"].clone()
        return scored

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", remember)
    trainer.model.train()
    rows = [row for row in trainer.train_dataset.select(range(2)).to_list() for _ in range(3)]
    scored = ours(trainer, rows)
    doctors = (scored["completion_mask"] * scored["tool_mask"]).bool()
    spread = own["advantages"][:, None].expand_as(scored["advantages"])
    assert own["advantages"].abs().max() > 0
    torch.testing.assert_close(scored["advantages"][doctors], spread[doctors], atol=1e-4, rtol=1e-4)
    assert (scored["advantages"][~doctors] == 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"importance_sampling_level": "sequence"}, "must be 'token'"),
        ({"loss_type": "luspo"}, "luspo"),
        ({"mask_truncated_completions": True}, "would silence"),
    ],
)
def test_what_would_silently_give_a_wrong_loss_is_refused(tmp_path, changes, message):
    chosen = settings()
    args = config_for(chosen, tmp_path)
    for name, value in changes.items():
        setattr(args, name, value)
    model, tokenizer = load_model("tiny", SETTING, tiny=TINY)
    with pytest.raises(ValueError, match=message):
        SIGGRPOTrainer(model, tokenizer, chosen, args, training_rows(chosen))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("grpo")
    return out, train(settings(), out, quiet=True)


def test_a_run_leaves_the_best_model_its_provenance_samples_and_every_figure(trained):
    out, figures = trained
    told = json.loads((out / PROVENANCE).read_text())
    assert told["validation"] == figures
    assert told["stage"] == "grpo"
    assert told["from"] == {"model": "tiny"}
    samples = [json.loads(line) for line in (out / SAMPLES).read_text().splitlines()]
    assert [sample["step"] for sample in samples] == [2, 2, 4, 4]
    assert samples[0]["messages"][0]["role"] == "user"
    history = json.loads((out / "checkpoint-4" / "trainer_state.json").read_text())["log_history"]
    first = history[0]
    for name in (
        "rollouts/accuracy",
        "rollouts/questions",
        "rollouts/sig_per_question",
        "rollouts/degenerate_groups",
        "rollouts/reward/diagnosis",
        "entropy",
    ):
        assert np.isfinite(first[name]), name
    assert {"eval_accuracy", "eval_questions", "eval_return"} <= {name for entry in history for name in entry}
    assert LanguagePolicy.load(out).model is not None


def test_a_run_that_was_killed_ends_like_one_that_was_not(trained, tmp_path):
    out, figures = trained
    shutil.copytree(out / "checkpoint-2", tmp_path / "checkpoint-2")
    shutil.copy(out / "run.json", tmp_path)
    with pytest.raises(ValueError, match="begun with advantage = 'return_to_go', not 'paper'"):
        train(settings(advantage="paper"), tmp_path, resume=True)
    assert train(settings(), tmp_path, resume=True, quiet=True) == figures
    whole, resumed = (LanguagePolicy.load(folder / "checkpoint-4").model.state_dict() for folder in (out, tmp_path))
    for name in whole:
        torch.testing.assert_close(whole[name], resumed[name], atol=1e-6, rtol=1e-5)


def test_the_old_log_probabilities_are_those_of_the_sampling_and_the_librarys(tmp_path):
    trainer = make_trainer(tmp_path, minibatches=2, temperature=0.7)
    trainer.model.train()
    rows = [row for row in trainer.train_dataset.select(range(2)).to_list() for _ in range(3)]
    scored = trainer._generate_and_score_completions(rows)
    ids = torch.cat([scored["prompt_ids"], scored["completion_ids"]], dim=1)
    mask = torch.cat([scored["prompt_mask"], scored["completion_mask"]], dim=1)
    width = scored["completion_ids"].shape[1]
    with torch.no_grad():
        expected = GRPOTrainer._get_per_token_logps_and_entropies(trainer, trainer.model, ids, mask, width)[0]
    doctors = (scored["completion_mask"] * scored["tool_mask"]).bool()
    assert doctors.any()
    torch.testing.assert_close(scored["old_per_token_logps"][doctors], expected[doctors], atol=1e-4, rtol=0)


def test_tokens_that_could_not_be_drawn_have_no_share_of_the_probability(tmp_path):
    """Log-probabilities, entropies and gradients are those among the others, as they were drawn."""
    trainer = make_trainer(tmp_path, no_repeat=True, temperature=0.7, max_new_tokens=1)
    trainer.model.train()
    rows = [row for row in trainer.train_dataset.select(range(2)).to_list() for _ in range(3)]
    scored = trainer._generate_and_score_completions(rows)
    expected, drawn, spread, barred = [], [], [], 0
    for spoken in (rollout.spoken for rollout in trainer.rollouts):
        ids = torch.tensor([spoken.prompt_ids + spoken.completion_ids])
        logits = trainer.model(input_ids=ids).logits[0, len(spoken.prompt_ids) - 1 :] / 0.7
        for place in [place for place, turn in enumerate(spoken.turns) if turn >= 0]:
            row = logits[place].clone()
            row[spoken.forbidden[place]] = -torch.inf
            barred += len(spoken.forbidden[place])
            expected.append(row.log_softmax(dim=-1)[spoken.completion_ids[place]])
            spread.append(torch.distributions.Categorical(logits=row).entropy())
            drawn.append(spoken.log_probs[place])
    assert barred > 6
    doctors = (scored["completion_mask"] * scored["tool_mask"]).bool()
    seen = {}

    def compute(*arguments, **options):
        seen["given"] = SIGGRPOTrainer._get_per_token_logps_and_entropies(trainer, *arguments, **options)
        return seen["given"]

    trainer._get_per_token_logps_and_entropies = compute
    trainer.current_gradient_accumulation_steps = 1
    loss = trainer._compute_loss(trainer.model, scored)
    log_probs, entropies, _ = seen["given"]
    torch.testing.assert_close(log_probs[doctors], torch.stack(expected), atol=1e-4, rtol=0)
    torch.testing.assert_close(log_probs[doctors], torch.tensor(drawn), atol=1e-4, rtol=0)
    torch.testing.assert_close(entropies[doctors], torch.stack(spread).detach(), atol=1e-4, rtol=0)
    parameters = list(trainer.model.parameters())
    ratio = (torch.stack(expected) - torch.tensor(drawn)).exp()
    theirs = torch.autograd.grad(
        -(ratio * scored["advantages"][doctors]).sum() / scored["num_items_in_batch"], parameters
    )
    assert max(float(each.abs().max()) for each in theirs) > 0
    for ours, own in zip(torch.autograd.grad(loss, parameters), theirs, strict=True):
        torch.testing.assert_close(ours, own, atol=1e-5, rtol=1e-3)


def test_a_model_that_changes_its_logits_cannot_learn_not_to_repeat_itself(tmp_path):
    chosen = settings(no_repeat=True)
    model, tokenizer = load_model("tiny", chosen.setting, tiny=chosen.tiny)
    model.config.logit_scale = 2.0
    with pytest.raises(ValueError, match="changes its logits \\(logit_scale\\)"):
        SIGGRPOTrainer(model, tokenizer, chosen, config_for(chosen, tmp_path), training_rows(chosen))


def test_several_optimiser_steps_on_the_same_rollouts_and_a_kill_between_updates(tmp_path):
    """Two parts, each twice: four steps an update, of which no checkpoint is in the midst; resuming changes nothing."""
    chosen = settings(minibatches=2, iterations=2, answer_loss=0.5, optimizer="muon")
    figures = train(chosen, tmp_path / "whole", quiet=True)
    newest = tmp_path / "whole" / "checkpoint-16"
    history = json.loads((newest / "trainer_state.json").read_text())["log_history"]
    assert [entry["step"] for entry in history if "eval_accuracy" in entry] == [8, 16]
    taken = {entry["rollouts/environment_steps"] for entry in history if "rollouts/environment_steps" in entry}
    assert len(taken) == 4
    assert max(entry["clip_ratio/region_mean"] for entry in history if "clip_ratio/region_mean" in entry) > 0
    (tmp_path / "again").mkdir()
    shutil.copytree(tmp_path / "whole" / "checkpoint-8", tmp_path / "again" / "checkpoint-8")
    shutil.copy(tmp_path / "whole" / "run.json", tmp_path / "again")
    kept = torch.load(tmp_path / "again" / "checkpoint-8" / "optimizer.pt", weights_only=True)
    assert any("momentum_buffer" in state for state in kept["state"].values())
    assert train(chosen, tmp_path / "again", resume=True, quiet=True) == figures
    whole, again = (LanguagePolicy.load(tmp_path / n / "checkpoint-16").model.state_dict() for n in ("whole", "again"))
    for name in whole:
        torch.testing.assert_close(whole[name], again[name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("minibatches", [1, 3])
def test_a_run_ends_when_it_has_taken_its_environment_steps_also_when_it_was_resumed(tmp_path, minibatches):
    """After the last steps that learn from them, and it does not go on when it is resumed once more."""
    chosen = settings(updates=12, evaluations=6, environment_steps=50, schedule="constant", minibatches=minibatches)
    figures = train(chosen, tmp_path / "whole", quiet=True)
    assert train(chosen, tmp_path / "whole", resume=True, quiet=True) == figures
    newest = max((tmp_path / "whole").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    history = json.loads((newest / "trainer_state.json").read_text())["log_history"]
    taken = [entry["rollouts/environment_steps"] for entry in history if "rollouts/environment_steps" in entry]
    assert max(each for each in taken if each < taken[-1]) < 50 <= taken[-1]
    assert history[-1]["step"] < 12 * minibatches
    assert history[-1]["step"] % minibatches == 0
    assert "eval_accuracy" in history[-1]
    (tmp_path / "again").mkdir()
    oldest = min((tmp_path / "whole").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    assert oldest != newest
    shutil.copytree(oldest, tmp_path / "again" / oldest.name)
    shutil.copy(tmp_path / "whole" / "run.json", tmp_path / "again")
    train(chosen, tmp_path / "again", resume=True, quiet=True)
    assert (tmp_path / "again" / newest.name).is_dir()


def test_the_learning_rate_falls_with_the_environment_steps_where_these_end_first(tmp_path):
    chosen = settings(updates=12, evaluations=12, environment_steps=50)
    train(chosen, tmp_path, quiet=True)
    newest = max(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    history = json.loads((newest / "trainer_state.json").read_text())["log_history"]
    taken = [entry["rollouts/environment_steps"] for entry in history if "rollouts/environment_steps" in entry]
    rates = [entry["learning_rate"] for entry in history if "learning_rate" in entry]
    assert len(rates) == len(taken) > 1
    assert rates[0] == 1e-2
    for rate, before in zip(rates[1:], taken[:-1], strict=True):
        assert rate == pytest.approx(1e-2 * (1 - before / 50), rel=1e-6)


def test_all_that_is_learnt_from_the_same_rollouts_has_about_one_learning_rate(tmp_path):
    """Also from the last, when the budget is used up: the rate falls with the updates alone while they are learnt."""
    train(settings(updates=12, evaluations=12, environment_steps=50, minibatches=3), tmp_path, quiet=True)
    newest = max(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    state = json.loads((newest / "trainer_state.json").read_text())
    assert state["global_step"] % 3 == 0
    counter = EnvironmentSteps(50, 3)
    counter.add(30)
    counter.add(25)
    assert [counter.share_at(step) for step in (3, 4, 5, 6)] == [1.1, 0.6, 0.6, 1.1]
    last = [entry["learning_rate"] for entry in state["log_history"] if "learning_rate" in entry][-1]
    assert last > 0


def test_it_learns_what_pays(tmp_path):
    """Few questions and valid turns are paid, which a tiny model learns in seconds: no sign is wrong."""
    chosen = settings(
        setting=replace(SETTING, reward="format - 0.5*question_cost"),
        updates=25,
        cases=4,
        group_size=8,
        learning_rate=3e-2,
        evaluations=1,
    )
    trainer = make_trainer(tmp_path, **{f: getattr(chosen, f) for f in ("setting", "updates", "cases", "group_size")})
    trainer.args.learning_rate = 3e-2
    trainer.train()
    history = [entry for entry in trainer.state.log_history if "rollouts/return" in entry]
    first, last = (np.mean([entry["rollouts/return"] for entry in part]) for part in (history[:3], history[-3:]))
    assert last > first + 0.2


def test_adapters_are_learnt_without_the_dropout_that_rollouts_do_not_have(tmp_path):
    trainer = make_trainer(tmp_path, lora=Lora(rank=2))
    rates = [module.p for module in trainer.model.modules() if isinstance(module, torch.nn.Dropout)]
    assert rates and not any(rates)


def test_adapters_and_a_divergence_from_the_first_model(trained, tmp_path):
    out, _ = trained
    train(settings(model=str(out), lora=Lora(rank=2), kl=0.04, updates=2), tmp_path, quiet=True)
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()
    assert json.loads((tmp_path / PROVENANCE).read_text())["from"]["stage"] == "grpo"
    history = json.loads((tmp_path / "checkpoint-2" / "trainer_state.json").read_text())["log_history"]
    assert any("kl" in entry for entry in history)


@pytest.mark.parametrize("no_repeat", [False, True])
def test_the_divergence_from_the_first_model_begins_at_zero_and_grows(trained, tmp_path, no_repeat):
    out, _ = trained
    run = settings(model=str(out), kl=0.04, updates=3, no_repeat=no_repeat, learning_rate=1e-2)
    train(run, tmp_path, quiet=True)
    history = json.loads((tmp_path / "checkpoint-3" / "trainer_state.json").read_text())["log_history"]
    first, *later = [entry["kl"] for entry in history if "kl" in entry]
    assert first == pytest.approx(0, abs=1e-6)
    assert later and max(later) > 1e-4


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from accelerate import PartialState
from promed_agents.sft import SFTSettings, fine_tune
from promed_agents.sig_grpo import scoring
from promed_agents.sig_grpo.trainer import train
from test_sig_grpo import SETTING, TINY, settings

assert PartialState(cpu=True).num_processes == int(sys.argv[2])
scoring._TOKENS = 1_000  # so that one process reads its rollouts in other parts than the other
train(settings(cases=2, group_size=4, updates=2, evaluations=1), sys.argv[1] + "/grpo", quiet=True)
learnt = SFTSettings(
    (sys.argv[3],), "tiny", SETTING, validation_split=None, validation_episodes=2, evaluations=1, epochs=2.0,
    batch_size=8 // int(sys.argv[2]), tiny=TINY,
)
fine_tune(learnt, sys.argv[1] + "/sft", quiet=True)
"""


def test_two_processes_give_what_one_gives(tmp_path):
    """The weights after GRPO, and as many epochs of fine-tuning."""
    script, plans = tmp_path / "run.py", tmp_path / "plans.jsonl"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
    write_trajectories(Job(SETTING), plans, 16)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    for command, folder, processes in (([sys.executable], "one", "1"), (launch, "two", "2")):
        done = subprocess.run(
            [*command, str(script), str(tmp_path / folder), processes, str(plans)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (LanguagePolicy.load(tmp_path / folder / "grpo").model.state_dict() for folder in ("one", "two"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=2e-3, rtol=2e-3)
    for folder in ("one", "two"):
        state = json.loads((tmp_path / folder / "sft" / "checkpoint-4" / "trainer_state.json").read_text())
        assert state["epoch"] == pytest.approx(2.0)


def test_rollouts_that_cannot_be_shared_out_are_refused(tmp_path, monkeypatch):
    for processes, changes in (("4", {}), ("8", {"cases": 3, "group_size": 4}), ("2", {"micro_batch": 6})):
        monkeypatch.setenv("WORLD_SIZE", processes)
        with pytest.raises(ValueError, match="cannot be shared out"):
            config_for(settings(**changes), tmp_path)


def test_turns_of_an_engine_make_the_dialogues_that_the_model_makes_itself(tmp_path):
    """With the likeliest tokens: an engine that is given whole dialogues, against the cache that is kept."""
    model, tokenizer = load_model("tiny", SETTING, tiny=TINY)
    chat, cases = ChatFormat(tokenizer), SETTING.load(4)
    asked: list[int] = []

    def generate(prompts):
        asked.append(len(prompts))
        turns, log_probs = [], []
        for prompt in prompts:
            said, likelihoods = [], []
            while len(said) < 6 and said[-1:] != [chat.end_id]:
                with torch.no_grad():
                    found = torch.log_softmax(model(torch.tensor([prompt + said])).logits[0, -1], dim=-1)
                said.append(int(found.argmax()))
                likelihoods.append(float(found.max()))
            turns.append(said)
            log_probs.append(likelihoods)
        return turns, log_probs

    busy = iter([True] * 40)
    left = iter([True, True, False])  # another process is busy for two more rounds

    policies = {
        "own": LanguagePolicy(model.eval(), chat, max_new_tokens=6),
        "engine": VLLMPolicy(generate, chat, lambda own: next(busy) if own else next(left)),
    }
    ids, seeds = [case.case_id for case in cases], list(range(4))
    found = {name: play(policy, SETTING.make(cases), ids, seeds) for name, policy in policies.items()}
    for own, engine in zip(found["own"], found["engine"], strict=True):
        for name in ("prompt_ids", "completion_ids", "turns", "texts"):
            assert getattr(own.spoken, name) == getattr(engine.spoken, name)
        np.testing.assert_allclose(own.spoken.log_probs, engine.spoken.log_probs, atol=1e-4)
    rounds = len(asked)
    policies["engine"].wait()
    assert asked == [4] * (rounds + 2)


def test_bad_input_is_refused(trained, tmp_path):
    with pytest.raises(ValueError, match="holds a run already"):
        train(settings(), trained[0])
    with pytest.raises(ValueError, match="no checkpoint to resume"):
        train(settings(), tmp_path, resume=True)
    for changes, message in [
        ({"advantage": "luck"}, "advantage must be one of"),
        ({"setting": replace(SETTING, reward=None)}, "name the reward"),
        ({"group_size": 1}, "its own baseline"),
        ({"updates": 0}, "updates must be at least 1"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"micro_batch": 5}, "divide the 6 rollouts"),
        ({"vllm": "yes"}, "colocate or server"),
        ({"vllm": "server", "no_repeat": True}, "kept from repeating"),
        ({"answer_loss": float("nan")}, "at least 0 and finite"),
        ({"kl": -1.0}, "at least 0"),
        ({"schedule": "cosine"}, "linear or constant"),
        ({"optimizer": "sgd"}, "adamw or muon"),
        ({"environment_steps": 0}, "at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            settings(**changes)


@pytest.mark.real
def test_a_reward_that_cannot_be_computed_is_named_before_anything_is_played(mediq_file, tmp_path):
    chosen = replace(SETTING, dataset=str(mediq_file), reward="promed")
    with pytest.raises(BeliefRequired):
        train(settings(setting=chosen), tmp_path, quiet=True)
