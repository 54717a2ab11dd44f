"""SIG-GRPO: group-relative policy optimisation of language models, with rewards and advantages for every turn."""
