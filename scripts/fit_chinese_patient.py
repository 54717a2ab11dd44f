"""Fits the default patient's model for Chinese and writes it to `promed_env/patients/data/weights_zh.toml`.

    python scripts/fit_chinese_patient.py

A ridge-penalised logistic regression over pairs of a question and a fact, as for English (`scripts/fit_patient.py`). It
learns from the Chinese development questions and near misses in `benchmarks/labels` (never the test ones) over bundled
vignettes, each asked twice: of the facts as they are, and of facts without questions of their own, which is all that
other data has; from those vignettes' own questions, asked of facts without them; from questions about a whole section
of the record; and from everyday questions and nonsense that no case answers. The thresholds are those that do best in
cross-validation over cases.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from logistic import fit, written
from numpy.typing import NDArray

from promed_env.case import Case
from promed_env.datasets import load_dataset
from promed_env.patients.chinese import FEATURES, Cut, features
from promed_env.patients.concepts import lexicon
from promed_env.patients.model import Model
from promed_env.patients.screening import screen
from promed_env.patients.words import tokenise

__all__ = ["Example", "choose_thresholds", "cross_validated", "examples_of", "without_questions"]

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 3
"""Facts in one reply."""
BARE_WEIGHT = 0.5
"""Weight of a labelled question asked of facts without questions of their own."""
OWN_WEIGHT = 0.2
"""A vignette's question is labelled with the one fact it was written for, though others may answer it too."""
FIRST = 0.0
"""Log-odds that the best fact must reach: even odds, for the reason given in `scripts/fit_patient.py`."""
FOLDS = 5
EVERYDAY = """
    今天天气好不好 你会不会骑自行车 晚上去看电影吗 这道菜放不放辣椒 地铁几点停 谁写了这本书
    桌子为什么是圆的 星期三重还是星期四重 云朵喜欢听戏吗 石头会做梦吗 你好在忙吗 这个多少钱
    手机没电了怎么办 附近有停车场吗 下雨带伞了吗 哪个季节最好看 嗯嗯好的 你叫什么名字
    三乘以七得几 给我讲个笑话吧 彩虹的味道是几点钟 窗户爱不爱数学 会唱京剧吗 冰箱想去海边吗
""".split()
"""Questions that no case answers."""
SECTIONS = {
    "symptom": "您哪里不舒服 您现在感觉怎么样 都有些什么症状 说说您的不适",
    "history": "您以前得过哪些病 既往史怎么样 过去身体怎么样 有什么老毛病",
    "medication": "您在吃什么药 平时都用些什么药 用药史怎么样",
    "family": "家族史怎么样 家里人身体怎么样 家里人得过什么病",
    "social": "您的生活习惯怎么样 平时生活情况怎么样 说说个人史",
    "exam": "体格检查有什么发现 查体情况怎么样 有哪些阳性体征",
    "test": "做过哪些检查 辅助检查结果怎么样 化验结果怎么样",
}
"""Section -> questions about it as a whole, which its facts answer."""
SECTION_WEIGHT = 0.3
MIXED = """
    {}和字典哪个更会跳舞 火车的{}喜欢邮票吗 谁给窗帘的{}写过情书 {}坐几路公交去沙漠
    把{}翻译成立方米 如果蓝色比九响亮{}为什么开花
""".split()
"""Nonsense around words of a case: that a word fits is not enough."""
MIXED_WEIGHT = 0.3


class Example(NamedTuple):
    """A question with the facts that it asks for."""

    case_id: str
    values: NDArray[np.float64]
    asked: frozenset[int]
    weight: float
    labelled: bool


def without_questions(case: Case) -> Case:
    """The case with facts that carry no questions of their own."""
    return replace(case, facts=tuple(replace(fact, question_text=None) for fact in case.facts))


