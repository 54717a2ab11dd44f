"""A real vLLM on a CPU, offline and as an OpenAI-compatible server, against Transformers with the same weights.

vLLM wants an environment of its own. PROMED_VLLM_ENV names it (a folder with bin/python, see `docs/llm.md`), and
PROMED_SMOLLM2 a folder that `scripts/smollm2.py` wrote; without them these tests are skipped.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from promed_agents.evaluate import evaluate
from promed_agents.llm import LLMDoctor
from promed_agents.setting import Setting

from promed_env import phrases
from promed_env.beliefs.lm import Characteristic, LMBelief
from promed_env.datasets import load_dataset
from promed_env.llm import LanguageModel, make_llm

pytestmark = pytest.mark.vllm

ROOT = Path(__file__).resolve().parents[2]
CASES = load_dataset("medqa")[:3]
CHATS = [[{"role": "user", "content": phrases.opening(case, 3, "always")}] for case in CASES]
LETTERS = [[option.key for option in case.options] for case in CASES]
TEXTS = [f"answer: {case.answer[0]}" for case in CASES]
LENGTH = "2048"

OFFLINE = f"""
import json, pathlib, sys
from promed_env.llm import make_llm

def main():
    chats, letters, texts = json.loads(sys.argv[2])
    model = make_llm("vllm:" + sys.argv[1], max_model_len={LENGTH}, dtype="float32", enforce_eager=True)
    chosen = [row.tolist() for row in model.choice_logprobs(chats, letters)]
    sampled = [model.chat(chats, max_new_tokens=6, temperature=1.0, seed=3) for _ in range(2)]
    said = [completion.text for completion in model.chat(chats, max_new_tokens=6)]
    other = [completion.text for completion in model.chat(chats, max_new_tokens=6, unlike=[[text] for text in said])]
    assert all(text not in (said[index], "") for index, text in enumerate(other)), (said, other)
    found = [chosen, model.logprob(chats, texts), said, sampled[0] == sampled[1]]
    pathlib.Path(sys.argv[3]).write_text(json.dumps(found))  # on stdout the engine's process writes into the line

if __name__ == "__main__":
    main()
"""


def given(variable: str, what: str) -> Path:
    if variable not in os.environ:
        pytest.skip(f"{variable} does not name {what}")
    return Path(os.environ[variable])


@pytest.fixture(scope="module")
def folder() -> Path:
    return given("PROMED_SMOLLM2", "a folder that scripts/smollm2.py wrote")


@pytest.fixture(scope="module")
def environment() -> Path:
    return given("PROMED_VLLM_ENV", "an environment with vLLM")


@pytest.fixture(scope="module")
def reference(folder: Path) -> LanguageModel:
    return make_llm(f"hf:{folder}", device="cpu")


def settings() -> dict[str, str]:
    paths = os.pathsep.join((str(ROOT), str(ROOT / "agents")))
    return {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}


@pytest.fixture(scope="module")
def served(folder: Path, environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `vllm serve`, which is stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "serve.log"
    command = [  # as the command `vllm serve`, which asks for a distribution "vllm" that the CPU build is not
        str(environment / "bin" / "python"), "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder),
        "--served-model-name", "smollm2", "--host", "127.0.0.1", "--port", str(port), "--max-model-len", LENGTH,
        "--dtype", "float32", "--enforce-eager",
    ]  # fmt: skip
    with log.open("wb") as stream:
        running = subprocess.Popen(command, env=settings(), stdout=stream, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + 420
        while not ready(f"http://127.0.0.1:{port}/health"):
            if running.poll() is not None or time.monotonic() > until:
                pytest.fail(f"vllm serve did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        running.terminate()
        running.wait(60)


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def test_offline_it_computes_what_transformers_does(
    folder: Path, environment: Path, reference: LanguageModel, tmp_path: Path
) -> None:
    what, result = json.dumps([CHATS, LETTERS, TEXTS]), tmp_path / "result.json"
    command = [environment / "bin" / "python", "-c", OFFLINE, folder, what, result]
    done = subprocess.run(command, env=settings(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    chosen, rated, said, again = json.loads(result.read_text())
    for found, expected in zip(chosen, reference.choice_logprobs(CHATS, LETTERS), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-3)
    np.testing.assert_allclose(
        [row[0] for row in rated], [own.total for own in reference.logprob(CHATS, TEXTS)], atol=1e-2
    )
    assert said == [completion.text for completion in reference.chat(CHATS, max_new_tokens=6)]
    assert again


def test_served_it_computes_what_transformers_does(served: str, reference: LanguageModel) -> None:
    model = make_llm(f"vllm-server:smollm2@{served}")
    for found, expected in zip(
        model.choice_logprobs(CHATS, LETTERS), reference.choice_logprobs(CHATS, LETTERS), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=2e-3)
    rated = [own.total for own in model.logprob(CHATS, TEXTS)]
    np.testing.assert_allclose(rated, [own.total for own in reference.logprob(CHATS, TEXTS)], atol=1e-2)
    assert model.chat(CHATS, max_new_tokens=6)[0].text == reference.chat(CHATS, max_new_tokens=6)[0].text


def test_served_it_believes_what_transformers_does(served: str, reference: LanguageModel) -> None:
    """The values of coalitions, which are what Shapley values are made of."""
    case = CASES[0]
    coalitions = np.random.default_rng(0).random((6, case.n_facts)) < 0.5
    for characteristic in get_args(Characteristic):
        ours, theirs = (
            LMBelief(model, characteristic).value(case, coalitions)
            for model in (make_llm(f"vllm-server:smollm2@{served}"), reference)
        )
        np.testing.assert_allclose(ours, theirs, atol=1e-2)


def test_a_served_doctor_plays_as_the_same_model_here(served: str, reference: LanguageModel) -> None:
    setting = Setting(max_questions=1)

    def played(model: LanguageModel) -> list[Any]:
        episodes = evaluate(LLMDoctor(model, "direct"), setting, setting.load(3)).episodes
        return [episode.chosen for episode in episodes]

    assert played(make_llm(f"vllm-server:smollm2@{served}")) == played(reference)
    plain = LLMDoctor(f"openai:smollm2@{served}", "ask", max_new_tokens=12)
    assert len(evaluate(plain, setting, setting.load(2)).episodes) == 2


def test_the_command_plays_a_served_doctor(served: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from promed_agents.cli import app; app()"]
    command += ["evaluate", "ProMed-MedQA-v0", "--episodes", "2"]
    how = ["--agent", f"llm:vllm-server:smollm2@{served}", "--style", "direct", "--no-show", "--out", str(tmp_path)]
    done = subprocess.run([*command, *how], env=settings(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "results.json").exists()
