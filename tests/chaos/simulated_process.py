"""A worker process of a simulation: real code on a thread that goes on only when it is told to (`tests.chaos.stepped`).

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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from scheduler.composition import Application
from scheduler.store.base import CheckpointLocation
from tests.chaos.interrupted_database import interrupted
from tests.chaos.stepped import Stepped, Verdict, this_process
from tests.chaos.workload import POISON
from vaeval_core.checkpoints.base import VaeAdapter
from vaeval_core.errors import ServiceUnreachable, StorageFailed, VaevalError
from workers.loaded_models import LoadedModels
from workers.shard_runner import ShardRunner

LEASE_SECONDS = 600.0
"""Longer than any schedule: leases end when a schedule says so."""


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


class PoisonedModels(LoadedModels):
    """Real models, shared by all processes of a simulation; one of them kills."""

    def adapter(self, checkpoint: CheckpointLocation) -> VaeAdapter:
        if checkpoint.uri.endswith(POISON):
            process = this_process()
            assert process is not None
            process.die()
        return super().adapter(checkpoint)


class SimulatedProcess:
    """One pool process: hears the bell, does what there is to do, again and again, until it dies."""

    def __init__(self, name: str, application: Application, models: LoadedModels, *, interleaved: bool = False) -> None:
        self.name = name
        self._database = application.database
        self._application, self._models = application, models
        self.thread = Stepped(name, self._live, interleaved=interleaved)

    @property
    def hears_the_bell(self) -> bool:
        """True while it has nothing to do."""
        return self.thread.waits_for == "bell" and not self.thread.is_busy

    def _live(self, thread: Stepped) -> None:
        runner = ShardRunner(
            _Gated(self._application.work, self, thread),  # type: ignore[arg-type]
            _Gated(self._application.artifacts, self, thread),  # type: ignore[arg-type]
            self._models,
            worker=self.name,
            lease_seconds=LEASE_SECONDS,
        )
        while not runner.is_tainted:
            try:
                self.call(thread, "bell", lambda: None)
                runner.run_one()
            except VaevalError:
                continue  # as a pool process does: recovery announces it again

    def call(self, thread: Stepped, name: str, function: Callable[[], Any]) -> Any:
        """In the process: wait for a verdict, then make the call."""
        verdict = thread.gate(name)
        thread.calling = name
        try:
            return self._end_call(thread, name, function, verdict)
        finally:
            thread.calling = ""

    def _end_call(self, thread: Stepped, name: str, function: Callable[[], Any], verdict: Verdict) -> Any:
        if verdict is Verdict.DIE_BEFORE:
            thread.die()
        if verdict is Verdict.REFUSED:
            raise _nobody_answers(name)
        with ExitStack() as stack:
            if verdict is Verdict.INTERRUPTED:
                stack.enter_context(interrupted(self._database))
            stack.enter_context(_within_writing(verdict, thread.die))
            answer = function()
        if verdict is Verdict.TWICE:
            answer = function()
        if verdict is Verdict.DIE_AFTER:
            thread.die()
        if verdict is Verdict.UNANSWERED:
            raise _nobody_answers(name)
        return answer


class _Gated:
    """A port whose every call waits for a verdict."""

    def __init__(self, port: object, process: SimulatedProcess, thread: Stepped) -> None:
        self._port = port
        self._process = process
        self._thread = thread

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if self._thread.is_another_thread():
            # The heartbeat, which goes by the clock: in a simulation leases end when the schedule says so.
            return lambda *_, **__: True
        method = getattr(self._port, name)
        return lambda *arguments, **named: self._process.call(self._thread, name, partial(method, *arguments, **named))


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
