"""The server backend against an HTTP server of the tests' own: what is sent, tried again and kept secret."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from promed_env.errors import BackendError
from promed_env.llm import make_llm
from promed_env.llm.server import ServerModel

pytest.importorskip("openai", reason="the extra llm is not installed")

KEY = "sk-very-secret-key"
CHAT = [{"role": "user", "content": "Do you smoke?"}]
Answer = tuple[int, dict[str, Any]]


def said(text: str, top: list[tuple[str, float]] | None = None, prompt: int = 7, **more: Any) -> Answer:
    logprobs = None
    if top is not None:
        tokens = [{"token": token, "logprob": value, "bytes": None} for token, value in top]
        logprobs = {"content": [{**tokens[0], "top_logprobs": tokens}], "refusal": None}
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text},
        "logprobs": logprobs,
    }
    usage = {"prompt_tokens": prompt, "completion_tokens": 3, "total_tokens": prompt + 3}
    body = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    return 200, {**body, **more}


class Server:
    """Answers what the test's function says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], Answer] = lambda asked: said("question: Since when?")
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.busiest = 0
        self._busy = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer._lock:
                    outer.asked.append({**asked, "path": self.path})
                    outer.keys.append(self.headers["Authorization"])
                    outer._busy += 1
                    outer.busiest = max(outer.busiest, outer._busy)
                status, body = outer.answer(asked)
                with outer._lock:
                    outer._busy -= 1
                content = json.dumps(body).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(content)))
                    self.send_header("retry-after-ms", "5")
                    self.end_headers()
                    self.wfile.write(content)
                except BrokenPipeError:
                    pass  # the client gave up waiting

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    running = Server()
    yield running
    running.close()


def test_a_dialogue_is_sent_and_what_comes_back_is_said(server: Server) -> None:
    model = make_llm(f"openai:m@{server.url}")
    assert model.chat([CHAT], max_new_tokens=9, temperature=0.5, seed=4, stop=["\n"]) == [("question: Since when?", 3)]
    (asked,) = server.asked
    assert asked["path"] == "/v1/chat/completions" and asked["messages"] == CHAT and asked["model"] == "m"
    assert (asked["max_tokens"], asked["temperature"], asked["seed"], asked["stop"]) == (9, 0.5, 4, ["\n"])
    assert server.keys == [f"Bearer {KEY}"]


def test_what_it_must_not_say_is_sent_where_the_server_knows_how(server: Server) -> None:
    model = make_llm(f"vllm-server:m@{server.url}")
    model.chat([CHAT, CHAT], unlike=[["question: Why?"], []])
    assert sorted(asked["bad_words"] for asked in server.asked) == [[], ["question: Why?"]]
    with pytest.raises(BackendError, match="cannot be told what not to say"):
        make_llm(f"openai:m@{server.url}").chat([CHAT], unlike=[["No."]])


def test_results_keep_their_order_and_requests_their_limit(server: Server) -> None:
    def answer(asked: dict[str, Any]) -> Answer:
        number = int(asked["messages"][0]["content"])
        time.sleep(0.02 if number % 2 else 0.001)
        return said(str(number))

    server.answer = answer
    model = ServerModel("m", server.url, concurrency=3)
    found = model.chat([[{"role": "user", "content": str(number)}] for number in range(12)])
    assert [completion.text for completion in found] == [str(number) for number in range(12)]
    assert 1 < server.busiest <= 3


@pytest.mark.parametrize("status", [429, 500])
def test_a_busy_server_is_asked_again_and_a_failing_one_given_up(server: Server, status: int) -> None:
    count = 0

    def answer(asked: dict[str, Any]) -> Answer:
        nonlocal count
        count += 1
        return said("now") if count == 3 else (status, {"error": {"message": "busy"}})

    server.answer = answer
    assert ServerModel("m", server.url, max_retries=2).chat([CHAT])[0].text == "now"
    server.answer = lambda asked: (status, {"error": {"message": f"no luck with {KEY}"}})
    server.asked.clear()
    with pytest.raises(BackendError, match=r"openai:m at http://.* failed after 1 more attempts at most: .*no luck"):
        ServerModel("m", server.url, max_retries=1).chat([CHAT])
    assert len(server.asked) == 2


def test_a_slow_server_is_given_up(server: Server) -> None:
    def answer(asked: dict[str, Any]) -> Answer:
        time.sleep(0.5)
        return said("late")

    server.answer = answer
    with pytest.raises(BackendError, match="APITimeoutError"):
        ServerModel("m", server.url, timeout=0.1, max_retries=0).chat([CHAT])


