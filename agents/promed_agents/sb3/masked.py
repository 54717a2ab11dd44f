"""`MaskableSlotPolicy`: `SlotPolicy` for MaskablePPO, apart because it needs sb3-contrib."""

from __future__ import annotations

from typing import Any

from sb3_contrib.common.maskable.policies import MaskableMultiInputActorCriticPolicy

from promed_agents.sb3.features import add_slot_scores, pass_scores_through

__all__ = ["MaskableSlotPolicy"]


class MaskableSlotPolicy(MaskableMultiInputActorCriticPolicy):
    """MaskablePPO's policy for a `FindingsMenu`, with `OptionScores` as its features."""

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()
        add_slot_scores(self)

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        pass_scores_through(self)
