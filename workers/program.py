"""How every worker program starts and ends: logging first, and an error of vaeval told as its reader needs it.

A person who typed `vaeval worker` reads the same block as from every other command. The command that started workers of
its own (`vaeval run`) finds the error as the last event of their log and tells it in its own name.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from scheduler.exit_codes import exit_code_of
from scheduler.log_format import set_up_logging
from vaeval_core.errors import VaevalError

_LOG = logging.getLogger(__name__)


def run_program(main: Callable[[], int], *, is_read_by_a_program: bool = True) -> int:
    """Set up logging, run, and turn an error of vaeval into an exit code, that of the command line, and its parts.

    Args:
        main: What to do; gives the exit code.
        is_read_by_a_program: Tell an error as an event of the log; else as the lines that the command line prints.
    """
    set_up_logging()
    try:
        return main()
    except VaevalError as error:
        if is_read_by_a_program:
            _LOG.critical("cannot_work", extra=error.parts())
        else:
            for label, text in error.labelled_parts():
                sys.stderr.write(label + text.replace("\n", "\n" + " " * len(label)) + "\n")
        return exit_code_of(error)
