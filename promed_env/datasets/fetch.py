"""Bring real data sets to the user's machine: `promed datasets fetch NAME`, or `fetch(NAME)` from Python.

Every file is pinned to a commit of a public repository and, where it is known, to its SHA-256. A download that stops is
continued where it stopped; what arrives is checked before it gets its name, so a file is whole and right or not there.
The licence is stored beside it. Downloading is done by the package `pooch` (extra `data`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from promed_env.datasets.home import data_home
from promed_env.errors import BackendError, DatasetError

__all__ = ["DOWNLOADS", "Download", "RemoteFile", "fetch"]

_RAW = "https://raw.githubusercontent.com"
_MEDIQ = f"{_RAW}/stellalisy/mediQ"
_DDXPLUS = f"{_RAW}/karishmagrana/NLP-Final-Project"
_DDXPLUS_JSON = f"{_DDXPLUS}/8e01e3a890f0048f530597e3aa7377af5ec1e097"
_DDXPLUS_EN = (
    f"{_RAW}/FatihOkur/Automatic-Medical-Diagnosis-using-DDXPlus-Dataset/ba00896dd963d2f4004e61ad1627cb0fa02397f7/Data"
)
_CHUNK = 1 << 16


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set.

    Attributes:
        path: Where it is stored, relative to the folder of the data set.
        url: Where it is published, pinned to a commit.
        elsewhere: Where else it may lie, tried in order where the server has nothing under `url`.
        sha256: Its SHA-256; None where nobody could tell us, and then `size` and `fields` are checked.
        size: Its size in bytes, where known.
        fields: Fields that every line of a JSON Lines file has, where there is no hash.
    """

    path: str
    url: str
    sha256: str | None
    size: int | None = None
    fields: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True)
class Download:
    """A data set that can be fetched.

    Attributes:
        files: Its files.
        licence: Name of the licence, as its publishers state it.
        source: Page of the publishers.
        citation: What to cite.
        note: What else to know.
        also: Names of data sets that are fetched with it.
    """

    files: tuple[RemoteFile, ...]
    licence: str
    source: str
    citation: str
    note: str = ""
    also: tuple[str, ...] = field(default=())


