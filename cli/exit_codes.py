"""The exit codes as `vaeval --help` tells them."""

from __future__ import annotations

from scheduler.exit_codes import ExitCode as ExitCode
from scheduler.exit_codes import exit_code_of as exit_code_of

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
  141  whoever read the output has closed it
\b
Data goes to stdout, notes and progress to stderr. With --json an error is
{"schema": "vaeval.error/1", "error": {...}, "exit_code": N} on stdout.
"""
"""Shown under `vaeval --help`; a test compares it with `ExitCode`."""
