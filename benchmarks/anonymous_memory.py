"""Memory that a computation takes at most, as Linux counts it: without cached files, with what libraries take for themselves.

The peak that the kernel keeps of a process (`ru_maxrss`) will not do: it holds mapped files, what was freed before the
computation began, and what the parent had when it forked.
"""

from __future__ import annotations

import threading
from pathlib import Path

EVERY_SECONDS = 0.005


class AnonymousMemory:
    """Looks at the anonymous memory of this process every few milliseconds while the block runs.

    Attributes:
        gained: MiB that there were more than before the block, at most; None where the system does not tell.
    """

    def __enter__(self) -> AnonymousMemory:
        self.gained: float | None = None
        self._before = self._most = anonymous_mebibytes()
        self._is_over = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()
        return self

    def _watch(self) -> None:
        while self._most is not None and not self._is_over.wait(EVERY_SECONDS):
            self._most = max(self._most, anonymous_mebibytes() or 0)

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._watching.join()
        if self._most is not None and self._before is not None:
            self.gained = self._most - self._before


def anonymous_mebibytes() -> float | None:
    """Memory of this process that is no part of a file; None where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:")), None)
