"""Plan on immutable states: try every question of the catalogue from one state, without copying the environment."""

import gymnasium as gym

import promed_env  # noqa: F401  (registers the environments)
from promed_env.interview import CATALOGUE
from promed_env.rewards import SIG

env = gym.make("ProMed-MedQA-v0")
env.reset(seed=2)
base = env.unwrapped
state = base.consultation
values = {question: SIG()(state, state.ask(question, base.patient.reply(state, question))) for question in CATALOGUE}
best = max(values, key=values.__getitem__)
print(f"most worth asking in {state.case.case_id}: {best!r}, SIG {values[best]:.3f}")
_, reward, _, _, info = env.step(f"question: {best}")
print(f"the environment agrees: {info['reward_terms']['sig'] / 2:.3f}")
base.consultation = state  # and back
print(f"turn {base.consultation.turn} again")
