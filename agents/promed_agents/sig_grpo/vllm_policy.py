"""Rollouts by a vLLM engine that TRL keeps in step with the weights: whole dialogues go out, one turn comes back.

vLLM keeps the cache of what it has read before (prefix caching), so a dialogue that grows is not read anew. On several
processes every call is made by all of them together, as TRL's server mode wants it: a process whose dialogues are over
takes part until all are (`VLLMPolicy.wait`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from promed_agents.chat_format import ChatFormat
from promed_agents.language_policy import Spoken

__all__ = ["Generate", "VLLMPolicy"]

Generate = Callable[[list[list[int]]], tuple[list[list[int]], list[list[float]]]]
"""Prompts as token ids -> the tokens of a turn for each, with their log-probabilities."""


class VLLMPolicy:
    """What `rollout.play` asks of a doctor, over a function that generates.

    Attributes:
        dialogues: The dialogues so far, one a row.
    """

    def __init__(
        self, generate: Generate, chat: ChatFormat, anyone: Callable[[bool], bool] = lambda busy: busy
    ) -> None:
        """See `Generate`.

        Args:
            generate: Generates; called with as many prompts in every process.
            chat: How dialogues become tokens.
            anyone: Told whether this process has a dialogue that goes on, says whether any process has.
        """
        self.generate, self.chat, self.anyone = generate, chat, anyone
        self.dialogues: list[Spoken] = []

    def reset(self, n: int, first: int = 0) -> None:
        """Begin n dialogues; the engine's own seed decides what is drawn."""
        self.dialogues = [Spoken() for _ in range(n)]

    def speak(self, observations: Sequence[str], live: Sequence[int]) -> list[str]:
        """See `LanguagePolicy.speak`."""
        for index in live:
            self.dialogues[index].listen(observations[index], self.chat)
        self.anyone(bool(live))
        turns, log_probs = self.generate(self._prompts(set(live)))
        said = [""] * len(self.dialogues)
        for index in live:
            own, turn = self.dialogues[index], len(self.dialogues[index].texts)
            own.completion_ids += turns[index]
            own.turns += [turn] * len(turns[index])
            own.log_probs += log_probs[index]
            said[index] = self.chat.text(turns[index])
            own.texts.append(said[index])
            if turns[index][-1:] != [self.chat.end_id]:  # cut off: its end is not the doctor's choice
                own.hear([self.chat.end_id])
        return said

    def wait(self) -> None:
        """Take part in what the other processes generate until all their dialogues are over."""
        while self.anyone(False):
            self.generate(self._prompts(set()))

    def _prompts(self, live: set[int]) -> list[list[int]]:
        """The dialogues that go on, whole; in the place of the others the shortest prompt there is."""
        return [
            own.prompt_ids + own.completion_ids if index in live else [self.chat.end_id]
            for index, own in enumerate(self.dialogues)
        ]
