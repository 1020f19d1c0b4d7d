"""What Prometheus is told, by a real scrape of a real port."""

from __future__ import annotations

import logging
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scheduler.monitoring import ServiceCollector, served
from scheduler.recovery import SweepTotals
from scheduler.settings import Settings
from scheduler.store.base import SweepReport
from scheduler.store.database import Database
from tests.laws.stores import Stores
from vaeval_core.errors import ServiceUnreachable

Sample = tuple[str, tuple[tuple[str, str], ...]]


class Bell:
    """A bell that three announcements wait in; or one that is away."""

    def __init__(self, *, is_away: bool = False) -> None:
        self._is_away = is_away

    def ring(self, times: int) -> None:
        raise AssertionError("a scrape rings no bell")

    def waiting(self) -> int:
        if self._is_away:
            raise ServiceUnreachable("The broker does not answer.")
        return 3


@pytest.fixture
def settings() -> Settings:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Settings.from_environment({"VAEVAL_METRICS_PORT": f"127.0.0.1:{port}"})


@pytest.fixture
def stores(sqlite_url: str) -> Iterator[Stores]:
    database = Database(sqlite_url)
    yield Stores(database)
    database.dispose()


def scraped(settings: Settings) -> dict[Sample, float]:
    assert settings.metrics_address is not None
    host, port = settings.metrics_address
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def collector(stores: Stores, bell: Bell | None = None, totals: SweepTotals | None = None) -> ServiceCollector:
    return ServiceCollector(stores.reads, stores.recovery, bell or Bell(), totals or SweepTotals())


def test_the_queue_is_told_by_state(stores: Stores, settings: Settings) -> None:
    stores.submit("a", "b")
    stores.finish_everything()
    stores.submit("c")
    stores.claim()
    with served(settings, collector(stores)):
        told = scraped(settings)
    assert told["vaeval_evaluations", (("state", "finished"),)] == 2
    assert told["vaeval_evaluations", (("state", "running"),)] == 1
    assert told["vaeval_evaluations", (("state", "failed"),)] == 0
    assert told["vaeval_shards", (("state", "running"),)] == 1
    assert told["vaeval_shards", (("state", "queued"),)] == 1
    assert told["vaeval_claimable", ()] == 1
    assert told["vaeval_announcements", ()] == 3
    assert told["vaeval_database_up", ()] == told["vaeval_broker_up", ()] == 1


def test_the_oldest_wait_is_that_of_what_nobody_has_begun(stores: Stores, settings: Settings) -> None:
    with served(settings, collector(stores)):
        assert scraped(settings)["vaeval_longest_wait_seconds", ()] == 0
        stores.submit_one()
        stores.execute(
            "UPDATE evaluations SET submitted_at = strftime('%Y-%m-%d %H:%M:%f', 'now', '-90 seconds') || '000'"
        )
        assert 90 <= scraped(settings)["vaeval_longest_wait_seconds", ()] < 200


def test_a_worker_that_is_gone_is_gone_from_the_answer(stores: Stores, settings: Settings) -> None:
    for name in ("here", "leaving"):
        stores.work.report_worker(name, host="node", pid=7, device="cpu", threads=1, versions={})
    with served(settings, collector(stores)):
        assert scraped(settings)["vaeval_workers", ()] == 2
        stores.work.retire_worker("leaving")
        told = scraped(settings)
    assert told["vaeval_workers", ()] == 1
    rated = [dict(labels)["worker"] for name, labels in told if name == "vaeval_worker_images_per_second"]
    assert rated == ["here"]


def test_recovery_counts_what_it_found(stores: Stores, settings: Settings) -> None:
    totals = SweepTotals()
    with served(settings, collector(stores, totals=totals)):
        assert scraped(settings)["vaeval_sweep_age_seconds", ()] != 0
        totals.add(SweepReport(shards_requeued=2, finalises_released=1))
        totals.add(SweepReport(shards_failed=1))
        told = scraped(settings)
    assert told["vaeval_sweeps_total", ()] == 2
    assert told["vaeval_lost_work_total", (("outcome", "shard_requeued"),)] == 2
    assert told["vaeval_lost_work_total", (("outcome", "shard_failed"),)] == 1
    assert told["vaeval_lost_work_total", (("outcome", "finalise_released"),)] == 1


def test_a_broker_that_is_away_is_a_number_and_the_rest_is_told(stores: Stores, settings: Settings) -> None:
    with served(settings, collector(stores, Bell(is_away=True))):
        told = scraped(settings)
    assert told["vaeval_broker_up", ()] == 0
    assert told["vaeval_database_up", ()] == 1
    assert ("vaeval_announcements", ()) not in told


def test_so_is_a_database_that_is_away(tmp_path: Path, settings: Settings) -> None:
    away = Database(f"sqlite:///{tmp_path / 'nowhere' / 'vaeval.db'}")
    with served(settings, collector(Stores(away))):
        told = scraped(settings)
    assert told["vaeval_database_up", ()] == 0
    assert told["vaeval_broker_up", ()] == 1


def test_without_the_setting_nothing_listens(stores: Stores, settings: Settings) -> None:
    with served(replace(settings, metrics_address=None), collector(stores)), pytest.raises(OSError, match="refused"):
        scraped(settings)


def test_a_port_that_is_taken_is_said_and_no_reason_not_to_work(
    stores: Stores, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with served(settings, collector(stores)), served(settings, collector(stores)):
        assert scraped(settings)["vaeval_database_up", ()] == 1
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.message == "metrics_not_served"
    assert settings.metrics_address is not None
    assert record.__dict__["address"] == f"127.0.0.1:{settings.metrics_address[1]}"
    assert "VAEVAL_METRICS_PORT" in record.__dict__["next"]


def test_the_port_is_free_again_afterwards(stores: Stores, settings: Settings) -> None:
    for _ in range(2):
        with served(settings, collector(stores)):
            assert scraped(settings)["vaeval_database_up", ()] == 1
