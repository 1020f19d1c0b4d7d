"""How a file that was read before is known to be unchanged without reading it: what both caches of digests go by.

A file counts as unchanged while its size, its times of modification and of change, its number on the disk and the disk itself
stay as they were. To write other bytes of the same length and set the modification time back, as `cp -p` and `rsync -t` do,
changes the time of change, which no program can set. A file system that keeps no such time, as some in user space do, is not
trusted.

One trap is left: a file that changes twice within one tick of the file system's clock. So nothing is kept of a file that was
not two seconds old before it was read (Git's index has the same trap and the same answer), by the clock of the disk where the
cache is: that of a file server may be another than ours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

SETTLED_NANOSECONDS = 2 * 10**9


class FileStamp(NamedTuple):
    """What is compared."""

    size: int
    modified_nanoseconds: int
    changed_nanoseconds: int
    inode: int
    device: int

    @classmethod
    def of(cls, path: Path) -> FileStamp | None:
        """The stamp of a file now; None if it cannot be opened, or its file system keeps no time of change."""
        try:
            # Opened, not only looked at: that makes a client of a file server ask whether what it remembers is still so.
            with path.open("rb") as file:
                return cls.from_status(os.fstat(file.fileno()))
        except OSError:
            return None

    @classmethod
    def from_status(cls, status: os.stat_result) -> FileStamp | None:
        """The same of what the operating system says."""
        if status.st_ctime_ns <= 0:
            return None
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)

    def is_settled(self, began_nanoseconds: int) -> bool:
        """True if the file was old enough when somebody began to look at files."""
        latest = max(self.modified_nanoseconds, self.changed_nanoseconds)
        return latest < began_nanoseconds - SETTLED_NANOSECONDS
