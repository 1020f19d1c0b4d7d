"""`vaeval scheduler`: the recovery loop alone, for installations where it is to run apart from the workers."""

from __future__ import annotations

import os
import signal
import socket
import threading

from cli import rendering


def scheduler() -> None:
    """Watch over the work, until stopped.

    Finds lost shards and announces what nobody has heard of.

    Every worker does this too; of all of them one at a time. Run it by itself where workers come and go. It is what
    announces work again after the broker was down. SIGTERM or Ctrl-C stops it.

    \b
    Example:
      export VAEVAL_DATABASE_URL=postgresql://… VAEVAL_BROKER_URL=redis://…
      vaeval scheduler
    """
    from scheduler.composition import open_application
    from scheduler.log_format import set_up_logging
    from scheduler.monitoring import ServiceCollector, served
    from scheduler.queue.celery_queue import CeleryWorkQueue
    from scheduler.queue.embedded_broker import broker
    from scheduler.recovery import Recovery
    from scheduler.settings import Settings, without_password

    settings = Settings.from_environment()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    set_up_logging()
    with open_application(settings) as application, broker(settings) as broker_url:
        rendering.note(
            f"Watching {without_password(settings.database_url)} every {settings.sweep_seconds:g} s;"
            f" broker {without_password(broker_url)}"
        )
        owner = f"scheduler@{socket.gethostname()}:{os.getpid()}"
        queue = CeleryWorkQueue(broker_url)
        recovery = Recovery(application.recovery, queue, owner=owner, settings=settings)
        with served(settings, ServiceCollector(application.reads, application.recovery, queue, recovery.totals)):
            recovery.run(stop)
    rendering.note("Stopped.")
