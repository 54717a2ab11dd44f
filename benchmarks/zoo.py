"""The zoo table: every doctor on every environment that it can play, written into `agents/README.md`.

    python benchmarks/zoo.py [--sb3 RUN ...] [--env NAME ...] [--agent NAME ...] [--data DIR]

Plays the built-in doctors and those whose training runs are given, on the bundled environments and, where DIR has it,
on real data, of which only figures are kept. `--env` and `--agent` play part of it, and any agent that `promed
evaluate` knows by name can be added; other rows stay as they are, in `benchmarks/zoo.json`. Every row can be had by
the command beside it. Intervals are 95% Wilson score intervals. Times are those of one evaluation on one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from promed_agents.evaluate import evaluate
from promed_agents.setting import Setting
from promed_agents.zoo import AGENTS, NEEDS_KNOWLEDGE, NEEDS_TABLE, make_agent

from promed_env.datasets import CaseDataset

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "agents" / "README.md"
RESULTS = Path(__file__).with_suffix(".json")
BEGIN, END = "<!-- zoo: written by benchmarks/zoo.py -->", "<!-- end of zoo -->"


@dataclass(frozen=True)
class Place:
    """An environment with the cases that are played.

    Attributes:
        name: Its heading.
        env_id: Its id.
        about: What the cases are, for a reader.
        file: File of real data below the data folder, or None for what the package brings.
        episodes: How many of the cases; None for all.
    """

    name: str
    env_id: str
    about: str
    file: str | None = None
    episodes: int | None = None

    def setting(self, data: Path) -> Setting:
        """What is played."""
        return Setting(self.env_id, str(data / self.file) if self.file else None, reward="diagnosis")

    @property
    def command(self) -> str:
        """What plays it, without the agent."""
        given = f" --dataset {Path(self.file).name}" if self.file else ""
        first = f" --episodes {self.episodes}" if self.episodes else ""
        return f"promed evaluate {self.env_id}{given} --reward diagnosis{first}"


PLACES = (
    Place("ProMed-PrimaryCare-v0", "ProMed-PrimaryCare-v0", "synthetic clinic, test split", episodes=2000),
    Place("ProMed-MedQA-v0", "ProMed-MedQA-v0", "bundled sample of synthetic vignettes, not reviewed by clinicians"),
    Place("ProMed-CMB-v0", "ProMed-CMB-v0", "bundled sample of synthetic Chinese vignettes"),
    Place(
        "ProMed-MedQA-v0 on MediQ",
        "ProMed-MedQA-v0",
        "real data: MediQ's rows with id below 1,000",
        "mediq/dev_0000-0999.jsonl",
    ),
    Place(
        "ProMed-AgentClinic-v0",
        "ProMed-AgentClinic-v0",
        "real data: AgentClinic-MedQA, answered in words",
        "agentclinic/agentclinic_medqa.jsonl",
    ),
    Place(
        "ProMed-DDXPlus-v0",
        "ProMed-DDXPlus-v0",
        "98 published patients of DDXPlus",
        "ddxplus/fr/Project_Train_Data_FewShot_Learning.csv",
    ),
)
WHY_NOT = {
    **dict.fromkeys(NEEDS_TABLE, "no evidence table says what the findings mean"),
    **dict.fromkeys(NEEDS_KNOWLEDGE, "the cases are not drawn from a knowledge base"),
}
NOT_COMPUTABLE = "not computable: no evidence table says what the findings mean, and no built-in doctor reads them"


def unfit(agent: str, place: Place, cases: CaseDataset) -> str | None:
    """Why an agent cannot play these cases; None if it can."""
    if agent in NEEDS_TABLE and any(case.evidence is None for case in cases):
        return WHY_NOT[agent]
    if agent in NEEDS_KNOWLEDGE and cases.knowledge is None:
        return WHY_NOT[agent]
    if agent.startswith("sb3:"):
        trained_on = _config(agent)["env_id"]
        if trained_on != place.env_id or place.file is not None:
            return f"trained on {trained_on}"
    return None


def row(agent: str, place: Place, setting: Setting, cases: CaseDataset) -> dict[str, Any]:
    """The figures of an agent."""
    doctor = make_agent(agent, setting.seed)
    start = time.perf_counter()
    result = evaluate(doctor, setting, cases)
    seconds = time.perf_counter() - start
    summary = result.summaries["all"]
    found: dict[str, Any] = {
        "access": result.access,
        "n": summary.n,
        "accuracy": summary.accuracy,
        "interval": list(summary.accuracy_wilson),
        "questions": summary.questions,
        "invalid": summary.invalid,
        "seconds": round(seconds, 1),
        "date": date.today().isoformat(),
    }
    if agent.startswith("sb3:"):
        config = _config(agent)
        found["trained"] = {name: config[name] for name in ("algo", "reward", "steps", "seed")}
    return found


def _config(agent: str) -> dict[str, Any]:
    """How a doctor was trained."""
    from promed_agents.sb3 import newest_checkpoint  # needs the extra `rl`

    path = newest_checkpoint(agent.removeprefix("sb3:")) / "config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return config


def play_all(places: Sequence[Place], agents: Sequence[str], data: Path) -> None:
    """Play what is asked for, and keep each row as soon as it is there."""
    for place in places:
        setting = place.setting(data)
        if place.file is not None and not (data / place.file).is_file():
            print(f"{place.name}: left as it is, because {data / place.file} is not there")
            continue
        cases = setting.load(place.episodes)
        for agent in agents:
            kept = _read()
            table = kept.setdefault(place.name, {"rows": {}, "cannot": {}})
            # A doctor keeps its place in the table, wherever its training run lies.
            name = f"sb3:{_config(agent)['algo']}" if agent.startswith("sb3:") else agent
            reason = unfit(agent, place, cases)
            if reason is None:
                table["rows"][name] = row(agent, place, setting, cases)
                print(place.name, name, json.dumps(table["rows"][name]), flush=True)
            else:
                table["cannot"][name] = reason
            _write(kept)


def page_block() -> str:
    """All tables as Markdown."""
    kept = _read()
    cores = os.cpu_count()
    parts = [
        "95% Wilson intervals; seed 0; at most 10 questions; seconds of one evaluation, in one process on "
        f"{cores} cores shared with other work. The command of a row is the one above its table, followed by the "
        "last column."
    ]
    parts += [_table(place, kept[place.name]) for place in PLACES if place.name in kept]
    return "\n\n".join(parts)


def _table(place: Place, table: dict[str, Any]) -> str:
    rows = table["rows"]
    n = next(iter(rows.values()))["n"]
    lines = [
        f"### {place.name}",
        "",
        f"{place.about[0].upper()}{place.about[1:]}, n = {n:,}. `{place.command}`",
        "",
        "| doctor | access | accuracy (95% interval) | questions | seconds | command |",
        "|---|---|---|---|---|---|",
    ]
    order = [*AGENTS, *sorted(set(rows) - set(AGENTS))]
    for name in (name for name in order if name in rows and name != "oracle"):
        found = rows[name]
        trained = found.get("trained")
        note = f", {trained['steps']:,} steps of `{_short(trained['reward'])}`" if trained else ""
        agent = f"--agent sb3:runs/{trained['algo']}" if trained else f"--agent {name}"
        lines.append(
            f"| `{name}`{note} | {found['access']} | {_accuracy(found)} | {found['questions']:.1f} "
            f"| {found['seconds']:.1f} | `{agent}` |"
        )
    if "oracle" in rows:
        found = rows["oracle"]
        lines.append(
            f"| **ceiling**: `oracle`, the exact posterior with all findings | {found['access']} | {_accuracy(found)} "
            f"| all findings | {found['seconds']:.1f} | `--agent oracle` |"
        )
    else:
        lines.append(f"| **ceiling** | | {NOT_COMPUTABLE} | | | |")
    reasons: dict[str, list[str]] = {}
    for name, reason in table["cannot"].items():
        reasons.setdefault(reason, []).append(f"`{name}`")
    if reasons:
        told = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
        lines += ["", f"Cannot play it: {told}."]
    if "oracle" not in rows:
        lines += [
            "",
            "Those that play guess their answer: they are here to show that they run, and for their questions.",
        ]
    return "\n".join(lines)


def _accuracy(found: dict[str, Any]) -> str:
    accuracy, low, high = (value + 1e-9 for value in (found["accuracy"], *found["interval"]))  # rounds a half up
    return f"{accuracy:.3f} ({low:.3f} to {min(high, 1):.3f})"


def _short(reward: str) -> str:
    """A reward without needless digits."""
    return re.sub(r"(\.\d*?)0+(?=\*)", r"\1", reward).replace(".*", "*")


def rewrite(page: Path) -> None:
    """Put the tables between the markers of the page.

    Raises:
        ValueError: The page has no such markers.
    """
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{page} needs the line {BEGIN!r} and after it the line {END!r}; put them where tables belong")
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    page.write_text(f"{head}\n\n{page_block()}\n\n{tail}", encoding="utf-8")


def _read() -> dict[str, Any]:
    if not RESULTS.exists():
        return {}
    kept: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return kept


def _write(kept: dict[str, Any]) -> None:
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, RESULTS)


def main() -> None:
    """Play what is asked for and rewrite the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [place.name for place in PLACES]
    parser.add_argument("--sb3", type=Path, action="append", default=[], help="folder of a training run; repeat")
    parser.add_argument("--env", action="append", choices=names, help="play there only; repeat")
    parser.add_argument("--agent", action="append", help="play this one only, as `promed evaluate` names it; repeat")
    parser.add_argument("--data", type=Path, default=ROOT / ".." / "shared" / "data", help="folder of the real data")
    parser.add_argument("--write-only", action="store_true", help="play nothing, rewrite the page from what is kept")
    args = parser.parse_args()
    if not args.write_only:
        agents = [*(args.agent or AGENTS), *(f"sb3:{run}" for run in args.sb3)]
        play_all([place for place in PLACES if place.name in (args.env or names)], agents, args.data)
    rewrite(PAGE)


if __name__ == "__main__":
    main()
