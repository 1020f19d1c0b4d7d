"""How every worker program starts and ends: logging first, and an error of vaeval as one line and an exit code."""

from __future__ import annotations

import logging
from collections.abc import Callable

from scheduler.log_format import set_up_logging
from vaeval_core.errors import (
    InvalidInput,
    NotFound,
    SchemaMismatch,
    ServiceUnreachable,
    StorageFailed,
    VaevalError,
    WeightsUnavailable,
)

_LOG = logging.getLogger(__name__)

INTERRUPTED = 130

_EXIT_CODES: tuple[tuple[type[VaevalError], int], ...] = (
    (InvalidInput, 2),
    (NotFound, 4),
    (WeightsUnavailable, 4),
    (ServiceUnreachable, 5),
    (StorageFailed, 5),
    (SchemaMismatch, 6),
)
"""The codes of the command line, which passes ours on."""


def run_program(main: Callable[[], int]) -> int:
    """Set up logging, run, and turn an error of vaeval into a log line with its parts and an exit code."""
    set_up_logging()
    try:
        return main()
    except VaevalError as error:
        _LOG.critical("cannot_work", extra=error.parts())
        return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), 1)
