"""The belief of a language model: what it asks, that it is a function of the set, and that beliefs agree with hands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import promed_env  # noqa: F401  # registers the environments
from promed_env.beliefs import Belief, characteristic, key_log_probability, make_belief, posteriors
from promed_env.beliefs.lm import LMBelief, make_lm_belief
from promed_env.case import Case
from promed_env.datasets import CaseDataset, load_dataset
from promed_env.llm.base import Completion, Likelihood
from promed_env.llm.hf import HFModel
from promed_env.shapley import case_shapley


class Written:
    """Rates a text by how many lines stand before it, and letters by their place: it likes the first, and "sore"."""

    name = "fake:written"

    def __init__(self) -> None:
        self.contexts: list[str] = []

    def chat(self, batch: Any, **how: Any) -> list[Completion]:
        return [Completion("", 0) for _ in batch]

    def choice_logprobs(self, batch: Any, letters: Any, prefix: str = "") -> list[Any]:
        found = []
        for (message,), own in zip(batch, letters, strict=True):
            self.contexts.append(message["content"])
            scores = np.array([3.0 if index == 0 else 0.0 for index in range(len(own))])
            found.append(scores - np.logaddexp.reduce(scores))
        return found

    def logprob(self, contexts: Any, continuations: Any) -> list[Likelihood]:
        self.contexts += [context[0]["content"] for context in contexts]
        means = [
            -1.0 / (1 + context[0]["content"].count("\n- ")) - 0.1 * len(text)
            for context, text in zip(contexts, continuations, strict=True)
        ]
        return [Likelihood(mean, mean) for mean in means]


@pytest.fixture(scope="module")
def case() -> Case:
    return load_dataset("medqa")[0]


def subsets(case: Case, n: int = 6) -> Any:
    return np.random.default_rng(0).random((n, case.n_facts)) < 0.5


def test_answer_text_shows_no_option_and_states_the_facts_in_order(case: Case) -> None:
    model = Written()
    belief = LMBelief(model, "answer_text")
    rows = subsets(case)
    values = belief.value(case, rows)
    for text, row in zip(model.contexts, rows, strict=True):
        assert text.startswith(case.question)
        told = [case.facts[index].text for index in np.flatnonzero(row)]
        assert [line[2:] for line in text.split("\n") if line.startswith("- ")] == told
        assert not any(option.text in text for option in case.options if option.text not in " ".join(told))
    key = next(option.text for option in case.options if option.key in case.answer)
    expected = [-1.0 / (1 + row.sum()) - 0.1 * len("answer: " + key) for row in rows]
    np.testing.assert_allclose(values, expected)
    np.testing.assert_allclose(np.exp(belief(case, rows)).sum(axis=1), 1)


def test_a_liking_for_a_letter_cancels_out_over_rotations(case: Case) -> None:
    model = Written()
    belief = LMBelief(model)
    told = belief(case, subsets(case))
    np.testing.assert_allclose(told, np.log(1 / len(case.options)))
    assert all(option.text in text for text in model.contexts for option in case.options)
    one = replace(belief, rotations=1)(case, subsets(case))
    assert (one.argmax(axis=1) == 0).all()
    orders = belief.by_order([case], [subsets(case)[0]])[0]
    assert orders.argmax(axis=1).tolist() == list(range(len(case.options)))


def test_values_are_those_of_the_belief_unless_it_has_its_own(case: Case) -> None:
    rows = subsets(case)
    letters, texts = LMBelief(Written()), LMBelief(Written(), "answer_text")
    np.testing.assert_allclose(characteristic(letters, case, rows), key_log_probability(case, letters(case, rows)))
    np.testing.assert_allclose(characteristic(texts, case, rows), texts.value(case, rows))
    assert not np.allclose(characteristic(texts, case, rows), key_log_probability(case, texts(case, rows)))


def test_shapley_values_of_a_game_of_sizes_are_alike(case: Case) -> None:
    estimate = case_shapley(case, LMBelief(Written(), "answer_text"), budget=40)
    assert estimate.method == "gaussian" and estimate.evaluations <= 40
    np.testing.assert_allclose(estimate.values, estimate.values.mean(), atol=0.02)


def test_several_right_options_are_one_text(case: Case) -> None:
    both = replace(case, answer=case.keys[:2])
    model = Written()
    value = LMBelief(model, "answer_text").value(both, np.zeros((1, case.n_facts), dtype=bool))
    texts = "; ".join(option.text for option in case.options[:2])
    assert value[0] == pytest.approx(-1.0 - 0.1 * len("answer: " + texts))


def test_many_cases_at_once_are_each_by_itself() -> None:
    cases = load_dataset("medqa")[:3]
    belief = LMBelief(Written(), "answer_text")
    known = [frozenset(range(index)) for index in range(3)]
    together = posteriors(belief, list(cases), known)
    for case, facts, row in zip(cases, known, together, strict=True):
        np.testing.assert_allclose(row, posteriors(belief, [case], [facts])[0])


def test_names_tell_what_was_asked_and_wrong_ones_are_refused(tiny: HFModel, case: Case) -> None:
    belief = LMBelief(tiny)
    assert isinstance(belief, Belief) and belief.covers(case)
    assert belief.name == "option_letter(hf:tiny)/1"
    assert LMBelief(tiny, "answer_text").name == "answer_text(hf:tiny)/1"
    assert replace(belief, rotations=2).name != belief.name
    assert hash(LMBelief(tiny)) == hash(belief) and LMBelief(tiny) == belief
    with pytest.raises(ValueError, match="unknown characteristic"):
        LMBelief(tiny, "magic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rotations"):
        LMBelief(tiny, rotations=0)
    with pytest.raises(ValueError, match="names no model"):
        make_lm_belief("answer_text(hf:)")


def test_chinese_cases_are_asked_in_chinese() -> None:
    case = load_dataset("cmb")[0]
    model = Written()
    LMBelief(model).value(case, np.zeros((1, case.n_facts), dtype=bool))
    assert "已知的患者情况" in model.contexts[0]


@pytest.mark.llm
def test_smollm2_pays_sig_in_the_environment(smollm2: HFModel) -> None:
    """The value of a set does not depend on what else is asked with it, and the environment takes the name."""
    case = min(load_dataset("medqa"), key=lambda each: each.n_facts)
    belief = make_belief("answer_text(hf:smollm2)")
    assert isinstance(belief, LMBelief)
    rows = subsets(case, 8)
    together = belief.value(case, rows)
    alone = [belief.value(case, row[None])[0] for row in rows]
    np.testing.assert_allclose(together, alone, atol=1e-3)
    small = replace(belief, shapley_budget=case.n_facts + 4)
    bare = replace(case, evidence=None, shapley=None)
    env = gym.make(
        "ProMed-MedQA-v0", dataset=CaseDataset("one", (bare,)), belief=small, reward="2*sig_signed + 3*diagnosis"
    )
    env.reset(seed=0)
    _, reward, *_ = env.step("question: " + (case.facts[case.hidden[0]].question_text or ""))
    assert np.isfinite(reward)
