"""The supervisor's small decisions, and a slot that will not run. Whole runs are in tests/acceptance."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import psutil
import pytest

from scheduler.composition import Application
from scheduler.recovery import Recovery
from scheduler.settings import Settings
from vaeval_core.errors import SchemaMismatch, ServiceUnreachable
from workers import slot_process
from workers.device_pinning import CPU, plan_slots
from workers.own_evaluations import VARIABLE, own_of
from workers.repeat import repeat
from workers.reporting import report_alive, retire
from workers.supervisor import Supervisor, child_environment, worker_name

WAIT_SECONDS = 20.0


class Bell:
    def ring(self, times: int) -> None:
        return

    def waiting(self) -> int:
        return 0


@pytest.fixture
def _restored_signals() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_children_see_the_settings_as_they_were_resolved() -> None:
    settings = Settings.from_environment({"VAEVAL_HOME": "/srv/vaeval", "VAEVAL_BROKER_URL": "redis://:S3CRET@host/1"})
    environment = child_environment(settings, {"PATH": "/bin", "VAEVAL_HOME": "/elsewhere"})
    assert environment["PATH"] == "/bin"
    assert environment["VAEVAL_HOME"] == "/srv/vaeval"
    assert environment["VAEVAL_BROKER_URL"] == "redis://:S3CRET@host/1"
    assert Settings.from_environment(environment) == settings


def test_a_file_variable_cannot_overrule_what_was_read_from_it() -> None:
    settings = Settings.from_environment({"VAEVAL_HOME": "/srv/vaeval"})
    environment = child_environment(settings, {"VAEVAL_HOME_FILE": "/run/secrets/home"})
    assert "VAEVAL_HOME_FILE" not in environment


def test_pool_processes_learn_from_their_environment_whose_work_comes_first(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "1-1000")  # of a program that started us
    recovery = Recovery(application.recovery, Bell(), owner="test", settings=application.settings)

    def worked_on(own: str) -> Sequence[int] | None:
        supervisor = Supervisor(
            plan_slots([CPU], cores=1),
            settings=application.settings,
            work=application.work,
            recovery=recovery,
            own_evaluations=own,
        )
        return own_of(supervisor._slots[0]._environment)

    assert worked_on("3-4,9") == [3, 4, 9]
    assert worked_on("") is None


def test_a_worker_s_name_tells_slot_process_and_host() -> None:
    assert worker_name(3) == f"slot3-{os.getpid()}@{socket.gethostname()}"


@pytest.mark.service
@pytest.mark.usefixtures("_restored_signals")
def test_a_slot_that_never_runs_ends_the_supervisor_with_an_error(
    application: Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slot_process, "MAX_QUICK_DEATHS", 0)  # no patience in a test
    recovery = Recovery(application.recovery, Bell(), owner="test", settings=application.settings)
    supervisor = Supervisor(
        plan_slots([CPU], cores=1),
        settings=application.settings,  # without a broker's address no slot can start
        work=application.work,
        recovery=recovery,
    )
    assert supervisor.run() == 1
    ended = [record for record in caplog.records if record.message == "slot_ended"]
    assert [(record.__dict__["code"], record.__dict__["is_restarted"]) for record in ended] == [(1, False)]


@pytest.mark.usefixtures("_restored_signals")
def test_a_supervisor_stops_when_the_database_was_upgraded_under_it(application: Application) -> None:
    supervisor = Supervisor(
        plan_slots([CPU], cores=1),
        settings=application.settings,  # without a broker's address no slot can start
        work=application.work,
        recovery=Recovery(application.recovery, Bell(), owner="test", settings=application.settings),
    )
    application.database.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999_newer'"))
    with pytest.raises(SchemaMismatch, match=r"revision 9999_newer .* Next: restart it"):
        supervisor.run()


def test_a_worker_is_alive_from_its_report_to_its_goodbye(application: Application) -> None:
    (plan,) = plan_slots([CPU], cores=3)
    report_alive(application.work, "slot0@here", pid=4711, plan=plan)
    (record,) = application.reads.workers()
    assert (record.worker, record.pid, record.device, record.threads) == ("slot0@here", 4711, "cpu", 3)
    assert record.memory_bytes == psutil.virtual_memory().total
    assert record.versions["keras"] == importlib.metadata.version("keras")
    assert record.is_alive
    retire(application.work, ["slot0@here"])
    assert not application.reads.workers()[0].is_alive


def test_a_goodbye_that_nobody_hears_is_no_error(
    application: Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(_: str) -> None:
        raise ServiceUnreachable("The database does not answer.")

    monkeypatch.setattr(application.work, "retire_worker", away)
    retire(application.work, ["slot0@here"])
    assert "workers_not_retired" in caplog.text


def test_a_chore_is_done_at_once_and_again_and_ends_when_told() -> None:
    stop, done = threading.Event(), threading.Semaphore(0)

    def chore() -> None:
        done.release()

    thread = repeat(chore, every=0.001, stop=stop)
    assert all(done.acquire(timeout=WAIT_SECONDS) for _ in range(3))
    stop.set()
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()


def test_a_chore_that_fails_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    stop, tries = threading.Event(), threading.Semaphore(0)

    def chore() -> None:
        tries.release()
        raise ServiceUnreachable("The database does not answer.")

    thread = repeat(chore, every=0.001, stop=stop)
    assert all(tries.acquire(timeout=WAIT_SECONDS) for _ in range(2))
    stop.set()
    thread.join(WAIT_SECONDS)
    assert caplog.records[0].message == "not_done_this_time"
    assert caplog.records[0].__dict__["action"] == "chore"


class OneBrokenSlot(slot_process.SlotProcess):
    """Slot 0 ends at once, as on a broken device; others stay until they are told to stop."""

    def start(self) -> None:
        program = "raise SystemExit(1)" if self.plan.number == 0 else "import signal; signal.pause()"
        self._process = subprocess.Popen([sys.executable, "-S", "-c", program], start_new_session=True)
        self.due_at = None


@pytest.mark.usefixtures("_restored_signals")
def test_a_slot_that_cannot_be_kept_running_ends_no_other(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.supervisor.SlotProcess", OneBrokenSlot)
    monkeypatch.setattr(slot_process, "STABLE_SECONDS", float("inf"))
    monkeypatch.setattr(slot_process, "MAX_QUICK_DEATHS", 0)
    supervisor = Supervisor(
        plan_slots([CPU], cores=1, workers=2),
        settings=application.settings,
        work=application.work,
        recovery=Recovery(application.recovery, Bell(), owner="test", settings=application.settings),
    )
    broken, sound = supervisor._slots
    seen = []

    def stop_once_it_is_given_up() -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while broken.is_kept_running and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.append((broken.is_kept_running, sound.is_kept_running))
        os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=stop_once_it_is_given_up)
    watcher.start()
    assert supervisor.run() == 1, "not all is well"
    watcher.join()
    assert seen == [(False, True)]
