"""Digests of files that were read before and did not change since: a sweep that is submitted again is not read again.

A file counts as unchanged while its size, its times of modification and of change, and its number on the disk stay as they
were. To write other bytes of the same length and set the modification time back, as `cp -p` and `rsync -t` do, changes the time
of change, which no program can set. One trap is left: a file that changes twice within one tick of the file system's clock. So
a digest is kept only if the file was two seconds old before it was read.

A worker never asks here: it reads what it loads, and refuses what is not what was submitted. Nothing but digests is kept, which
follow from the bytes alone; what a checkpoint *is* may be seen otherwise by the next version of this program. Losing the cache
costs time, so whatever goes wrong with it is passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from vaeval_core.checkpoints.content_digest import file_digest

_VERSION = 1
_SETTLED_NANOSECONDS = 2 * 10**9

_Stamp = tuple[int, int, int, int]
"""Size, modified, changed (both in nanoseconds), inode."""


class DigestCache:
    """sha256 of files, in a `with` statement that writes down what is new at its end. Not thread-safe.

    with DigestCache(home / "digests") as digests:
        describe(path, file_digest=digests.of)

    Args:
        folder: Where it is kept, one file for all checkpoints that lie side by side; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._groups: dict[Path, dict[str, tuple[_Stamp, str]]] = {}
        self._files: dict[Path, Path] = {}
        self._with_news: set[Path] = set()
        self._began_nanoseconds = 0
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            # The clock of the disk, not ours: that of a file server may be another.
            with tempfile.TemporaryFile(dir=folder) as stamped:
                self._began_nanoseconds = os.fstat(stamped.fileno()).st_mtime_ns

    def of(self, path: Path) -> str:
        """The sha256 of the file.

        Raises:
            CheckpointRejected: It cannot be read.
        """
        stamp = _stamp(path)
        if stamp is None:
            return file_digest(path)  # which says why
        group = self._group_of(path)
        known = group.get(str(path))
        if known is not None and known[0] == stamp:
            return known[1]
        digest = file_digest(path)
        if max(stamp[1], stamp[2]) < self._began_nanoseconds - _SETTLED_NANOSECONDS:
            group[str(path)] = (stamp, digest)
            self._with_news.add(self._file_of(path))
        return digest

    def __enter__(self) -> DigestCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._with_news:
            _write(file, self._groups[file])

    def _group_of(self, path: Path) -> dict[str, tuple[_Stamp, str]]:
        file = self._file_of(path)
        if file not in self._groups:
            self._groups[file] = _read(file)
        return self._groups[file]

    def _file_of(self, path: Path) -> Path:
        folder = path.parent.parent
        if folder not in self._files:
            self._files[folder] = self._folder / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.json"
        return self._files[folder]


def _stamp(path: Path) -> _Stamp | None:
    try:
        # Opened, not only looked at: that makes a client of a file server ask whether what it remembers is still so.
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _read(file: Path) -> dict[str, tuple[_Stamp, str]]:
    """Entries by path; none if there is no such file, or one that this version did not write."""
    entries: dict[str, tuple[_Stamp, str]] = {}
    with suppress(OSError, ValueError, TypeError, KeyError):
        content = json.loads(file.read_text(encoding="ascii"))
        if content["version"] == _VERSION:
            for path, size, modified, changed, inode, digest in content["files"]:
                entries[path] = ((size, modified, changed, inode), digest)
    return entries


def _write(file: Path, entries: dict[str, tuple[_Stamp, str]]) -> None:
    """In one step. Files that are gone since are left out, so that it does not grow for ever."""
    files = [[path, *stamp, digest] for path, (stamp, digest) in entries.items() if os.path.exists(path)]  # noqa: PTH110
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    with suppress(OSError):
        try:
            unfinished.write_text(json.dumps({"version": _VERSION, "files": files}), encoding="ascii")
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
