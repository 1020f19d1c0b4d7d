"""Keeps a claim alive while its holder is busy computing, and tells it when the claim is lost.

    with Heartbeat(lambda: work.renew_shard(claim, …), every=15.0, …) as heartbeat:
        for each batch: …; heartbeat.check()        a sign of life; raises ClaimLost once a renewal was refused

The renewing happens in a thread: a network call that takes minutes (the first one compiles) must not let the lease end.
But a thread goes on beating beside a computation that hangs, in a driver or on a share that does not answer. So it stops
when there was no sign of life for a stall time, and the claim is given up: somebody else does the work.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from types import TracebackType

import structlog

from vaeval_core.errors import MustStop, VaevalError

_LOG = logging.getLogger(__name__)

BEATS_PER_LEASE = 4
"""A claim survives three renewals that fail in a row."""

LONGEST_SILENCE_SECONDS = 5.0
"""A shard is renewed at least so often, for a renewal also tells how many images are done: a progress display that moves
every 15 seconds, a quarter of the usual lease, cannot say how long the rest will take."""


HANG_SHARE = 0.1
"""Once the work of a process was given up because it stalls, the process has this part of the stall time to come back."""


class ClaimLost(MustStop):
    """The work was cancelled, or its lease ended and it may belong to somebody else by now."""

    def __init__(self) -> None:
        super().__init__(
            "The claim on this work is lost: it was cancelled, or its lease ended before it could be renewed.",
            expected="a lease that is renewed in time, and batches that end",
        )


class Interrupted(MustStop):
    """The process is to stop: the work at hand is given back."""

    def __init__(self) -> None:
        super().__init__("The worker is to stop; its work is given back.")


class Heartbeat:
    """Renews a claim until the context ends.

    Args:
        renew: Extends the lease; False if the claim is lost. Called in another thread.
        every: Seconds between two renewals.
        stall_seconds: Longest time between two signs of life; infinite where none are given.
        on_stall: Called in another thread, until it raises nothing, when there was none for so long: gives the claim up.
        on_hang: Called in another thread when the computation is still silent a while after its claim was given up or lost:
            it hangs where no batch ends and nothing else can stop it.
    """

    def __init__(
        self,
        renew: Callable[[], bool],
        *,
        every: float,
        stall_seconds: float = math.inf,
        on_stall: Callable[[], object] = lambda: None,
        on_hang: Callable[[], None] | None = None,
    ) -> None:
        self._renew = renew
        self._every = every
        self._stall_seconds = stall_seconds
        self._on_stall = on_stall
        self._on_hang = on_hang
        self._alive_at = time.monotonic()
        self._ended = threading.Event()
        self._lost = threading.Event()
        # A thread starts with an empty log context: take the evaluation and shard along.
        self._log_context = structlog.contextvars.get_contextvars()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    @property
    def is_lost(self) -> bool:
        """True once a renewal was refused, or the claim was given up for want of a sign of life."""
        return self._lost.is_set()

    def check(self) -> None:
        """A sign of life; returns if the claim is still ours as far as we know.

        Raises:
            ClaimLost: It is not.
        """
        self.live()
        if self.is_lost:
            raise ClaimLost

    def live(self) -> None:
        """A sign of life, whoever has the claim."""
        self._alive_at = time.monotonic()

    def __enter__(self) -> Heartbeat:
        self._alive_at = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        structlog.contextvars.bind_contextvars(**self._log_context)
        while not self._ended.wait(self._every):
            try:
                is_ours = self._renew_or_give_up()
            except VaevalError as error:
                # The database may be back before the lease ends; if not, the fencing token keeps us from doing harm.
                _LOG.warning("lease_not_renewed", extra={"reason": str(error)})
                continue
            except Exception:  # noqa: BLE001 - a heartbeat that dies without a word lets two workers do the same work
                _LOG.exception("lease_not_renewed")
                continue
            if not is_ours:
                self._lost.set()  # whoever computes finds out by `check`, and says so
                self._wait_for_its_end()
                return

    def _wait_for_its_end(self) -> None:
        if self._on_hang is None or math.isinf(self._stall_seconds):
            return
        longest = (1 + HANG_SHARE) * self._stall_seconds
        while not self._ended.wait(HANG_SHARE * self._stall_seconds):
            if time.monotonic() - self._alive_at >= longest:
                _LOG.critical("work_hangs", extra={"seconds_without_a_batch": self._silent_seconds()})
                self._on_hang()
                return

    def _silent_seconds(self) -> float:
        return round(time.monotonic() - self._alive_at, 1)

    def _renew_or_give_up(self) -> bool:
        if time.monotonic() - self._alive_at < self._stall_seconds and not self.is_lost:
            return self._renew()
        self._lost.set()  # first: whatever giving up leads to, nothing may be recorded under this claim
        _LOG.error("work_stalled", extra={"seconds_without_a_batch": self._silent_seconds()})
        self._on_stall()
        return False
