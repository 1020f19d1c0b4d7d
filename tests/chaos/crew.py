"""Hosts with workers, and a scheduler: real processes, each in a home folder of its own, that reach servers through proxies.

Every process that is started here carries the folder of orders in its environment. By that the whole family is found again and
ended, also what outlived its parent.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

PROJECT = Path(__file__).parents[2]
CLOCK_OFF = Path(__file__).with_name("clock_off")
"""Holds a `sitecustomize` that sets the clock of a Python process by CHAOS_CLOCK."""

LEASE_SECONDS = 2.0
SWEEP_SECONDS = 0.5
ORDERS = "CHAOS_ORDERS"


class Member:
    """A process that is kept running."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._command = command
        self._environment = dict(environment)
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.process is not None and self.process.poll() is None:
            return
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._log.parent,
                start_new_session=True,
            )

    def kill(self) -> None:
        """kill -9 of this process alone."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def worker(self) -> str:
        """Name of the worker in its one slot."""
        return "" if self.process is None else f"slot0-{self.process.pid}@{socket.gethostname()}"

    def terminate(self) -> None:
        """SIGTERM: it is to stop in good order."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def reap(self) -> None:
        """After its end: nothing of it is left."""
        if self.process is not None:
            self.process.wait()

    def supervisors(self) -> list[psutil.Process]:
        """The process itself, as one that can be stopped."""
        try:
            return [] if self.process is None or self.process.poll() is not None else [psutil.Process(self.process.pid)]
        except psutil.NoSuchProcess:
            return []

    def slots(self) -> list[psutil.Process]:
        """Parents of the slots."""
        below = [child for supervisor in self.supervisors() for child in _children(supervisor)]
        return [child for child in below if "tests.chaos.slot_entry" in _command_line(child)]

    def pool_processes(self) -> list[psutil.Process]:
        """Those that compute."""
        below = [child for slot in self.slots() for child in _children(slot)]
        return [child for child in below if "billiard.spawn" in " ".join(_command_line(child))]


def worker_host(name: str, folder: Path, settings: Mapping[str, str], *, clock: float = 0.0) -> Member:
    """A host with one slot, whose clock is off by so many seconds."""
    command = [sys.executable, "-P", "-m", "tests.chaos.worker_entry", "--devices", "cpu", "--threads", "1"]
    path = os.pathsep.join(map(str, (CLOCK_OFF, PROJECT)))
    more = {"CHAOS_CLOCK": str(clock), "PYTHONPATH": path} if clock else {}
    return Member(name, command, _environment(name, folder, settings) | more, folder / f"{name}.log")


def scheduler_host(folder: Path, settings: Mapping[str, str]) -> Member:
    """A host that only watches."""
    command = [sys.executable, "-P", "-c", "from cli.main import main; main()", "scheduler"]
    environment = _environment("scheduler", folder, settings)
    return Member("scheduler", command, environment, folder / "scheduler.log")


def submitter(folder: Path, settings: Mapping[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    """A process that submits a workload of the suite."""
    command = [sys.executable, "-P", "-m", "tests.chaos.submit_entry", *arguments]
    return subprocess.Popen(command, env=_environment("submitter", folder, settings), stdin=subprocess.DEVNULL)


def _environment(name: str, folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    others = {key: value for key, value in os.environ.items() if not key.startswith(("VAEVAL_", "CHAOS_"))}
    return others | {
        "PYTHONPATH": str(PROJECT),
        "VAEVAL_HOME": str(folder / name),
        "VAEVAL_LEASE_SECONDS": str(LEASE_SECONDS),
        "VAEVAL_SWEEP_SECONDS": str(SWEEP_SECONDS),
        "OMP_NUM_THREADS": "1",
        ORDERS: str(folder / "orders"),
        **settings,
    }


def family(folder: Path) -> Iterator[psutil.Process]:
    """Every process that carries these orders, whoever its parent is by now."""
    orders = str(folder / "orders")
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(ORDERS) == orders and process.pid != os.getpid():
                yield process


def end_family(folder: Path) -> None:
    """kill -9 of all that was started for this folder."""
    for member in family(folder):
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()


def thaw(folder: Path) -> int:
    """SIGCONT for every member that is stopped. Returns how many were."""
    count = 0
    for member in family(folder):
        with contextlib.suppress(psutil.Error):
            if member.status() == psutil.STATUS_STOPPED:
                member.resume()
                count += 1
    return count


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children())
    except psutil.Error:
        return []


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
