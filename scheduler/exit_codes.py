"""What the exit code of a program of vaeval says, and which error gives which: of the command line and of its workers alike.

The codes are an interface: scripts branch on them, so a code never changes its meaning.
"""

from __future__ import annotations

from enum import IntEnum

from vaeval_core.errors import (
    DeviceUnusable,
    InvalidInput,
    NotFound,
    SchemaMismatch,
    ServiceUnreachable,
    StorageFailed,
    VaevalError,
    WaitTimedOut,
    WeightsUnavailable,
)


class ExitCode(IntEnum):
    """Every code that a program ends with."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    SOME_FAILED = 3
    NOT_FOUND = 4
    UNREACHABLE = 5
    SCHEMA = 6
    TIMED_OUT = 7
    INTERRUPTED = 130
    PIPE_CLOSED = 141


_BY_ERROR: tuple[tuple[type[VaevalError], ExitCode], ...] = (
    (InvalidInput, ExitCode.USAGE),
    (NotFound, ExitCode.NOT_FOUND),
    (WeightsUnavailable, ExitCode.NOT_FOUND),
    (DeviceUnusable, ExitCode.NOT_FOUND),
    (ServiceUnreachable, ExitCode.UNREACHABLE),
    (StorageFailed, ExitCode.UNREACHABLE),
    (SchemaMismatch, ExitCode.SCHEMA),
    (WaitTimedOut, ExitCode.TIMED_OUT),
)


def exit_code_of(error: VaevalError) -> ExitCode:
    """The code for an error that vaeval raised on purpose; `UNEXPECTED` for one that has no code of its own."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.UNEXPECTED)


def error_of(exit_code: int) -> type[VaevalError]:
    """The error that a program which ended with this code had: the first that gives it.

    >>> error_of(5).__name__, error_of(1).__name__
    ('ServiceUnreachable', 'VaevalError')
    """
    return next((kind for kind, code in _BY_ERROR if code == exit_code), VaevalError)
