"""Fetching against a local server that serves, stalls, truncates, refuses and serves the wrong file."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from promed_agents.cli import app
from typer.testing import CliRunner

from promed_env.datasets import fetch as module
from promed_env.datasets import load_dataset
from promed_env.datasets.fetch import DOWNLOADS, Download, RemoteFile, fetch
from promed_env.datasets.jsonl import write_jsonl
from promed_env.errors import DatasetError

BODY = bytes(range(256)) * 2000
HASH = sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `body`; `plan` says what goes wrong with the next requests."""

    daemon_threads = True
    body = BODY
    ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan: list[str] = []
        self.asked: list[str | None] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: Any) -> None:
        """Nothing is logged."""

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        trouble = server.plan.pop(0) if server.plan else ""
        if trouble.isdecimal():
            self.send_error(int(trouble))
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if start >= len(server.body):
            self.send_error(416)
            return
        rest = server.body[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if trouble == "silence":
            server.released.wait(5)
        elif trouble in ("truncate", "stall"):
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            if trouble == "stall":
                server.released.wait(5)
        else:
            self.wfile.write(rest)
        self.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        offered = Download((RemoteFile("deep/file.bin", running.url, HASH),), "MIT", "nowhere", "Nobody (2026)")
        monkeypatch.setattr(module, "DOWNLOADS", {"thing": offered})
        yield running
        running.released.set()
        running.shutdown()
        thread.join()


def get(home: Path, **options: Any) -> Path:
    (path,) = fetch("thing", home=home, **{"timeout": 0.3, "wait": 0.01, **options})
    return path


def files(home: Path) -> list[str]:
    return sorted(path.name for path in home.rglob("*") if path.is_file())


def test_a_file_arrives_with_its_notice_and_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    path = get(tmp_path, progress=lambda *step: seen.append(step))
    assert path == tmp_path / "thing" / "deep" / "file.bin" and path.read_bytes() == BODY
    assert seen[-1] == ("deep/file.bin", len(BODY), len(BODY))
    notice = (tmp_path / "thing" / "NOTICE.txt").read_text()
    assert "Licence: MIT" in notice and server.url in notice and f"sha256 {HASH} (as pinned)" in notice
    get(tmp_path)
    assert server.asked == [None]
    path.write_bytes(b"spoilt")
    assert get(tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("trouble", ["truncate", "stall"])
def test_what_has_arrived_is_continued(server: Server, tmp_path: Path, trouble: str) -> None:
    server.plan = [trouble]
    assert get(tmp_path).read_bytes() == BODY
    assert server.asked[0] is None and len(server.asked) == 2
    assert server.asked[1] is not None and 0 < int(server.asked[1][6:-1]) < len(BODY)


@pytest.mark.parametrize("trouble", ["silence", "500", "503"])
def test_a_server_in_trouble_is_asked_again(server: Server, tmp_path: Path, trouble: str) -> None:
    server.plan = [trouble, trouble]
    assert get(tmp_path).read_bytes() == BODY
    assert len(server.asked) == 3


def test_a_server_without_ranges_starts_anew(server: Server, tmp_path: Path) -> None:
    server.ranges, server.plan = False, ["truncate"]
    assert get(tmp_path).read_bytes() == BODY


def test_a_later_fetch_goes_on_after_one_that_was_given_up(server: Server, tmp_path: Path) -> None:
    server.plan = ["truncate", "truncate"]
    with pytest.raises(DatasetError, match="Tried 2 times; what has arrived is kept"):
        get(tmp_path, attempts=2)
    assert files(tmp_path) == [".file.bin.part"]
    assert get(tmp_path).read_bytes() == BODY
    assert server.asked[-1] is not None
    assert files(tmp_path) == ["NOTICE.txt", "file.bin"]


def test_an_interrupted_fetch_goes_on(server: Server, tmp_path: Path) -> None:
    def interrupt(path: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(tmp_path, progress=interrupt)
    assert files(tmp_path) == [".file.bin.part"]
    assert get(tmp_path).read_bytes() == BODY
    assert server.asked[-1] is not None


@pytest.mark.parametrize("body", [b"another file", BODY + b"x", BODY[:-1]])
def test_a_wrong_file_is_never_stored(server: Server, tmp_path: Path, body: bytes) -> None:
    server.body = body
    message = f"expected SHA-256 {HASH}, got {sha256(body).hexdigest()}. Nothing was stored"
    with pytest.raises(DatasetError, match=message):
        get(tmp_path)
    assert files(tmp_path) == []
    server.body = BODY
    assert get(tmp_path).read_bytes() == BODY


def test_a_part_that_is_too_long_is_thrown_away(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "thing" / "deep" / ".file.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY + b"more")
    assert get(tmp_path).read_bytes() == BODY


def test_a_refusal_is_final(server: Server, tmp_path: Path) -> None:
    server.plan = ["404"]
    with pytest.raises(DatasetError, match=r"404 .*Tried 1 times"):
        get(tmp_path)
    assert files(tmp_path) == []


def test_without_a_hash_size_and_fields_are_checked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"id": 1}\n{"id": 2}\n'
    file = RemoteFile("rows.jsonl", server.url, None, size=len(body), fields=("id",))
    monkeypatch.setattr(module, "DOWNLOADS", {"thing": Download((file,), "MIT", "nowhere", "Nobody")})
    for wrong in (body[:-1], b'{"no": 1}\n{"id": 2}\n', b"<html>not found</html"):
        server.body = wrong
        with pytest.raises(DatasetError, match=f"expected {len(body)} bytes of JSON Lines with the fields id"):
            get(tmp_path)
        assert files(tmp_path) == []
    server.body = body
    assert get(tmp_path).read_bytes() == body
    assert "the hash was not known" in (tmp_path / "thing" / "NOTICE.txt").read_text()


def test_the_command_shows_the_licence_and_the_name_loads_what_it_fetched(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "record.jsonl"
    write_jsonl(load_dataset("medqa")[:2], record)  # any file stands for one here
    server.body = record.read_bytes()
    file = RemoteFile("agentclinic_medqa.jsonl", server.url, sha256(server.body).hexdigest())
    offered = {"agentclinic": dataclasses.replace(DOWNLOADS["agentclinic"], files=(file,))}
    monkeypatch.setattr(module, "DOWNLOADS", offered)
    result = CliRunner().invoke(app, ["datasets", "fetch", "agentclinic", "--home", str(tmp_path / "home")])
    assert result.exit_code == 0, result.output
    assert "licence MIT" in result.output and "Schmidgall" in result.output
    assert (tmp_path / "home" / "agentclinic" / "agentclinic_medqa.jsonl").read_bytes() == server.body


def test_an_unknown_name_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="unknown data set 'medqa'; there are mediq, craft-md, agentclinic, ddxplus"):
        fetch("medqa", home=tmp_path)
    result = CliRunner().invoke(app, ["datasets", "fetch", "medqa"])
    assert result.exit_code == 1


def test_a_file_that_lies_elsewhere_is_found_there(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = RemoteFile("file.bin", server.url, HASH, elsewhere=(f"{server.url}-moved",))
    monkeypatch.setattr(module, "DOWNLOADS", {"thing": Download((moved,), "MIT", "nowhere", "Nobody (2026)")})
    server.plan = ["404"]
    assert get(tmp_path).read_bytes() == BODY
    (tmp_path / "thing" / "file.bin").unlink()
    server.plan = ["404", "404"]
    with pytest.raises(DatasetError, match=r"file-moved: 404"):
        get(tmp_path)


def test_every_file_is_pinned() -> None:
    for name, download in DOWNLOADS.items():
        assert download.licence and download.source and download.citation, name
        for file in download.files:
            assert any(len(part) == 40 for part in file.url.split("/")), file.url
            assert (file.sha256 is not None and len(file.sha256) == 64) or (file.size and file.fields)
