"""Fetching and importing weights, against a real HTTP server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vaeval_core.errors import InvalidInput, NotFound, WeightsUnavailable
from vaeval_core.features import resumable_download
from vaeval_core.features.published_file import PublishedFile
from vaeval_core.features.published_weights import find_published, import_weights
from vaeval_core.features.verified_weights import WeightsFolder

CONTENT = bytes(range(256)) * 9000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "published.h5"


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at /good and misbehaves at other paths; counts requests and notes from which byte each began."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.num_requests = 0
        self.first_bytes: list[int] = []
        self.half_was_sent = threading.Event()
        self.may_go_on = threading.Event()

    def handle_error(self, *_: object) -> None:
        """Some clients here hang up on purpose."""

    def file_at(self, path: str) -> PublishedFile:
        url = f"http://127.0.0.1:{self.server_address[1]}{path}"
        return PublishedFile(NAME, url, "md5", hashlib.md5(CONTENT).hexdigest())


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.num_requests += 1
        if self.path == "/missing":
            self.send_error(404)
            return
        first = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if self.path.startswith("/ranges") and first >= len(CONTENT):
            self.server.first_bytes.append(first)
            self.send_error(416)
            return
        if self.path == "/ranges" and first:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            first = 0
            self.send_response(200)
        self.server.first_bytes.append(first)
        if self.path != "/without-length":
            self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        if self.path == "/ranges":
            self.wfile.write(CONTENT[first:])
            return
        if self.path == "/altered":
            self.wfile.write(bytes([CONTENT[0] ^ 1]) + CONTENT[1:])
        elif self.path in {"/truncated", "/without-length"}:
            self.wfile.write(CONTENT[:-1000])
        elif self.path == "/in-two-halves":
            self.wfile.write(CONTENT[:1_200_000])
            self.wfile.flush()
            self.server.half_was_sent.set()
            self.server.may_go_on.wait(timeout=60)
            self.wfile.write(CONTENT[1_200_000:])
        else:
            self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.may_go_on.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "weights"


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


@pytest.mark.service
def test_a_published_file_is_downloaded_once(server: Server, folder: Path) -> None:
    assert find_published(server.file_at("/good"), folder) == SHA256
    assert WeightsFolder(folder).path_of(SHA256).read_bytes() == CONTENT
    assert names_in(folder) == {f"{SHA256}.h5", f"{NAME}.sha256"}
    assert find_published(server.file_at("/good"), folder) == SHA256
    assert server.num_requests == 1


@pytest.mark.service
@pytest.mark.parametrize("path", ["/altered", "/without-length"])
def test_a_download_that_is_not_the_published_file_is_refused(server: Server, folder: Path, path: str) -> None:
    published = server.file_at(path)
    with pytest.raises(WeightsUnavailable) as caught:
        find_published(published, folder)
    assert published.url in str(caught.value.received)
    assert "truncated or altered" in str(caught.value.received)
    assert f"{len(CONTENT) - (0 if path == '/altered' else 1000):,} bytes" in str(caught.value.received)
    assert published.digest in str(caught.value.expected)
    assert names_in(folder) == set()


@pytest.mark.service
def test_a_download_that_breaks_off_is_gone_on_with(server: Server, folder: Path) -> None:
    with pytest.raises(WeightsUnavailable) as caught:
        find_published(server.file_at("/truncated"), folder)
    so_far = len(CONTENT) - 1000
    assert f"broke off after {so_far:,} of {len(CONTENT):,} bytes" in str(caught.value.received)
    assert names_in(folder) == {f"{NAME}.partial"}
    told: list[tuple[int, int | None]] = []
    digest = find_published(
        server.file_at("/ranges"), folder, on_progress=lambda here, total: told.append((here, total))
    )
    assert digest == SHA256
    assert server.first_bytes == [0, so_far]
    assert told == [(len(CONTENT), len(CONTENT))]
    assert names_in(folder) == {f"{SHA256}.h5", f"{NAME}.sha256"}


@pytest.mark.service
@pytest.mark.parametrize("path", ["/good", "/without-length"])
def test_a_download_that_does_not_end_is_given_up_and_does_not_fill_the_disk(
    server: Server, folder: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable_download, "MOST_BYTES", 1_000_000)
    with pytest.raises(WeightsUnavailable) as caught:
        find_published(server.file_at(path), folder)
    assert "went on for more than 1,000,000 bytes" in str(caught.value.received)
    assert names_in(folder) == set()


@pytest.mark.service
def test_a_server_that_cannot_go_on_sends_it_all_again(server: Server, folder: Path) -> None:
    folder.mkdir()
    (folder / f"{NAME}.partial").write_bytes(CONTENT[:5000])
    assert find_published(server.file_at("/good"), folder) == SHA256
    assert WeightsFolder(folder).path_of(SHA256).read_bytes() == CONTENT


@pytest.mark.service
@pytest.mark.parametrize("size", [5000, len(CONTENT), len(CONTENT) + 7])
def test_a_beginning_of_another_file_is_given_up(server: Server, folder: Path, size: int) -> None:
    folder.mkdir()
    (folder / f"{NAME}.partial").write_bytes(bytes(size))
    assert find_published(server.file_at("/ranges"), folder) == SHA256
    assert server.first_bytes[-1] == 0
    assert names_in(folder) == {f"{SHA256}.h5", f"{NAME}.sha256"}


@pytest.mark.service
def test_a_whole_download_that_nobody_came_to_name_is_not_fetched_again(server: Server, folder: Path) -> None:
    folder.mkdir()
    (folder / f"{NAME}.partial").write_bytes(CONTENT)
    assert find_published(server.file_at("/good"), folder) == SHA256
    assert server.num_requests == 0


@pytest.mark.service
def test_an_http_error_names_file_url_digest_and_option(server: Server, folder: Path) -> None:
    published = server.file_at("/missing")
    with pytest.raises(WeightsUnavailable) as caught:
        find_published(published, folder)
    assert NAME in caught.value.what
    assert caught.value.received == f"{published.url}: HTTP Error 404: Not Found"
    assert caught.value.expected == f"{NAME} from {published.url} with md5 {published.digest}"
    assert f"vaeval weights import PATH/{NAME}" in str(caught.value.next_step)


def test_no_network_names_file_url_digest_and_option(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as bound_but_deaf:
        bound_but_deaf.bind(("127.0.0.1", 0))
        published = PublishedFile(NAME, f"http://127.0.0.1:{bound_but_deaf.getsockname()[1]}/{NAME}", "md5", "0" * 32)
        with pytest.raises(WeightsUnavailable) as caught:
            find_published(published, folder)
    assert NAME in caught.value.what
    assert "Connection refused" in str(caught.value.received)
    assert caught.value.expected == f"{NAME} from {published.url} with md5 {'0' * 32}"
    assert f"vaeval weights import PATH/{NAME}" in str(caught.value.next_step)
    assert names_in(folder) == set()


@pytest.mark.service
def test_a_silent_server_is_given_up(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable_download, "SILENCE_SECONDS", 0.5)
    with pytest.raises(WeightsUnavailable, match="timed out"):
        find_published(server.file_at("/in-two-halves"), folder)
    # What came, whole pieces of reading only, waits for the next try.
    assert names_in(folder) == {f"{NAME}.partial"}
    assert not WeightsFolder(folder).holds(SHA256)


def test_other_schemes_are_never_opened(folder: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    published = PublishedFile(NAME, (tmp_path / NAME).as_uri(), "md5", hashlib.md5(CONTENT).hexdigest())
    with pytest.raises(WeightsUnavailable, match="not an http or https URL"):
        find_published(published, folder)


@pytest.mark.service
def test_four_threads_at_once_download_once(server: Server, folder: Path) -> None:
    published = server.file_at("/in-two-halves")
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(find_published, published, folder) for _ in range(4)]
        assert server.half_was_sent.wait(timeout=60)
        assert not any(call.done() for call in running)
        server.may_go_on.set()
        assert {call.result(timeout=60) for call in running} == {SHA256}
    assert server.num_requests == 1
    assert names_in(folder) == {f"{SHA256}.h5", f"{NAME}.sha256"}


FETCH = """
import sys
from pathlib import Path
from vaeval_core.features.published_file import PublishedFile
from vaeval_core.features.published_weights import find_published
name, url, md5, folder = sys.argv[1:]
print("started", flush=True)
print(find_published(PublishedFile(name, url, "md5", md5), Path(folder)))
"""


def fetch_in_another_process(published: PublishedFile, folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH, published.name, published.url, published.digest, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


@pytest.mark.service
def test_two_processes_at_once_download_once(server: Server, folder: Path) -> None:
    published = server.file_at("/in-two-halves")
    with fetch_in_another_process(published, folder) as first:
        assert server.half_was_sent.wait(timeout=60)
        with fetch_in_another_process(published, folder) as second:
            server.may_go_on.set()
            assert first.communicate(timeout=60)[0] == second.communicate(timeout=60)[0] == f"{SHA256}\n"
    assert server.num_requests == 1
    assert WeightsFolder(folder).holds(SHA256)


@pytest.mark.service
def test_a_process_killed_while_downloading_leaves_no_file_and_no_lock(server: Server, folder: Path) -> None:
    with fetch_in_another_process(server.file_at("/in-two-halves"), folder) as process:
        partial, deadline = folder / f"{NAME}.partial", time.monotonic() + 60
        while not (partial.is_file() and partial.stat().st_size):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
    assert not list(folder.glob("*.h5"))
    assert names_in(folder) == {f"{NAME}.partial"}
    assert find_published(server.file_at("/good"), folder) == SHA256
    assert names_in(folder) == {f"{SHA256}.h5", f"{NAME}.sha256"}


@pytest.mark.service
def test_a_damaged_file_is_fetched_again(server: Server, folder: Path) -> None:
    find_published(server.file_at("/good"), folder)
    WeightsFolder(folder).path_of(SHA256).write_bytes(CONTENT[:1000])
    assert find_published(server.file_at("/good"), folder) == SHA256
    assert WeightsFolder(folder).holds(SHA256)
    assert server.num_requests == 2


NOWHERE = PublishedFile(NAME, "http://127.0.0.1:9/", "md5", hashlib.md5(CONTENT).hexdigest())
"""Port 9 is `discard`: nobody listens."""


def test_a_file_that_another_program_keeps_is_used_without_network(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "models"
    cache.mkdir()
    (cache / NAME).write_bytes(CONTENT)
    assert find_published(NOWHERE, folder, other_folders=(tmp_path / "absent", cache)) == SHA256
    assert WeightsFolder(folder).holds(SHA256)


def test_a_file_of_another_content_elsewhere_is_not_used(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / NAME).write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsUnavailable):
        find_published(NOWHERE, folder, other_folders=(tmp_path,))


class Overtaken(PublishedFile):
    """Somebody writes to the file as soon as it was found to be this one."""

    def is_in(self, path: Path) -> bool:
        was_in = super().is_in(path)
        if was_in and path.name == self.name:
            path.write_bytes(b"something else")
        return was_in


def test_a_file_that_changes_after_it_was_compared_is_not_labelled(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "models"
    cache.mkdir()
    (cache / NAME).write_bytes(CONTENT)
    published = Overtaken(NAME, NOWHERE.url, NOWHERE.algorithm, NOWHERE.digest)
    with pytest.raises(InvalidInput) as caught:
        find_published(published, folder, other_folders=(cache,))
    assert "changed while it was read" in caught.value.what
    assert str(cache / NAME) in str(caught.value.received)
    assert f"md5 {NOWHERE.digest} at first, then sha256" in str(caught.value.received)
    assert WeightsFolder(folder).labelled(NAME) is None


def test_an_imported_file_is_copied_under_its_digest(folder: Path, tmp_path: Path) -> None:
    given = tmp_path / "mine.h5"
    given.write_bytes(b"my own weights")
    digest = import_weights(given, folder, NOWHERE, allow_unverified=True)
    assert digest == hashlib.sha256(b"my own weights").hexdigest()
    assert WeightsFolder(folder).path_of(digest).read_bytes() == b"my own weights"
    assert names_in(folder) == {f"{digest}.h5"}


def test_a_file_of_another_digest_is_taken_only_with_permission_and_that_once(folder: Path, tmp_path: Path) -> None:
    given = tmp_path / "mine.h5"
    given.write_bytes(b"my own weights")
    sha256 = hashlib.sha256(b"my own weights").hexdigest()
    with pytest.raises(InvalidInput) as caught:
        import_weights(given, folder, NOWHERE)
    assert caught.value.received == f"{given} with sha256 {sha256}"
    assert caught.value.expected == f"{NAME} with md5 {NOWHERE.digest}"
    assert f"vaeval weights import {given} --allow-unverified" in str(caught.value.next_step)
    assert not folder.exists()
    import_weights(given, folder, NOWHERE, allow_unverified=True)
    assert import_weights(given, folder, NOWHERE) == sha256


def test_what_is_in_a_file_is_looked_at_only_when_it_may_be_taken(folder: Path, tmp_path: Path) -> None:
    given = tmp_path / "mine.h5"
    given.write_bytes(b"made to break whatever reads it")
    looked_at: list[Path] = []

    def refuse(path: Path) -> None:
        looked_at.append(path)
        raise InvalidInput("Of no use.", received=path)

    with pytest.raises(InvalidInput, match="no known digest"):
        import_weights(given, folder, NOWHERE, check=refuse)
    assert looked_at == []
    with pytest.raises(InvalidInput, match="Of no use"):
        import_weights(given, folder, NOWHERE, check=refuse, allow_unverified=True)
    assert looked_at == [given]
    assert not folder.exists()


def test_the_published_file_given_once_is_found_from_then_on(folder: Path, tmp_path: Path) -> None:
    given = tmp_path / "renamed.h5"
    given.write_bytes(CONTENT)
    assert import_weights(given, folder, NOWHERE) == SHA256
    given.unlink()
    assert find_published(NOWHERE, folder) == SHA256


def test_importing_again_writes_nothing(folder: Path, tmp_path: Path) -> None:
    given = tmp_path / NAME
    given.write_bytes(CONTENT)
    import_weights(given, folder, NOWHERE)
    (folder / ".lock").unlink(missing_ok=True)
    before = {path: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())}
    assert import_weights(given, folder, NOWHERE) == SHA256
    assert {path: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())} == before


def test_a_missing_file_to_import_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        import_weights(tmp_path / "absent.h5", folder, NOWHERE)
    assert caught.value.received == str(tmp_path / "absent.h5")
    assert NAME in str(caught.value.expected)


def test_a_folder_to_import_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        import_weights(tmp_path, folder, NOWHERE)
    assert caught.value.received == f"{tmp_path} (Is a directory)"
    assert "a file that this user may read" in str(caught.value.expected)
