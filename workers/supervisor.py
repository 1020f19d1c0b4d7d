"""Keeps one slot per device running: starts, restarts, reports and stops them. Never loads TensorFlow or CUDA.

    SIGTERM or SIGINT    every slot finishes its shard and stops
    again, or too slow   shards are given back after their current batch
    again, or too slow   killed; recovery finds the shards when their leases end

Beside the slots it runs recovery, reports the slots as alive, and looks after the embedded broker.
"""

from __future__ import annotations

import logging
import math
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from scheduler.recovery import Recovery
from scheduler.settings import VARIABLES, Settings
from scheduler.store.base import WorkStore
from vaeval_core.errors import SchemaMismatch
from workers.device_pinning import SlotPlan
from workers.heartbeat import BEATS_PER_LEASE
from workers.own_evaluations import as_environment
from workers.repeat import repeat
from workers.reporting import report_alive, retire
from workers.slot_process import SlotProcess

_LOG = logging.getLogger(__name__)

DRAIN_SECONDS = 40.0
"""How long a shard may take to finish once the supervisor is told to stop. Less than a container is given to stop."""

GIVE_BACK_SECONDS = 8.0
"""How long giving a shard back may take."""

SECOND_SIGNAL_SECONDS = 1.0
"""Signals closer together are one wish: a terminal and the program above us may both pass on the same Ctrl-C."""

BROKER_CHECK_SECONDS = 5.0


