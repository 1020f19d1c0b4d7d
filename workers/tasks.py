"""The one Celery task, and what a pool process does around it.

The task carries no arguments and decides nothing: hearing it, a process asks the database what to do (`shard_runner`).
This module is imported by the parent of a slot too, which must stay small and free of TensorFlow: stores and models are
imported with the first message, in the pool process.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from celery import Celery, Task
from celery.loaders.app import AppLoader
from celery.signals import setup_logging
from celery.utils.log import get_multiprocessing_logger

from scheduler.log_format import set_up_logging
from scheduler.queue.base import WORK_TASK
from scheduler.settings import Settings
from vaeval_core.errors import SchemaMismatch, VaevalError

if TYPE_CHECKING:
    from scheduler.composition import Application
    from workers.shard_runner import ShardRunner

_LOG = logging.getLogger(__name__)

LOADER = "workers.tasks:SlotLoader"
"""Name under which Celery finds the loader again in a pool process, which is a fresh interpreter."""


PASS_ON_SECONDS = 0.5
"""How long a slot that works on some evaluations alone keeps a bell that was rung for others, before it rings again: so
that another slot hears the next one, and idle slots of a run do not play with the bell without a pause."""


FIRST_REST_SECONDS = 1.0
LONGEST_REST_SECONDS = 30.0

_REST_STEP_SECONDS = 0.2


@dataclass
class Rests:
    """How long a process leaves everything alone after work that it could not do for its surroundings or its machine: another
    piece of work would very likely end in the same way, and 80,000 shards would be tried in vain within minutes. Pure but for
    its count.

    >>> rests = Rests()
    >>> [rests.after(is_put_off=put_off) for put_off in (True, True, True, False, True)]
    [1.0, 2.0, 4.0, 0.0, 1.0]
    """

    in_a_row: int = 0

    def after(self, *, is_put_off: bool) -> float:
        """Seconds to rest after a piece of work."""
        self.in_a_row = self.in_a_row + 1 if is_put_off else 0
        return min(FIRST_REST_SECONDS * 2.0 ** (self.in_a_row - 1), LONGEST_REST_SECONDS) if is_put_off else 0.0


class PoolProcess:
    """What one pool process keeps from message to message: its stores, and its models with them."""

    def __init__(self) -> None:
        self._application: Application | None = None
        self._runner: ShardRunner | None = None
        self._is_busy = False
        self._rests = Rests()

    def work(self, worker: str) -> str:
        """Do what the bell announced. Returns what became of it.

        Raises:
            SystemExit: The process is not to be trusted with another shard; Celery starts a new one.
        """
        self._is_busy = True
        try:
            runner = self._runner = self._runner or self._open_runner(worker)
            outcome = runner.run_one()
            if outcome == "nothing_to_do":
                self._pass_on()
            else:
                self._rest(runner, self._rests.after(is_put_off=outcome == "put_off"))
        except SchemaMismatch as error:
            # The supervisor will notice, too, and stop. Till then, the bell is for others.
            _LOG.error("bell_unanswered", extra=error.parts())
            time.sleep(PASS_ON_SECONDS)
            return "unanswered"
        except VaevalError as error:
            # No store, no claim: whatever there is to do, recovery will announce again.
            _LOG.warning("bell_unanswered", extra={"reason": str(error)})
            return "unanswered"
        finally:
            self._is_busy = False
        if runner.is_tainted:
            _LOG.warning("process_is_replaced", extra={"reason": "its last shard raised something unforeseen"})
            raise SystemExit(0)
        return str(outcome)

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """Signal handler: give the shard at hand back at the next batch, or leave at once if there is none.

        A shard is never torn up by an exception out of nowhere, which might strike inside a transaction.
        """
        if self._is_busy and self._runner is not None:
            self._runner.interrupt()
        else:
            raise SystemExit(0)

    @staticmethod
    def _rest(runner: ShardRunner, seconds: float) -> None:
        """With the bell in hand: it must not be heard in place of a process that can do the work."""
        ends_at = time.monotonic() + seconds
        while not runner.is_interrupted and time.monotonic() < ends_at:
            time.sleep(_REST_STEP_SECONDS)

    def _pass_on(self) -> None:
        """Ring again if the bell was for others, who did not hear it: because this slot looks for some evaluations alone, or
        because what there is to do is left to other machines."""
        from scheduler.queue.celery_queue import CeleryWorkQueue

        application = self._application
        if application is None or not application.recovery.claimable():
            return
        time.sleep(PASS_ON_SECONDS)
        if application.settings.broker_url is not None:
            CeleryWorkQueue(application.settings.broker_url).ring(1)

    def _open_runner(self, worker: str) -> ShardRunner:
        from scheduler.composition import open_application
        from workers.own_evaluations import own_of
        from workers.shard_runner import make_runner

        own = own_of(os.environ)
        self._application = open_application(Settings.from_environment())
        runner = make_runner(self._application, worker, own, leave_hung)
        # Only now: billiard installs a handler of its own after every hook at the start of a process.
        signal.signal(signal.SIGTERM, self.stop)
        return runner


def leave_hung() -> None:
    """End this process, which hangs where no exception and no handler of a signal is ever run: Celery starts a new one."""
    os.kill(os.getpid(), signal.SIGKILL)


_POOL_PROCESS = PoolProcess()
"""Celery gives a task no other place to keep anything."""


class SlotLoader(AppLoader):  # type: ignore[misc]  # Celery has no types
    """Celery's hooks for the start of a process: the same task and the same log format in parent and child."""

    def on_worker_init(self) -> None:
        """In the parent and in each pool process, before logging is set up and tasks are looked up."""
        setup_logging.connect(_log_like_all_workers, weak=False)
        register_tasks(self.app)


def register_tasks(celery: Celery) -> None:
    """Add the task to this application and no other."""

    # lazy=False: in a pool process Celery would share a lazy task with every application.
    @celery.task(name=WORK_TASK, bind=True, shared=False, lazy=False)  # type: ignore[untyped-decorator]
    def work(self: Task) -> str:
        """See `scheduler.queue.base`."""
        return _POOL_PROCESS.work(self.request.hostname)


def _log_like_all_workers(**_celery_has_its_own_wishes: Any) -> None:
    set_up_logging()
    # billiard keeps its logger apart; without a handler it would write plain text.
    get_multiprocessing_logger().propagate = True
