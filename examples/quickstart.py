"""One consultation by hand: ask twice, answer, and look at what each turn earned."""

import gymnasium as gym

import promed_env  # noqa: F401  (registers the environments)

env = gym.make("ProMed-MedQA-v0", render_mode="ansi")
observation, info = env.reset(seed=0)
for action in ("question: Do you have any medical conditions?", "question: What medications do you take?", "answer: C"):
    observation, reward, terminated, truncated, info = env.step(action)
    print(f"{action}\n  {observation}\n  reward {reward:+.3f} = {info['reward_terms']}")
print("\nseen from the end, each turn earned", [round(value, 3) for value in info["turn_rewards"]])
print(env.render())
