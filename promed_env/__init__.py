"""ProMed: a Gymnasium environment for proactive medical consultation. For research, not for care.

    import gymnasium as gym
    import promed_env

    env = gym.make("ProMed-MedQA-v0")

The environment is `promed_env.env.ConsultationEnv`; the agents live in `promed_agents`.
"""

from __future__ import annotations

from promed_env.registration import register_environments

__version__ = "0.1.0"
__all__ = ["__version__"]

register_environments()