def test_the_key_is_nowhere_to_be_read(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    server.answer = lambda asked: (401, {"error": {"message": f"bad key {KEY}"}})
    model = ServerModel("m", server.url, max_retries=0)
    with pytest.raises(BackendError) as caught:
        model.chat([CHAT])
    assert caught.value.__suppress_context__
    for text in (repr(model), str(vars(model).get("name")), str(caught.value), repr(caught.value), caplog.text):
        assert KEY not in text
    assert "***" in str(caught.value)


def test_without_a_key_only_a_server_of_ones_own_can_be_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(BackendError, match="set the environment variable OPENAI_API_KEY"):
        make_llm("openai:m2")
    assert ServerModel("m", server.url).chat([CHAT])[0].text == "question: Since when?"
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    assert ServerModel("m").chat([CHAT])[0].text == "question: Since when?"


def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BackendError, match="APIConnectionError"):
        ServerModel("m", "http://127.0.0.1:9/v1", max_retries=0).chat([CHAT])


def test_letters_are_chosen_by_the_top_logprobs(server: Server) -> None:
    server.answer = lambda asked: said("B", [("B", -0.5), (" B", -3.0), ("A", -1.5), ("x", -2.0)])
    model = ServerModel("m", server.url)
    (two,) = model.choice_logprobs([CHAT], ["AB"])
    weights = np.exp([-1.5, np.logaddexp(-0.5, -3.0)])
    np.testing.assert_allclose(np.exp(two), weights / weights.sum())
    left = max(1 - np.exp([-0.5, -3.0, -1.5, -2.0]).sum(), 1e-9)
    (three,) = model.choice_logprobs([CHAT], ["ABC"])
    weights = np.append(weights, min(left, np.exp(-3.0)))
    np.testing.assert_allclose(np.exp(three), weights / weights.sum())
    asked = server.asked[-1]
    assert asked["top_logprobs"] == 20 and asked["max_tokens"] == 1
    assert asked["messages"][0] == {"role": "system", "content": "Reply with one letter and nothing else: A, B, C."}


@pytest.mark.parametrize(
    ("top", "message"),
    [(None, "returns no log-probabilities"), ([("The", -0.1)], "none of the letters A, B next, but 'The'")],
)
def test_a_server_that_cannot_choose_is_an_error(
    server: Server, top: list[tuple[str, float]] | None, message: str
) -> None:
    server.answer = lambda asked: said("A", top)
    with pytest.raises(BackendError, match=message):
        ServerModel("m", server.url).choice_logprobs([CHAT], ["AB"])


def test_a_vllm_server_goes_on_after_the_prefix_and_rates_texts(server: Server) -> None:
    model = make_llm(f"vllm-server:m@{server.url}")

    def letter(asked: dict[str, Any]) -> Answer:
        last = {"answer: A": -0.2, "answer: B": -1.7}[asked["messages"][-1]["content"]]
        return said("x", prompt_logprobs=[None, {"5": {"logprob": -9.0}}, {"6": {"logprob": last}}])

    server.answer = letter
    (chosen,) = model.choice_logprobs([CHAT], ["AB"])
    np.testing.assert_allclose(chosen, np.array([-0.2, -1.7]) - np.logaddexp(-0.2, -1.7))
    asked = server.asked[-1]
    assert asked["messages"][:-1] == CHAT and asked["messages"][-1]["role"] == "assistant"
    assert asked["continue_final_message"] is True and asked["add_generation_prompt"] is False

    def rate(asked: dict[str, Any]) -> Answer:
        if "prompt_logprobs" not in asked:
            return said("x", prompt=2)
        told = [None, {"5": {"logprob": -9.0}}, {"6": {"logprob": -1.0}}, {"7": {"logprob": -2.0}}]
        return said("x", prompt=4, prompt_logprobs=told)

    server.answer = rate
    assert model.logprob([CHAT], ["so long"]) == [(-3.0, -1.5)]
    server.answer = lambda asked: said("x")
    with pytest.raises(BackendError, match="does not rate texts; is it a vLLM server"):
        model.choice_logprobs([CHAT], ["AB"])
    with pytest.raises(BackendError, match="the OpenAI interface does not rate given texts"):
        ServerModel("m", server.url).logprob([CHAT], ["so long"])


def test_numbers_out_of_range_are_named(server: Server) -> None:
    with pytest.raises(ValueError, match="timeout must be above 0"):
        ServerModel("m", server.url, timeout=0)


def test_the_name_tells_the_server_and_no_secret(server: Server) -> None:
    model = make_llm(f"openai:m@{server.url}")
    assert model.name == f"openai:m@{server.url}" and make_llm(model.name) is model
    assert ServerModel("m", server.url, prefill=True).name == f"vllm-server:m@{server.url}"
    assert ServerModel("m").name == "openai:m@https://api.openai.com/v1"
    secret = ServerModel("m", f"http://me:{KEY}@host:1/v1?api-key={KEY}")
    assert secret.name == "openai:m@http://host:1/v1" and KEY not in repr(secret)
