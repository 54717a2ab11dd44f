"""One step of a consultation: from an utterance to the next state, and from two states to what the learner is told.

`ConsultationEnv` and `ConsultationVectorEnv` are shells around this module, so that both obey the same rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from promed_env import phrases
from promed_env.actions import parse_action
from promed_env.case import Case
from promed_env.consultation import Consultation, ShowOptions, Tracker
from promed_env.errors import InvalidAction
from promed_env.patients import Patient, Reply
from promed_env.rewards import SIG, DistributedReward, RewardTerm, WeightedSum

__all__ = ["Dynamics"]


@dataclass(frozen=True)
class Dynamics:
    """The rules of the consultation around a patient, a tracker and a reward.

    Attributes:
        patient: Who replies.
        reward: What a step pays.
        tracker: Which facts count as known; None means those that replies disclosed.
        show_options: When the doctor sees the options.
        dataset: What the cases are, for `info["dataset"]`.
    """

    patient: Patient
    reward: RewardTerm
    tracker: Tracker | None
    show_options: ShowOptions
    dataset: str
    sig: SIG | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sig", next(_sig_terms(self.reward), None))

    def hear(self, before: Consultation, utterance: str) -> Consultation | str:
        """The next state; or the question, where the patient has to reply before there is one.

        Raises:
            InvalidAction: The action is not a string.
        """
        if not isinstance(utterance, str):
            raise InvalidAction(
                'an action is a string such as "question: Do you smoke?" or "answer: A", '
                f"not {type(utterance).__name__}"
            )
        if before.finished:
            return before
        kind, text, confidence = parse_action(utterance)
        if kind == "question":
            return before.fail("an answer was due") if before.must_answer else text
        if kind == "invalid":
            return before.fail(text)
        shown = self.options_shown(before)
        reveal = self.show_options == "at_answer" and not shown
        return before.answer(text, confidence, keys=shown, reveal=reveal)

    def options_shown(self, state: Consultation) -> bool:
        """Whether the doctor has been shown the options, and so may answer by key."""
        return state.options_shown(self.show_options)

    def told(self, before: Consultation, question: str, reply: Reply) -> Consultation:
        """The state after the patient's reply.

        Raises:
            ValueError: The patient disclosed a fact that there is not, or the tracker knows one or forgets some.
        """
        disclosed = reply.disclosed
        if disclosed and (min(disclosed) < 0 or max(disclosed) >= len(before.case.facts)):
            raise self._unknown_facts(before, reply)
        if self.tracker is None:
            return before.ask(question, reply)
        return self._tracked(before, question, reply, self.tracker.known(before, question, reply))

    def told_batch(
        self, befores: Sequence[Consultation], questions: Sequence[str], replies: Sequence[Reply]
    ) -> list[Consultation]:
        """`told` of many consultations, with one call of a tracker that offers `known_batch`.

        Raises:
            ValueError: As `told`.
        """
        known_batch = getattr(self.tracker, "known_batch", None)
        if known_batch is None:
            return list(map(self.told, befores, questions, replies))
        for before, reply in zip(befores, replies, strict=True):
            if not set(reply.disclosed) <= set(range(before.case.n_facts)):
                raise self._unknown_facts(before, reply)
        known = known_batch(befores, questions, replies)
        return list(map(self._tracked, befores, questions, replies, known))

    def _unknown_facts(self, before: Consultation, reply: Reply) -> ValueError:
        n = before.case.n_facts
        return ValueError(f"patient {self.patient.name!r} disclosed facts {reply.disclosed}; the case has {n}, from 0")

    def _tracked(self, before: Consultation, question: str, reply: Reply, tracked: Collection[int]) -> Consultation:
        """The state after a reply, where a tracker says what is known."""
        known, n = frozenset(tracked), before.case.n_facts
        if not before.known <= known <= frozenset(range(n)):
            raise ValueError(
                f"{type(self.tracker).__name__}.known gave {sorted(known)}; it must contain what was known before, "
                f"{sorted(before.known)}, and fact indexes from 0 to {n - 1} only"
            )
        return before.ask(question, reply, known)

    def opening(self, consultation: Consultation) -> str:
        """The first observation."""
        return phrases.opening(consultation.case, consultation.max_questions, self.show_options)

    def observation(self, before: Consultation, after: Consultation) -> str:
        """The newest text: the reply or a notice, then the budget."""
        case, language = after.case, after.case.language
        if after is before:
            return phrases.over(language)
        turn = after.turns[-1]
        if after.finished:
            named_nothing = turn.kind == "answer" and not turn.chosen
            return phrases.over(language, due=turn.kind == "invalid", unknown=named_nothing)
        left = phrases.budget(language, 0 if turn.kind == "answer" else after.max_questions - len(after.turns))
        if turn.reply is not None:
            text = turn.reply.text
        elif turn.kind == "invalid":
            text = phrases.invalid(language, turn.text)
        else:
            return f"{phrases.reveal(case)}\n{left}"
        if self.show_options == "at_answer" and after.must_answer:
            return f"{text}\n{phrases.reveal(case)}\n{left}"
        return f"{text}\n{left}"

    def reset_info(self, consultation: Consultation) -> dict[str, Any]:
        """`info` after a reset."""
        return {"case_id": consultation.case.case_id, "dataset": self.dataset, "turn": 0}

    def info(self, before: Consultation, after: Consultation, terms: dict[str, float]) -> dict[str, Any]:
        """`info` after a step (`docs/environment.md` lists the keys)."""
        turn = after.turns[-1]
        idle = after is before
        reply = None if idle else turn.reply
        info: dict[str, Any] = {
            "case_id": after.case.case_id,
            "dataset": self.dataset,
            "turn": len(after.turns),
            "kind": "invalid" if idle else turn.kind,
            "disclosed": () if reply is None else reply.disclosed,
            "new": () if idle else turn.new,
            "informant": None if reply is None else reply.informant,
            "reward_terms": terms,
        }
        if after.finished:
            info["correct"] = after.correct
            info["chosen"] = after.chosen
            info["answer"] = after.case.answer
            info["turn_rewards"] = tuple(self.reward.hindsight(after).tolist())
            info["fact_recall"] = after.fact_recall
            if turn.confidence is not None:
                info["confidence"] = turn.confidence
            sig = self.sig_for(after.case)
            if sig is not None:
                info["sig_total"] = float(sig.gains(after).sum())
        return info

    def info_columns(self, afters: Sequence[Consultation], terms: dict[str, list[float]]) -> dict[str, Any]:
        """`info` of many steps after which the consultation goes on, by key: a list each, a dict of lists for terms."""
        turns = [after.turns[-1] for after in afters]
        replies = [turn.reply for turn in turns]
        return {
            "case_id": [after.case.case_id for after in afters],
            "dataset": [self.dataset] * len(afters),
            "turn": [len(after.turns) for after in afters],
            "kind": [turn.kind for turn in turns],
            "disclosed": [() if reply is None else reply.disclosed for reply in replies],
            "new": [turn.new for turn in turns],
            "informant": [None if reply is None else reply.informant for reply in replies],
            "reward_terms": terms,
        }

    def sig_for(self, case: Case) -> SIG | None:
        """The SIG to report: the reward's own, or the paper's where the case is annotated; None where it is unknown."""
        if self.sig is None and case.shapley is not None and "all" in case.shapley.values:
            return SIG()
        return self.sig


def _sig_terms(reward: RewardTerm) -> Iterator[SIG]:
    """The SIG terms of a reward; `info["sig_total"]` sums up the first."""
    if isinstance(reward, SIG):
        yield reward
    elif isinstance(reward, DistributedReward):
        yield reward.sig
    elif isinstance(reward, WeightedSum):
        for _, term in reward.parts:
            yield from _sig_terms(term)
