"""What the environment itself says to the doctor, in the language of the case: rules, budget, notices."""

from __future__ import annotations

from functools import lru_cache

from promed_env.case import Case, Language
from promed_env.consultation import ShowOptions

__all__ = ["budget", "invalid", "opening", "option_list", "over", "reveal"]

_TEXTS: dict[Language, dict[str, str]] = {
    "en": {
        "rules": 'You are the doctor. Ask one question a turn with "question: ..."; finish with "answer: ...".',
        "always": "Answer with the key of an option.",
        "several": "Answer with the keys of all options that apply.",
        "at_answer": "The options are shown once you answer, or when no questions are left.",
        "never": "Answer in words; no options are shown.",
        "left": "Questions left: {left}.",
        "none_left": 'No questions left: answer now with "answer: ...".',
        "invalid": 'Not understood ({reason}): expected "question: ..." or "answer: ...".',
        "due": "An answer was due.",
        "reveal": "The options are:",
        "over": "The consultation is over.",
        "unknown": "That is none of the options.",
        "silent": "A patient has come to see you.",
    },
    "zh": {
        "rules": "你是医生。每轮用“question: ...”提一个问题;用“answer: ...”结束问诊。",
        "always": "请用选项的字母作答。",
        "several": "请用所有正确选项的字母作答。",
        "at_answer": "作答时或问题用完时才显示选项。",
        "never": "请用文字作答,不显示选项。",
        "left": "剩余提问次数:{left}。",
        "none_left": "提问次数已用完,请立即用“answer: ...”作答。",
        "invalid": "无法理解({reason}):应为“question: ...”或“answer: ...”。",
        "due": "此时必须作答。",
        "reveal": "选项如下:",
        "over": "问诊已结束。",
        "unknown": "所答不在选项之中。",
        "silent": "一位患者前来就诊。",
    },
}


def option_list(case: Case) -> str:
    """The options, one a line."""
    return "\n".join(f"{option.key}. {option.text}" for option in case.options)


@lru_cache(maxsize=4096)
def opening(case: Case, max_questions: int, show_options: ShowOptions) -> str:
    """The first observation: presentation, question, options, rules and budget."""
    texts = _TEXTS[case.language]
    show_now = show_options == "always" or (show_options == "at_answer" and max_questions == 0)
    blocks = [case.presentation or texts["silent"], case.question + (f"\n{option_list(case)}" if show_now else "")]
    manner = texts["several" if case.several and show_options == "always" else show_options]
    rules = f"{texts['rules']} {manner} {budget(case.language, max_questions)}"
    return "\n\n".join([*blocks, rules])


@lru_cache(maxsize=256)
def budget(language: Language, left: int) -> str:
    """How many questions are left."""
    texts = _TEXTS[language]
    return texts["left"].format(left=left) if left else texts["none_left"]


def invalid(language: Language, reason: str) -> str:
    """The reply to an utterance outside the grammar."""
    return _TEXTS[language]["invalid"].format(reason=reason)


def over(language: Language, *, due: bool = False, unknown: bool = False) -> str:
    """The last observation; `due` if an answer was due and did not come, `unknown` if it named no option."""
    texts = _TEXTS[language]
    notice = texts["due"] if due else texts["unknown"] if unknown else ""
    return f"{notice} {texts['over']}" if notice else texts["over"]


def reveal(case: Case) -> str:
    """The options, shown when an answer is due."""
    texts = _TEXTS[case.language]
    return f"{texts['reveal']}\n{option_list(case)}" + (f"\n{texts['several']}" if case.several else "")