class Supervisor:
    """The slots of one call of `python -m workers`.

    Args:
        plans: The slots.
        settings: With the broker's URL, embedded or not.
        work: The database, as a worker sees it.
        recovery: Runs in a thread.
        keep_broker: Starts the embedded broker again if need be; None where it is not ours.
        own_evaluations: The evaluations that the slots work on, as `--only` names them; empty for any.
        watched: Lets others watch the slots for as long as the context lasts.
    """

    def __init__(
        self,
        plans: Sequence[SlotPlan],
        *,
        settings: Settings,
        work: WorkStore,
        recovery: Recovery,
        keep_broker: Callable[[], None] | None = None,
        own_evaluations: str = "",
        watched: Callable[[Sequence[SlotProcess]], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        self._work = work
        self._recovery = recovery
        self._keep_broker = keep_broker
        self._watched = watched
        self._beat_seconds = settings.lease_seconds / BEATS_PER_LEASE
        environment = child_environment(settings, os.environ) | as_environment(own_evaluations)
        self._slots = [SlotProcess(plan, worker_name(plan.number), environment) for plan in plans]
        self._stop_requests = 0
        self._last_stop_request = -math.inf
        self._stop_threads = threading.Event()
        self._has_failed = False
        self._outdated: SchemaMismatch | None = None

    def run(self) -> int:
        """Until told to stop, or until no slot can be kept running: one whose device is broken ends no other.

        Returns:
            0 after a stop that was asked for, 1 if a slot kept failing.

        Raises:
            SchemaMismatch: The database was upgraded meanwhile; every slot has stopped in good order.
        """
        with self._watched(self._slots), _Wakeup() as wakeup:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_stop_request)
            signal.signal(signal.SIGCHLD, lambda *_: None)  # to be woken, the signal must have a handler
            self._start_due_slots()
            threads = self._start_threads()
            _LOG.info("supervisor_started", extra={"slots": len(self._slots), "pid": os.getpid()})
            while not self._stop_requests and any(slot.is_kept_running for slot in self._slots):
                wakeup.wait(self._seconds_until_next_start())
                self._collect_slots(is_stopping=False)
                self._start_due_slots()
            self._stop_slots(wakeup)
        self._stop_threads.set()
        for thread in threads:
            thread.join()
        retire(self._work, [slot.name for slot in self._slots])
        _LOG.info("supervisor_stopped")
        if self._outdated is not None:
            raise self._outdated
        return 1 if self._has_failed else 0

    def _on_stop_request(self, number: int, _frame: object) -> None:
        now = time.monotonic()
        if now - self._last_stop_request >= SECOND_SIGNAL_SECONDS:
            self._stop_requests += 1
            self._last_stop_request = now

    def _start_threads(self) -> list[threading.Thread]:
        recovery = threading.Thread(target=self._recover, name="recovery", daemon=True)
        recovery.start()
        threads = [recovery, repeat(self._report_slots, every=self._beat_seconds, stop=self._stop_threads)]
        if self._keep_broker is not None:
            threads.append(repeat(self._keep_broker, every=BROKER_CHECK_SECONDS, stop=self._stop_threads))
        return threads

    def _start_due_slots(self) -> None:
        for slot in self._slots:
            if slot.due_at is not None and slot.due_at <= time.monotonic():
                slot.start()
                facts = {"slot": slot.name, "device": slot.plan.device.label, "threads": slot.plan.threads}
                _LOG.info("slot_started", extra={**facts, "slot_pid": slot.pid})

    def _seconds_until_next_start(self) -> float | None:
        due = [slot.due_at for slot in self._slots if slot.due_at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _collect_slots(self, *, is_stopping: bool) -> None:
        for slot in self._slots:
            code = slot.collect()
            if code is None:
                continue
            if is_stopping:
                _LOG.info("slot_stopped", extra={"slot": slot.name, "code": code})
                continue
            _LOG.error("slot_ended", extra={"slot": slot.name, "code": code, "is_restarted": slot.due_at is not None})
            self._has_failed |= slot.due_at is None

    def _stop_slots(self, wakeup: _Wakeup) -> None:
        """In three steps, each harsher than the one before."""
        steps: tuple[tuple[Callable[[SlotProcess], None], float], ...] = (
            (SlotProcess.drain, DRAIN_SECONDS),
            (SlotProcess.give_back, GIVE_BACK_SECONDS),
            (SlotProcess.kill, math.inf),
        )
        for action, patience in steps:
            _LOG.info("slots_asked_to_stop", extra={"how": action.__name__})
            for slot in self._slots:
                action(slot)
            if self._slots_end_within(patience, wakeup):
                return

    def _slots_end_within(self, patience: float, wakeup: _Wakeup) -> bool:
        """Wait for all slots to end; give up after so many seconds, or when told to stop once more."""
        requests_before = self._stop_requests
        deadline = time.monotonic() + patience
        while any(slot.pid is not None for slot in self._slots):
            seconds_left = deadline - time.monotonic()
            if seconds_left <= 0 or self._stop_requests > requests_before:
                return False
            wakeup.wait(None if math.isinf(seconds_left) else seconds_left)
            self._collect_slots(is_stopping=True)
        return True

    def _recover(self) -> None:
        with self._stopping_if_outdated():
            self._recovery.run(self._stop_threads)

    def _report_slots(self) -> None:
        with self._stopping_if_outdated():
            for slot in self._slots:
                pid = slot.pid
                if pid is not None:
                    report_alive(self._work, slot.name, pid=pid, plan=slot.plan)

    @contextmanager
    def _stopping_if_outdated(self) -> Iterator[None]:
        """In a thread: let the slots finish and stop, once the database belongs to another version of the program."""
        try:
            yield
        except SchemaMismatch as error:
            if self._outdated is None:
                self._outdated = error
                os.kill(os.getpid(), signal.SIGTERM)  # to the main thread, as if somebody had asked


class _Wakeup:
    """Lets the main thread sleep until a signal comes. An Event cannot: to set one in a handler may deadlock."""

    def __enter__(self) -> _Wakeup:
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)
        self._before = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._before)
        self._reading.close()
        self._writing.close()

    def wait(self, seconds: float | None) -> None:
        """Until a signal comes, or so many seconds have passed."""
        select.select([self._reading], [], [], seconds)
        try:
            self._reading.recv(4096)
        except BlockingIOError:
            return


def worker_name(number: int) -> str:
    """Name of a slot of this process: no other running slot has it, and Celery accepts it."""
    return f"slot{number}-{os.getpid()}@{socket.gethostname()}"


def child_environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """What a slot sees: this environment with the settings as they were resolved here, read from files included."""
    own = {*VARIABLES, *(f"{name}_FILE" for name in VARIABLES)}
    others = {name: value for name, value in environment.items() if name not in own}
    return {**others, **settings.as_environment()}
