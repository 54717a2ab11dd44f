"""The default patient's matcher: clinical concepts, distilled word vectors and sections in a small logistic model.

The model (`data/weights.toml`, fitted by `scripts/fit_patient.py`) turns the features of each fact
(`promed_env.patients.features`) into the log-odds that a question asks for it. A fact below the threshold is not told,
so a question that fits nothing is answered with nothing. Chinese questions about Chinese cases have features
(`promed_env.patients.chinese`) and weights (`data/weights_zh.toml`) of their own; where the languages differ, the
concepts that `data/concepts.txt` knows in both have to do. Numpy only.
"""

from __future__ import annotations

from promed_env.case import Case
from promed_env.patients import Informant, chinese, features
from promed_env.patients.model import read_model
from promed_env.patients.words import has_chinese

__all__ = ["StaticMatcher"]


class StaticMatcher:
    """Matches by concepts, word vectors and sections."""

    name = "static"

    def match(self, question: str, case: Case, limit: int) -> tuple[int, ...]:
        """Facts that the question probably asks for, best first.

        Args:
            question: One question.
            case: The case; its facts are the candidates.
            limit: Most facts.
        """
        if not case.facts:
            return ()
        if case.language == "zh" and has_chinese(question):
            values = chinese.features(question, case.facts)
            return read_model("weights_zh.toml", tuple(chinese.FEATURES)).pick(values, limit)
        values = features.features(question, case.facts)
        return read_model("weights.toml", tuple(features.FEATURES)).pick(values, limit)

    def addressee(self, question: str) -> Informant:
        """Who would know."""
        return chinese.informant_asked(question) if has_chinese(question) else features.informant_asked(question)
