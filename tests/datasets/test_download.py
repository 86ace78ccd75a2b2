import hashlib
import logging
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from irp_kedro.datasets import download
from irp_kedro.datasets.download import CHUNK, fetch
from irp_kedro.datasets.partial_file import Note, PartialFile
from irp_kedro.errors import DownloadError

CONTENT = bytes(range(256)) * (CHUNK // 256) * 4
NEW_CONTENT = CONTENT[::-1]


def checksum_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Server(ThreadingHTTPServer):
    """One file at any address; its attributes say how it misbehaves."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag = CONTENT, '"one"'
        self.cuts: list[int] = []  # bytes after which the next answers break off
        self.statuses: list[int] = []  # of the next answers
        self.knows_range = self.knows_if_range = True
        self.content_type = "application/zip"
        self.ranges: list[str | None] = []  # asked for
        self.served = 0  # bytes
        self.asked, self.released = threading.Event(), threading.Event()
        self.released.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/sets/set.zip?version=1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.ranges.append(self.headers["Range"])
        server.asked.set()
        server.released.wait(5)
        status = server.statuses.pop(0) if server.statuses else 200
        if self.path == "/moved":
            self.answer(302, {"Location": "/sets/set.zip", "Content-Length": "0"}, b"")
        elif status != 200:
            self.answer(status, {"Content-Length": "0"}, b"")
        else:
            self.send_content(self.first_byte())

    def first_byte(self) -> int:
        fresh = self.headers["If-Range"] == self.server.etag or not self.server.knows_if_range
        asked = self.headers["Range"] if self.server.knows_range and fresh else None
        return int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0

    def send_content(self, first: int) -> None:
        total = len(self.server.content)
        body = self.server.content[first:]
        headers = {"Content-Type": self.server.content_type, "Content-Length": str(len(body))}
        if first >= total > 0:
            self.answer(416, {"Content-Range": f"bytes */{total}", "Content-Length": "0"}, b"")
            return
        if first:
            headers["Content-Range"] = f"bytes {first}-{total - 1}/{total}"
        if self.server.etag:
            headers["ETag"] = self.server.etag
        cut = self.server.cuts.pop(0) if self.server.cuts else len(body)
        self.answer(206 if first else 200, headers, body[:cut])

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.server.served += len(body)  # before the last byte goes: the test may look as soon as it has it
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _quick_and_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "BACKOFF", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def leave_part(folder: Path, url: str, content: bytes, note: Note) -> None:
    part = PartialFile(folder / "set.zip.part")
    part.restart(url, note)
    part.path.write_bytes(content)


def test_a_file_arrives_under_its_own_name_and_nothing_else_is_left(server: Server, tmp_path: Path) -> None:
    file = fetch(server.url, folder=tmp_path / "raw", checksum=checksum_of(CONTENT))
    assert file == tmp_path / "raw" / "set.zip"
    assert file.read_bytes() == CONTENT
    assert [entry.name for entry in file.parent.iterdir() if not entry.name.endswith(".lock")] == ["set.zip"]


def test_a_complete_file_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        fetch(server.url, folder=tmp_path, checksum=checksum_of(CONTENT))
    assert len(server.ranges) == 1


def test_a_file_with_a_wrong_checksum_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(b"old")
    assert fetch(server.url, folder=tmp_path, checksum=checksum_of(CONTENT)).read_bytes() == CONTENT


def test_a_cut_download_fetches_only_the_rest(server: Server, tmp_path: Path) -> None:
    server.cuts = [CHUNK, CHUNK]
    file = fetch(server.url, folder=tmp_path, checksum=None)
    assert file.read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={CHUNK}-", f"bytes={2 * CHUNK}-"]
    assert server.served == len(CONTENT)


def test_a_cut_inside_a_chunk_loses_no_more_than_that_chunk(server: Server, tmp_path: Path) -> None:
    server.cuts = [CHUNK + 100]
    assert fetch(server.url, folder=tmp_path, checksum=checksum_of(CONTENT)).read_bytes() == CONTENT
    assert server.served <= len(CONTENT) + CHUNK


def test_a_download_cut_too_often_is_continued_by_the_next_call(server: Server, tmp_path: Path) -> None:
    server.cuts = [CHUNK, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match=rf"cut 5 times.*{CHUNK} bytes are kept: run again"):
        fetch(server.url, folder=tmp_path, checksum=None)
    assert not (tmp_path / "set.zip").exists()
    assert fetch(server.url, folder=tmp_path, checksum=None).read_bytes() == CONTENT
    assert server.served == len(CONTENT)


def test_what_a_killed_process_left_is_continued(server: Server, tmp_path: Path) -> None:
    leave_part(tmp_path, server.url, CONTENT[:1000], Note('"one"', len(CONTENT)))
    file = fetch(server.url, folder=tmp_path, checksum=checksum_of(CONTENT))
    assert file.read_bytes() == CONTENT
    assert server.served == len(CONTENT) - 1000


def test_a_part_that_was_whole_when_the_process_died_is_not_fetched_again(
    server: Server, tmp_path: Path
) -> None:
    leave_part(tmp_path, server.url, CONTENT, Note('"one"', len(CONTENT)))
    assert fetch(server.url, folder=tmp_path, checksum=checksum_of(CONTENT)).read_bytes() == CONTENT
    assert server.ranges == []


@pytest.mark.parametrize("knows_if_range", [True, False])
def test_a_file_that_changed_meanwhile_starts_from_zero(
    server: Server, tmp_path: Path, knows_if_range: bool
) -> None:
    leave_part(tmp_path, server.url, CONTENT[:1000], Note('"one"', len(CONTENT)))
    server.content, server.etag, server.knows_if_range = NEW_CONTENT, '"two"', knows_if_range
    assert fetch(server.url, folder=tmp_path, checksum=None).read_bytes() == NEW_CONTENT


@pytest.mark.parametrize(
    "note",
    [Note('"one"', 0), Note("", 0), Note('"one"', 2 * len(CONTENT))],
    ids=["416", "no validator", "grown"],
)
def test_a_part_longer_than_the_file_starts_from_zero(server: Server, tmp_path: Path, note: Note) -> None:
    leave_part(tmp_path, server.url, CONTENT + b"more", note)
    assert fetch(server.url, folder=tmp_path, checksum=None).read_bytes() == CONTENT


def test_a_part_from_another_address_is_not_continued(server: Server, tmp_path: Path) -> None:
    leave_part(tmp_path, "http://127.0.0.1/other/set.zip", NEW_CONTENT[:1000], Note('"one"', len(CONTENT)))
    assert fetch(server.url, folder=tmp_path, checksum=None).read_bytes() == CONTENT


@pytest.mark.parametrize(("knows_range", "etag"), [(False, '"one"'), (True, ""), (True, 'W/"one"')])
def test_a_server_that_cannot_continue_starts_from_zero(
    server: Server, tmp_path: Path, knows_range: bool, etag: str
) -> None:
    server.knows_range, server.etag, server.cuts = knows_range, etag, [CHUNK]
    assert fetch(server.url, folder=tmp_path, checksum=checksum_of(CONTENT)).read_bytes() == CONTENT


def test_a_wrong_checksum_names_both_and_leaves_nothing_to_continue(server: Server, tmp_path: Path) -> None:
    expected, found = checksum_of(b"other"), checksum_of(CONTENT).removeprefix("sha256:")
    with pytest.raises(DownloadError, match=f"expected {expected} but got {found}.*dataset.path=ARCHIVE"):
        fetch(server.url, folder=tmp_path, checksum=expected)
    assert [entry.name for entry in tmp_path.iterdir() if not entry.name.endswith(".lock")] == []


def test_a_missing_file_is_named_with_the_way_round(server: Server, tmp_path: Path) -> None:
    server.statuses = [404]
    with pytest.raises(DownloadError, match=r"set\.zip.*answered 404.*--params dataset\.path=ARCHIVE"):
        fetch(server.url, folder=tmp_path, checksum=None)
    assert len(server.ranges) == 1


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.statuses = [503, 500]
    assert fetch(server.url, folder=tmp_path, checksum=None).read_bytes() == CONTENT


def test_a_busy_server_does_not_cost_what_has_arrived(server: Server, tmp_path: Path) -> None:
    server.cuts, server.statuses = [CHUNK], [200, *[503] * 5]
    with pytest.raises(DownloadError, match=rf"answered 503.*{CHUNK} bytes are kept"):
        fetch(server.url, folder=tmp_path, checksum=None)
    assert (tmp_path / "set.zip.part").stat().st_size == CHUNK


def test_a_web_page_is_not_taken_for_the_file(server: Server, tmp_path: Path) -> None:
    server.content_type = "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="a web page instead of a file"):
        fetch(server.url, folder=tmp_path, checksum=None)


def test_without_a_network_the_address_and_the_way_round_are_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/set.zip"
    with pytest.raises(
        DownloadError, match=r"no connection .*refused.*--params dataset\.path=ARCHIVE"
    ) as caught:
        fetch(url, folder=tmp_path, checksum=None)
    assert url in str(caught.value)


def test_a_file_larger_than_the_disk_is_refused_at_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=5)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DownloadError, match=r"has only 0\.0 GB left"):
        fetch(server.url, folder=tmp_path, checksum=None)
    assert not (tmp_path / "set.zip.part").exists()


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    file = fetch(server.url.replace("sets/set.zip", "moved"), folder=tmp_path, checksum=None)
    assert file.read_bytes() == CONTENT


def test_two_at_once_fetch_the_file_once(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "irp_kedro")
    server.released.clear()
    with ThreadPoolExecutor(2) as executor:
        calls = [executor.submit(fetch, server.url, folder=tmp_path, checksum=None)]
        assert server.asked.wait(5)
        calls.append(executor.submit(fetch, server.url, folder=tmp_path, checksum=None))
        give_up = time.monotonic() + 3
        while "waiting for that to end" not in caplog.text and time.monotonic() < give_up:
            time.sleep(0.01)
        server.released.set()
        assert [call.result().read_bytes() for call in calls] == [CONTENT, CONTENT]
    assert "waiting for that to end" in caplog.text
    assert len(server.ranges) == 1


def test_without_a_checksum_the_one_found_is_logged(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "irp_kedro")
    fetch(server.url, folder=tmp_path, checksum=None)
    assert checksum_of(CONTENT) in caplog.text


@pytest.mark.parametrize(
    ("path", "name"), [("/a/..%2F..%2Fetc", "etc"), ("/a/..", "download"), ("/a%5Cb", "b"), ("/", "download")]
)
def test_an_address_cannot_choose_another_folder(server: Server, tmp_path: Path, path: str, name: str) -> None:
    url = f"http://127.0.0.1:{server.server_port}{path}"
    assert fetch(url, folder=tmp_path, checksum=None) == tmp_path / name
