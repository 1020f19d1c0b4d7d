"""What earlier surveys of a folder found, so that unchanged files are not read again.

When a file counts as unchanged, `vaeval_core.file_stamps` says; the survey «began» when the file system itself stamped the
cache's new file.

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

from vaeval_core.file_stamps import FileStamp

_VERSION = 2  # raised when `decoding.decode` accepts other files than before, and with other stamps


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
        self._current: dict[str, tuple[FileStamp, ImageFile]] = {}
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
        if entry is None or entry[0] != FileStamp.of(self._root / path):
            return None
        self._current[path] = entry
        return entry[1]

    def store(self, facts: ImageFile, stamp: FileStamp | None) -> None:
        """Keep facts on a file; `stamp` is from before it was read."""
        if stamp is not None and stamp.is_settled(self._began_nanoseconds):
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
            [facts.path, *stamp, facts.digest, facts.width, facts.height] for stamp, facts in self._current.values()
        ]
        return json.dumps({"version": _VERSION, "root": str(self._root), "files": files})


def _load(file: Path) -> dict[str, tuple[FileStamp, ImageFile]]:
    """Entries by path; none if there is no such file, or one that this version did not write."""
    entries: dict[str, tuple[FileStamp, ImageFile]] = {}
    with suppress(OSError, ValueError, TypeError, KeyError):
        content = json.loads(file.read_text(encoding="ascii"))
        if content["version"] == _VERSION:
            for path, *stamp, digest, width, height in content["files"]:
                facts = ImageFile(path=path, digest=digest, width=width, height=height)
                entries[path] = (FileStamp(*stamp), facts)
    return entries
