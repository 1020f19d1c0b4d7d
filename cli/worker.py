"""`vaeval worker`: becomes the worker program. The command line never imports the workers, so it replaces itself."""

from __future__ import annotations

import os
import sys

from cli.options import Devices, SlotsPerDevice, Threads, Workers


def worker(
    devices: Devices = "auto",
    workers: Workers = None,
    slots_per_device: SlotsPerDevice = None,
    threads: Threads = None,
) -> None:
    """Evaluate what is submitted, until stopped.

    One slot per device, each in a process of its own.

    Finds its database and broker by VAEVAL_DATABASE_URL and VAEVAL_BROKER_URL; without them it works for this machine's
    own home folder. It logs to stderr: JSON lines in a pipe, coloured ones on a terminal. SIGTERM or Ctrl-C finishes the
    shard at hand, then stops.

    \b
    Examples:
      vaeval worker
      vaeval worker --devices 0,1
      vaeval worker --devices GPU-4f1c --slots-per-device 2
      export VAEVAL_DATABASE_URL=postgresql://… VAEVAL_BROKER_URL=redis://…
      vaeval worker --devices auto
    """
    from cli.local_workers import worker_command
    from scheduler.settings import Settings

    Settings.from_environment()  # a wrong variable is told here, by this program's error messages
    command = worker_command(devices=devices, workers=workers, slots_per_device=slots_per_device, threads=threads)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606  our own interpreter, no shell
