"""A worker process of a simulation: real code on a thread, which goes on only when it is told to, one call at a time.

Before each call that leaves the process (to the database, to the artifacts) it waits for a verdict. So a schedule decides
between any two calls who goes on, and how a call ends:

    GO            as it should                  DIE_BEFORE    killed, the call was never made
    UNANSWERED    made, but the answer is lost  DIE_AFTER     killed, the call was made
    REFUSED       not made: nobody answers      DIE_WITHIN    killed in the middle of writing a file
    TWICE         made twice, as by a retry     DISK_FULL     the file does not fit
    INTERRUPTED   its first transaction fails in the middle

A killed process does nothing more: no clean-up of its code may have any effect, exactly as after kill -9.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from scheduler.composition import Application
from scheduler.store.base import CheckpointLocation
from tests.chaos.interrupted_database import interrupted
from tests.chaos.workload import POISON
from vaeval_core.checkpoints.base import VaeAdapter
from vaeval_core.errors import ServiceUnreachable, StorageFailed, VaevalError
from workers.loaded_models import LoadedModels
from workers.shard_runner import ShardRunner

PATIENCE_SECONDS = 60.0
LEASE_SECONDS = 600.0
"""Longer than any schedule: leases end when a schedule says so."""


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


class Bell:
    """The broker: a number of announcements. It may be wiped, or ring five times for one."""

    def __init__(self) -> None:
        self.announcements = 0
        self.is_away = False

    def ring(self, times: int) -> None:
        self._answer()
        self.announcements += times

    def waiting(self) -> int:
        self._answer()
        return self.announcements

    def _answer(self) -> None:
        if self.is_away:
            raise ServiceUnreachable("The broker does not answer.")


_OF_THREAD = threading.local()


class PoisonedModels(LoadedModels):
    """Real models, shared by all processes of a simulation; one of them kills."""

    def adapter(self, checkpoint: CheckpointLocation) -> VaeAdapter:
        if checkpoint.uri.endswith(POISON):
            _OF_THREAD.process.die()
        return super().adapter(checkpoint)


class SimulatedProcess:
    """One pool process: hears the bell, does what there is to do, again and again, until it dies."""

    def __init__(self, name: str, application: Application, models: LoadedModels) -> None:
        self.name = name
        self._database = application.database
        self.waits_for = ""
        self.is_dead = False
        self.failure: BaseException | None = None
        self._verdict = Verdict.GO
        self._go = threading.Semaphore(0)
        self._arrived = threading.Semaphore(0)
        self._runner = ShardRunner(
            _Gated(application.work, self),  # type: ignore[arg-type]
            _Gated(application.artifacts, self),  # type: ignore[arg-type]
            models,
            worker=name,
            lease_seconds=LEASE_SECONDS,
        )
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()
        self._wait_until_it_waits()

    @property
    def hears_the_bell(self) -> bool:
        """True while it has nothing to do."""
        return self.waits_for == "bell"

    def step(self, verdict: Verdict = Verdict.GO) -> None:
        """Let it make the call that it waits for, then run until the next."""
        self._verdict = verdict
        self._go.release()
        self._wait_until_it_waits()
        if self.failure is not None:
            raise self.failure

    def is_another_thread(self) -> bool:
        """True for calls that this process does not make in its own thread."""
        return threading.current_thread() is not self._thread

    def kill(self) -> None:
        """Dead at once, wherever it is."""
        if not self.is_dead:
            self.step(Verdict.DIE_BEFORE)

    def call(self, name: str, function: Callable[[], Any]) -> Any:
        """In the process: wait for a verdict, then make the call."""
        if self.is_dead:
            raise Killed
        self.waits_for = name
        self._arrived.release()
        self._go.acquire()
        return self._end_call(name, function, self._verdict)

    def _end_call(self, name: str, function: Callable[[], Any], verdict: Verdict) -> Any:
        if verdict is Verdict.DIE_BEFORE:
            self.die()
        if verdict is Verdict.REFUSED:
            raise _nobody_answers(name)
        with ExitStack() as stack:
            if verdict is Verdict.INTERRUPTED:
                stack.enter_context(interrupted(self._database))
            stack.enter_context(_within_writing(verdict, self.die))
            answer = function()
        if verdict is Verdict.TWICE:
            answer = function()
        if verdict is Verdict.DIE_AFTER:
            self.die()
        if verdict is Verdict.UNANSWERED:
            raise _nobody_answers(name)
        return answer

    def die(self) -> None:
        """In the process: be dead from now on."""
        self.is_dead = True
        raise Killed

    def _live(self) -> None:
        _OF_THREAD.process = self
        try:
            while True:
                try:
                    self.call("bell", lambda: None)
                    self._runner.run_one()
                except VaevalError:
                    continue  # as a pool process does: recovery announces it again
                if self._runner.is_tainted:
                    break
        except Killed:
            pass
        except BaseException as failure:  # noqa: BLE001 - told to the driver, which raises it
            self.failure = failure
        self.is_dead = True
        self.waits_for = "nothing"
        self._arrived.release()

    def _wait_until_it_waits(self) -> None:
        if not self._arrived.acquire(timeout=PATIENCE_SECONDS):
            raise TimeoutError(f"{self.name} is still busy after {PATIENCE_SECONDS:g} s with {self.waits_for}")


class _Gated:
    """A port whose every call waits for a verdict."""

    def __init__(self, port: object, process: SimulatedProcess) -> None:
        self._port = port
        self._process = process

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if self._process.is_another_thread():
            # The heartbeat, which goes by the clock: in a simulation leases end when the schedule says so.
            return lambda *_, **__: True
        method = getattr(self._port, name)
        return lambda *arguments, **named: self._process.call(name, partial(method, *arguments, **named))


def _nobody_answers(call: str) -> VaevalError:
    if call in {"write_arrays", "read_arrays", "delete"}:
        return StorageFailed("The artifacts are away for a moment.")
    return ServiceUnreachable("The database does not answer.")


@contextmanager
def _within_writing(verdict: Verdict, die: Callable[[], None]) -> Iterator[None]:
    """Only one process runs at a time, so a change of the whole program is one of this process."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def half_written(_: Path, __: Path) -> None:
        die()

    if verdict is Verdict.DISK_FULL:
        with mock.patch.object(os, "fsync", full):
            yield
    elif verdict is Verdict.DIE_WITHIN:
        with mock.patch.object(Path, "replace", half_written):
            yield
    else:
        yield
