"""Compile the vignettes in `vignettes/` to the canonical JSON Lines shipped in the wheel, after checking them.

    python scripts/build_samples.py                           # check all, write promed_env/datasets/samples/*.jsonl
    python scripts/build_samples.py --check FILE [FILE ...]   # check these TOML files only, print a line per case

The rules are those of `promed_env.datasets.authoring`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from promed_env.beliefs import EvidenceBelief
from promed_env.case import Language
from promed_env.datasets.authoring import check_sample, check_vignette, is_misleading, p_key, read_vignettes
from promed_env.shapley import annotate

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "promed_env" / "datasets" / "samples"


def _language(path: Path) -> Language:
    return "zh" if path.resolve().parent.name == "cmb" else "en"


def main() -> int:
    """Run the command line; the exit status is 1 if a vignette breaks a rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", nargs="+", type=Path, metavar="FILE", help="check these files, write nothing")
    args = parser.parse_args()
    if args.check:
        problems = 0
        for path in args.check:
            for case in read_vignettes(path, source="sample", language=_language(path)):
                start, end = p_key(case, sorted(case.initial)), p_key(case, range(case.n_facts))
                misleading = [i for i in case.hidden if is_misleading(case, i)]
                print(f"{case.case_id:32} start {start:.2f}  all {end:.3f}  misleading {misleading}  key {case.answer}")
                for problem in check_vignette(case):
                    problems += 1
                    print(f"    WRONG: {problem}")
                if not 0.1 <= start <= 0.6:
                    print("    note: the presentation alone should leave p(key) between 0.10 and 0.60")
        return int(problems > 0)
    for folder in sorted((ROOT / "vignettes").iterdir()):
        files = sorted(folder.glob("*.toml"))
        cases = [
            case
            for path in files
            for case in read_vignettes(path, source=f"{folder.name}-sample", language=_language(path))
        ]
        if problems_found := check_sample(cases):
            print("\n".join(problems_found), file=sys.stderr)
            return 1
        SAMPLES.mkdir(exist_ok=True)
        lines = [
            json.dumps(annotate(case, EvidenceBelief(), method="exact").to_json(), ensure_ascii=False) for case in cases
        ]
        (SAMPLES / f"{folder.name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{folder.name}: {len(cases)} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