DOWNLOADS: Mapping[str, Download] = MappingProxyType(
    {
        "mediq": Download(
            files=(
                RemoteFile(
                    "all_dev_good.jsonl",
                    f"{_MEDIQ}/faa2ce62fef0423e35af4c31d7537aad973173eb/data/all_dev_good.jsonl",
                    "3bfc7090d060dd8d11e4237344ed78846707faab433a84d078191627ad3c9526",
                ),
            ),
            licence="CC-BY-4.0",
            source="https://github.com/stellalisy/mediQ",
            citation="Li et al. (2024), MediQ: Question-Asking LLMs and a Benchmark for Reliable Interactive Clinical "
            "Reasoning, NeurIPS 2024",
            also=("craft-md",),
        ),
        "craft-md": Download(
            files=(
                RemoteFile(
                    "all_craft_md.jsonl",
                    f"{_MEDIQ}/63acb4ccbbc082a3a7895b79d27f51204f6f9aa7/data/all_craft_md.jsonl",
                    None,
                    size=245_479,
                    fields=("id", "question", "context", "options", "answer_idx", "facts", "patient"),
                ),
            ),
            licence="CC-BY-4.0",
            source="https://github.com/stellalisy/mediQ",
            citation="Johri et al. (2025), CRAFT-MD, Nature Medicine; with atomic facts by Li et al. (2024), MediQ",
        ),
        "agentclinic": Download(
            files=(
                RemoteFile(
                    "agentclinic_medqa.jsonl",
                    f"{_RAW}/SamuelSchmidgall/AgentClinic/b6570edefb940857a7c334350656b29f9d984f24/"
                    "agentclinic_medqa.jsonl",
                    "d91038a2984f21bb1d43edd88c7958d090ef42ba80f5be487b22b903bf3a35ea",
                ),
            ),
            licence="MIT",
            source="https://github.com/SamuelSchmidgall/AgentClinic",
            citation="Schmidgall et al. (2024), AgentClinic: a multimodal agent benchmark to evaluate AI in simulated "
            "clinical environments",
        ),
        "ddxplus": Download(
            files=(
                RemoteFile(
                    "patients.csv",
                    f"{_DDXPLUS}/cb32fbcd14177725792caa80893b12beaa095712/data/Project_Train_Data_FewShot_Learning.csv",
                    "09ee92d3385f9c40d8739e8db9bd534e5130dbcb36e4b558ec5f689bbf510cea",
                ),
                RemoteFile(
                    "release_evidences.json",
                    f"{_DDXPLUS_JSON}/data/release_evidences.json",
                    "cf1eec3835524a35ff63a20b60ceb60d60b5a4c81d346753f030230ff8c59b77",
                    elsewhere=(f"{_DDXPLUS_JSON}/release_evidences.json",),
                ),
                RemoteFile(
                    "release_conditions.json",
                    f"{_DDXPLUS_JSON}/data/release_conditions.json",
                    "0e934757b62b8b19b8db2d902a0297ce12c4473a24f9e48f5f3e5d3e5e0d7ac4",
                    elsewhere=(f"{_DDXPLUS_JSON}/release_conditions.json",),
                ),
                RemoteFile(
                    "en/release_evidences.json",
                    f"{_DDXPLUS_EN}/release_evidences.json",
                    "b8657bfc2beb399ee0825b4b885ec0ec595d71191345b2bf1f0b04ccad20e9d1",
                ),
                RemoteFile(
                    "en/release_conditions.json",
                    f"{_DDXPLUS_EN}/release_conditions.json",
                    "8173e95870b81d0295f0febd27ec6c700c69e96ecddc39a18efdfbe5f23708bb",
                ),
            ),
            licence="CC-BY-4.0",
            source="https://github.com/mila-iqia/ddxplus",
            citation="Fansi Tchango et al. (2022), DDXPlus: A New Dataset For Automatic Medical Diagnosis, NeurIPS "
            "2022",
            note="98 patients of the training set with the release files; the full release is linked from the source, "
            "and load_dataset takes the path of its CSV.",
        ),
    }
)
"""Name -> what is fetched under it."""


def fetch(
    name: str,
    *,
    home: str | Path | None = None,
    progress: Callable[[str, int, int | None], None] = lambda path, done, total: None,
    attempts: int = 5,
    timeout: float = 30.0,
    wait: float = 1.0,
) -> list[Path]:
    """Fetch a data set, and those that come with it; files that are there and right are left as they are.

    Args:
        name: One of `DOWNLOADS`.
        home: Folder of all data sets; by default `promed_env.datasets.home.data_home`.
        progress: Called with a file's path, the bytes that are there, and the bytes in all where they are known.
        attempts: How often a download is begun or continued before it is given up.
        timeout: Seconds without a byte after which an attempt ends.
        wait: Seconds before the second attempt; doubled before each further one.

    Returns:
        The files.

    Raises:
        BackendError: The package `pooch` is missing.
        DatasetError: The name is unknown, the server refuses or does not answer, or what arrives is not the file.
    """
    if name not in DOWNLOADS:
        raise DatasetError(f"unknown data set {name!r}; there are {', '.join(DOWNLOADS)} to fetch")
    try:
        import pooch
    except ModuleNotFoundError as error:
        raise BackendError('fetching needs the package pooch: pip install "promed[data]"') from error
    pooch.get_logger().setLevel("ERROR")
    download, folder = DOWNLOADS[name], (data_home() if home is None else Path(home)) / name
    paths = []
    for file in download.files:
        target = folder / file.path
        resuming = _Resuming(file, target, progress, attempts, timeout, wait)
        known = None if file.sha256 is None else f"sha256:{file.sha256}"
        addresses = [file.url, *file.elsewhere]
        while addresses:
            url = addresses.pop(0)
            try:
                pooch.retrieve(url, known, fname=target.name, path=target.parent, downloader=resuming)
                break
            except _NotThere:
                if not addresses:
                    raise
            except ValueError as error:
                if isinstance(error, DatasetError):
                    raise
                raise DatasetError(
                    f"{url}: what arrived is not the file: expected SHA-256 {file.sha256}, got {resuming.received}. "
                    "Nothing was stored. Try again later; if it stays so, the source has changed: report it"
                ) from error
        paths.append(target)
    (folder / "NOTICE.txt").write_text(_notice(name, download, folder), encoding="utf-8")
    options: dict[str, Any] = {"progress": progress, "attempts": attempts, "timeout": timeout, "wait": wait}
    return paths + [path for other in download.also for path in fetch(other, home=home, **options)]


