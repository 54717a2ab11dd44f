"""Doctors trained with Stable-Baselines3 on the menu of questions: PPO, DQN and MaskablePPO.

    from promed_agents.sb3 import SB3Doctor, read_recipe, train

    folder = train(read_recipe("maskable_ppo"), "runs/first")   # checkpoints, evaluations, TensorBoard logs
    doctor = SB3Doctor(folder)                                  # an `Agent` that sees the dialogue only

Needs the extra `rl`. Checkpoints contain pickles, as every Stable-Baselines3 file does: load only those you trust.
"""

from __future__ import annotations

from promed_agents.sb3.config import ALGORITHMS, TrainConfig, read_recipe
from promed_agents.sb3.doctor import SB3Doctor
from promed_agents.sb3.train import Validation, newest_checkpoint, train
from promed_agents.sb3.vec_env import MenuVecEnv

__all__ = [
    "ALGORITHMS",
    "MenuVecEnv",
    "SB3Doctor",
    "TrainConfig",
    "Validation",
    "newest_checkpoint",
    "read_recipe",
    "train",
]
