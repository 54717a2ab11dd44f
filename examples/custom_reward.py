"""A reward of one's own: a term is a pure function of two states, and terms add and scale."""

import gymnasium as gym

import promed_env  # noqa: F401  (registers the environments)
from promed_env.consultation import Consultation
from promed_env.rewards import SIG, Diagnosis, RewardTerm
from promed_env.testing import check_reward_term


class ShortQuestions(RewardTerm):
    """1 for a question of at most eight words."""

    name = "short_questions"

    def __call__(self, before: Consultation, after: Consultation) -> float:
        """See the class."""
        turn = after.turns[-1]
        return float(turn.kind == "question" and len(turn.text.split()) <= 8)


print(check_reward_term(ShortQuestions()))
env = gym.make("ProMed-MedQA-v0", reward=2 * SIG("signed") + 3 * Diagnosis() + 0.1 * ShortQuestions())
env.reset(seed=1)
_, reward, _, _, info = env.step("question: Do you smoke?")
print(reward, info["reward_terms"])
