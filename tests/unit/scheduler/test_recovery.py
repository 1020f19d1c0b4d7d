"""Recovery: what it finds, how often it rings, and that nothing stops it for long."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from scheduler.composition import Application, open_application
from scheduler.recovery import LEASE_SWEEPS, Recovery
from scheduler.settings import Settings
from scheduler.store.base import SweepReport
from scheduler.store.clock import database_now_plus
from scheduler.store.tables import shards
from scheduler.submission import prepare, register
from vaeval_core.checkpoints.catalogue import describe
from vaeval_core.checkpoints.linear_gaussian import linear_gaussian_vae
from vaeval_core.errors import ServiceUnreachable
from vaeval_core.features.catalogue import resolve_extractor
from vaeval_core.images.catalogue import survey_images
from vaeval_core.presets import ProtocolRequest

WAIT_SECONDS = 20.0


class CountingBell:
    """A bell in memory; `fails` makes it unreachable that many times, `rung` is set when it has been rung."""

    def __init__(self, waiting: int = 0, fails: int = 0) -> None:
        self._waiting = waiting
        self._fails = fails
        self.rung = threading.Event()

    def ring(self, times: int) -> None:
        self._waiting += times
        self.rung.set()

    def waiting(self) -> int:
        if self._fails:
            self._fails -= 1
            raise ServiceUnreachable("The broker does not answer.")
        return self._waiting


@pytest.fixture
def settings(home_with_tables: Path) -> Settings:
    settings = Settings.from_environment({"VAEVAL_HOME": str(home_with_tables)})
    return replace(settings, sweep_seconds=0.1, lease_seconds=0.1)


@pytest.fixture
def application(settings: Settings, tmp_path: Path) -> Iterator[Application]:
    """With one evaluation: two shards of the reference and two of its own, all claimable."""
    digits = survey_images("digits:test")
    model = linear_gaussian_vae(np.eye(64, 2) * 0.2, np.full(64, 0.3), 0.01, (8, 8, 1))
    extractor = resolve_extractor("pixels-8x8", weights=None, weights_folder=tmp_path)
    request = ProtocolRequest(samples=64, reconstructions=64, reference=64, extractor="pixels-8x8")
    requests = prepare([describe(model.save(tmp_path / "step-2"))], digits, request, extractor, shard_size=32)
    with open_application(settings) as opened:
        register(opened, digits, requests)
        yield opened


def recovery(application: Application, bell: CountingBell, owner: str = "a") -> Recovery:
    return Recovery(application.recovery, bell, owner=owner, settings=application.settings)


def test_the_bell_rings_once_for_each_piece_of_work(application: Application) -> None:
    bell = CountingBell()
    assert recovery(application, bell).step() == SweepReport()
    assert bell.waiting() == 4


def test_what_is_still_going_to_ring_is_not_rung_again(application: Application) -> None:
    bell = CountingBell(waiting=3)
    recovery(application, bell).step()
    assert bell.waiting() == 4


@pytest.mark.parametrize("waiting", [4, 50])
def test_enough_announcements_are_left_as_they_are(application: Application, waiting: int) -> None:
    bell = CountingBell(waiting=waiting)
    recovery(application, bell).step()
    assert bell.waiting() == waiting
    assert not bell.rung.is_set()


@pytest.mark.parametrize("waiting", [0, 2])
def test_it_rings_no_more_often_than_is_worth_while(
    application: Application, monkeypatch: pytest.MonkeyPatch, waiting: int
) -> None:
    monkeypatch.setattr("scheduler.recovery.MOST_ANNOUNCED", 3)
    bell = CountingBell(waiting=waiting)
    recovery(application, bell).step()
    assert bell.waiting() == 3, "of 4 that could be claimed"


def test_only_the_holder_of_the_lease_sweeps(application: Application) -> None:
    assert application.recovery.hold_maintenance("b", 60.0)
    bell = CountingBell()
    assert recovery(application, bell, owner="a").step() is None
    assert bell.waiting() == 0


def test_the_shard_of_a_dead_worker_is_found_and_announced(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    assert application.work.claim_shard("dead@host") is not None
    bell = CountingBell(waiting=3)
    watcher = recovery(application, bell)
    found: list[SweepReport] = []

    def requeued() -> bool:
        report = watcher.step()
        assert report is not None
        found.append(report)
        return report.shards_requeued > 0

    with caplog.at_level(logging.INFO, "scheduler.recovery"):
        poll(requeued)
    assert found[-1] == SweepReport(shards_requeued=1)
    assert bell.waiting() == 4
    ended, summary = caplog.records
    assert (ended.message, summary.message) == ("lease_ended", "lost_work_found")
    told = {name: ended.__dict__[name] for name in ("reference", "shard", "worker", "attempt", "is_failed")}
    assert told == {"reference": 1, "shard": 0, "worker": "dead@host", "attempt": 1, "is_failed": False}
    assert summary.__dict__["shards_requeued"] == 1
    assert watcher.totals.lost == {"shard_requeued": 1, "shard_failed": 0, "finalise_released": 0}
    assert watcher.totals.sweeps == len(found)


def test_after_the_database_was_away_workers_have_one_pause_to_renew_their_leases(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, claim = recovery(application, CountingBell()), application.work.claim_shard("alive@host")
    assert claim is not None
    sweep = application.recovery.sweep

    def away() -> SweepReport:
        raise ServiceUnreachable("The database does not answer.")

    monkeypatch.setattr(application.recovery, "sweep", away)
    with pytest.raises(ServiceUnreachable):
        watcher.step()
    monkeypatch.setattr(application.recovery, "sweep", sweep)
    end_leases(application)
    assert watcher.step() == SweepReport(), "the lease ended while nobody could renew it"
    assert application.work.renew_shard(claim, 0)
    end_leases(application)
    assert watcher.step() == SweepReport(shards_requeued=1), "who has not renewed by now is dead"


def end_leases(application: Application) -> None:
    application.database.write(
        lambda connection: connection.execute(update(shards).values(lease_expires_at=database_now_plus(-1.0)))
    )


def test_a_broker_that_is_away_is_tried_again(application: Application, caplog: pytest.LogCaptureFixture) -> None:
    bell = CountingBell(fails=2)
    with caplog.at_level(logging.WARNING, "scheduler.recovery"):
        run_until(recovery(application, bell), bell.rung)
    assert [record.message for record in caplog.records] == ["recovery_waits", "recovery_waits"]
    assert "The broker does not answer." in caplog.records[0].__dict__["reason"]


def test_an_error_that_nobody_foresaw_does_not_end_the_watch(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    class BrokenOnce(CountingBell):
        is_broken = True

        def waiting(self) -> int:
            if self.is_broken:
                self.is_broken = False
                raise ArithmeticError("a defect of ours")
            return super().waiting()

    bell = BrokenOnce()
    run_until(recovery(application, bell), bell.rung)
    assert "a defect of ours" in caplog.text


def test_a_dead_worker_is_noticed_within_75_seconds_by_default() -> None:
    """Its lease ends, then somebody sweeps; if it held the maintenance lease itself, that has ended before."""
    settings = Settings.from_environment({})
    assert settings.lease_seconds + settings.sweep_seconds == 75
    assert LEASE_SWEEPS * settings.sweep_seconds <= settings.lease_seconds


def test_one_who_leaves_hands_the_lease_over_at_once(application: Application) -> None:
    patient = replace(application.settings, sweep_seconds=3600.0)
    bell = CountingBell()
    leaving = Recovery(application.recovery, bell, owner="a", settings=patient)
    run_until(leaving, bell.rung)
    assert recovery(application, bell, owner="b").step() is not None


def run_until(watcher: Recovery, done: threading.Event) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    try:
        assert done.wait(WAIT_SECONDS)
    finally:
        stop.set()
        thread.join(WAIT_SECONDS)
    assert not thread.is_alive()


def poll(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(WAIT_SECONDS / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail(f"waited {WAIT_SECONDS} s")
