"""What a supervisor tells about its slots: processes, devices, and the shards of its own workers alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from scheduler.faults import Fault
from scheduler.store.answers import JournalLine, JournalPage
from scheduler.store.database import Database
from tests.laws.stores import Stores, file_of
from tests.unit.workers.test_devices import FakeNvml, use
from workers import slot_process
from workers.device_pinning import CPU, Device, SlotPlan
from workers.slot_monitoring import SlotCollector
from workers.slot_process import SlotProcess

NAME = "slot0-7@node"
GPU = Device(uuid="GPU-aaa1", index=0, name="H200")

Told = dict[tuple[str, ...], float]


class WrittenJournal:
    """A journal in memory, whose lines may appear in another order than that of their numbers."""

    def __init__(self) -> None:
        self.last = 0
        self.lines: list[JournalLine] = []

    def computed(self, number: int, seconds: float) -> None:
        self.lines.append(JournalLine(number=number, action="shard.computed", worker=NAME, detail={"seconds": seconds}))
        self.last = max(self.last, number)

    def journal(self, after: int | None, workers: object) -> JournalPage:
        lines = () if after is None else tuple(line for line in self.lines if line.number > after)
        return JournalPage(last=self.last, lines=lines)


@pytest.fixture
def stores(sqlite_url: str) -> Iterator[Stores]:
    database = Database(sqlite_url)
    yield Stores(database)
    database.dispose()


def slot(device: Device = CPU) -> SlotProcess:
    return SlotProcess(SlotPlan(0, device, 1), NAME, os.environ)


def told(collector: SlotCollector) -> Told:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in collector.collect()
        for sample in metric.samples
    }


def test_a_slot_is_up_while_it_has_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot_process, "SLOT_PROGRAM", "this")  # a module that waits for nothing and ends at once
    one = slot()
    collector = SlotCollector([one], WrittenJournal())
    assert told(collector)["vaeval_slot_up", NAME, "cpu"] == 0
    one.start()
    try:
        assert told(collector)["vaeval_slot_up", NAME, "cpu"] == 1
        assert told(collector)["vaeval_slot_starts_total", NAME, "cpu"] == 1
    finally:
        one.kill()
        while one.collect() is None:
            pass
    assert told(collector)["vaeval_slot_up", NAME, "cpu"] == 0


def test_shards_of_its_own_slots_are_counted_once_however_often_somebody_looks(stores: Stores) -> None:
    stores.submit("a", "b")
    earlier = stores.claim(NAME)
    assert stores.work.finish_shard(earlier, file_of(earlier), 50.0)
    collector = SlotCollector([slot()], stores.reads)
    for seconds in (0.05, 2.0, 2.5):
        claim = stores.claim(NAME)
        assert stores.work.finish_shard(claim, file_of(claim), seconds)
    failing, other = stores.claim(NAME), stores.claim("slot1-8@elsewhere")
    assert stores.work.fail_shard(failing, "Out of memory.", fault=Fault.WORK)
    assert stores.work.finish_shard(other, file_of(other), 7.0)
    for _ in range(2):
        now = told(collector)
        ends = {key[1:]: value for key, value in now.items() if key[0] == "vaeval_shard_ends_total"}
        assert ends == {(NAME, "computed"): 3, (NAME, "attempt_failed"): 1}
        assert now["vaeval_shard_seconds_count",] == 3
        assert now["vaeval_shard_seconds_sum",] == pytest.approx(0.05 + 2.0 + 2.5)
        buckets = [now["vaeval_shard_seconds_bucket", limit] for limit in ("0.1", "1.0", "3.0", "+Inf")]
        assert buckets == [1, 1, 3, 3]


def test_a_line_that_appears_after_a_later_one_is_counted_too() -> None:
    journal = WrittenJournal()
    collector = SlotCollector([slot()], journal)
    journal.computed(12, 1.0)
    assert told(collector)["vaeval_shard_seconds_count",] == 1
    journal.computed(11, 1.0)
    journal.computed(13, 1.0)
    assert told(collector)["vaeval_shard_seconds_count",] == 3


def test_memory_in_use_is_told_for_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeNvml({"GPU-aaa1": []}))
    collector = SlotCollector([slot(GPU), slot(GPU)], WrittenJournal())
    used = [(key[1:], value) for key, value in told(collector).items() if key[0] == "vaeval_device_memory_used_bytes"]
    assert used == [(("gpu 0 (H200)", "GPU-aaa1"), 7 * 10**9)]


def test_without_a_driver_memory_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeNvml({}, has_driver=False))
    collector = SlotCollector([slot(GPU)], WrittenJournal())
    assert not [key for key in told(collector) if key[0] == "vaeval_device_memory_used_bytes"]


def test_on_a_cpu_nvidia_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert told(SlotCollector([slot()], WrittenJournal()))["vaeval_slot_up", NAME, "cpu"] == 0
