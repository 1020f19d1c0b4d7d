"""Answers Prometheus for a supervisor, if the settings say where. Its library is loaded only then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scheduler.composition import Application
    from scheduler.queue.base import WorkQueue
    from scheduler.recovery import Recovery
    from workers.slot_process import SlotProcess


@contextmanager
def watched(
    application: Application, queue: WorkQueue, recovery: Recovery, slots: Sequence[SlotProcess]
) -> Iterator[None]:
    """Answer for as long as the context lasts; to be entered before the slots start."""
    settings = application.settings
    if settings.metrics_address is None:
        yield
        return
    from scheduler.monitoring import ServiceCollector, served
    from workers.slot_monitoring import SlotCollector

    service = ServiceCollector(application.reads, application.recovery, queue, recovery.totals)
    with served(settings, service, SlotCollector(slots, application.reads)):
        yield
