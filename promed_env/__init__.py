"""ProMed: a Gymnasium environment for proactive medical consultation. For research, not for care.

    import gymnasium as gym
    import promed_env

    env = gym.make("ProMed-MedQA-v0")
"""

from __future__ import annotations

from promed_env.registration import register_environments

__version__ = "0.1.0"
__all__ = ["__version__"]

register_environments()
