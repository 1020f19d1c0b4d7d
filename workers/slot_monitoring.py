"""What one supervisor adds to `scheduler.monitoring`: its slots, their shards, and the memory of their GPUs.

The slots are other processes, and so are those that compute. What they did is read from the journal of the database, where
every claim and its end is a line, a few lines per look.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Protocol as Port

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from scheduler.lifecycle import ShardEvent
from scheduler.monitoring import answered
from scheduler.store.answers import JournalLine, JournalPage
from workers.devices import used_memory
from workers.slot_process import SlotProcess

BUCKETS_SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0)

_OUTCOMES = {
    f"shard.{event}": str(event)
    for event in (ShardEvent.COMPUTED, ShardEvent.ATTEMPT_FAILED, ShardEvent.LEASE_ENDED, ShardEvent.GAVE_UP)
}
"""What can become of a claim; a shard that is given back leaves no name behind."""


class Journal(Port):
    """The part of `ReadStore` that is read."""

    def journal(self, after: int | None, workers: Sequence[str]) -> JournalPage:
        """Lines of these workers with a higher number, none if `after` is None; and the number of the last line of all."""


class SlotCollector(Collector):
    """The slots of a supervisor. To be made before they start: what they did earlier is not counted.

    Args:
        slots: As the supervisor keeps them.
        journal: The database.
    """

    def __init__(self, slots: Sequence[SlotProcess], journal: Journal) -> None:
        self._slots = slots
        self._tail = _Tail(journal, [slot.name for slot in slots])
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """What a scrape gets."""
        labels = ["slot", "device"]
        up = GaugeMetricFamily("vaeval_slot_up", "1 while the slot has a process", labels=labels)
        starts = CounterMetricFamily("vaeval_slot_starts", "Processes that were started for the slot", labels=labels)
        for slot in self._slots:
            names = [slot.name, slot.plan.device.label]
            up.add_metric(names, float(slot.pid is not None))
            starts.add_metric(names, slot.starts)
        yield up
        yield starts
        yield from self._of_devices()
        # Two who look at once would both count the new lines.
        with self._lock:
            yield from answered("vaeval_journal_up", "1 if the journal could be read", self._of_shards)

    def _of_devices(self) -> Iterator[Metric]:
        memory = GaugeMetricFamily(
            "vaeval_device_memory_used_bytes", "Memory in use on the device, by everybody", labels=["device", "uuid"]
        )
        devices = dict.fromkeys(slot.plan.device for slot in self._slots if slot.plan.device.uuid is not None)
        for device, used in used_memory(list(devices)).items():
            memory.add_metric([device.label, device.uuid or ""], used)
        yield memory

    def _of_shards(self) -> Sequence[Metric]:
        self._tail.read()
        ends = CounterMetricFamily("vaeval_shard_ends", "Claims that ended, by outcome", labels=["slot", "outcome"])
        for (slot, outcome), number in sorted(self._tail.ends.items()):
            ends.add_metric([slot, outcome], number)
        seconds = HistogramMetricFamily("vaeval_shard_seconds", "Time to compute a shard, without loading models")
        limits = [*map(str, BUCKETS_SECONDS), "+Inf"]
        seconds.add_metric([], list(zip(limits, accumulate(self._tail.in_bucket), strict=True)), self._tail.seconds)
        return (ends, seconds)


class _Tail:
    """Lines of the journal since this process began, each counted once."""

    OVERLAP = 1_000
    """Lines are numbered before they are committed, so a lower number may appear after a higher one: look back so far."""

    def __init__(self, journal: Journal, workers: Sequence[str]) -> None:
        self._journal = journal
        self._workers = workers
        self._begin = self._last = journal.journal(None, workers).last
        self._seen: set[int] = set()
        self.ends: Counter[tuple[str, str]] = Counter()
        self.in_bucket = [0] * (len(BUCKETS_SECONDS) + 1)
        self.seconds = 0.0

    def read(self) -> None:
        """Count what is new."""
        page = self._journal.journal(max(self._begin, self._last - self.OVERLAP), self._workers)
        for line in page.lines:
            if line.number not in self._seen:
                self._count(line)
        self._last = max(page.last, self._last)
        self._seen = {line.number for line in page.lines if line.number > self._last - self.OVERLAP}

    def _count(self, line: JournalLine) -> None:
        outcome = _OUTCOMES.get(line.action)
        if outcome is None or line.worker is None:
            return
        self.ends[line.worker, outcome] += 1
        if outcome == ShardEvent.COMPUTED:
            seconds = float(line.detail["seconds"])
            self.in_bucket[bisect_left(BUCKETS_SECONDS, seconds)] += 1
            self.seconds += seconds
