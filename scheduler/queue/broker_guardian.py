"""Keeps the embedded Valkey server running while anybody uses it, and stops it when nobody does.

A program of its own, started by `embedded_broker` as a detached process, one per installation:

    users       hold users.lock shared: any number of processes, for as long as they like
    guardian    holds guardian.lock; waits for users.lock alone, which it gets when the last user is gone

The kernel releases the lock of a process that dies, however it dies, so no user has to say goodbye and no count can be
wrong. Until then a server that dies is started again; its append-only file brings the messages back.

Run by path with `python -I`, so it imports the standard library alone and starts in a few hundredths of a second.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

USERS_LOCK = "users.lock"
GUARDIAN_LOCK = "guardian.lock"

STOP_SECONDS = 10.0
"""How long the server may take to write its file and go."""

STABLE_SECONDS = 5.0
MAX_QUICK_DEATHS = 3
"""A server that dies this often in a row within `STABLE_SECONDS` cannot be helped by starting it again."""


class Guardian:
    """One server process, and the two reasons to stop it: no users left, or a signal.

    Args:
        command: The server with its arguments.
        users_lock: Open file whose exclusive lock means that no user is left.
    """

    def __init__(self, command: list[str], users_lock: int) -> None:
        self._command = command
        self._users_lock = users_lock
        self._stop = threading.Event()
        self._server: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Until nobody uses the server. Returns the exit code: 0, or 1 if the server cannot be kept running."""
        signal.signal(signal.SIGTERM, lambda *_: self._stop_server())
        threading.Thread(target=self._wait_for_last_user, daemon=True).start()
        quick_deaths = 0
        while not self._stop.is_set() and quick_deaths < MAX_QUICK_DEATHS:
            started = time.monotonic()
            self._server = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
            if self._stop.is_set():  # asked to stop between the check and the start
                self._stop_server()
            self._server.wait()
            quick_deaths = quick_deaths + 1 if time.monotonic() - started < STABLE_SECONDS else 0
        return 0 if self._stop.is_set() else 1

    def _wait_for_last_user(self) -> None:
        # Held until this process ends: a user that comes now waits, then finds no guardian and starts the next.
        fcntl.flock(self._users_lock, fcntl.LOCK_EX)
        self._stop_server()

    def _stop_server(self) -> None:
        self._stop.set()
        server = self._server
        if server is None:
            return
        server.terminate()
        deadline = threading.Timer(STOP_SECONDS, server.kill)
        deadline.daemon = True
        deadline.start()


def _detach() -> None:
    """Leave the starter's session and become nobody's child, so that the starter has no process to wait for."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")


def main() -> int:
    """Take the guardian's lock and keep the server. Returns the exit code.

    Arguments of the command line: the broker's folder, the server's socket, the server's command.
    """
    folder, socket = Path(sys.argv[1]), Path(sys.argv[2])
    command = sys.argv[3:]
    guardian_lock = os.open(folder / GUARDIAN_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(guardian_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0  # another guardian was faster
    _detach()  # after the lock, which the copy keeps: once the starter's call returns, there is a guardian
    socket.unlink(missing_ok=True)
    users_lock = os.open(folder / USERS_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        return Guardian(command, users_lock).run()
    finally:
        socket.unlink(missing_ok=True)


if __name__ == "__main__":
    raise SystemExit(main())
