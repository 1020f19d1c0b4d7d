"""One slot: a Celery worker with one pool process, on the device that its environment names.

    supervisor ─► slot (this program: hears the bell, never loads TensorFlow) ─► pool process (computes; replaced if it dies)

Started by the supervisor as `python -m workers.slot NAME [CORE …]`, with everything else in the environment. Standard input
is a pipe from the supervisor: if that dies, the slot finishes its shard and stops.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Collection

from celery.platforms import SecurityWarning

from scheduler.log_format import set_up_logging
from scheduler.queue.base import WORK_QUEUE
from scheduler.queue.celery_queue import create_celery
from scheduler.settings import Settings
from workers.parent_watch import stop_with_parent
from workers.tasks import LOADER


def main(name: str, cores: Collection[int] = ()) -> int:
    """Work until stopped by SIGTERM. Returns the exit code.

    Args:
        name: `something@host`; unique among all workers, shown in `vaeval status`.
        cores: Processor cores to stay on, with everything that is started from here; all if empty.
    """
    set_up_logging()
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    settings = Settings.from_environment()
    if settings.broker_url is None:
        raise SystemExit("workers.slot is started by the supervisor, which sets VAEVAL_BROKER_URL")
    stop_with_parent()
    # Celery fears pickle, which it is not allowed to use; in a container a superuser is nothing special.
    warnings.filterwarnings("ignore", message=".*superuser privileges", category=SecurityWarning)
    celery = create_celery(settings.broker_url)
    celery.loader_cls = LOADER
    worker = celery.Worker(
        hostname=name,
        pool="prefork",
        concurrency=1,
        queues=[WORK_QUEUE],
        loglevel="WARNING",  # what billiard says before our log format is set up in a pool process
        quiet=True,  # no banner; it would show the broker's address
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return worker.exitcode or 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], {int(core) for core in sys.argv[2:]}))
