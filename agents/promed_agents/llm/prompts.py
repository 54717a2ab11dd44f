"""What a language model is told beyond the dialogue, in the language of the case."""

from __future__ import annotations

from promed_env.case import Language

__all__ = ["PROMPTS"]

PROMPTS: dict[Language, dict[str, str]] = {
    "en": {
        "instructions": (
            "You are a careful physician who talks to a patient. Each of your messages is one line. While something "
            "important is unknown, ask for one thing, in plain words, and never for what you were told already:\n"
            "question: Does the pain move anywhere else?\n"
            "Once you are sure enough, or no questions are left, give the option's letter and stop:\n"
            "answer: B"
        ),
        "answer": "You are a careful physician. Ask nothing: reply at once with one line that begins with answer:",
        "think": (
            "You are a careful physician. Before answering, think aloud in a few sentences: which findings matter, and "
            "what speaks for or against each option. Do not ask the patient anything."
        ),
        "think_and_answer": (
            "You are a careful physician. First think in a few sentences inside <think> and </think>. "
            "Then ask nothing, but give one line that begins with answer:"
        ),
        "now": "Now give your answer.",
        "question": (
            "You are a careful physician. Ask the patient the one question whose answer would help most to decide "
            "between the options, and that was not asked before. Reply with that question only, in one short sentence."
        ),
        "yes": "Patient: Yes.",
        "no": "Patient: No.",
    },
    "zh": {
        "instructions": (
            "你是一位认真的医生\uff0c正在问诊。每次只说一行。重要情况还不清楚时\uff0c用通俗的话只问一件事\uff0c"
            "不要重复问已经知道的内容\uff1a\n"
            "question: 疼痛会放射到别处吗\uff1f\n"
            "有把握时\uff0c或者提问次数用完时\uff0c只给出选项字母\uff1a\n"
            "answer: B"
        ),
        "answer": "你是一位认真的医生。不要提问\uff0c请立即用一行以 answer: 开头的话作答。",
        "think": (
            "你是一位认真的医生。作答前先用几句话思考\uff1a哪些发现重要\uff0c各选项有哪些支持或反对的理由。"
            "不要向患者提问。"
        ),
        "think_and_answer": (
            "你是一位认真的医生。先在 <think> 和 </think> 之间用几句话思考\uff0c"
            "然后不要提问\uff0c用一行以 answer: 开头的话作答。"
        ),
        "now": "现在请作答。",
        "question": (
            "你是一位认真的医生。请向患者提一个最有助于在各选项之间作出判断、且尚未问过的问题。"
            "只写这个问题\uff0c一句话。"
        ),
        "yes": "患者\uff1a是的。",
        "no": "患者\uff1a没有。",
    },
}
"""Language -> name -> text."""
