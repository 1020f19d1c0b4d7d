"""Files of a folder as they are found there, whoever wrote them: listing them, and removing one that is still the same."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class FoundFile:
    """A file that is there, whoever wrote it.

    Attributes:
        key: Below the store's root; it may be that of a file that was never renamed, whose name begins with a dot.
        size: Bytes.
        modified: When it was written, by the clock of the disk or service; None if that does not say.
    """

    key: str
    size: int
    modified: datetime | None


def files_below(folder: Path) -> Iterator[FoundFile]:
    """All files of a folder and those below it; links are not followed and not listed."""
    for parent, _, names in os.walk(folder, followlinks=False, onerror=_unless_missing):
        for name in names:
            path = Path(parent, name)
            try:
                facts = path.lstat()
            except FileNotFoundError:  # removed meanwhile
                continue
            if stat.S_ISREG(facts.st_mode):
                yield FoundFile(path.relative_to(folder).as_posix(), facts.st_size, _written_at(facts))


def _written_at(facts: os.stat_result) -> datetime:
    return datetime.fromtimestamp(facts.st_mtime, UTC)


def remove_if_written_at(path: Path, modified: datetime | None) -> bool:
    """Remove a file, unless it was written at another time: it is put aside, looked at, and put back if it is another one.

    Whoever looks for the file meanwhile finds it, or none; never one that is about to go.

    Raises:
        FileNotFoundError: It is gone already.
        OSError: It cannot be removed.
    """
    aside = path.with_name(f".{path.name.lstrip('.')}.{secrets.token_hex(4)}")
    path.rename(aside)
    if modified is not None and _written_at(aside.lstat()) == modified:
        aside.unlink()
        return True
    try:
        os.link(aside, path)  # not over one that was written in this moment
    except FileExistsError:
        pass
    except OSError:  # a disk on which a file cannot have two names
        if not path.exists():
            aside.rename(path)
            return False
    aside.unlink()
    return False


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
