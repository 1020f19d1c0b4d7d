"""Digests of files that were read before and did not change since: a sweep that is submitted again is not read again.

When a file counts as unchanged, `vaeval_core.file_stamps` says.

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
from vaeval_core.file_stamps import FileStamp

_VERSION = 2


class DigestCache:
    """sha256 of files, in a `with` statement that writes down what is new at its end. Not thread-safe.

    with DigestCache(home / "digests") as digests:
        describe(path, file_digest=digests.of)

    Args:
        folder: Where it is kept, one file for all checkpoints that lie side by side; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._groups: dict[Path, dict[str, tuple[FileStamp, str]]] = {}
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
        stamp = FileStamp.of(path)
        if stamp is None:
            return file_digest(path)  # which says why, if it cannot
        group = self._group_of(path)
        known = group.get(str(path))
        if known is not None and known[0] == stamp:
            return known[1]
        digest = file_digest(path)
        if stamp.is_settled(self._began_nanoseconds):
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

    def _group_of(self, path: Path) -> dict[str, tuple[FileStamp, str]]:
        file = self._file_of(path)
        if file not in self._groups:
            self._groups[file] = _read(file)
        return self._groups[file]

    def _file_of(self, path: Path) -> Path:
        folder = path.parent.parent
        if folder not in self._files:
            self._files[folder] = self._folder / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.json"
        return self._files[folder]


def _read(file: Path) -> dict[str, tuple[FileStamp, str]]:
    """Entries by path; none if there is no such file, or one that this version did not write."""
    entries: dict[str, tuple[FileStamp, str]] = {}
    with suppress(OSError, ValueError, TypeError, KeyError):
        content = json.loads(file.read_text(encoding="ascii"))
        if content["version"] == _VERSION:
            for path, *stamp, digest in content["files"]:
                entries[path] = (FileStamp(*stamp), digest)
    return entries


def _write(file: Path, entries: dict[str, tuple[FileStamp, str]]) -> None:
    """In one step. Files that are gone since are left out, so that it does not grow for ever."""
    files = [[path, *stamp, digest] for path, (stamp, digest) in entries.items() if os.path.exists(path)]  # noqa: PTH110
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    with suppress(OSError):
        try:
            unfinished.write_text(json.dumps({"version": _VERSION, "files": files}), encoding="ascii")
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
