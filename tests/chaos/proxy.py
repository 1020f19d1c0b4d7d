"""A TCP port that leads to a server's unix socket, and can stop forwarding without a word: a half-open connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path


class Proxy:
    """Listens on 127.0.0.1, on a port of its own.

    Args:
        target: Socket of the server; looked for with each new connection, so the server may come and go.
        tls: With it, clients must speak TLS; what goes on to the server is plain.
    """

    def __init__(self, target: Path, tls: ssl.SSLContext | None = None) -> None:
        self._target = target
        self._tls = tls
        self._flows = threading.Event()
        self._flows.set()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def stop_forwarding(self) -> None:
        """From now on nothing comes through, in either direction; nobody is told."""
        self._flows.clear()

    def recover(self) -> None:
        """Break every connection, as a router does that was restarted, and let new ones through."""
        with self._lock:
            broken, self._sockets = self._sockets, set()
        for each in broken:
            _close(each)
        self._flows.set()

    def close(self) -> None:
        """Stop listening, and break every connection."""
        _close(self._listener)
        self.recover()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._flows.wait()
            server = socket.socket(socket.AF_UNIX)
            try:
                if self._tls is not None:
                    client = self._tls.wrap_socket(client, server_side=True)
                server.connect(str(self._target))
            except OSError:  # the server is away, or the client refuses us: to the client it is the same
                _close(server)
                _close(client)
                continue
            with self._lock:
                self._sockets |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), name="proxy", daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                self._flows.wait()
                sink.sendall(data)
        except OSError:
            pass
        with self._lock:
            self._sockets -= {source, sink}
        _close(source)
        _close(sink)


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
