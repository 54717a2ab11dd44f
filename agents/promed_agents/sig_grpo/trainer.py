"""SIG-GRPO: TRL's `GRPOTrainer` on consultations of many turns, with an advantage for every token.

    result = train(GRPOSettings(model="doctor", setting=Setting("ProMed-PrimaryCare-v0", split="train",
                   reward="promed_signed")), "doctor-grpo")

TRL asks `rollout_func` for completions and knows one reward a completion. Here a completion is a whole dialogue, in
which the patient's tokens are masked (`env_mask`), and the advantage of each token comes from the rewards of the turns
(`advantages`), put in the place of TRL's own after it has scored the batch; its loss takes advantages of shape (B, T).
Needs the extra `llm`. Method: the paper's second stage, https://arxiv.org/abs/2508.13514.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from datasets import Dataset
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter
from transformers.integrations import TensorBoardCallback
from trl import GRPOConfig, GRPOTrainer

from promed_agents.answer_forks import PADDING, answer_forks, padded
from promed_agents.chat import to_messages
from promed_agents.chat_format import ChatFormat
from promed_agents.language_policy import LanguagePolicy
from promed_agents.models import PROVENANCE, begin_run, check_run, finished, load_model, precision, processes
from promed_agents.optimizers import PicksOptimizer
from promed_agents.rollout import Rollout, play
from promed_agents.sig_grpo.advantages import ESTIMATORS, HINDSIGHT
from promed_agents.sig_grpo.budget import EnvironmentSteps
from promed_agents.sig_grpo.scoring import FORBIDDEN, FORKS, ScoresDoctorTokens, check_logits
from promed_agents.sig_grpo.settings import GRPOSettings
from promed_agents.sig_grpo.vllm_policy import VLLMPolicy
from promed_agents.validation import PlaysValidation, Validation, schedule, summary_of, validation_of
from promed_env.datasets import GeneratedDataset
from promed_env.errors import BackendError
from promed_env.vector import ConsultationVectorEnv

__all__ = ["SIGGRPOTrainer", "config_for", "train", "training_rows"]

SAMPLES = "samples.jsonl"
"""Two dialogues of every validation, in the folder of the run."""


class SIGGRPOTrainer(PlaysValidation, PicksOptimizer, ScoresDoctorTokens, GRPOTrainer):  # type: ignore[misc]  # trl is untyped
    """`GRPOTrainer` whose rollouts are consultations and whose advantages are per token.

    Attributes:
        rollouts: Those of this process in the newest batch.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        settings: GRPOSettings,
        args: GRPOConfig,
        rows: Dataset,
        validation: Validation | None = None,
    ) -> None:
        """Make the trainer.

        Args:
            model: The language model.
            tokenizer: Its tokenizer, with a chat template.
            settings: The run.
            args: As `config_for` makes them.
            rows: As `training_rows` makes them.
            validation: As `validation_of` makes it, which it is by default.

        Raises:
            ValueError: An argument of TRL would silently give a wrong loss.
        """
        if args.importance_sampling_level != "token" or args.loss_type in ("luspo", "vespo"):
            raise ValueError(
                f"advantages are per token: importance_sampling_level must be 'token' and loss_type none of "
                f"luspo, vespo; got {args.importance_sampling_level!r} and {args.loss_type!r}"
            )
        if args.mask_truncated_completions:
            raise ValueError("mask_truncated_completions would silence dialogues whose last turn was cut off")
        if settings.no_repeat:
            check_logits(model.config)
        assert args.output_dir is not None
        folder = Path(args.output_dir)
        self.settings, self.chat, self.answer_loss = settings, ChatFormat(tokenizer), settings.answer_loss
        self.optimizer_name = settings.optimizer
        self.validation = validation or validation_of(settings, settings.longest_turn)
        self.rollouts: list[Rollout] = []
        self._asked: Sequence[Mapping[str, Any]] = []
        self._cases = settings.setting.load_all()
        self._env: ConsultationVectorEnv | None = None
        with warnings.catch_warnings():  # that rollout_func is experimental is known: the tests hold it to its contract
            warnings.filterwarnings("ignore", message=".*'rollout_func'.*", category=UserWarning)
            super().__init__(
                model=model,
                args=args,
                reward_funcs=partial(_returns, self),
                train_dataset=rows,
                eval_dataset=rows.select([0]),  # asked for by the library; validation plays instead
                processing_class=tokenizer,
                rollout_func=_rollout,
                peft_config=None if settings.lora is None else settings.lora.config(),
                callbacks=[
                    TensorBoardCallback(SummaryWriter(str(folder / "logs"))),
                    EnvironmentSteps(settings.environment_steps, settings.minibatches * settings.iterations),
                ],
            )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._asked = inputs
        scored: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if self.forbidden is not None:
            scored[FORBIDDEN] = self.forbidden
        self.sampled = self.forbidden = None
        scored["advantages"] = self._advantages(scored["completion_ids"])
        if self.answer_loss:
            scored |= self._forks(scored["completion_ids"].device)
        return scored

    def _forks(self, device: torch.device) -> dict[str, torch.Tensor]:
        """The right answer beside every turn of the rollouts, as `ScoresDoctorTokens` wants it."""
        found = []
        for rollout in self.rollouts:
            turns = rollout.spoken.turns
            starts = [turns.index(turn) for turn in range(max(turns) + 1)]
            own = answer_forks(rollout.final.case, starts, self.chat, words=self.settings.answers == "words")
            found.append(dict(zip(FORKS, (own.ids, own.targets, own.positions, own.forks), strict=True)))
        fills = dict(zip(FORKS, (self.chat.end_id, -100, 0, PADDING), strict=True))
        return {name: column.to(device) for name, column in padded(found, fills).items()}

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The learning rate falls with the share of the budget that is used up: of updates or of environment steps."""
        if self.settings.schedule != "linear" or self.settings.environment_steps is None:
            return super().create_scheduler(num_training_steps, optimizer)
        trainer: Any = self
        if trainer.lr_scheduler is None:
            trainer._created_lr_scheduler = True
            trainer.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                self.optimizer if optimizer is None else optimizer,
                lambda step: max(0.0, 1 - max(step / num_training_steps, self._counter.share_at(step))),
            )
        return trainer.lr_scheduler

    @property
    def _counter(self) -> EnvironmentSteps:
        return next(each for each in self.callback_handler.callbacks if isinstance(each, EnvironmentSteps))

    def play(self) -> list[Rollout]:
        """Play the cases that the trainer asks for, by sampling from the model as it is now."""
        n = len(self._asked)
        if self._env is None or self._env.num_envs != n:
            self._env = self.settings.setting.make(self._cases, num_envs=n)
        case_ids = [self._cases[row["case"]].case_id for row in self._asked]
        seeds = [row["seed"] for row in self._asked]
        if self.settings.vllm is not None:
            engine = VLLMPolicy(self._by_vllm, self.chat, self._anyone)
            self.rollouts = play(engine, self._env, case_ids, seeds)
            engine.wait()
            return self.rollouts
        model = self.accelerator.unwrap_model(self.model)
        policy = LanguagePolicy(
            model,
            self.chat,
            temperature=self.settings.temperature,
            max_new_tokens=self.settings.longest_turn,
            no_repeat=self.settings.no_repeat,
            seed=(self.settings.seed, self.state.global_step),  # a run that is resumed draws as it would have drawn
        )
        training = model.training
        model.eval()
        self.rollouts = play(policy, self._env, case_ids, seeds, first=n * self.accelerator.process_index)
        model.train(training)
        if self.settings.no_repeat:
            self.forbidden = _forbidden([rollout.spoken.forbidden for rollout in self.rollouts]).to(model.device)
        if not self.settings.kl:  # else other log-probabilities are asked for too
            self.sampled = [rollout.spoken.log_probs for rollout in self.rollouts]
        return self.rollouts

    def _by_vllm(self, prompts: list[list[int]]) -> tuple[list[list[int]], list[list[float]]]:
        """A turn for each prompt from TRL's engine, whose weights TRL has just brought up to date."""
        _, turns, log_probs, _ = self.vllm_generation.generate(prompts=prompts, images=None, num_generations=1)
        return turns, [[float(token[0]) for token in turn] for turn in log_probs]

    def _anyone(self, busy: bool) -> bool:
        return any(gather_object([busy]))

    def _advantages(self, completion_ids: torch.Tensor) -> torch.Tensor:
        """Advantages of this process's tokens, (B, T); groups are gathered first, as one may straddle processes."""
        hindsight = self.settings.advantage in HINDSIGHT
        rewards = [(rollout.hindsight if hindsight else rollout.rewards).tolist() for rollout in self.rollouts]
        turns = [rollout.spoken.turns for rollout in self.rollouts]
        every_reward, every_turn = gather_object(rewards), gather_object(turns)
        groups = np.arange(len(every_reward)) // self.num_generations
        estimator = partial(ESTIMATORS[self.settings.advantage], **self.settings.advantage_options)
        found = estimator(_padded(every_reward, 0.0), _padded(every_turn, -1).astype(np.int64), groups)
        self._log_rollouts(every_reward, groups)
        first = self.accelerator.process_index * len(rewards)
        own = found[first : first + len(rewards)]
        advantages = torch.zeros(completion_ids.shape, dtype=torch.float32, device=completion_ids.device)
        width = min(own.shape[1], advantages.shape[1])
        advantages[:, :width] = torch.as_tensor(own[:, :width], dtype=torch.float32)
        return advantages

    def _log_rollouts(self, rewards: list[list[float]], groups: NDArray[np.int64]) -> None:
        figures = gather_object([summary_of(self.rollouts)])
        self._counter.add(sum(map(len, rewards)))
        self._metrics["train"]["rollouts/environment_steps"].append(float(self._counter.taken))
        for name in figures[0]:
            self._metrics["train"][f"rollouts/{name}"].append(float(np.mean([each[name] for each in figures])))
        returns = np.array([sum(own) for own in rewards])
        alike = [float(np.ptp(returns[groups == group]) < 1e-9) for group in np.unique(groups)]
        self._metrics["train"]["rollouts/degenerate_groups"].append(float(np.mean(alike)))

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """See `PlaysValidation.evaluate`; two of the dialogues are written to `samples.jsonl`."""
        found = super().evaluate(*args, **kwargs)
        if self.is_world_process_zero():
            with (Path(self.args.output_dir) / SAMPLES).open("a", encoding="utf-8") as stream:
                for final, dynamics in self.validation.newest[:2]:
                    sample = {"step": self.state.global_step, "case_id": final.case.case_id, "correct": final.correct}
                    stream.write(json.dumps({**sample, "messages": to_messages(final, dynamics)}) + "\n")
        return found


