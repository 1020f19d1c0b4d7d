"""The one task: registered where it belongs, stopped without tearing a shard, quiet where a service is away."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from scheduler.composition import Application
from scheduler.queue.base import WORK_TASK
from scheduler.queue.celery_queue import CeleryWorkQueue
from scheduler.queue.embedded_broker import broker
from scheduler.settings import Settings
from vaeval_core.errors import StorageFailed
from workers.loaded_models import LoadedModels
from workers.own_evaluations import as_environment
from workers.shard_runner import ShardRunner
from workers.tasks import PoolProcess, register_tasks


@pytest.fixture(autouse=True)
def _restored_signal() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)


class PoolProcessWith(PoolProcess):
    """A pool process whose runner is given."""

    def __init__(self, runner: ShardRunner) -> None:
        super().__init__()
        self._runner = runner


def test_the_task_is_known_to_this_application_and_no_other() -> None:
    ours, other = Celery("ours", set_as_current=False), Celery("other", set_as_current=False)
    register_tasks(ours)
    assert WORK_TASK in ours.tasks
    assert WORK_TASK not in other.tasks


@pytest.mark.usefixtures("environment")
def test_a_message_does_one_shard(application: Application, submit: Callable[..., object]) -> None:
    submit(application, images=32)
    assert PoolProcess().work("slot0@here") == "finished"


@pytest.mark.usefixtures("environment")
def test_stores_and_models_are_kept_from_message_to_message(application: Application) -> None:
    process = PoolProcess()
    process.work("slot0@here")
    before = process._runner
    process.work("slot0@here")
    assert process._runner is before


@pytest.mark.usefixtures("environment")
def test_the_evaluations_that_the_supervisor_names_come_first(
    application: Application, submit: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(application, latent_sizes=(2,), images=32)
    submit(application, latent_sizes=(3,), images=32)
    for name, value in as_environment("2").items():
        monkeypatch.setenv(name, value)
    process = PoolProcess()
    for _ in range(2):  # the reference, then an evaluation
        process.work("slot0@here")
    assert [record.state for record in application.reads.evaluations()] == ["finished", "queued"]


@pytest.mark.service
@pytest.mark.usefixtures("environment")
def test_a_bell_that_was_rung_for_others_is_passed_on_as_long_as_they_have_work(
    application: Application, submit: Callable[..., object], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(application, latent_sizes=(2,), images=32)
    monkeypatch.setattr("workers.tasks.PASS_ON_SECONDS", 0.0)
    with broker(settings) as url:
        monkeypatch.setenv("VAEVAL_BROKER_URL", url)
        bell = CeleryWorkQueue(url)
        for name, value in as_environment("7").items():
            monkeypatch.setenv(name, value)
        assert PoolProcess().work("slot0@run") == "nothing_to_do"
        assert bell.waiting() == 1, "somebody else is to hear it"

        for name, value in as_environment("").items():
            monkeypatch.setenv(name, value)
        theirs = PoolProcess()
        while theirs.work("slot0@theirs") != "nothing_to_do":
            pass
        assert bell.waiting() == 1, "who works for all keeps no bell going"

        for name, value in as_environment("7").items():
            monkeypatch.setenv(name, value)
        assert PoolProcess().work("slot0@run") == "nothing_to_do"
        assert bell.waiting() == 1, "there is nothing left to ring for"


def test_a_database_that_is_away_is_logged_and_the_message_is_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "home").write_text("a file where a folder should be")
    monkeypatch.setenv("VAEVAL_HOME", str(tmp_path / "home"))
    assert PoolProcess().work("slot0@here") == "unanswered"
    assert str(tmp_path / "home") in caplog.records[0].__dict__["reason"]


def test_sigterm_ends_an_idle_process() -> None:
    with pytest.raises(SystemExit):
        PoolProcess().stop(signal.SIGTERM, None)


def test_sigterm_in_a_shard_gives_it_back_and_the_process_lives_on(
    application: Application, submit: Callable[..., object], tmp_path: Path
) -> None:
    submit(application, images=64, shard_size=64)

    class Stopping(LoadedModels):
        def extractor(self, spec):  # type: ignore[no-untyped-def]
            process.stop(signal.SIGTERM, None)
            return super().extractor(spec)

    models = Stopping(application.artifacts, tmp_path)
    runner = ShardRunner(application.work, application.artifacts, models, worker="slot0@here", lease_seconds=60.0)
    process = PoolProcessWith(runner)
    assert process.work("slot0@here") == "released"
    assert process.work("slot0@here") == "nothing_to_do"


def test_an_error_that_nobody_foresaw_ends_the_process_after_it_was_recorded(
    application: Application, submit: Callable[..., object], tmp_path: Path
) -> None:
    submit(application, images=32)

    class Broken(LoadedModels):
        def extractor(self, spec):  # type: ignore[no-untyped-def]
            raise ZeroDivisionError("in layer 7")

    models = Broken(application.artifacts, tmp_path)
    runner = ShardRunner(application.work, application.artifacts, models, worker="slot0@here", lease_seconds=60.0)
    with pytest.raises(SystemExit):
        PoolProcessWith(runner).work("slot0@here")
    claim = application.work.claim_shard("other@here")  # the evaluation's: the reference's has to wait a little
    assert claim is not None
    assert claim.owner == "evaluation"


def test_the_parent_of_a_slot_imports_no_network_and_no_database() -> None:
    program = (
        "import sys, workers.slot; "
        "heavy = {'tensorflow', 'keras', 'jax', 'numpy', 'sqlalchemy', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_process_that_hangs_is_ended_from_another_thread_though_its_main_thread_never_wakes() -> None:
    program = (
        "import threading; from workers.tasks import leave_hung; threading.Timer(0.0, leave_hung).start(); "
        "lock = threading.Lock(); lock.acquire(); lock.acquire()"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL


class AwayModels(LoadedModels):
    """As of a machine that does not reach what it needs."""

    def extractor(self, spec):  # type: ignore[no-untyped-def]
        raise StorageFailed("The share is away.")


class FakeTime:
    """A clock that goes on by itself when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def away_runner(application: Application, tmp_path: Path) -> ShardRunner:
    models = AwayModels(application.artifacts, tmp_path)
    return ShardRunner(application.work, application.artifacts, models, worker="slot0@here", lease_seconds=60.0)


