"""Ends a process in good order when the process that started it is gone, however it went.

The parent keeps the writing end of our standard input open and never writes. When it dies, the kernel closes that end, we
read the end of the file, and take it as SIGTERM. Works wherever there are pipes and costs nothing while waiting.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def stop_with_parent() -> None:
    """Send SIGTERM to this process once its standard input is closed from the other side."""
    threading.Thread(target=_wait_for_end, args=(sys.stdin.fileno(),), name="parent-watch", daemon=True).start()


def _wait_for_end(descriptor: int) -> None:
    # Not sys.stdin.read(): a lock of its would be held at interpreter exit.
    while os.read(descriptor, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