def _notice(name: str, download: Download, folder: Path) -> str:
    """What is stored beside the files."""
    lines = [
        f"{name}, fetched {date.today().isoformat()}",
        f"Licence: {download.licence}",
        f"Source: {download.source}",
        f"Please cite: {download.citation}",
        *([download.note] if download.note else []),
    ]
    for file in download.files:
        digest = sha256((folder / file.path).read_bytes()).hexdigest()
        origin = "as pinned" if file.sha256 else "as received; size and fields were checked, the hash was not known"
        lines += ["", file.path, *(f"  {url}" for url in (file.url, *file.elsewhere)), f"  sha256 {digest} ({origin})"]
    return "\n".join(lines) + "\n"


class _NotThere(DatasetError):
    """The server has nothing under that address."""


class _Resuming:
    """A downloader for pooch that keeps what has arrived in a hidden file and continues there."""

    def __init__(
        self,
        file: RemoteFile,
        target: Path,
        progress: Callable[[str, int, int | None], None],
        attempts: int,
        timeout: float,
        wait: float,
    ) -> None:
        self.received = ""  # SHA-256 of what arrived last
        self._file, self._progress = file, progress
        self._part = target.with_name(f".{target.name}.part")
        self._attempts, self._timeout, self._wait = attempts, timeout, wait

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> bool | None:
        """Download, as pooch asks its downloaders to."""
        import requests

        if check_only:
            return True
        wait = self._wait
        for attempt in range(1, self._attempts + 1):
            try:
                self._continue(url)
                break
            except requests.RequestException as error:
                status = None if error.response is None else error.response.status_code
                if attempt == self._attempts or (status is not None and 400 <= status < 500 and status != 416):
                    raise (_NotThere if status == 404 else DatasetError)(
                        f"{url}: {error}. Tried {attempt} times; what has arrived is kept, so that the next fetch goes "
                        "on from there. Check the network and try again"
                    ) from error
                time.sleep(wait)
                wait *= 2
        self.received = sha256(self._part.read_bytes()).hexdigest()
        if self._file.sha256 is None:
            self._check_content()
        self._part.replace(output_file)
        return None

    def _continue(self, url: str) -> None:
        """Fetch what is missing; raise `requests.RequestException` if it ends early."""
        import requests

        have = self._part.stat().st_size if self._part.exists() else 0
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        with requests.get(url, headers=headers, stream=True, timeout=self._timeout) as response:
            if response.status_code == 416:  # nothing is left to send: what is there is whole, or not this file
                self._part.unlink()
            response.raise_for_status()
            continued = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
                f"bytes {have}-"
            )
            done = have if continued else 0
            length = response.headers.get("Content-Length")
            total = None if length is None else done + int(length)
            self._part.parent.mkdir(parents=True, exist_ok=True)
            with self._part.open("ab" if continued else "wb") as stream:
                for chunk in response.iter_content(_CHUNK):
                    stream.write(chunk)
                    done += len(chunk)
                    self._progress(self._file.path, done, total)
            if total is not None and done < total:
                raise requests.ConnectionError(f"the server closed after {done} of {total} bytes")

    def _check_content(self) -> None:
        """Size and fields of a file whose hash is not known.

        Raises:
            DatasetError: They are not what they should be; what arrived is thrown away.
        """
        file, text = self._file, self._part.read_bytes()
        try:
            rows = [json.loads(line) for line in text.decode("utf-8").splitlines() if line.strip()]
            fit = bool(rows) and all(isinstance(row, dict) and set(file.fields) <= row.keys() for row in rows)
        except ValueError:
            fit = False
        if not fit or (file.size is not None and len(text) != file.size):
            self._part.unlink()
            raise DatasetError(
                f"{file.url}: what arrived is not the file: expected {file.size} bytes of JSON Lines with the fields "
                f"{', '.join(file.fields)}, got {len(text)} bytes. Nothing was stored"
            )
