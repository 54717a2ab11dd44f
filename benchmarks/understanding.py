"""Measures how the paper's understanding agrees with what replies disclosed, and what it costs.

    python benchmarks/understanding.py [--model hf:smollm2] [--dialogues 200] [--checked 64] [--questions 2]
        [--max-new-tokens 64] [--threads 1] [--dtype bfloat16] [--rows FILE [--report]]

Plays the bundled vignettes with three doctors (greedy, scripted, random; every case with each, random ones with more
seeds), and replays the same dialogues with the tracker: what a language model wrote down after each turn, checked by
words in all dialogues and by the model itself in the first `--checked` of them (in a fixed shuffled order; what was
written is the same for both, so only the first checker's costs hold the writing). "echo" is the check by words of the
dialogue itself. Agreement is with the facts that replies disclosed; intervals are 95% percentile bootstraps over
dialogues. With `--rows` every turn is kept in a JSON Lines file: a run that was stopped goes on from there, and
`--report` sums up how far it came. Results are kept in `understanding.json`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from promed_agents.evaluate import evaluate
from promed_agents.files import kept_lines
from promed_agents.setting import Setting
from promed_agents.zoo import make_agent

from promed_env.consultation import Consultation
from promed_env.dynamics import Dynamics
from promed_env.llm import PREFIX, Completion, LanguageModel, Likelihood, Messages, make_llm
from promed_env.llm.tokens import prompt_tokens
from promed_env.patients import make_patient
from promed_env.rewards import SIG, make_reward
from promed_env.understanding import ModelChecker, UnderstandingTracker, WordsChecker

RESULTS = Path(__file__).with_suffix(".json")
BATCH = 16
RESAMPLES = 2000


class Metered:
    """A language model that counts what it reads and generates, and says again what it was asked before at no cost."""

    def __init__(self, model: LanguageModel) -> None:
        """Wrap a model."""
        self.model, self.name = model, model.name
        self.read = self.generated = 0
        self._said: dict[str, Completion] = {}

    def chat(self, batch: Sequence[Messages], **settings: Any) -> list[Completion]:
        """See `LanguageModel.chat`."""
        keys = [json.dumps([list(map(dict, messages)), settings]) for messages in batch]
        new = [index for index, key in enumerate(keys) if key not in self._said]
        said = self.model.chat([batch[index] for index in new], **settings)
        self._count([batch[index] for index in new])
        self.generated += sum(completion.tokens for completion in said)
        self._said.update(zip((keys[index] for index in new), said, strict=True))
        return [self._said[key] for key in keys]

    def choice_logprobs(
        self, batch: Sequence[Messages], letters: Sequence[Sequence[str]], prefix: str = PREFIX
    ) -> list[NDArray[np.float64]]:
        """See `LanguageModel.choice_logprobs`."""
        self._count(batch)
        return self.model.choice_logprobs(batch, letters, prefix)

    def logprob(self, contexts: Sequence[Messages], continuations: Sequence[str]) -> list[Likelihood]:
        """See `LanguageModel.logprob`."""
        return self.model.logprob(contexts, continuations)

    def _count(self, batch: Sequence[Messages]) -> None:
        tokenizer = getattr(self.model, "tokenizer", None)
        if tokenizer is not None:
            self.read += sum(len(prompt_tokens(tokenizer, messages)) for messages in batch)


class Echo:
    """Writes down the whole dialogue: what is then contained shows what the check by words gets wrong by itself."""

    name = "echo"

    def chat(self, batch: Sequence[Messages], **settings: Any) -> list[Completion]:
        """The last message again."""
        return [Completion(messages[-1]["content"], 0) for messages in batch]

    def choice_logprobs(
        self, batch: Sequence[Messages], letters: Sequence[Sequence[str]], prefix: str = PREFIX
    ) -> list[NDArray[np.float64]]:
        """It does not choose."""
        raise NotImplementedError

    def logprob(self, contexts: Sequence[Messages], continuations: Sequence[str]) -> list[Likelihood]:
        """It does not rate."""
        raise NotImplementedError


def play(n: int, questions: int) -> list[tuple[str, Consultation]]:
    """N dialogues by name of the doctor, in a fixed shuffled order."""
    played: list[tuple[str, Consultation]] = []
    for name, seed in [("greedy", 0), ("scripted", 0), *(("random", seed) for seed in range(100))]:
        if len(played) >= n:
            break
        finished: list[tuple[Consultation, Dynamics]] = []
        setting = Setting("ProMed-MedQA-v0", max_questions=questions, seed=seed)
        evaluate(make_agent(name, seed), setting, on_finish=finished.append)
        played += [(name, consultation) for consultation, _ in finished]
    return [played[index] for index in np.random.default_rng(0).permutation(n)]


def replay(
    tracker: UnderstandingTracker, dialogues: list[tuple[str, Consultation]], first: int
) -> list[dict[str, Any]]:
    """What the tracker says after every question of the dialogues, a row a dialogue."""
    asked = [[turn for turn in final.turns if turn.reply is not None] for _, final in dialogues]
    states = [Consultation(final.case, (), final.max_questions, final.seed) for _, final in dialogues]
    rows: list[dict[str, Any]] = [
        {"dialogue": first + place, "case_id": final.case.case_id, "doctor": doctor, "turns": []}
        for place, (doctor, final) in enumerate(dialogues)
    ]
    for t in range(max(map(len, asked))):
        live = [place for place, turns in enumerate(asked) if len(turns) > t]
        befores = [states[place] for place in live]
        texts, replies = [asked[p][t].text for p in live], [asked[p][t].reply for p in live]
        told = [reply for reply in replies if reply is not None]
        for place, before, found in zip(live, befores, tracker.explain(befores, texts, told), strict=True):
            turn = asked[place][t]
            assert turn.reply is not None
            states[place] = before.ask(turn.text, turn.reply, found.known)
            rows[place]["turns"].append(
                {
                    "disclosed": sorted(turn.new),
                    "understood": sorted(found.contained),
                    "undisclosed": sorted(found.undisclosed),
                    "text": found.text,
                }
            )
    for row, (_, final), state in zip(rows, dialogues, states, strict=True):
        for weights in ("softmax", "signed"):
            sig = SIG(weights=weights)
            count = len(row["turns"])
            row[f"sig_{weights}"] = sig.gains(final)[:count].tolist(), sig.gains(state).tolist()
    return rows


def pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Correlation; nan where one does not vary."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def ranks(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks, ties sharing their mean."""
    _, inverse, counts = np.unique(np.round(x, 12), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def measures(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Agreement over these dialogues."""
    turns = [turn for row in rows for turn in row["turns"]]
    found: dict[str, float] = {}

    def sets(name: str, pairs: list[tuple[set[int], set[int]]]) -> None:
        both = sum(len(a & b) for a, b in pairs)
        understood, disclosed = sum(len(b) for _, b in pairs), sum(len(a) for a, _ in pairs)
        found[f"{name}_precision"] = both / understood if understood else float("nan")
        found[f"{name}_recall"] = both / disclosed if disclosed else float("nan")
        found[f"{name}_f1"] = 2 * both / (understood + disclosed) if understood + disclosed else float("nan")

    def all_of(row: dict[str, Any], key: str) -> set[int]:
        return {fact for turn in row["turns"] for fact in turn[key]}

    sets("turn", [(set(turn["disclosed"]), set(turn["understood"])) for turn in turns])
    sets("episode", [(all_of(row, "disclosed"), all_of(row, "understood")) for row in rows])
    understood = sum(len(turn["understood"]) for turn in turns)
    undisclosed = sum(len(turn["undisclosed"]) for turn in turns)
    found["undisclosed_share"] = undisclosed / understood if understood else float("nan")
    found["turns_alike"] = float(np.mean([turn["disclosed"] == turn["understood"] for turn in turns]))
    for weights in ("softmax", "signed"):
        pairs = [row[f"sig_{weights}"] for row in rows]
        by_turn = [np.array([value for pair in pairs for value in pair[side]]) for side in (0, 1)]
        by_episode = [np.array([sum(pair[side]) for pair in pairs]) for side in (0, 1)]
        for name, (x, y) in (("turn", by_turn), ("episode", by_episode)):
            found[f"sig_{weights}_{name}_pearson"] = pearson(x, y)
            found[f"sig_{weights}_{name}_rank"] = pearson(ranks(x), ranks(y))
        found[f"sig_{weights}_paid"] = float(by_episode[1].sum() / by_episode[0].sum())
    return found


def from_example(rows: list[dict[str, Any]], dialogues: list[tuple[str, Consultation]]) -> float:
    """Share of turns whose understanding speaks of platelets or itching as the prompt's example does, unasked."""
    copied = []
    for row in rows:
        _, final = dialogues[row["dialogue"]]
        heard = [final.case.presentation]
        said = [turn for turn in final.turns if turn.reply is not None]
        for turn, found in zip(said, row["turns"], strict=True):
            heard += [turn.text, turn.reply.text if turn.reply else ""]
            text, dialogue = found["text"].lower(), "\n".join(heard).lower()
            copied.append(any(word in text and word not in dialogue for word in ("platelet", "itching")))
    return float(np.mean(copied))


def with_intervals(
    rows: list[dict[str, Any]], measure: Callable[[list[dict[str, Any]]], dict[str, float]]
) -> dict[str, list[float] | None]:
    """Every measure with its 95% percentile bootstrap interval over dialogues; None where it is not defined."""
    rng = np.random.default_rng(0)
    drawn = [measure([rows[index] for index in rng.integers(len(rows), size=len(rows))]) for _ in range(RESAMPLES)]
    result: dict[str, list[float] | None] = {}
    for name, value in measure(rows).items():
        values = np.array([each[name] for each in drawn])
        values = values[~np.isnan(values)]
        known = not np.isnan(value) and len(values) > 0
        result[name] = [round(float(q), 4) for q in (value, *np.percentile(values, [2.5, 97.5]))] if known else None
    return result


def default_seconds(dialogues: list[tuple[str, Consultation]]) -> float:
    """Seconds a turn of the default tracker."""
    dynamics = Dynamics(make_patient("static"), make_reward("sig"), None, "always", "")
    turns = [
        (final.prefix(t), turn.text, turn.reply)
        for _, final in dialogues
        for t, turn in enumerate(final.turns)
        if turn.reply is not None
    ]
    begun = time.perf_counter()
    for before, question, reply in turns * 20:
        dynamics.told(before, question, reply)
    return (time.perf_counter() - begun) / (20 * len(turns))


def main() -> None:
    """Read the arguments, play, replay, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="hf:smollm2")
    parser.add_argument("--dialogues", type=int, default=200)
    parser.add_argument("--checked", type=int, default=64, help="dialogues that the model checks, too")
    parser.add_argument("--questions", type=int, default=2)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", help="such as bfloat16, for a model of Transformers")
    parser.add_argument("--rows", type=Path, help="file of what was found so far")
    parser.add_argument("--report", action="store_true", help="only sum up what the file of --rows holds")
    given = parser.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    dialogues = play(given.dialogues, given.questions)
    if given.report:
        report(given, given.model, dialogues, [json.loads(line) for line in given.rows.read_text().splitlines()])
        return
    model = Metered(make_llm(given.model, **({"dtype": given.dtype} if given.dtype else {})))
    trackers = {
        "words": UnderstandingTracker(model, WordsChecker(), max_new_tokens=given.max_new_tokens),
        "model": UnderstandingTracker(model, ModelChecker(model), max_new_tokens=given.max_new_tokens),
    }
    kept: list[dict[str, Any]] = []
    if given.rows is not None and given.rows.exists():
        kept = [json.loads(line) for line in kept_lines(given.rows)]
    settings = {name: getattr(given, name) for name in ("model", "questions", "max_new_tokens", "dtype")}
    if any(batch["settings"] != settings for batch in kept):
        raise SystemExit(f"{given.rows} was made with other settings than {settings}; give another file")
    done = {(batch["checker"], batch["first"]) for batch in kept}
    for first in range(0, given.dialogues, BATCH):
        for name, tracker in trackers.items():
            if (name, first) in done or (name == "model" and first >= given.checked):
                continue
            members = dialogues[first : first + BATCH]
            read, generated = model.read, model.generated
            begun = time.perf_counter()
            rows = replay(tracker, members, first)
            batch = {
                "checker": name,
                "first": first,
                "settings": settings,
                "seconds": time.perf_counter() - begun,
                "read": model.read - read,
                "generated": model.generated - generated,
                "rows": rows,
            }
            kept.append(batch)
            if given.rows is not None:
                with given.rows.open("a") as file:
                    file.write(json.dumps(batch) + "\n")
            print(f"{name} {first}: {batch['seconds']:.0f} s", flush=True)
    report(given, model.name, dialogues, kept)


def report(
    given: argparse.Namespace, model: str, dialogues: list[tuple[str, Consultation]], kept: list[dict[str, Any]]
) -> None:
    """Print what was found, and keep it."""
    found: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "language_model": model,
        "settings": {name: getattr(given, name) for name in ("questions", "max_new_tokens", "threads", "dtype")},
        "default_seconds_a_turn": default_seconds(dialogues),
    }
    print(f"default tracker: {found['default_seconds_a_turn']:.2e} s a turn")
    begun = time.perf_counter()
    echoed = replay(UnderstandingTracker(Echo()), dialogues, 0)
    echo = {"checker": "echo", "seconds": time.perf_counter() - begun, "read": 0, "generated": 0, "rows": echoed}
    for name in ("echo", "words", "model"):
        batches = [batch for batch in [echo, *kept] if batch["checker"] == name]
        if not batches:
            continue
        rows = [row for batch in batches for row in batch["rows"]]
        turns = sum(len(row["turns"]) for row in rows)
        entry = {
            "dialogues": len(rows),
            "turns": turns,
            "disclosed": sum(len(turn["disclosed"]) for row in rows for turn in row["turns"]),
            "understood": sum(len(turn["understood"]) for row in rows for turn in row["turns"]),
            "seconds_a_turn": round(sum(batch["seconds"] for batch in batches) / turns, 3),
            "tokens_read_a_turn": round(sum(batch["read"] for batch in batches) / turns, 1),
            "tokens_generated_a_turn": round(sum(batch["generated"] for batch in batches) / turns, 1),
            "from_example": round(from_example(rows, dialogues), 4),
            "agreement": with_intervals(rows, measures),
        }
        found[name] = entry
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in entry.items() if key != "agreement"))
        for key, values in entry["agreement"].items():
            print(f"  {key:28} " + ("undefined" if values is None else "{:.3f} [{:.3f}, {:.3f}]".format(*values)))
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(f"kept in {RESULTS}")


if __name__ == "__main__":
    main()
