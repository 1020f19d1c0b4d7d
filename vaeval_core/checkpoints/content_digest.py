"""The digest of a checkpoint: sha256 over its files' names and contents, so that a file altered later is noticed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from vaeval_core.errors import CheckpointRejected


def file_digest(path: Path) -> str:
    """sha256 of a file, read in pieces, whatever its size.

    Raises:
        CheckpointRejected: It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointRejected(
            "A file of the checkpoint cannot be read.",
            received=f"{path} ({error.strerror or error})",
            expected="a readable file",
            next_step="make it readable for this user, then run the same command again",
        ) from error


def content_digest(files: Iterable[Path], *, file_digest: Callable[[Path], str] = file_digest) -> str:
    """sha256 over one line per file, its name and the sha256 of its content, sorted by name.

    Folders are no part of it: a checkpoint that is moved or copied keeps its digest.

    Args:
        files: Files of one folder.
        file_digest: sha256 of a file; a cache may know it without reading.

    Raises:
        CheckpointRejected: A file cannot be read.
    """
    lines = sorted(f"{path.name}\0{file_digest(path)}\n" for path in files)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
