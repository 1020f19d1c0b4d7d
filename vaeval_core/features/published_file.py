"""A weights file that somebody publishes, and how to tell whether a file on this machine is that one.

Publishers give digests of different kinds: Keras an md5, PyTorch users a sha256, and of TensorFlow's graph there is the
name that git gave the file in a public repository. All are checked before the content is looked at. Of an archive, the
digest is that of the one file in it that counts; it is read in memory, and nothing is ever unpacked to disk.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from vaeval_core.errors import InvalidInput

Algorithm = Literal["md5", "sha256", "git blob sha1"]

MOST_BYTES = 1 << 30
"""Beyond this size nothing is a weights file: no member of an archive is read, and no download goes on."""

_CHUNK = 1 << 20


@dataclass(frozen=True)
class PublishedFile:
    """A weights file that somebody publishes.

    Attributes:
        name: File name.
        url: Where it is had; http or https.
        algorithm: What the digest is.
        digest: Hex digest that its publisher gives.
        member: For a .tgz, the file in it whose digest this is.
    """

    name: str
    url: str
    algorithm: Algorithm
    digest: str
    member: str | None = None

    @property
    def known_by(self) -> str:
        """Algorithm and digest as words.

        >>> PublishedFile("a.tgz", "https://example.org/a.tgz", "md5", "900150983cd24fb0d6963f7d28e17f72", "a").known_by
        'md5 900150983cd24fb0d6963f7d28e17f72 of a in it'
        """
        return f"{self.algorithm} {self.digest}" + (f" of {self.member} in it" if self.member else "")

    def digest_in(self, path: Path) -> str:
        """What the digest of this file is, taken of another one.

        Raises:
            OSError: It cannot be read.
            InvalidInput: It is no archive with that member.
        """
        with open_content(path, self.member) as (content, size):
            if self.algorithm == "git blob sha1":
                running = hashlib.sha1(f"blob {size}\0".encode("ascii"), usedforsecurity=False)
            else:
                running = hashlib.new(self.algorithm, usedforsecurity=False)
            while chunk := content.read(_CHUNK):
                running.update(chunk)
        return running.hexdigest()

    def is_in(self, path: Path) -> bool:
        """True if this file is there, under whatever name.

        Raises:
            OSError: It cannot be read.
        """
        if not path.is_file():
            return False
        try:
            return self.digest_in(path) == self.digest
        except InvalidInput:
            return False


@contextmanager
def open_content(path: Path, member: str | None) -> Iterator[tuple[IO[bytes], int]]:
    """Open a file, or one file in a .tgz, to read; with its size in bytes.

    Only a plain file at the top of the archive is taken: a name that leads elsewhere, or a link, is none.

    Raises:
        OSError: The file cannot be read.
        InvalidInput: It is no archive, is cut off, or has no such member.
    """
    if member is None:
        with path.open("rb") as content:
            yield content, os.fstat(content.fileno()).st_size
        return
    try:
        with tarfile.open(path, "r:gz") as archive:
            entry = _entry(archive, member, path)
            in_archive = archive.extractfile(entry)
            if in_archive is None:
                raise _no_member(path, member, [entry.name])
            yield in_archive, entry.size
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InvalidInput(
            "The archive of weights cannot be read.",
            received=f"{path}: {' '.join(str(error).split())}",
            expected=f"a whole .tgz with {member} in it",
            next_step="bring the file again",
        ) from error


def _entry(archive: tarfile.TarFile, member: str, path: Path) -> tarfile.TarInfo:
    others = []
    for entry in archive:
        if entry.name in {member, f"./{member}"} and entry.isreg() and entry.size <= MOST_BYTES:
            return entry
        others.append(entry.name + ("" if entry.isreg() else " (no plain file)"))
    raise _no_member(path, member, others)


def _no_member(path: Path, member: str, others: list[str]) -> InvalidInput:
    return InvalidInput(
        f"The archive holds no weights under the name {member}.",
        received=f"{path}: {', '.join(others[:5]) or 'nothing'}",
        expected=f"a .tgz with the plain file {member}, of at most {MOST_BYTES:,} bytes, at its top",
        next_step="vaeval weights list shows which files can be imported",
    )