def _returns(trainer: SIGGRPOTrainer, completions: Sequence[Any], **_: Any) -> list[float]:
    """The reward function that TRL asks for: the returns of the newest rollouts."""
    assert len(completions) == len(trainer.rollouts)
    return [float(rollout.rewards.sum()) for rollout in trainer.rollouts]


_returns.__name__ = "return"


def _rollout(prompts: list[Any], trainer: SIGGRPOTrainer) -> dict[str, list[Any]]:
    """What TRL's `rollout_func` is to give: ids, log-probabilities, and which tokens are the doctor's."""
    spoken = [rollout.spoken for rollout in trainer.play()]
    assert len(spoken) == len(prompts)
    return {
        "prompt_ids": [each.prompt_ids for each in spoken],
        "completion_ids": [each.completion_ids for each in spoken],
        "logprobs": [each.log_probs for each in spoken],
        "env_mask": [[int(turn >= 0) for turn in each.turns] for each in spoken],
    }


def _forbidden(rows: Sequence[Sequence[Sequence[int]]]) -> torch.Tensor:
    """The tokens that could not be drawn in the place of each, (B, T, most), with -1 where there are fewer."""
    most = max((len(tokens) for row in rows for tokens in row), default=0)
    found = np.full((len(rows), max(map(len, rows)), most), -1)
    for index, row in enumerate(rows):
        for place, tokens in enumerate(row):
            found[index, place, : len(tokens)] = tokens
    return torch.from_numpy(found)


