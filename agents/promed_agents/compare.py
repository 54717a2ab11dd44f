"""Comparisons of evaluations on the same cases: of two doctors, of a doctor with an earlier run, of information levels.

    now = evaluate(make_agent("greedy"), setting)
    (before,) = read_results("earlier")
    compare(now, before).difference

Pairing by case takes out what makes a case hard for everybody, so that small differences can be seen.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from promed_agents.evaluate import RESULTS_FILE, RESULTS_VERSION, CaseText, Episode, Evaluation, Summary
from promed_agents.setting import Information, Setting
from promed_agents.statistics import Calibration, ReliabilityBin, gap_closed, mcnemar_exact, paired_bootstrap
from promed_env.errors import DatasetError

__all__ = [
    "Comparison",
    "GapClosed",
    "compare",
    "counterpart",
    "gaps_closed",
    "main_level",
    "read_earlier",
    "read_results",
    "setting_changes",
]


@dataclass(frozen=True)
class Comparison:
    """Two evaluations on the same cases.

    Attributes:
        a: Name of the one agent.
        b: Name of the other.
        n: Cases.
        accuracy_a: Share that a answered right.
        accuracy_b: Share that b answered right.
        difference: accuracy_a - accuracy_b.
        interval: Its 95% paired percentile bootstrap interval.
        only_a: Cases that a alone answered right.
        only_b: Cases that b alone answered right.
        p_value: Two-sided, of McNemar's exact test; not corrected for the number of comparisons.
        questions: Mean number of questions of a less that of b.
        questions_interval: Its 95% paired percentile bootstrap interval.
    """

    a: str
    b: str
    n: int
    accuracy_a: float
    accuracy_b: float
    difference: float
    interval: tuple[float, float]
    only_a: int
    only_b: int
    p_value: float
    questions: float
    questions_interval: tuple[float, float]


@dataclass(frozen=True)
class GapClosed:
    """Which share of what knowing everything would bring a doctor gets by asking.

    Attributes:
        agent: The doctor.
        n: Cases.
        initial: Accuracy from the presentation.
        interactive: Accuracy after asking.
        full: Accuracy from all facts.
        share: (interactive - initial) / (full - initial); None where knowing everything does not help.
        interval: Its 95% bootstrap interval over cases; None where the gap is too small for one.
    """

    agent: str
    n: int
    initial: float
    interactive: float
    full: float
    share: float | None
    interval: tuple[float, float] | None


def compare(a: Evaluation, b: Evaluation) -> Comparison:
    """Compare two evaluations case by case.

    Raises:
        DatasetError: They are not on the same cases.
    """
    pairs = _pairs(a, b)
    right_a, right_b = [one.correct for one, _ in pairs], [other.correct for _, other in pairs]
    asked_a, asked_b = [one.questions for one, _ in pairs], [other.questions for _, other in pairs]
    n = len(pairs)
    return Comparison(
        a=a.agent,
        b=b.agent,
        n=n,
        accuracy_a=sum(right_a) / n,
        accuracy_b=sum(right_b) / n,
        difference=(sum(right_a) - sum(right_b)) / n,
        interval=paired_bootstrap(right_a, right_b),
        only_a=sum(one and not other for one, other in zip(right_a, right_b, strict=True)),
        only_b=sum(other and not one for one, other in zip(right_a, right_b, strict=True)),
        p_value=mcnemar_exact(right_a, right_b),
        questions=(sum(asked_a) - sum(asked_b)) / n,
        questions_interval=paired_bootstrap(asked_a, asked_b),
    )


def gaps_closed(evaluations: Sequence[Evaluation]) -> list[GapClosed]:
    """The share of the gap that asking closes, for every agent with the levels initial, interactive and full.

    Raises:
        DatasetError: An agent's levels are not on the same cases.
    """
    seen: Counter[tuple[str, Information]] = Counter()
    levels: dict[tuple[str, int], dict[Information, Evaluation]] = {}
    for evaluation in evaluations:
        agent, level = evaluation.agent, evaluation.setting.information
        levels.setdefault((agent, seen[agent, level]), {})[level] = evaluation  # two doctors may have the same name
        seen[agent, level] += 1
    return [_gap(played) for played in levels.values() if {"initial", "interactive", "full"} <= played.keys()]


def counterpart(evaluation: Evaluation, earlier: Sequence[Evaluation]) -> Evaluation | None:
    """The earlier evaluation of the same agent at the same information level, if there is one."""
    wanted = (evaluation.agent, evaluation.setting.information)
    return next((each for each in earlier if (each.agent, each.setting.information) == wanted), None)


def setting_changes(now: Setting, then: Setting) -> list[str]:
    """What differs between two settings, one text a field: "max_questions 10, was 5"."""
    return [
        f"{field.name} {getattr(now, field.name)}, was {getattr(then, field.name)}"
        for field in fields(Setting)
        if getattr(now, field.name) != getattr(then, field.name)
    ]


def main_level(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """The evaluations of the level "interactive" if it was played, else of the first one."""
    levels = [evaluation.setting.information for evaluation in evaluations]
    level = "interactive" if "interactive" in levels else levels[0]
    return [evaluation for evaluation, each in zip(evaluations, levels, strict=True) if each == level]


def read_results(path: str | Path) -> list[Evaluation]:
    """Read what `write_results` wrote.

    Args:
        path: The folder of a run, or its result file.

    Raises:
        DatasetError: There is no result file, or it cannot be read; the message says where and why.
    """
    file = Path(path)
    file = file / RESULTS_FILE if file.is_dir() else file
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DatasetError(f"{file}: there is no such file; `promed evaluate ... --out DIR` writes one") from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file}: {error}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != RESULTS_VERSION:
        raise DatasetError(
            f"{file}: expected schema_version {RESULTS_VERSION}, got {version!r}; evaluate again with this version"
        )
    try:
        facts = [tuple(fact) for fact in content.get("facts", ())]
        cases = {case_id: _case_text(row, facts) for case_id, row in content.get("cases", {}).items()}
    except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{file}: cases: {error!r}") from error
    evaluations = []
    for number, row in enumerate(content.get("evaluations", ()), 1):
        try:
            evaluations.append(_evaluation(row, cases))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(f"{file}: evaluation {number}: {error!r}") from error
    return evaluations


def read_earlier(
    path: str | Path, played: Collection[tuple[str, Information]], case_ids: Collection[str]
) -> list[Evaluation]:
    """The evaluations of an earlier run that a run about to be played can be compared with.

    Args:
        path: The folder of the earlier run, or its result file.
        played: Agent and information level of every evaluation of the new run.
        case_ids: The cases of the new run.

    Raises:
        DatasetError: The file cannot be read, holds none of these agents at these levels, or is on other cases.
    """
    earlier = read_results(path)
    found = [each for each in earlier if (each.agent, each.setting.information) in played]
    if not found:
        there = ", ".join(f"{each.agent} ({each.setting.information})" for each in earlier) or "nothing"
        wanted = ", ".join(f"{agent} ({level})" for agent, level in played)
        raise DatasetError(f"{path}: holds {there}, and so nothing to compare with {wanted}")
    wanted_ids = set(case_ids)
    for each in found:
        if (there_ids := {episode.case_id for episode in each.episodes}) != wanted_ids:
            raise DatasetError(
                f"{path}: {each.agent} was evaluated on {len(there_ids)} cases, of which {len(there_ids & wanted_ids)} "
                f"are among the {len(wanted_ids)} of this run. Use the same data set, split and number of episodes"
            )
    return found


def _pairs(a: Evaluation, b: Evaluation) -> list[tuple[Episode, Episode]]:
    """The episodes of both, case by case, in the order of a."""
    others = {episode.case_id: episode for episode in b.episodes}
    missing = [episode.case_id for episode in a.episodes if episode.case_id not in others]
    extra = others.keys() - {episode.case_id for episode in a.episodes}
    if missing or extra or not a.episodes:
        first = missing[0] if missing else min(extra, default="none")
        raise DatasetError(
            f"{a.agent} ({len(a.episodes)} cases) and {b.agent} ({len(b.episodes)} cases) cannot be compared: they "
            f"were not evaluated on the same cases; {len(missing)} and {len(extra)} are in one only, such as {first!r}."
            " Evaluate both with the same data set, split and number of episodes"
        )
    pairs = [(episode, others[episode.case_id]) for episode in a.episodes]
    for one, other in pairs:
        if one.answer != other.answer:
            raise DatasetError(
                f"{a.agent} and {b.agent} cannot be compared: the right answer of case {one.case_id!r} is "
                f"{list(one.answer)} in one and {list(other.answer)} in the other; the data set has changed"
            )
    return pairs


def _gap(played: dict[Information, Evaluation]) -> GapClosed:
    interactive = played["interactive"]
    starts = [float(other.correct) for _, other in _pairs(interactive, played["initial"])]
    mosts = [float(other.correct) for _, other in _pairs(interactive, played["full"])]
    asked = [float(episode.correct) for episode in interactive.episodes]
    share, interval = gap_closed(starts, asked, mosts)
    n = len(asked)
    return GapClosed(interactive.agent, n, sum(starts) / n, sum(asked) / n, sum(mosts) / n, share, interval)


def _evaluation(row: dict[str, Any], cases: dict[str, CaseText]) -> Evaluation:
    summaries = {name: _summary(each) for name, each in row["summaries"].items()}
    episodes = tuple(_episode(each) for each in row["episodes"])
    told = {each.case_id: cases[each.case_id] for each in episodes} if cases else {}
    given = {"setting": Setting(**row["setting"]), "summaries": summaries, "episodes": episodes, "cases": told}
    return Evaluation(**{**row, **given})


def _case_text(row: dict[str, Any], facts: Sequence[tuple[str, ...]]) -> CaseText:
    told = {"options": tuple(map(tuple, row["options"])), "facts": tuple(facts[index] for index in row["facts"])}
    return CaseText(**{**row, **told, "initial": tuple(row["initial"])})


def _summary(row: dict[str, Any]) -> Summary:
    found = row["calibration"]
    if found is not None:
        found = Calibration(**{**found, "bins": tuple(ReliabilityBin(**each) for each in found["bins"])})
    tuples = {name: _tuple(row[name]) for name in ("accuracy_interval", "accuracy_wilson", "accuracy_by_turn")}
    return Summary(**{**row, **tuples, "calibration": found})


def _episode(row: dict[str, Any]) -> Episode:
    tuples = {name: _tuple(row[name]) for name in ("chosen", "sig", "turns", "answer")}
    nested = {name: None if row[name] is None else tuple(map(tuple, row[name])) for name in ("choices", "leanings")}
    recall = {section: tuple(counts) for section, counts in row["section_recall"].items()}
    return Episode(**{**row, **tuples, **nested, "section_recall": recall})


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)
