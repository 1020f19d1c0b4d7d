"""Whose fault it is that an attempt came to nothing, and what follows from it: one table. Pure.

    input           nobody can do it                                           the evaluation fails at once
    work            perhaps this very work, as for one that kills its worker   counts; after the last attempt it fails
    machine         this machine lacks what it takes                           other machines try; none left, it fails
    surroundings    storage, database, disk, a folder that is not mounted      pauses, and tries for a day
    device          the GPU of this slot fell away                             so too, and other slots try meanwhile

Only `work` uses up attempts: they are there for work that kills whoever touches it, and an outage of six seconds, or of six
hours, says nothing about the work.
"""

from __future__ import annotations

import errno
from enum import StrEnum

from vaeval_core.errors import (
    DeviceUnusable,
    InvalidInput,
    NotFound,
    ServiceUnreachable,
    StorageFailed,
    ThisMachineCannot,
)

LONGEST_TROUBLE_SECONDS = 86_400.0
"""How long the surroundings may keep one piece of work from being done, attempt after attempt, before it fails with their
reason. A night and a morning: a person can come and put it right, and nothing goes round for ever."""

TROUBLE_FORGOTTEN_SECONDS = 3_600.0
"""After so long without an attempt that day begins anew: what was put off on Friday is not given up first thing on Monday."""


class Fault(StrEnum):
    """Whose fault it is."""

    INPUT = "input"
    WORK = "work"
    MACHINE = "machine"
    SURROUNDINGS = "surroundings"
    DEVICE = "device"

    @property
    def is_trouble(self) -> bool:
        """Whether it may pass, so that it is waited for."""
        return self in {Fault.SURROUNDINGS, Fault.DEVICE}

    @property
    def is_put_off(self) -> bool:
        """Whether it says nothing about the work, so that no attempt is used up."""
        return self.is_trouble or self is Fault.MACHINE


_BY_ERROR: tuple[tuple[type[BaseException], Fault], ...] = (
    # The matter of one slot: the others of its machine are as good as ever.
    (DeviceUnusable, Fault.DEVICE),
    # Some errors are two things: what changed since it was submitted is input, but perhaps on this machine alone.
    (ThisMachineCannot, Fault.MACHINE),
    (StorageFailed, Fault.SURROUNDINGS),
    (ServiceUnreachable, Fault.SURROUNDINGS),
    (InvalidInput, Fault.INPUT),
    (NotFound, Fault.MACHINE),
    (ImportError, Fault.MACHINE),
)
"""The first that fits; whatever is not here may be the fault of the work."""

_OF_SURROUNDINGS = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EROFS", "EIO", "ESTALE", "EMFILE", "ENFILE"),
        *("ENETDOWN", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH", "ETIMEDOUT", "ECONNREFUSED", "ECONNRESET", "EPIPE"),
    )
    if hasattr(errno, name)
)
"""What an operating system says about disks and networks, in a library that raises it as it is."""


def fault_of(error: BaseException) -> Fault:
    """Whose fault an error is that came up while a shard was computed, or shards were merged.

    >>> fault_of(StorageFailed("The disk is full.")).value, fault_of(ZeroDivisionError()).value
    ('surroundings', 'work')
    """
    if isinstance(error, OSError) and error.errno in _OF_SURROUNDINGS:
        return Fault.SURROUNDINGS
    return next((fault for kind, fault in _BY_ERROR if isinstance(error, kind)), Fault.WORK)


def pause_seconds(fault: Fault, *, failed_before: int, lease_seconds: float) -> float:
    """How long to wait before the next attempt.

    Surroundings get half a lease, then a whole one, again and again: 30 and 60 seconds by default. Work gets seconds, which
    double: if it is good, somebody else can do it now.

    Args:
        fault: Why the attempt failed.
        failed_before: Attempts that failed for the same reason before this one.
        lease_seconds: Lease of a claim, the measure of how fast things go in this service.

    >>> [pause_seconds(Fault.SURROUNDINGS, failed_before=n, lease_seconds=60.0) for n in (0, 1, 2)]
    [30.0, 60.0, 60.0]
    >>> [pause_seconds(Fault.WORK, failed_before=n, lease_seconds=60.0) for n in (0, 1)]
    [2.0, 4.0]
    """
    if fault.is_trouble:
        return lease_seconds / 2 if failed_before == 0 else lease_seconds
    return min(2.0 ** (failed_before + 1), lease_seconds) if fault is Fault.WORK else 0.0
