"""The folder where weight files live, named by what is in them.

    <sha256>.h5                a file as it was published, or as the user brought it
    <digest>.safetensors       tensors that `converted_weights` made out of another format, and their digest
    <label>.sha256             points at one of them: it was compared with a digest that its publisher gives
    <name>.partial             a download that runs or broke off; never read as weights

A file appears under its name whole or not at all: it is written under another name, hashed on the way, flushed to disk,
then renamed, by one process at a time. So many workers may start at once, one may be killed, and a name that exists can
be trusted up to decay on disk, which `holds` notices. `published_weights` fills the folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import filelock

from vaeval_core.errors import StorageFailed, WeightsUnavailable

LOCK_SECONDS = 600.0
"""How long to wait for another process that writes to the same folder."""

_CHUNK = 1 << 20
_UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class Digests:
    """What identifies a file's content: sha256 to us, md5 to some who publish weights; hex. Size in bytes."""

    sha256: str
    md5: str
    size: int


def digests_of(path: Path) -> Digests:
    """Read a file once and say what it is."""
    with path.open("rb") as content:
        return _read_through(content, lambda _chunk: None)


class WeightsFolder:
    """Weight files by content, and labels: names that point at one of them.

    Args:
        folder: The folder; made when something is first written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path_of(self, sha256: str) -> Path:
        """Where the file of this content is, if it is there."""
        return self.folder / f"{sha256}.h5"

    def converted_path_of(self, digest: str) -> Path:
        """Where converted tensors of this digest are, if they are there."""
        return self.folder / f"{digest}.safetensors"

    def partial_path_of(self, name: str) -> Path:
        """Where a download of that name grows."""
        return self.folder / f"{name}.partial"

    def files(self, pattern: str) -> tuple[Path, ...]:
        """Files of the folder by name, sorted; none if there is no folder.

        Raises:
            StorageFailed: The folder is there and cannot be read.
        """
        with self.storage_errors():
            return tuple(sorted(self.folder.glob(pattern))) if self.folder.is_dir() else ()

    def holds(self, sha256: str) -> bool:
        """True if the file is there and undamaged (reads all of it).

        Raises:
            StorageFailed: It is there and cannot be read.
        """
        path = self.path_of(sha256)
        with self.storage_errors():
            return path.is_file() and digests_of(path).sha256 == sha256

    def labelled(self, label: str) -> str | None:
        """Digest in the name of the file that a label points at; None if there is no such label or undamaged file."""
        path = self.target_of(label)
        with self.storage_errors():
            if path is None or not path.is_file():
                return None
            sha256 = self._record_of(label).read_text(encoding="utf-8", errors="replace").partition(" ")[0]
            return path.stem if digests_of(path).sha256 == sha256 else None

    def target_of(self, label: str) -> Path | None:
        """The file that a label points at, whatever its state; None if there is no such label.

        Raises:
            StorageFailed: The label is there and cannot be read.
        """
        record = self._record_of(label)
        with self.storage_errors():
            if not record.is_file():
                return None
            name = record.read_text(encoding="utf-8", errors="replace").rstrip("\n").partition("  ")[2]
        # A label leads to no other folder, whoever wrote it.
        return self.folder / name if name and Path(name).name == name else None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one process that writes here; what a killed one left unfinished is removed.

        Raises:
            WeightsUnavailable: Another process writes for longer than `LOCK_SECONDS`.
            StorageFailed: The folder cannot be read or written.
        """
        with self.storage_errors():
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.folder / ".lock")
            try:
                lock.acquire(timeout=LOCK_SECONDS)
            except filelock.Timeout as error:
                raise WeightsUnavailable(
                    "Another process is still fetching weights.",
                    received=f"{self.folder / '.lock'} held for more than {LOCK_SECONDS:g} seconds",
                    expected="the lock to become free",
                    next_step="wait for the other process or end it, then try again",
                ) from error
        try:
            with self.storage_errors():
                for left_over in self.folder.glob(f"*{_UNFINISHED}"):
                    left_over.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def add(self, source: BinaryIO, check: Callable[[Digests], None] = lambda _digests: None) -> Digests:
        """Copy a stream to its place. Only inside `writing`.

        Args:
            source: Read to its end; its own errors pass through.
            check: Told what arrived before it gets its name; raises to refuse it, and nothing is left behind.

        Raises:
            StorageFailed: The folder cannot be read or written.
        """
        with self._unfinished() as unfinished:
            with self.storage_errors():
                target = unfinished.open("xb")
            with target:

                def write(chunk: bytes) -> None:
                    with self.storage_errors():
                        target.write(chunk)

                digests = _read_through(source, write)
                with self.storage_errors():
                    _flush(target)
            check(digests)
            self._name(unfinished, self.path_of(digests.sha256))
        return digests

    def keep(self, partial: Path, sha256: str) -> None:
        """Give a finished download, flushed and found to be what it should be, its place. Only inside `writing`."""
        self._name(partial, self.path_of(sha256))

    def discard(self, partial: Path) -> None:
        """Remove a download. Only inside `writing`."""
        with self.storage_errors():
            partial.unlink(missing_ok=True)

    def write(self, path: Path, content: bytes) -> None:
        """Write a whole file of this folder. Only inside `writing`."""
        with self._unfinished() as unfinished:
            with self.storage_errors(), unfinished.open("xb") as target:
                target.write(content)
                _flush(target)
            self._name(unfinished, path)

    def label(self, label: str, path: Path) -> None:
        """Make a label point at a file. Only inside `writing`. The record can be read by `sha256sum --check`."""
        with self.storage_errors():
            sha256 = digests_of(path).sha256
        self.write(self._record_of(label), f"{sha256}  {path.name}\n".encode())

    def _record_of(self, label: str) -> Path:
        return self.folder / f"{label}.sha256"

    @contextmanager
    def _unfinished(self) -> Iterator[Path]:
        """A free path to write at, gone afterwards unless it was renamed."""
        path = self.folder / f"{uuid.uuid4().hex}{_UNFINISHED}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _name(self, unfinished: Path, final: Path) -> None:
        """Give a flushed file its name, and flush the folder so that the name outlives a power cut."""
        with self.storage_errors():
            unfinished.replace(final)
            descriptor = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    @contextmanager
    def storage_errors(self) -> Iterator[None]:
        """Say of an operating system error inside that it is about this folder."""
        try:
            yield
        except OSError as error:
            raise StorageFailed(
                "The weights folder cannot be used.",
                received=f"{self.folder} ({error.strerror or error})",
                expected=f"a folder to read and write, with room for the file; free there: {self._free_space()}",
                next_step="free some space, or set VAEVAL_HOME to another place",
            ) from error

    def _free_space(self) -> str:
        try:
            return f"{shutil.disk_usage(self.folder).free / 1e6:,.0f} MB"
        except OSError:
            return "unknown"


def _read_through(source: BinaryIO, use: Callable[[bytes], None]) -> Digests:
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    while chunk := source.read(_CHUNK):
        use(chunk)
        sha256.update(chunk)
        md5.update(chunk)
        size += len(chunk)
    return Digests(sha256.hexdigest(), md5.hexdigest(), size)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
