"""`python -m workers`: slots on this machine's devices, until stopped. What `vaeval worker` turns into."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from dataclasses import replace

from scheduler.id_runs import ids_of_argument
from scheduler.settings import Settings
from scheduler.usable_cores import usable_cores
from workers.device_pinning import plan_slots
from workers.devices import select_devices
from workers.parent_watch import stop_with_parent
from workers.program import run_program


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument(
        "--devices", default="auto", help="auto, cpu, or GPUs by index or UUID with commas between them"
    )
    parser.add_argument("--workers", type=int, help="number of slots in all (default: one per device)")
    parser.add_argument("--slots-per-device", type=int, help="number of slots on each device")
    parser.add_argument("--threads", type=int, help="CPU threads per slot (default: an equal share of the cores)")
    parser.add_argument(
        "--only",
        type=_checked,
        default="",
        help="ids of the evaluations to work on, such as 3-5,9, or @FILE with such text in it; without it, any",
    )
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when the program at the other end of stdin is gone"
    )
    return parser.parse_args()


def _checked(argument: str) -> str:
    """The argument itself: pool processes read it again."""
    ids_of_argument(argument)
    return argument


def supervise(arguments: argparse.Namespace) -> int:
    """Join or start the broker, open the database, run the slots. Returns the exit code."""
    from scheduler.composition import open_application
    from scheduler.queue.celery_queue import CeleryWorkQueue
    from scheduler.queue.embedded_broker import EmbeddedBroker
    from scheduler.recovery import Recovery
    from workers.supervisor import Supervisor, worker_name
    from workers.watching import watched

    settings = Settings.from_environment()
    plans = plan_slots(
        select_devices(arguments.devices, os.environ),
        cores=len(usable_cores()),
        workers=arguments.workers,
        slots_per_device=arguments.slots_per_device,
        threads=arguments.threads,
    )
    with ExitStack() as stack:
        keep_broker = None
        if settings.broker_url is None:
            embedded = stack.enter_context(EmbeddedBroker(settings.home))
            keep_broker = embedded.ensure_running
            broker_url = embedded.url
        else:
            broker_url = settings.broker_url
        queue = CeleryWorkQueue(broker_url)
        queue.ping()
        application = stack.enter_context(open_application(settings))
        if arguments.until_stdin_closes:
            stop_with_parent()
        recovery = Recovery(application.recovery, queue, owner=worker_name(0), settings=settings)
        return Supervisor(
            plans,
            settings=replace(settings, broker_url=broker_url),
            work=application.work,
            recovery=recovery,
            keep_broker=keep_broker,
            own_evaluations=arguments.only,
            watched=lambda slots: watched(application, queue, recovery, slots),
        ).run()


def main() -> int:
    """Parse the command line and supervise. Returns the exit code."""
    arguments = _parse()
    return run_program(lambda: supervise(arguments), is_read_by_a_program=arguments.until_stdin_closes)


if __name__ == "__main__":
    raise SystemExit(main())