def test_a_process_rests_longer_and_longer_while_its_surroundings_keep_it_from_working(
    application: Application, submit: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(application, images=96, shard_size=32)
    clock, rested = FakeTime(), []
    monkeypatch.setattr("workers.tasks.time", clock)
    process = PoolProcessWith(away_runner(application, tmp_path))
    for _ in range(3):
        before = clock.now
        assert process.work("slot0@here") == "put_off"
        rested.append(round(clock.now - before))
        # All of its shards pause; other work is there to be tried.
        application.database.write(lambda c: c.exec_driver_sql("UPDATE shards SET not_before = NULL"))
    assert rested == [1, 2, 4]


def test_a_process_that_rests_stops_when_it_is_told_to(
    application: Application, submit: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(application, images=32)
    clock = FakeTime()
    monkeypatch.setattr("workers.tasks.time", clock)
    monkeypatch.setattr("workers.tasks.FIRST_REST_SECONDS", 1e9)
    monkeypatch.setattr("workers.tasks.LONGEST_REST_SECONDS", 1e9)
    process = PoolProcessWith(away_runner(application, tmp_path))

    def sleep(_seconds: float) -> None:
        process.stop(signal.SIGTERM, None)

    monkeypatch.setattr(clock, "sleep", sleep)
    assert process.work("slot0@here") == "put_off"


def test_a_process_of_another_version_than_the_database_claims_nothing_and_says_what_to_do(
    application: Application, submit: Callable[..., object], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    submit(application, images=32)
    process = PoolProcessWith(away_runner(application, tmp_path))
    application.database.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999_newer'"))
    assert process.work("slot0@here") == "unanswered"
    assert "restart it" in caplog.records[-1].__dict__["next"]
    assert application.reads.progress().shards == {"queued": 2}
