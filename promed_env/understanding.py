"""The paper's understanding: what the doctor has taken in, written down by a language model and checked fact by fact.

    env = gym.make("ProMed-MedQA-v0", tracker="understanding:hf:smollm2")
    env = gym.make("ProMed-MedQA-v0", tracker="understanding:hf:PATH,checker=model,disclosed_only=true")

After each reply the model reads the dialogue and writes down what is known of the patient; a checker says which of the
case's facts that contains, and these count as known from then on, so SIG is paid for them. The writer reads the
presentation, the questions and the replies: neither the multiple-choice question with its options nor a fact that
nobody told is in its prompt. The checker does know the facts. See `docs/understanding.md` for how far this agrees with
what replies disclosed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeVar

from promed_env.actions import normalise
from promed_env.case import Case, Language
from promed_env.consultation import Consultation, Tracker
from promed_env.llm import LanguageModel, Messages, make_llm
from promed_env.patients import Reply
from promed_env.patients.llm import SENTENCE_END, WHOLE, contains, content_words, denies

__all__ = ["Checker", "ModelChecker", "Understanding", "UnderstandingTracker", "WordsChecker", "make_tracker"]


class Checker(Protocol):
    """Decides which facts a written understanding contains; hashable, and deterministic given its arguments."""

    def __hash__(self) -> int:
        """A hash that agrees with equality."""

    @property
    def name(self) -> str:
        """What stands after `checker=`."""

    def contained(
        self, cases: Sequence[Case], understandings: Sequence[str], asked: Sequence[frozenset[int]]
    ) -> list[frozenset[int]]:
        """Those of the asked facts that each understanding contains.

        Args:
            cases: The cases, length n.
            understandings: What was written down of each, length n.
            asked: Indexes of the facts to decide on, length n.
        """


@dataclass(frozen=True)
class WordsChecker:
    """A fact is contained if one sentence says at least `WHOLE` of its content words, all its numbers and no less.

    A sentence is cut where it begins or ends to deny something, and the words of a fact have to stand on the same side;
    what is said of the family is not said of the patient; a question states nothing. Other words in the sentence do no
    harm, unlike in the check of a patient's words, which may not say more than the facts.
    """

    @property
    def name(self) -> str:
        """What stands after `checker=`."""
        return "words"

    def contained(
        self, cases: Sequence[Case], understandings: Sequence[str], asked: Sequence[frozenset[int]]
    ) -> list[frozenset[int]]:
        """See `Checker.contained`."""
        found = []
        for case, text, facts in zip(cases, understandings, asked, strict=True):
            sentences = SENTENCE_END.split(text)
            said = [_claims(sentence) for sentence in sentences if not sentence.rstrip().endswith(_ASKED)]
            found.append(frozenset(f for f in facts if any(_says(each, case.facts[f].text) for each in said)))
        return found


@dataclass(frozen=True)
class ModelChecker:
    """A fact is contained if a language model rather says yes than no, asked about this fact alone.

    It chooses between two letters, in both orders, and the log-probabilities are added up: a model that always takes
    the first letter then decides nothing by it, and a tie is a no.

    Attributes:
        model: The model.
    """

    model: LanguageModel

    @property
    def name(self) -> str:
        """What stands after `checker=`."""
        return self.model.name

    def contained(
        self, cases: Sequence[Case], understandings: Sequence[str], asked: Sequence[frozenset[int]]
    ) -> list[frozenset[int]]:
        """See `Checker.contained`: one call of the model. An empty understanding contains nothing."""
        items = [
            (row, fact)
            for row, (text, facts) in enumerate(zip(understandings, asked, strict=True))
            if text
            for fact in sorted(facts)
        ]
        chats: list[Messages] = [
            _verify(cases[row].language, understandings[row], cases[row].facts[fact].text, yes_first=yes_first)
            for row, fact in items
            for yes_first in (True, False)
        ]
        scores = self.model.choice_logprobs(chats, [("A", "B")] * len(chats))
        found: list[set[int]] = [set() for _ in cases]
        for place, (row, fact) in enumerate(items):
            forward, backward = scores[2 * place], scores[2 * place + 1]
            if forward[0] + backward[1] > forward[1] + backward[0]:
                found[row].add(fact)
        return [frozenset(facts) for facts in found]


class Understanding(NamedTuple):
    """What was written down after a reply, and what the checker found in it.

    Attributes:
        text: The understanding.
        contained: Indexes of the facts that it contains, of those not known before.
        undisclosed: Those among them that neither the presentation nor any reply so far has stated: made up, guessed,
            or read between the lines.
        known: All facts that count as known now.
    """

    text: str
    contained: frozenset[int]
    undisclosed: frozenset[int]
    known: frozenset[int]


@dataclass(frozen=True)
class UnderstandingTracker:
    """A fact counts as known once the doctor's understanding, as a language model writes it down, contains it.

    Everything that asks a consultation what is known then hears of the understanding: SIG and fact recall, and doctors
    whose access is "knowledge", because they read the evidence rows of known facts. One that was not disclosed is news
    to them that no reply brought; `disclosed_only` keeps it from them.

    The model decodes greedily. What it wrote is remembered by dialogue, and what the checker found by case and text,
    the last 4,096 of each, so that a planner that comes back to a state pays once.

    Attributes:
        model: Who writes.
        checker: Who decides what is contained.
        disclosed_only: Count a fact only if the presentation or a reply has stated it. The paper pays for everything
            that the understanding contains, so a fact that the model made up or guessed right is paid, too.
        max_new_tokens: Most tokens of an understanding.
        counts: Of all turns so far, for diagnosis only: "turns"; "contained", facts that became known or would have
            without `disclosed_only`; "undisclosed" among them; "missed", facts that the last reply stated first and the
            understanding does not contain; "written", understandings that the model wrote; "tokens" of those.
    """

    model: LanguageModel
    checker: Checker = WordsChecker()
    disclosed_only: bool = False
    max_new_tokens: int = 192
    counts: Counter[str] = field(default_factory=Counter, init=False, repr=False, compare=False)
    _texts: _Recent[tuple[Language, str], str] = field(
        default_factory=lambda: _Recent(), init=False, repr=False, compare=False
    )
    _found: _Recent[tuple[Case, str], frozenset[int]] = field(
        default_factory=lambda: _Recent(), init=False, repr=False, compare=False
    )

    @property
    def name(self) -> str:
        """The string that makes this tracker, where its models have names that `make_llm` takes."""
        given = "" if self.checker == WordsChecker() else f",checker={self.checker.name}"
        return f"understanding:{self.model.name}{given}" + (",disclosed_only=true" if self.disclosed_only else "")

    def known(self, before: Consultation, question: str, reply: Reply) -> frozenset[int]:
        """See `Tracker.known`."""
        return self.known_batch([before], [question], [reply])[0]

    def known_batch(
        self, befores: Sequence[Consultation], questions: Sequence[str], replies: Sequence[Reply]
    ) -> list[frozenset[int]]:
        """`known` of many consultations, with one call of the writer and one of the checker.

        Raises:
            ValueError: The numbers of consultations, questions and replies differ.
            BackendError: A model fails, or the dialogue is too long for it.
        """
        found = self.explain(befores, questions, replies)
        for before, reply, each in zip(befores, replies, found, strict=True):
            self.counts["turns"] += 1
            self.counts["contained"] += len(each.contained)
            self.counts["undisclosed"] += len(each.undisclosed)
            first = set(reply.disclosed) - before.known - _disclosed(before)
            self.counts["missed"] += len(first - each.contained)
        return [each.known for each in found]

    def explain(
        self, befores: Sequence[Consultation], questions: Sequence[str], replies: Sequence[Reply]
    ) -> list[Understanding]:
        """What was understood after each reply; counts no turns."""
        dialogues = [
            _dialogue(before, question, reply)
            for before, question, reply in zip(befores, questions, replies, strict=True)
        ]
        languages = [before.case.language for before in befores]
        texts = self._texts.get_all(list(zip(languages, dialogues, strict=True)), self._write)
        # All facts not told at the start are asked about, known or not, so that the question is the same on every path.
        asked = [(before.case, text) for before, text in zip(befores, texts, strict=True)]
        contained = self._found.get_all(asked, self._check)
        result = []
        for before, reply, text, facts in zip(befores, replies, texts, contained, strict=True):
            new = facts - before.known
            disclosed = before.case.initial | _disclosed(before) | set(reply.disclosed)
            counted = new & disclosed if self.disclosed_only else new
            result.append(Understanding(text, new, new - disclosed, before.known | counted))
        return result

    def _write(self, keys: Sequence[tuple[Language, str]]) -> list[str]:
        chats = [[*_INSTRUCTIONS[language], {"role": "user", "content": dialogue}] for language, dialogue in keys]
        said = self.model.chat(chats, max_new_tokens=self.max_new_tokens, temperature=0.0)
        self.counts["written"] += len(said)
        self.counts["tokens"] += sum(completion.tokens for completion in said)
        return [completion.text.strip() for completion in said]

    def _check(self, keys: Sequence[tuple[Case, str]]) -> list[frozenset[int]]:
        cases = [case for case, _ in keys]
        return self.checker.contained(cases, [text for _, text in keys], [frozenset(case.hidden) for case in cases])


def make_tracker(tracker: str | Tracker | None) -> Tracker | None:
    """The tracker that a string names, or the object itself; None for the default.

    Args:
        tracker: "disclosed" (the default, exactly what replies disclosed) or "understanding:MODEL" with options after
            commas: "checker=words" (the default), "checker=model" (the same model) or "checker=OTHER MODEL";
            "disclosed_only=true"; "max_new_tokens=N". MODEL is a name for `make_llm`. Or a `Tracker`, or None.

    Raises:
        ValueError: The name or an option is unknown.
        TypeError: The object lacks the interface.
        BackendError: The model cannot be loaded.
    """
    if tracker is None or tracker == "disclosed":
        return None
    if not isinstance(tracker, str):
        if not callable(getattr(tracker, "known", None)):
            raise TypeError(f"a tracker has known(before, question, reply); {tracker!r} does not")
        return tracker
    kind, found, rest = tracker.partition(":")
    model_name, *given = rest.split(",")
    if kind != "understanding" or not found or not model_name.strip():
        raise ValueError(
            f"unknown tracker {tracker!r}; expected 'disclosed', 'understanding:MODEL' (such as "
            "'understanding:hf:smollm2,checker=model'), a Tracker or None"
        )
    options = dict(_option(each, tracker) for each in given)
    length = options.get("max_new_tokens", "192")
    only = options.get("disclosed_only", "false").lower()
    if not length.isdecimal() or not int(length):
        raise ValueError(f"max_new_tokens in {tracker!r} must be a whole number of at least 1, got {length!r}")
    if only not in ("true", "false"):
        raise ValueError(f"disclosed_only in {tracker!r} must be true or false, got {only!r}")
    model, checked_by = make_llm(model_name.strip()), options.get("checker", "words")
    checker: Checker = WordsChecker()
    if checked_by != "words":
        checker = ModelChecker(model if checked_by == "model" else make_llm(checked_by))
    return UnderstandingTracker(model, checker, only == "true", int(length))


def _option(text: str, tracker: str) -> tuple[str, str]:
    name, found, value = (part.strip() for part in text.partition("="))
    if name not in _OPTIONS or not found or not value:
        raise ValueError(f"unknown option {text!r} in {tracker!r}; write NAME=VALUE with {', '.join(_OPTIONS)}")
    return name, value


_OPTIONS = ("checker", "disclosed_only", "max_new_tokens")

Key = TypeVar("Key")
Value = TypeVar("Value")
_KEPT = 4096


class _Recent(dict[Key, Value]):
    """The last `_KEPT` results of a batched function, by argument."""

    def get_all(self, keys: Sequence[Key], compute: Callable[[Sequence[Key]], Sequence[Value]]) -> list[Value]:
        """One result a key; those not at hand are computed together, each once."""
        missing = [key for key in dict.fromkeys(keys) if key not in self]
        if missing:
            self.update(zip(missing, compute(missing), strict=True))
        found = [self[key] for key in keys]
        while len(self) > _KEPT:
            del self[next(iter(self))]
        return found


def _disclosed(before: Consultation) -> frozenset[int]:
    """Facts that replies have stated so far."""
    return frozenset(fact for turn in before.turns if turn.reply is not None for fact in turn.reply.disclosed)


_PROMPT: dict[Language, str] = {
    "en": (
        "You read a dialogue between a doctor and a patient. Write down what the doctor now knows of the patient, in "
        "short full sentences, one a line, in the words of the dialogue. Write down what is denied, too, as denied. "
        "Add nothing that is not said, no diagnosis and no advice."
    ),
    "zh": (
        "请阅读医生与患者的对话\uff0c写下医生现在对患者的了解\uff1a每行一个简短完整的句子\uff0c尽量用对话中的原话\uff0c"
        "否认的内容也要写明。不要添加对话中没有的内容\uff0c不要写诊断或建议。"
    ),
}
_EXAMPLE: dict[Language, tuple[str, str]] = {  # small models understand little without one
    "en": (
        "At the start: A 30-year-old man has a rash.\n"
        "Doctor: Do you have a fever or itching?\nPatient: I have had a fever for two days. I have no itching.\n"
        "Doctor: What do the blood tests show?\nResult: The platelet count is 90 per nL.",
        "A 30-year-old man has a rash.\nHe has had a fever for two days.\nHe has no itching.\n"
        "The platelet count is 90 per nL.",
    ),
    "zh": (
        "起初\uff1a男\uff0c30岁\uff0c出皮疹。\n医生\uff1a您发热或者瘙痒吗\uff1f\n患者\uff1a发热2天\uff0c无瘙痒。\n"
        "医生\uff1a血液检查结果如何\uff1f\n检查结果\uff1a血小板90\u00d710^9/L。",
        "男\uff0c30岁\uff0c出皮疹。\n发热2天\uff0c无瘙痒。\n血小板90\u00d710^9/L。",
    ),
}
_INSTRUCTIONS: dict[Language, list[dict[str, str]]] = {
    language: [
        {"role": "system", "content": _PROMPT[language]},
        {"role": "user", "content": dialogue},
        {"role": "assistant", "content": understanding},
    ]
    for language, (dialogue, understanding) in _EXAMPLE.items()
}
_SPEAKERS: dict[Language, tuple[str, str]] = {"en": ("At the start: ", "Doctor: "), "zh": ("起初\uff1a", "医生\uff1a")}
_VERIFY: dict[Language, tuple[str, str, str]] = {
    "en": (
        "Notes on a patient:\n{text}\n\nStatement: {fact}\n\nDo the notes say this?\nA. {first}\nB. {second}",
        "Yes",
        "No",
    ),
    "zh": (
        "关于一位患者的记录\uff1a\n{text}\n\n陈述\uff1a{fact}\n\n记录中是否写了这一点\uff1f\nA. {first}\nB. {second}",
        "是",
        "否",
    ),
}


def _dialogue(before: Consultation, question: str, reply: Reply) -> str:
    """What the doctor heard: the presentation, then questions with their replies, which say themselves who speaks."""
    opening, doctor = _SPEAKERS[before.case.language]
    lines = [f"{opening}{before.case.presentation}"] if before.case.presentation else []
    heard = [(turn.text, turn.reply.text) for turn in before.turns if turn.reply is not None]
    for asked, told in [*heard, (question, reply.text)]:
        lines += [f"{doctor}{asked}", told]
    return "\n".join(lines)


def _verify(language: Language, text: str, fact: str, *, yes_first: bool) -> Messages:
    question, yes, no = _VERIFY[language]
    first, second = (yes, no) if yes_first else (no, yes)
    return [{"role": "user", "content": question.format(text=text, fact=fact, first=first, second=second)}]


_TURN = re.compile(  # where a sentence begins or ends to deny, or goes on about somebody else
    r"[;\uff1b\uff0c]|\s*,?\s*\b(?:but|however|although|though|except|whereas)\b|但"
    r"|\s*,?\s*(?:\b(?:and|or|with)\b\s*)?(?=\b(?:no|not|never|denie[sd]|deny|denying|without|nor)\b)"
    r"|\s*,\s*(?:and\s+)?(?=(?:he|she|they|it|has|had|reports?|is|was|his|her|i|my)\b)"
    r"|\s+and\s+(?=(?:he|she|they|it|has|had|reports?|is|was|i)\b)",
    re.IGNORECASE,
)
_ASKED = ("?", "\uff1f")
_KIN = re.compile(
    r"\b(?:father|mother|parents?|brothers?|sisters?|siblings?|sons?|daughters?|uncles?|aunts?|cousins?|famil\w+"
    r"|grand\w+|husband|wife|relatives?|maternal|paternal)\b|[父母兄弟姐妹]|家族|祖|儿子|女儿|丈夫|妻子",
    re.IGNORECASE,
)


class _Claims(NamedTuple):
    """What a sentence says: the words and numbers of its parts, by whether they deny and are about the family."""

    whole: str
    denies: bool
    parts: dict[tuple[bool, bool], tuple[frozenset[str], frozenset[str]]]


@lru_cache(maxsize=16384)
def _claims(sentence: str) -> _Claims:
    parts: dict[tuple[bool, bool], tuple[frozenset[str], frozenset[str]]] = {}
    for part in _TURN.split(sentence):
        words, numbers = content_words(part)
        if words or numbers:
            side = (denies(part), _KIN.search(part) is not None)
            before = parts.get(side, (frozenset(), frozenset()))
            parts[side] = (before[0] | words, before[1] | numbers)
    return _Claims(normalise(sentence), denies(sentence), parts)


def _says(said: _Claims, fact: str) -> bool:
    """Whether a sentence states a fact: word for word, or in each of the fact's parts."""
    own = _claims(fact)
    if own.denies == said.denies and own.whole and contains(said.whole, own.whole):
        return True
    for side, (words, numbers) in own.parts.items():
        heard, heard_numbers = said.parts.get(side, (frozenset[str](), frozenset[str]()))
        if not numbers <= heard_numbers or len(words & heard) < WHOLE * len(words):
            return False
    return bool(own.parts)
