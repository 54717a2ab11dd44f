"""Measures language models as doctors, by style, and as patients; and the backends against each other.

    python benchmarks/llm.py styles [--model hf:smollm2] [--cases FILE] [--n 100] [--max-questions 2]
    python benchmarks/llm.py patients [--model hf:smollm2] [--n 100]
    python benchmarks/llm.py backends --model hf:FOLDER --other vllm:FOLDER

`styles` plays every style on the bundled vignettes and on real MediQ cases: accuracy with its 95% Wilson interval,
questions, invalid turns, beside guessing and the doctor `reactive`. `patients` answers the labelled questions of
`benchmarks/labels` as a language model and as `static` and `semantic` do, with the sentences that the check dropped.
`backends` compares what two backends compute for the same dialogues. Results are kept in `llm.json` beside it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from patients import LABELS, load_labels
from patients import evaluate as agreement
from promed_agents.evaluate import evaluate
from promed_agents.llm import STYLES, LLMDoctor
from promed_agents.setting import Setting

from promed_env import phrases
from promed_env.datasets import load_dataset
from promed_env.llm import LanguageModel, make_llm
from promed_env.patients import make_patient
from promed_env.patients.llm import LanguageModelPatient

ROOT = Path(__file__).resolve().parents[1]
MEDIQ = ROOT / "../shared/data/mediq/dev_0000-0999.jsonl"
RESULTS = Path(__file__).with_suffix(".json")


def styles(model: LanguageModel, which: list[str], dataset: str | None, n: int, max_questions: int) -> dict[str, Any]:
    """Every style on the first n cases."""
    setting = Setting(dataset=dataset, max_questions=max_questions, reward="diagnosis")
    cases = setting.load(n)
    guess = float(np.mean([1 / len(case.options) for case in cases]))
    print(f"{cases.name}, {len(cases)} cases, at most {max_questions} questions; guessing {guess:.3f}")
    found: dict[str, Any] = {"guessing": guess}
    for style in which:
        begun = time.perf_counter()
        played = evaluate(LLMDoctor(model, style), setting, cases)
        summary = played.summaries["all"]
        share = sum(episode.invalid for episode in played.episodes) / sum(len(e.turns) for e in played.episodes)
        found[style] = {
            "accuracy": summary.accuracy,
            "interval": summary.accuracy_wilson,
            "questions": summary.questions,
            "invalid_turns": summary.invalid,
            "invalid_share": share,
            "fact_recall": summary.fact_recall,
            "seconds": time.perf_counter() - begun,
        }
        low, high = summary.accuracy_wilson
        print(
            f"  {style:12} accuracy {summary.accuracy:.3f} [{low:.3f}, {high:.3f}], questions {summary.questions:.2f}, "
            f"invalid {share:.2f} of turns, recall {summary.fact_recall:.3f}, "
            f"{found[style]['seconds']:.0f} s",
            flush=True,
        )
    return found


def patients(model: LanguageModel, cases: Path, n: int) -> dict[str, Any]:
    """Language model, `static` and `semantic` on the same n labelled questions."""
    known = {case.case_id: case for case in load_dataset(str(cases))}
    labels = load_labels("test", known)
    kept = [labels[index] for index in np.random.default_rng(0).permutation(len(labels))[:n]]
    spoken = LanguageModelPatient(model)
    found: dict[str, Any] = {"questions": len(kept), "labels": str(LABELS.relative_to(ROOT))}
    for patient in (make_patient("static"), make_patient("semantic"), spoken):
        begun = time.perf_counter()
        scores = agreement(patient, kept)
        each = (time.perf_counter() - begun) / len(kept)
        found[patient.name] = {**scores._asdict(), "seconds_a_reply": each}
        print(f"  {patient.name}: {scores}, precision {scores.precision:.2f}, recall {scores.recall:.2f}, {each:.3f} s")
    sentences = {name: spoken.counts[name] for name in ("stated", "partial", "invented", "empty")}
    found["sentences"] = {**sentences, "refused": spoken.counts["refused"]}
    print(f"  sentences of {spoken.name}: {found['sentences']}")
    return found


def backends(one: LanguageModel, other: LanguageModel, n: int) -> dict[str, Any]:
    """Differences between two backends on the openings of the bundled vignettes."""
    cases = load_dataset("medqa")[:n]
    chats = [[{"role": "user", "content": phrases.opening(case, 3, "always")}] for case in cases]
    letters = [[option.key for option in case.options] for case in cases]
    answers = [f"answer: {case.answer[0]}" for case in cases]
    chosen = [model.choice_logprobs(chats, letters) for model in (one, other)]
    rated = [model.logprob(chats, answers) for model in (one, other)]
    said = [model.chat(chats, max_new_tokens=24) for model in (one, other)]
    found = {
        "cases": len(cases),
        "choice_difference": max(float(np.abs(a - b).max()) for a, b in zip(*chosen, strict=True)),
        "logprob_difference": max(abs(a.total - b.total) for a, b in zip(*rated, strict=True)),
        "same_choice": float(np.mean([a.argmax() == b.argmax() for a, b in zip(*chosen, strict=True)])),
        "same_text": float(np.mean([a.text == b.text for a, b in zip(*said, strict=True)])),
    }
    print(f"{one.name} and {other.name}: {json.dumps(found)}")
    return found


def main() -> None:
    """Run the section asked for, print it and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=("styles", "patients", "backends"))
    parser.add_argument("--model", default="hf:smollm2", help="see promed_env.llm.make_llm")
    parser.add_argument("--other", help="the other backend, for backends")
    parser.add_argument("--cases", type=Path, default=MEDIQ, help="the MediQ file")
    parser.add_argument("--n", type=int, default=100, help="cases, or labelled questions")
    parser.add_argument("--max-questions", type=int, default=2)
    parser.add_argument("--style", action="append", choices=list(STYLES), help="only these styles")
    parser.add_argument("--data", action="append", choices=("sample", "mediq"), help="only these cases")
    args = parser.parse_args()
    head = {
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "command": " ".join(sys.argv[1:]),
        "model": args.model,
    }
    print(json.dumps(head))
    model = make_llm(args.model)
    if args.section == "patients":
        found = patients(model, args.cases, args.n)
    elif args.section == "backends":
        if args.other is None:
            parser.error("backends needs --other")
        # By itself vLLM computes float32 weights in bfloat16.
        same = {"dtype": "float32", "enforce_eager": True} if args.other.startswith("vllm:") else {}
        found = backends(model, make_llm(args.other, **same), args.n)
    else:
        found = {
            name: styles(model, args.style or list(STYLES), file, min(args.n, most), args.max_questions)
            for name, file, most in (("sample", None, 60), ("mediq", str(args.cases), args.n))
            if args.data is None or name in args.data
        }
    RESULTS.parent.mkdir(exist_ok=True)
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    text = json.dumps([*kept, {**head, args.section: found}], indent=1)
    for spec in filter(None, (args.model, args.other)):  # where a model lies is the machine's business
        backend, _, place = spec.partition(":")
        text = text.replace(spec, f"{backend}:{Path(place).name}")
    RESULTS.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
