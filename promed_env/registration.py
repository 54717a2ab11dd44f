"""The environments' ids: one table, one loop."""

from __future__ import annotations

from typing import Any

from gymnasium.envs.registration import register, registry

__all__ = ["ENVIRONMENTS", "bundled_ids", "register_environments"]

ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "ProMed-MedQA-v0": {"dataset": "medqa"},
    "ProMed-CMB-v0": {"dataset": "cmb"},
    "ProMed-PrimaryCare-v0": {"dataset": "primarycare", "patient": "knowledge", "belief": "knowledge"},
    "ProMed-DDXPlus-v0": {"dataset": "ddxplus", "reward": "diagnosis"},
    "ProMed-AgentClinic-v0": {"dataset": "agentclinic", "reward": "diagnosis", "show_options": "never"},
}
"""Environment id -> keyword arguments of `ConsultationEnv`."""


def register_environments() -> None:
    """Register every id with Gymnasium; does nothing for an id that is registered already."""
    for env_id, kwargs in ENVIRONMENTS.items():
        if env_id not in registry:
            register(
                id=env_id,
                entry_point="promed_env.env:ConsultationEnv",
                vector_entry_point="promed_env.vector:ConsultationVectorEnv",
                kwargs=kwargs,
            )


def bundled_ids() -> tuple[str, ...]:
    """Ids of the environments whose cases come with the package; the others need `promed datasets fetch`."""
    from promed_env.datasets import SOURCES

    return tuple(env_id for env_id, kwargs in ENVIRONMENTS.items() if not SOURCES[kwargs["dataset"]].file)
