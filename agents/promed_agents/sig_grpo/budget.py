"""How many environment steps a run may learn from: the measure by which learners are compared."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

__all__ = ["EnvironmentSteps"]


class EnvironmentSteps(TrainerCallback, ExportableState):  # type: ignore[misc]  # transformers is partly untyped
    """Counts the turns of the doctor, and ends the run, with a last validation, once there are enough.

    Attributes:
        most: Turns after which the run ends; None for no limit.
        unit: Optimiser steps that learn from the same turns; the last are learnt from to the end.
        taken: Turns so far, those of a run that is resumed included.
        before: Those before the newest rollouts.
    """

    def __init__(self, most: int | None = None, unit: int = 1) -> None:
        """Begin to count."""
        self.most, self.unit, self.taken, self.before = most, unit, 0, 0

    def add(self, turns: int) -> None:
        """Count the turns of new rollouts."""
        self.before = self.taken
        self.taken += turns

    def share_at(self, step: int) -> float:
        """The share of the budget that was used up before the rollouts that this optimiser step learns from."""
        if self.most is None:
            return 0.0
        return (self.before if step % self.unit else self.taken) / self.most

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer after each optimiser step."""
        if self.most is not None and self.taken >= self.most and state.global_step % self.unit == 0:
            control.should_training_stop = control.should_evaluate = control.should_save = True

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"args": {"most": self.most, "unit": self.unit}, "attributes": {"taken": self.taken}}
