"""A thread that goes on only when it is told to: it stands for a process, and waits at gates for a verdict.

There is a gate before each call that leaves the process. In interleaved schedules there is one before each SQL statement and
each COMMIT as well, so that several transactions are open at once, and their statements meet in any order. Then a thread may
wait in the database for a lock that another holds: it is busy, and goes on by itself when the other has gone on. A thread that
computes is busy likewise, and runs beside the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from sqlalchemy import event

from scheduler.store.database import Database

PATIENCE_SECONDS = 60.0
MOMENT_SECONDS = 0.02
"""What does not arrive at its next gate for so long is busy."""

STATEMENT = "statement"
"""The gate before a statement, or before the end of a transaction."""


class Verdict(StrEnum):
    """How the next call of a process ends."""

    GO = "go"
    UNANSWERED = "unanswered"
    REFUSED = "refused"
    TWICE = "twice"
    DIE_BEFORE = "die before"
    DIE_AFTER = "die after"
    DIE_WITHIN = "die within"
    DISK_FULL = "disk full"
    INTERRUPTED = "interrupted"


class Killed(BaseException):
    """The process is dead."""


_OF_THREAD = threading.local()


def this_process() -> Stepped | None:
    """The one whose thread this is."""
    found: Stepped | None = getattr(_OF_THREAD, "process", None)
    return found


class Stepped:
    """A thread with gates, in a function of its own.

    Args:
        name: For the story.
        live: What it does, until it returns or is killed; gets this object.
        interleaved: There are gates before statements, and others may run at the same time.
    """

    def __init__(self, name: str, live: Callable[[Stepped], object], *, interleaved: bool = False) -> None:
        self.name = name
        self.waits_for = ""
        self.calling = ""
        self.is_dead = False
        self.is_busy = False
        self.failure: BaseException | None = None
        self._live = live
        self._interleaved = interleaved
        self._verdict = Verdict.GO
        self._go = threading.Semaphore(0)
        self._arrived = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._await()

    def step(self, verdict: Verdict = Verdict.GO) -> None:
        """Let it pass the gate at which it waits, then run until the next, or until it is busy."""
        self._verdict = verdict
        self._go.release()
        self._await()

    def look(self) -> None:
        """See whether it is still busy."""
        if self.is_busy and self._arrived.acquire(blocking=False):
            self._take_note()

    def kill(self) -> None:
        """Dead at once, wherever it is; if it is busy, at its next gate."""
        if self.is_busy:
            self._await(PATIENCE_SECONDS)
        while not self.is_dead:
            self.step(Verdict.DIE_BEFORE)
            if self.is_busy:
                self._await(PATIENCE_SECONDS)

    def is_another_thread(self) -> bool:
        """True for calls that this process does not make in its own thread."""
        return threading.current_thread() is not self._thread

    def gate(self, name: str) -> Verdict:
        """In the process: wait for a verdict."""
        if self.is_dead:
            raise Killed
        self.waits_for = name
        self._arrived.release()
        self._go.acquire()
        return self._verdict

    def die(self) -> None:
        """In the process: be dead from now on."""
        self.is_dead = True
        raise Killed

    def _run(self) -> None:
        _OF_THREAD.process = self
        try:
            self._live(self)
        except Killed:
            pass
        except BaseException as failure:  # noqa: BLE001 - told to the driver, which raises it
            self.failure = failure
        self.is_dead = True
        self.waits_for = "nothing"
        self._arrived.release()

    def _await(self, seconds: float | None = None) -> None:
        patience = seconds or (MOMENT_SECONDS if self._interleaved else PATIENCE_SECONDS)
        if self._arrived.acquire(timeout=patience):
            self._take_note()
            return
        if patience == PATIENCE_SECONDS:
            raise TimeoutError(f"{self.name} is still busy after {patience:g} s with {self.calling or self.waits_for}")
        self.is_busy = True

    def _take_note(self) -> None:
        self.is_busy = False
        if self.failure is not None:
            raise self.failure


@contextmanager
def gates_at_statements(database: Database) -> Iterator[None]:
    """While the context lasts, processes wait before each statement, and before each COMMIT."""

    def wait(*_: Any) -> None:
        process = this_process()
        if process is not None and process.gate(STATEMENT) is not Verdict.GO:
            process.die()

    for name in ("before_cursor_execute", "commit"):
        event.listen(database.engine, name, wait)
    try:
        yield
    finally:
        for name in ("before_cursor_execute", "commit"):
            event.remove(database.engine, name, wait)
