"""`python -m tests.chaos.submit_entry FOLDER SEED`: submits a workload, as a command line would, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from scheduler.composition import open_application
from scheduler.queue.celery_queue import CeleryWorkQueue
from scheduler.settings import Settings
from scheduler.submission import submit
from tests.chaos.workload import Workload


def main() -> None:
    """Submit."""
    workload = Workload(Path(sys.argv[1]), seed=int(sys.argv[2]))
    settings = Settings.from_environment()
    assert settings.broker_url is not None
    with open_application(settings) as application:
        submit(application, CeleryWorkQueue(settings.broker_url), workload.digits, workload.requests)


if __name__ == "__main__":
    main()