def examples_of(cases: dict[str, Case], cut: Cut = tokenise) -> list[Example]:
    """What the model learns from.

    Args:
        cases: The cases by id.
        cut: What `promed_env.patients.chinese.features` cuts texts with.
    """
    rows = [
        row
        for name in ("questions_zh_dev.jsonl", "questions_zh_near.jsonl")
        for line in (ROOT / "benchmarks/labels" / name).read_text(encoding="utf-8").splitlines()
        if (row := json.loads(line))["split"] == "dev"
    ]
    known = {row["case_id"]: cases[row["case_id"]] for row in rows}
    bare = {case_id: without_questions(case) for case_id, case in known.items()}
    examples = []
    for row in rows:
        heard = screen(row["question"])
        if heard.refusal is None:
            for case, weight in ((known[row["case_id"]], 1.0), (bare[row["case_id"]], BARE_WEIGHT)):
                values = features(heard.question, case.facts, cut)
                examples.append(Example(case.case_id, values, frozenset(row["facts"]), weight, weight == 1))
    for case_id, case in known.items():
        for index, fact in enumerate(case.facts):
            if fact.question_text:
                values = features(screen(fact.question_text).question, bare[case_id].facts, cut)
                examples.append(Example(case_id, values, frozenset({index}), OWN_WEIGHT, False))
        for section, questions in SECTIONS.items():
            asked = frozenset(index for index, fact in enumerate(case.facts) if fact.section == section)
            for question in questions.split():
                values = features(question, bare[case_id].facts, cut)
                examples.append(Example(case_id, values, asked, SECTION_WEIGHT / len(questions.split()), False))
    rng = random.Random(0)
    for question in EVERYDAY:
        for case in rng.sample(list(known.values()), 3):
            values = features(screen(question).question, case.facts, cut)
            examples.append(Example(case.case_id, values, frozenset(), 0.5, False))
    for case in known.values():
        spans = {span.words[0] for fact in case.facts for span in lexicon("zh").read(fact.text, "fact").spans}
        for template in MIXED:
            question = screen(template.format(rng.choice(sorted(spans)))).question
            values = features(question, case.facts, cut)
            examples.append(Example(case.case_id, values, frozenset(), MIXED_WEIGHT, False))
    return examples


def cross_validated(examples: Sequence[Example]) -> dict[str, NDArray[np.float64]]:
    """Case id -> weights fitted on other cases."""
    ids = sorted({example.case_id for example in examples})
    random.Random(0).shuffle(ids)
    unseen: dict[str, NDArray[np.float64]] = {}
    for fold in range(FOLDS):
        out = ids[fold::FOLDS]
        weights = fit([example for example in examples if example.case_id not in out])
        unseen.update((case_id, weights) for case_id in out)
    return unseen


def choose_thresholds(examples: Sequence[Example]) -> tuple[Model, str]:
    """The model with the thresholds of the best F1 less half the false disclosure in cross-validation over cases."""
    unseen = cross_validated(examples)
    held = [(unseen[example.case_id], example) for example in examples if example.labelled]

    def score(first: float, more: float, margin: float) -> tuple[float, float]:
        hits = told = wanted = false = unanswerable = 0
        for weights, example in held:
            disclosed = set(Model(weights, first, more, margin).pick(example.values, LIMIT))
            hits += len(disclosed & example.asked)
            told += len(disclosed)
            wanted += min(LIMIT, len(example.asked))
            unanswerable += not example.asked
            false += not example.asked and bool(disclosed)
        return 2 * hits / (told + wanted), false / unanswerable

    grid = list(product((FIRST,), (-0.75, -0.5, -0.25, 0.0, 0.5), (1.0, 1.5, 2.0, 3.0)))
    scores = {point: score(*point) for point in grid}
    best = max(grid, key=lambda point: scores[point][0] - scores[point][1] / 2)
    f1, false = scores[best]
    return Model(fit(examples), *best), f"F1 {f1:.3f}, false disclosure {false:.3f}"


def main() -> None:
    """Fit, choose thresholds, write."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    examples = examples_of({case.case_id: case for case in load_dataset("cmb")})
    model, report = choose_thresholds(examples)
    count = sum(example.labelled for example in examples)
    text = written(
        model,
        FEATURES,
        [
            "The default patient's logistic model for Chinese, written by scripts/fit_chinese_patient.py.",
            f"Fitted on {count} labelled questions. Cross-validated over cases: {report}.",
        ],
    )
    (ROOT / "promed_env/patients/data/weights_zh.toml").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
