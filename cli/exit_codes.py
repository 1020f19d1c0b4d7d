"""What the exit code of `vaeval` says, and which error gives which.

The codes are an interface: scripts branch on them, so a code never changes its meaning.
"""

from __future__ import annotations

from enum import IntEnum

from vaeval_core.errors import (
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
    """Every code that a command ends with."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    SOME_FAILED = 3
    NOT_FOUND = 4
    UNREACHABLE = 5
    SCHEMA = 6
    TIMED_OUT = 7
    INTERRUPTED = 130


_BY_ERROR: tuple[tuple[type[VaevalError], ExitCode], ...] = (
    (InvalidInput, ExitCode.USAGE),
    (NotFound, ExitCode.NOT_FOUND),
    (WeightsUnavailable, ExitCode.NOT_FOUND),
    (ServiceUnreachable, ExitCode.UNREACHABLE),
    (StorageFailed, ExitCode.UNREACHABLE),
    (SchemaMismatch, ExitCode.SCHEMA),
    (WaitTimedOut, ExitCode.TIMED_OUT),
)

EPILOG = """\b
Exit codes:
  0    everything asked for is done
  1    unexpected error; --debug shows where
  2    the input cannot be used: options, names, checkpoints, images, SQL
  3    some evaluations failed; the others are done
  4    something named does not exist: path, data set, id, extractor weights
  5    database, broker or artifact storage does not answer or is full
  6    the database has another schema revision: vaeval db upgrade
  7    waiting timed out; the work goes on
  130  interrupted; what is done is kept
\b
Data goes to stdout, notes and progress to stderr. With --json an error is
{"schema": "vaeval.error/1", "error": {...}, "exit_code": N} on stdout.
"""
"""Shown under `vaeval --help`; a test compares it with `ExitCode`."""


def exit_code_of(error: VaevalError) -> ExitCode:
    """The code for an error that vaeval raised on purpose; `UNEXPECTED` for one that has no code of its own."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.UNEXPECTED)
