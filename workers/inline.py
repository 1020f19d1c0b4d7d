"""`python -m workers.inline`: one process, no broker, no Celery; ends when the given evaluations are over.

The same claims, shards and finalisations as in a slot, but only those of the given evaluations and of the references that
they wait for; and instead of waiting for a bell it asks the database again and again. For debugging, for Windows, for
`vaeval run --inline`.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scheduler.exit_codes import ExitCode
from scheduler.id_runs import ids_of_argument
from scheduler.settings import Settings
from scheduler.usable_cores import usable_cores
from workers.device_pinning import SlotPlan, pinned_environment, plan_slots
from workers.devices import select_devices
from workers.program import run_program

if TYPE_CHECKING:
    from scheduler.composition import Application

LONGEST_WAIT_SECONDS = 1.0
"""How long to wait before asking again while others hold what is left."""


def work_until_over(application: Application, evaluation_ids: Sequence[int], plan: SlotPlan) -> int | None:
    """Work on these evaluations until they are finished, failed or cancelled.

    Returns:
        The exit code: 0, or 130 if SIGINT or SIGTERM came first; then the shard at hand was given back. None if this process
        is not to be trusted with another shard: a fresh one must go on.

    Raises:
        ServiceUnreachable: The database does not answer.
    """
    from scheduler.recovery import sweep_once
    from workers.repeat import repeat
    from workers.reporting import report_alive, retire
    from workers.shard_runner import RunOutcome, make_runner

    settings = application.settings
    worker = f"inline-{os.getpid()}@{socket.gethostname()}"
    runner = make_runner(application, worker, evaluation_ids)
    stop = threading.Event()
    is_interrupted = False

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal is_interrupted
        is_interrupted = True
        runner.interrupt()

    def report() -> None:
        report_alive(application.work, worker, pid=os.getpid(), plan=plan)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)
    reporting = repeat(report, every=settings.lease_seconds / 4, stop=stop)
    next_sweep = time.monotonic()
    try:
        while not (is_interrupted or runner.is_tainted) and not application.reads.progress(evaluation_ids).is_over:
            if time.monotonic() >= next_sweep:
                # Without the maintenance lease: who holds it must ring the bell, and to sweep twice does no harm.
                sweep_once(application.recovery)
                next_sweep = time.monotonic() + settings.sweep_seconds
            if runner.run_one() is RunOutcome.NOTHING_TO_DO and not is_interrupted:
                time.sleep(min(LONGEST_WAIT_SECONDS, settings.sweep_seconds))
    finally:
        stop.set()
        reporting.join()
        retire(application.work, [worker])
    is_over = is_interrupted or application.reads.progress(evaluation_ids).is_over
    if runner.is_tainted and not is_over:
        # The next program forgets what a handler of this one noted. Nothing is at hand now, so a signal may simply end us.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
    if is_interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.OK if is_over else None


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers.inline", description=__doc__)
    parser.add_argument(
        "--evaluations", required=True, type=ids_of_argument, help="ids, such as 3-5,9, or @FILE with them"
    )
    parser.add_argument("--devices", default="auto", help="auto, cpu, or a GPU by index or UUID; the first one is used")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    return parser.parse_args()


def work_inline(arguments: argparse.Namespace) -> int:
    """Pin this process, open the database, work. Returns the exit code."""
    devices = select_devices(arguments.devices, os.environ)[:1]
    (plan,) = plan_slots(devices, cores=len(usable_cores()), threads=arguments.threads)
    # Before anything below imports NumPy or TensorFlow: they read these variables once.
    os.environ.update(pinned_environment(plan.device, plan.threads, os.environ))
    from scheduler.composition import open_application

    with open_application(Settings.from_environment()) as application:
        code = work_until_over(application, arguments.evaluations, plan)
    return go_on_afresh() if code is None else code


def go_on_afresh() -> int:
    """The same program in a fresh process, as a slot gets a new pool process: a GPU that failed once may fail ever after."""
    command = [sys.executable, *sys.orig_argv[1:]]
    if os.name == "nt":  # there a process cannot become another program
        return subprocess.run(command, check=False).returncode
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter with our own arguments
    raise AssertionError("unreachable")


def main() -> int:
    """Parse the command line and work. Returns the exit code."""
    arguments = _parse()
    return run_program(lambda: work_inline(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