def _padded(rows: Sequence[Sequence[float]], fill: float) -> NDArray[np.float64]:
    wide = np.full((len(rows), max(len(row) for row in rows)), fill)
    for index, row in enumerate(rows):
        wide[index, : len(row)] = row
    return wide


def training_rows(settings: GRPOSettings) -> Dataset:
    """Indexes of the cases to learn from, as many as the run needs, drawn by its seed; whole rounds of few cases.

    A case is made when it is played; a long run needs more than fit in memory. The prompts are only there because TRL
    counts them.
    """
    cases = settings.setting.load_all()
    rng = np.random.default_rng(settings.seed)
    wanted = settings.updates * settings.cases
    if len(cases) < wanted:
        rounds = [rng.permutation(len(cases)) for _ in range(-(-wanted // len(cases)))]
        indexes = np.concatenate(rounds)[:wanted]
    elif isinstance(cases, GeneratedDataset):  # so many that none is likely to be drawn twice
        indexes = rng.integers(len(cases), size=wanted)
    else:
        indexes = rng.choice(len(cases), size=wanted, replace=False)
    return Dataset.from_dict(
        {
            "prompt": [[{"role": "user", "content": f"case {index}"}] for index in indexes],
            "case": indexes,
            "seed": [settings.setting.seed + index for index in range(wanted)],
        }
    )


def config_for(settings: GRPOSettings, out: Path, *, quiet: bool = False) -> GRPOConfig:
    """The arguments of TRL's trainer for a run."""
    total = settings.cases * settings.group_size
    n = processes()
    share, rest = divmod(total, n * settings.minibatches)
    micro = settings.micro_batch or share
    if rest or share % micro:
        raise ValueError(
            f"{total} rollouts an update cannot be shared out evenly among {n} processes, "
            f"{settings.minibatches} minibatches and micro-batches of {micro or 1}; change cases, group_size or these"
        )
    parts = total // (micro * n)
    unit = settings.iterations * settings.minibatches
    return GRPOConfig(
        output_dir=str(out),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=parts // settings.minibatches,
        steps_per_generation=parts,
        per_device_eval_batch_size=settings.group_size,  # asked for by the library, and not used
        num_generations=settings.group_size,
        num_iterations=settings.iterations,
        max_completion_length=settings.longest_turn,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        restore_callback_states_from_checkpoint=True,
        beta=settings.kl,
        epsilon=settings.clip,
        entropy_coef=settings.entropy,
        temperature=settings.temperature,
        loss_type="dapo",
        scale_rewards="none",
        shuffle_dataset=False,
        activation_checkpointing=False,
        disable_dropout=True,  # of adapters: rollouts are played without
        **precision(settings.cpu),
        ddp_broadcast_buffers=False,  # processes read their rollouts in different numbers of parts, and none changes
        use_vllm=settings.vllm is not None,
        vllm_mode=settings.vllm or "colocate",
        vllm_importance_sampling_mode="token_truncate",
        **schedule(settings.updates * unit, settings.evaluations, unit),
        seed=settings.seed,
        dataloader_pin_memory=False,
        disable_tqdm=quiet,
    )


def train(settings: GRPOSettings, out: str | Path, *, resume: bool = False, quiet: bool = False) -> dict[str, float]:
    """Train, and leave the best model in `out`.

    Args:
        settings: How.
        out: The folder: the model, `promed.json` (provenance), `samples.jsonl`, `checkpoint-*`, TensorBoard's `logs`.
        resume: Go on from the newest checkpoint in it.
        quiet: Show no progress.

    Returns:
        Validation figures of the model that is kept (`validation.summary_of`).

    Raises:
        ValueError: There is nothing to resume from, or a run with other settings; or the folder is not empty and
            `resume` is not asked for; or the rollouts cannot be shared out among the processes.
        BeliefRequired: The reward cannot be computed for a case.
        BackendError: The model cannot be read, or vLLM is asked for and not there.
    """
    out = Path(out)
    settings = replace(settings, max_new_tokens=settings.longest_turn)
    if resume and (figures := finished(out, asdict(settings))) is not None:
        return figures
    if settings.vllm is not None and find_spec("vllm") is None:  # what may be refused comes first
        raise BackendError(f"rollouts by vllm={settings.vllm!r} need the package vllm; install it, or leave vllm out")
    validation, rows = validation_of(settings, settings.longest_turn), training_rows(settings)
    config = config_for(settings, out, quiet=quiet)
    check_run(out, asdict(settings), resume)
    model, tokenizer = load_model(
        settings.model, settings.setting, seed=settings.seed, tiny=settings.tiny, lora=settings.lora
    )
    begin_run(out, asdict(settings))
    trainer = SIGGRPOTrainer(model, tokenizer, settings, config, rows, validation)
    trainer.train(resume_from_checkpoint=resume)
    return trainer.keep(out, {"stage": "grpo", "from": _origin(settings.model), "settings": asdict(settings)})


def _origin(model: str) -> dict[str, Any]:
    """The provenance of the model it started from, where it has one."""
    path = Path(model) / PROVENANCE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"model": model}
