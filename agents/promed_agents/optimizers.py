"""Optimisers of the language models that are trained here: AdamW, or Muon for matrices and AdamW for the rest.

Muon makes the step of a weight matrix orthogonal (https://kellerjordan.github.io/posts/muon/, `torch.optim.Muon`). A
small model from scratch learns to read interviews far sooner with it than with AdamW, and sooner still if embeddings,
where most of what it knows of findings lies, take larger steps. Both stages should have the same: what SIG-GRPO with
AdamW made of a model that Muon had trained was worse than before (`docs/agents/sft.md`).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import torch

__all__ = ["EMBEDDING_FACTOR", "MuonWithAdamW", "PicksOptimizer"]

EMBEDDING_FACTOR = 8.0
"""With Muon, how many times the learning rate embeddings and the head have."""


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for the weight matrices of the layers; AdamW for all else: embeddings, the head, norms and biases."""

    def __init__(self, model: Any, lr: float, weight_decay: float = 0.0) -> None:
        """Divide the parameters that are trained.

        Args:
            model: A `transformers.PreTrainedModel`, or one with adapters.
            lr: Learning rate; that of embeddings and the head is `EMBEDDING_FACTOR` times as high.
            weight_decay: Of all parameters but vectors.

        Raises:
            ValueError: No weight matrix is trained.
        """
        outer = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
        outer += [] if model.get_output_embeddings() is None else [model.get_output_embeddings()]
        outside = {id(parameter) for module in outer for parameter in module.parameters()}
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        matrices = [each for each in trained if each.ndim == 2 and id(each) not in outside]
        if not matrices:
            raise ValueError(
                "Muon needs the weight matrices of the layers, and none is trained here as a matrix (FSDP's first "
                "version makes vectors of them); use adamw"
            )
        muons = set(map(id, matrices))
        rest = [
            {
                "params": [each for each in trained if each.ndim > 1 and id(each) not in muons],
                "weight_decay": weight_decay,
                "lr": lr * EMBEDDING_FACTOR,
            },
            {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
        ]
        self._parts: list[torch.optim.Optimizer] = [torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay)]
        if any(group["params"] for group in rest):
            self._parts.append(torch.optim.AdamW([group for group in rest if group["params"]], lr=lr))
        super().__init__([group for part in self._parts for group in part.param_groups], {})

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of."""
        return {**super().__getstate__(), "_parts": self._parts}

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of each, on this optimiser's own groups and state: they are what is saved and loaded.

        Args:
            closure: Computes the loss again, and gradients.

        Returns:
            The loss, where there is a closure.

        Raises:
            RuntimeError: A group of parameters was added, which belongs to neither.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        groups = iter(self.param_groups)
        for part in self._parts:
            part.param_groups = list(islice(groups, len(part.param_groups)))
            part.state = self.state
            part.step()
        if next(groups, None) is not None:
            raise RuntimeError("a group of parameters was added; make a new MuonWithAdamW of the model instead")
        return loss


class PicksOptimizer:
    """A mixin for `transformers.Trainer`, to be named before the trainer.

    Attributes:
        optimizer_name: One of `models.OPTIMIZERS`; set before training.
    """

    optimizer_name = "adamw"

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The optimiser of that name, with the learning rate and weight decay of the trainer's arguments.

        Args:
            model: The model; None for the trainer's.

        Raises:
            ValueError: Muon is asked for, and no weight matrix is trained.
        """
        trainer: Any = self
        if self.optimizer_name == "muon" and trainer.optimizer is None:
            args = trainer.args
            trainer.optimizer = MuonWithAdamW(model or trainer.model, args.learning_rate, args.weight_decay)
        found: torch.optim.Optimizer = super().create_optimizer(model)  # type: ignore[misc]  # the trainer's
        return found
