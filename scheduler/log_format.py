"""How the worker processes log: JSON lines for machines, lines for people on a terminal, always on stderr.

Everything goes through the standard `logging` module, Celery's and SQLAlchemy's messages too. What a process is busy with
(evaluation or reference, shard, attempt, worker) is bound once, in `structlog.contextvars`, and is on every line until it
is cleared. A message is a fixed word such as `shard_finished`; what varies stands beside it, so that logs can be searched.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

import structlog


def set_up_logging(*, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send all logging of this process to `stream` (stderr by default). May be called again."""
    target = sys.stderr if stream is None else stream
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[structlog.typing.Processor]
    if target.isatty():
        # The default formatter shows local variables, and with them the passwords in URLs.
        rendering = [
            structlog.dev.ConsoleRenderer(
                colors=not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in {"", "dumb"},
                pad_event_to=24,
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    else:
        rendering = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    # Celery says a line or two per message that it receives, Alembic a dozen per process that looks at the database,
    # billiard (called multiprocessing) one per buffer.
    for name in ("celery.worker.strategy", "celery.app.trace", "alembic", "multiprocessing"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
