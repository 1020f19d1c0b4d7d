"""Numbers about the service for Prometheus: what is queued, running and done, who works, and whether recovery does.

    GET http://host:VAEVAL_METRICS_PORT/metrics      off unless the variable is set

Everything is asked of the database when somebody looks, so nothing is counted twice, nothing is forgotten when a process is
restarted, and a worker that is gone is gone from the answer too. All processes that share a database give the same answers
about the queue; workers add what is their own (`workers.slot_monitoring`). No answer holds a name of a file or a password.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol as Port

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.queue.base import WorkQueue
from scheduler.recovery import SweepTotals
from scheduler.settings import Settings
from scheduler.store.base import RecoveryStore, StateCounts, WorkerRecord
from vaeval_core.errors import VaevalError

_LOG = logging.getLogger(__name__)


class ServiceReads(Port):
    """The part of `ReadStore` that is shown."""

    def state_counts(self) -> StateCounts:
        """How many evaluations and shards are in each state."""

    def longest_wait_seconds(self) -> float | None:
        """Age of the oldest evaluation that nobody has begun."""

    def workers(self) -> tuple[WorkerRecord, ...]:
        """Who reported within a day."""


class ServiceCollector(Collector):
    """The queue, the workers and recovery.

    Args:
        reads: The database, as who reads sees it.
        recovery_store: For what could be claimed now.
        queue: The bell.
        sweeps: What recovery did in this process.
    """

    def __init__(
        self, reads: ServiceReads, recovery_store: RecoveryStore, queue: WorkQueue, sweeps: SweepTotals
    ) -> None:
        self._reads = reads
        self._recovery_store = recovery_store
        self._queue = queue
        self._sweeps = sweeps

    def collect(self) -> Iterator[Metric]:
        """What a scrape gets. A service that is away is a number too: 0."""
        yield from self._of_recovery()
        yield from answered("vaeval_database_up", "1 if the database answers", self._of_database)
        yield from answered("vaeval_broker_up", "1 if the broker answers", self._of_broker)

    def _of_database(self) -> Sequence[Metric]:
        counts = self._reads.state_counts()
        evaluations = GaugeMetricFamily("vaeval_evaluations", "Evaluations by state", labels=["state"])
        for state in EvaluationState:
            evaluations.add_metric([state], counts.evaluations.get(state, 0))
        shards = GaugeMetricFamily("vaeval_shards", "Shards by state, those of references included", labels=["state"])
        for shard_state in ShardState:
            shards.add_metric([shard_state], counts.shards.get(shard_state, 0))
        alive = [worker for worker in self._reads.workers() if worker.is_alive]
        rates = GaugeMetricFamily(
            "vaeval_worker_images_per_second", "Forward passes by busy second", labels=["worker", "host", "device"]
        )
        for worker in alive:
            rates.add_metric([worker.worker, worker.host, worker.device], worker.images_per_second or 0.0)
        return (
            evaluations,
            shards,
            _gauge("vaeval_claimable", "Shards and finalisations that could be claimed now", self._claimable()),
            _gauge(
                "vaeval_longest_wait_seconds",
                "Age of the oldest evaluation that nobody has begun",
                self._reads.longest_wait_seconds() or 0.0,
            ),
            _gauge("vaeval_workers", "Workers that are alive", len(alive)),
            rates,
        )

    def _claimable(self) -> int:
        return self._recovery_store.claimable()

    def _of_broker(self) -> Sequence[Metric]:
        waiting = self._queue.waiting()
        return (_gauge("vaeval_announcements", "Announcements that no worker has heard yet", waiting),)

    def _of_recovery(self) -> Sequence[Metric]:
        totals = self._sweeps
        sweeps = CounterMetricFamily("vaeval_sweeps", "Sweeps of recovery by this process")
        sweeps.add_metric([], totals.sweeps)
        lost = CounterMetricFamily("vaeval_lost_work", "What sweeps of this process found lost", labels=["outcome"])
        for outcome, number in totals.lost.items():
            lost.add_metric([outcome], number)
        age = totals.seconds_since_last
        return (sweeps, lost, _gauge("vaeval_sweep_age_seconds", "Since recovery last went well here; NaN: never", age))


def answered(name: str, meaning: str, ask: Callable[[], Sequence[Metric]]) -> Iterator[Metric]:
    """Whether a service answers, and what it said."""
    try:
        answers = ask()
    except VaevalError as error:
        _LOG.warning("not_answered", extra={"metric": name, "reason": str(error)})
        yield _gauge(name, meaning, 0)
        return
    yield _gauge(name, meaning, 1)
    yield from answers


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


@contextmanager
def served(settings: Settings, *collectors: Collector) -> Iterator[None]:
    """Answer scrapes for as long as the context lasts, if the settings say where.

    A port that is taken is logged and no more: work matters more than being watched.
    """
    if settings.metrics_address is None:
        yield
        return
    host, port = settings.metrics_address
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        _LOG.error(
            "metrics_not_served",
            extra={
                "address": f"{host}:{port}",
                "reason": error.strerror or str(error),
                "next": "give each vaeval worker and scheduler of this machine a VAEVAL_METRICS_PORT of its own",
            },
        )
        yield
        return
    _LOG.info("metrics_served", extra={"address": f"{host}:{port}"})
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
