"""Two hosts that share nothing but a network and a folder: each with a home of its own, PostgreSQL and Valkey over TCP.

One of them is cut off in the middle of a shard: its packets go nowhere and nobody tells it. The other finishes everything, to
the same scores; and the one that was cut off works again once the network is back.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import make_url

from scheduler.composition import Application, open_application
from scheduler.queue.celery_queue import CeleryWorkQueue
from scheduler.settings import Settings
from scheduler.submission import submit
from tests.chaos.broker import Broker
from tests.chaos.crew import Member, end_family, worker_host
from tests.chaos.history import Strikes
from tests.chaos.invariants import violations
from tests.chaos.one_thread import one_thread
from tests.chaos.proxy import Proxy
from tests.chaos.results import Results, results_of
from tests.chaos.workload import Workload
from workers.shard_runner import RunOutcome, make_runner

DEADLINE_SECONDS = 120.0

pytestmark = pytest.mark.service


@dataclass
class Host:
    """A machine: workers, and the two connections that it has."""

    member: Member
    proxies: tuple[Proxy, ...]

    def cut_off(self) -> None:
        for proxy in self.proxies:
            proxy.stop_forwarding()

    def connect_again(self) -> None:
        for proxy in self.proxies:
            proxy.recover()


@dataclass
class Site:
    """Both hosts, and the way in for who submits."""

    application: Application
    queue: CeleryWorkQueue
    hosts: dict[str, Host]
    folder: Path

    def submit(self, seed: int) -> Workload:
        workload = Workload(self.folder / "checkpoints", seed=seed)
        submit(self.application, self.queue, workload.digits, workload.requests)
        return workload

    def hold_in_a_shard(self) -> Path:
        """Whoever comes to a shard next stays in it, its heart beating, until the file is removed that it makes there."""
        orders = self.folder / "orders"
        (orders / "within a shard").write_text("hold", encoding="utf-8")
        return orders / "within a shard.held"

    def running(self) -> tuple[int, int, str, int]:
        """Evaluation, number, worker and attempt of the one shard that is being computed."""
        (row,) = self.application.database.read(
            lambda connection: connection.exec_driver_sql(
                "SELECT evaluation_id, number, lease_owner, attempts FROM shards WHERE state = 'running'"
            ).all()
        )
        return (row.evaluation_id, row.number, row.lease_owner, row.attempts)

    def stopped_answering(self) -> list[tuple[int, int | None, str | None, int | None]]:
        """The same of shards whose worker fell silent."""
        return [
            (record.evaluation_id, attempt.shard, attempt.worker, attempt.attempt)
            for record in self.application.reads.evaluations()
            for attempt in self.application.reads.failed_attempts(record.evaluation_id)
            if attempt.owner == "evaluation" and "stopped answering" in attempt.reason
        ]

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS:g} s for: {what}"
            time.sleep(0.05)

    def is_over(self) -> bool:
        return self.application.reads.progress().is_over and not self.application.recovery.claimable()


@pytest.fixture
def site(tmp_path: Path, postgresql_url: str) -> Iterator[Site]:
    url = make_url(postgresql_url)
    short = Path(tempfile.mkdtemp(prefix="vaeval-hosts-"))  # the path of a socket may have about a hundred letters
    for name in ("orders", "checkpoints"):
        (tmp_path / name).mkdir()
    broker = Broker(short)
    hosts = {}
    artifacts = str(tmp_path / "artifacts")
    for name in ("here", "there"):
        to_database = Proxy(Path(str(url.query["host"])) / ".s.PGSQL.5432")
        to_broker = Proxy(broker.socket)
        settings = {
            "VAEVAL_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{to_database.port}/{url.database}",
            "VAEVAL_BROKER_URL": f"redis://127.0.0.1:{to_broker.port}/0",
            "VAEVAL_ARTIFACTS": artifacts,
            "CHAOS_SECONDS": "0.5",
        }
        hosts[name] = Host(worker_host(name, tmp_path, settings), (to_database, to_broker))
    environment = {
        "VAEVAL_HOME": str(tmp_path / "desk"),
        "VAEVAL_DATABASE_URL": postgresql_url,
        "VAEVAL_ARTIFACTS": artifacts,
    }
    queue = CeleryWorkQueue(f"redis+socket://{broker.socket}?virtual_host=0")
    try:
        with open_application(Settings.from_environment(environment)) as application:
            yield Site(application, queue, hosts, tmp_path)
    finally:
        end_family(tmp_path)
        for host in hosts.values():
            host.member.reap()
            for proxy in host.proxies:
                proxy.close()
        broker.kill()
        shutil.rmtree(short, ignore_errors=True)


def undisturbed(folder: Path, workload: Workload) -> Results:
    with (
        one_thread(),
        open_application(Settings.from_environment({"VAEVAL_HOME": str(folder / "alone")})) as application,
    ):
        submit(application, _SilentBell(), workload.digits, workload.requests)
        runner = make_runner(application, "alone")
        while runner.run_one() is not RunOutcome.NOTHING_TO_DO:
            pass
        return results_of(application)


class _SilentBell:
    def ring(self, times: int) -> None:
        return

    def waiting(self) -> int:
        return 0


def test_one_host_cut_off_in_a_shard_costs_nothing_but_time(site: Site, tmp_path: Path) -> None:
    workload = site.submit(seed=0)
    held = site.hold_in_a_shard()
    site.hosts["there"].member.start()
    site.wait_until(held.exists, "a host to be at a shard")
    lost = site.running()
    site.hosts["there"].cut_off()
    held.unlink()
    site.hosts["here"].member.start()
    expected = undisturbed(tmp_path, workload)
    site.wait_until(site.is_over, "the other host to finish everything")
    assert results_of(site.application) == expected
    assert lost in site.stopped_answering()

    site.hosts["there"].connect_again()
    site.hosts["here"].member.kill()
    workload = site.submit(seed=1)
    expected |= undisturbed(tmp_path, workload)
    site.wait_until(site.is_over, "the host that was cut off to work again, alone")
    # The shard at hand is all that being cut off has cost; who was killed had nothing to do.
    assert violations(site.application, expected, Strikes(Counter({site.hosts["there"].member.worker(): 1}))) == []
