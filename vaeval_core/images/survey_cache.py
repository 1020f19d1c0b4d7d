"""What earlier surveys of a folder found, so that unchanged files are not read again.

A file counts as unchanged while its size and modification time stay as they were. One trap: a file that changes twice
within one tick of the file system's clock looks unchanged. So facts are kept only for files that were two seconds old
when the survey began (Git's index has the same trap and the same answer), and «began» is the time at which the file
system itself stamped the cache's new file: no other clock is asked.

Losing the cache costs time and nothing else, so whatever goes wrong with it is passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_VERSION = 1  # raised when `decoding.decode` accepts other files than before
_SETTLED_NANOSECONDS = 2 * 10**9


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """What is known about one readable image file.

    Attributes:
        path: Relative to the root, forward slashes.
        digest: sha256 of its bytes.
        width: Pixels.
        height: Pixels.
    """

    path: str
    digest: str
    width: int
    height: int


@dataclass(frozen=True)
class Stamp:
    """How a changed file is noticed without reading it."""

    size: int
    modified_nanoseconds: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """The stamp of a file now; one that nothing equals if there is no such file (reading it will say so)."""
        try:
            status = path.stat()
        except OSError:
            return cls(-1, -1)
        return cls(status.st_size, status.st_mtime_ns)


class SurveyCache:
    """Facts on the files of one root, in one JSON file named after it. Not thread-safe.

    Args:
        root: Resolved path of the folder of images.
        folder: Where the caches of all roots are; made if missing.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._file = folder / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:32]}.json"
        self._earlier = _load(self._file)
        self._current: dict[str, tuple[Stamp, ImageFile]] = {}
        self._has_news = False
        self._new_file: Path | None = None
        self._began_nanoseconds = 0
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=folder, suffix=".new")
            os.close(handle)
            self._new_file = Path(name)
            self._began_nanoseconds = self._new_file.stat().st_mtime_ns

    def look_up(self, path: str) -> ImageFile | None:
        """What is known about a file, None if nothing or if it changed."""
        entry = self._earlier.get(path)
        if entry is None or entry[0] != Stamp.of(self._root / path):
            return None
        self._current[path] = entry
        return entry[1]

    def store(self, facts: ImageFile, stamp: Stamp) -> None:
        """Keep facts on a file; `stamp` is from before it was read."""
        if stamp.modified_nanoseconds < self._began_nanoseconds - _SETTLED_NANOSECONDS:
            self._current[facts.path] = (stamp, facts)
            self._has_news = True

    def close(self) -> None:
        """Replace the file, in one step, by what this survey looked up and stored."""
        if self._new_file is None:
            return
        with suppress(OSError):
            if self._has_news:
                self._new_file.write_text(self._as_json(), encoding="ascii")
                self._new_file.replace(self._file)
        with suppress(OSError):
            self._new_file.unlink(missing_ok=True)

    def _as_json(self) -> str:
        files = [
            [facts.path, stamp.size, stamp.modified_nanoseconds, facts.digest, facts.width, facts.height]
            for stamp, facts in self._current.values()
        ]
        return json.dumps({"version": _VERSION, "root": str(self._root), "files": files})


def _load(file: Path) -> dict[str, tuple[Stamp, ImageFile]]:
    """Entries by path; none if there is no such file, or one that this version did not write."""
    entries: dict[str, tuple[Stamp, ImageFile]] = {}
    with suppress(OSError, ValueError, TypeError, KeyError):
        content = json.loads(file.read_text(encoding="ascii"))
        if content["version"] == _VERSION:
            for path, size, modified, digest, width, height in content["files"]:
                facts = ImageFile(path=path, digest=digest, width=width, height=height)
                entries[path] = (Stamp(size, modified), facts)
    return entries
