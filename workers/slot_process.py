"""The supervisor's view of one slot: start it, see it end, decide when to start it again, stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from workers.device_pinning import SlotPlan, pinned_environment

SLOT_PROGRAM = "workers.slot"
"""What a slot runs: a module, to be given its name and the cores that it may use, if not all."""

STABLE_SECONDS = 30.0
MAX_QUICK_DEATHS = 5
"""A slot that ends this often in a row, each time within `STABLE_SECONDS`, will not get better by itself."""

LONGEST_PAUSE_SECONDS = 15.0


@dataclass
class RestartPolicy:
    """How long to wait before a slot is started again: doubling pauses, then the end. Pure but for its count."""

    quick_deaths: int = 0

    def pause_after(self, uptime: float) -> float | None:
        """Seconds to wait before the next start, or None for no further start.

        >>> policy = RestartPolicy()
        >>> [policy.pause_after(1.0) for _ in range(6)]
        [0.5, 1.0, 2.0, 4.0, 8.0, None]
        """
        self.quick_deaths = 1 if uptime >= STABLE_SECONDS else self.quick_deaths + 1
        if self.quick_deaths > MAX_QUICK_DEATHS:
            return None
        return float(min(0.5 * 2 ** (self.quick_deaths - 1), LONGEST_PAUSE_SECONDS))


class SlotProcess:
    """One slot and its process, if it has one just now.

    Args:
        plan: Device and threads.
        name: Name of the worker in the database and for Celery.
        environment: What the process sees beside its device; holds the settings.
    """

    def __init__(self, plan: SlotPlan, name: str, environment: Mapping[str, str]) -> None:
        self.plan = plan
        self.name = name
        self.due_at: float | None = time.monotonic()
        self.starts = 0
        self._environment = pinned_environment(plan.device, plan.threads, environment)
        self._policy = RestartPolicy()
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0

    @property
    def pid(self) -> int | None:
        """Process number, or None while the slot has no process."""
        return self._process.pid if self._process is not None else None

    @property
    def is_kept_running(self) -> bool:
        """False once it has ended too often."""
        return self._process is not None or self.due_at is not None

    def start(self) -> None:
        """Start the process, in a group of its own with all that it starts."""
        self.due_at = None
        self.starts += 1
        self._started_at = time.monotonic()
        self._process = subprocess.Popen(
            # -P: a folder called `workers` where the command is typed must not be taken for this package.
            [sys.executable, "-P", "-m", SLOT_PROGRAM, self.name, *map(str, sorted(self.plan.device.cores))],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # where Celery says goodbye in plain text; logs go to stderr
            start_new_session=True,
        )

    def collect(self) -> int | None:
        """The exit code if the process has ended since the last call; then `due_at` says when to start the next.

        `due_at` stays None if the slot has ended too often.
        """
        if self._process is None or self._process.poll() is None:
            return None
        code = self._process.returncode
        self._close()
        now = time.monotonic()
        pause = self._policy.pause_after(now - self._started_at)
        self.due_at = None if pause is None else now + pause
        return int(code)

    def drain(self) -> None:
        """Ask the slot to finish its shard and stop."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def give_back(self) -> None:
        """Ask the pool process too: its shard is given back after the current batch."""
        self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """End the slot and everything that it started."""
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):  # gone; macOS says the latter of a group of zombies
            return

    def _close(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None
