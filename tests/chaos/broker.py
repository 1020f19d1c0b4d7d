"""A Valkey server that a schedule may kill, start again with or without its file, and wipe."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import redis

from scheduler.queue.embedded_broker import server_binary

START_SECONDS = 30.0


class Broker:
    """Listens on a unix socket in its folder; the folder's path must be short."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = folder / "valkey.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start, with what its file holds, unless it runs; return when it answers."""
        if self._process is not None:
            return
        command = [str(server_binary()), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self._folder)]
        command += ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--loglevel", "warning"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, "the broker does not start"
            time.sleep(0.01)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """While it is down: what it had written is gone too."""
        shutil.rmtree(self._folder / "appendonlydir", ignore_errors=True)

    def wipe(self) -> None:
        """FLUSHALL."""
        with self._client() as client:
            client.flushall()

    def _answers(self) -> bool:
        try:
            with self._client() as client:
                return bool(client.ping())
        except (redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError):
            return False

    def _client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket))
