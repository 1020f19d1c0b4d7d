"""Files that rows point to: arrays and pictures, each written wholly or not at all and checked when it is read.

A store is a folder or an fsspec URL (`s3://bucket/prefix`). In a folder a file is written beside its place, brought to the
disk, and renamed; on an object store a put is atomic by itself. The database keeps key and sha256 of each file, so a file
that is missing or altered is noticed before its numbers are used.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import safetensors.numpy
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray
from safetensors import SafetensorError

from scheduler.settings import without_password
from scheduler.store.artifact_keys import clock_key
from scheduler.store.base import StoredFile
from scheduler.store.found_files import FoundFile as FoundFile
from scheduler.store.found_files import files_below, remove_if_written_at
from scheduler.store.storage_errors import storage_troubles
from vaeval_core.errors import FileLost, InvalidInput, StorageFailed

DTYPES = ("float32", "float64", "int64", "uint8")
"""What an array may be made of."""

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
"""Folders and a name; no part begins with a dot, so none is «..» or hidden."""


class ArtifactStore:
    """Files under keys such as `evaluations/7/pictures.3.safetensors`.

    Args:
        url: Folder or fsspec URL; a folder is made when the first file is written.

    Raises:
        InvalidInput: The URL names a kind of store that is not installed or does not exist.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise InvalidInput(
                "VAEVAL_ARTIFACTS names a kind of store that cannot be opened.",
                received=f"{without_password(url)} ({error})",
                expected="a folder, or a URL such as s3://bucket/prefix whose package is installed",
                next_step="for s3:// install `vaeval[s3]`",
            ) from error
        self._folder = Path(self._root) if isinstance(self._files, LocalFileSystem) else None

    def write_arrays(self, key: str, arrays: Mapping[str, NDArray[Any]]) -> StoredFile:
        """Store named arrays in one safetensors file.

        Args:
            key: Where; an older file under it is replaced.
            arrays: Any shapes; float32, float64, int64 or uint8.

        Raises:
            StorageFailed: There is no room, or no permission.
            InvalidInput: An array has another type, or the key is none.
        """
        for name, array in arrays.items():
            if array.dtype.name not in DTYPES:
                raise InvalidInput(
                    "An array of this type is not stored.",
                    received=f"{name}: {array.dtype.name} in {key}",
                    expected="one of " + ", ".join(DTYPES),
                )
        in_order = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        return self.write_bytes(key, safetensors.numpy.save(in_order))

    def read_arrays(self, file: StoredFile) -> dict[str, NDArray[Any]]:
        """The arrays of a file, after its digest was checked.

        Raises:
            FileLost: The file is missing or altered.
            StorageFailed: It cannot be read just now, or holds no arrays.
        """
        data = self.read_bytes(file.key)
        digest = hashlib.sha256(data).hexdigest()
        if digest != file.digest:
            raise FileLost(
                "A stored file is not what was written.",
                received=f"{self._shown(file.key)} with sha256 {digest}",
                expected=f"sha256 {file.digest}",
                next_step="check the disk; the file is computed again where that is possible",
            )
        try:
            arrays: dict[str, NDArray[Any]] = safetensors.numpy.load(data)
        except SafetensorError as error:
            raise StorageFailed(
                "A stored file holds no arrays.",
                received=f"{self._shown(file.key)} ({error})",
                expected="a safetensors file",
            ) from error
        return arrays

    def write_bytes(self, key: str, data: bytes) -> StoredFile:
        """Store bytes; an older file under the key is replaced.

        Raises:
            StorageFailed: There is no room, or no permission.
            InvalidInput: The key is none.
        """
        place = self._place(key)
        with self._troubles("written", key):
            if self._folder is None:
                self._files.pipe_file(place, data)
            else:
                _write_atomically(Path(place), data)
        return StoredFile(key=key, digest=hashlib.sha256(data).hexdigest())

    def read_bytes(self, key: str) -> bytes:
        """The bytes under the key.

        Raises:
            FileLost: There is no such file.
            StorageFailed: It cannot be read, or the whole store is missing.
            InvalidInput: The key is none.
        """
        place = self._place(key)
        with self._troubles("read", key):
            try:
                data: bytes = self._files.cat_file(place)
            except FileNotFoundError as error:
                raise self._missing(key) from error
            return data

    def delete(self, keys: Iterable[str]) -> None:
        """Remove files; one that is gone already is no error.

        Raises:
            StorageFailed: One cannot be removed.
            InvalidInput: A key is none.
        """
        for key in keys:
            place = self._place(key)
            with self._troubles("removed", key), suppress(FileNotFoundError):
                self._files.rm_file(place)

    def exists(self, key: str) -> bool:
        """True if there is a file under the key.

        Raises:
            StorageFailed: The store cannot be asked.
            InvalidInput: The key is none.
        """
        place = self._place(key)
        with self._troubles("looked for", key):
            return bool(self._files.isfile(place))

    def files(self) -> Iterator[FoundFile]:
        """Everything in the store. Links are not followed and not listed.

        Raises:
            StorageFailed: It cannot be listed.
        """
        with self._troubles("listed", ""):
            if self._folder is not None:
                yield from files_below(self._folder)
                return
            if not self._files.exists(self._root):
                return
            for place, facts in self._files.find(self._root, detail=True).items():
                with suppress(FileNotFoundError):  # removed meanwhile
                    key = place.removeprefix(self._root).lstrip("/")
                    yield FoundFile(key, int(facts["size"]), self._modified(place))

    def now(self) -> datetime | None:
        """The time by the clock that dates the files, which need not be this machine's; None if the store does not say.

        A small file is written for it and removed.

        Raises:
            StorageFailed: It cannot be written.
        """
        place = f"{self._root.rstrip('/')}/{clock_key(secrets.token_hex(4))}"
        with self._troubles("written", "a file to tell the time by"):
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(place, b"")
            try:
                return self._modified(place)
            finally:
                self._files.rm_file(place)

    def remove(self, file: FoundFile) -> bool:
        """Remove a file that `files` gave, unless somebody has written it again since.

        Returns:
            True if it is gone. In a folder this holds at the very moment: the file is put aside, looked at, and put back if
            it is another one. On an object store there is a gap of one request between looking and removing.

        Raises:
            StorageFailed: It cannot be removed.
        """
        place = f"{self._root.rstrip('/')}/{file.key}"
        with self._troubles("removed", file.key):
            try:
                if self._folder is not None:
                    return remove_if_written_at(Path(place), file.modified)
                if file.modified is None or self._modified(place) != file.modified:
                    return False
                self._files.rm_file(place)
            except FileNotFoundError:  # gone already
                pass
            return True

    def _modified(self, place: str) -> datetime | None:
        try:
            modified = self._files.modified(place)
        except NotImplementedError:
            return None
        if not isinstance(modified, datetime):
            return None
        return modified if modified.tzinfo else modified.replace(tzinfo=UTC)

    @property
    def shown_url(self) -> str:
        """Where it is, without a password."""
        return without_password(self.url)

    def _place(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise InvalidInput(
                "This is no key of the artifact store.",
                received=repr(key),
                expected="names of letters, digits, dots, - and _ with / between; none begins with a dot",
            )
        return f"{self._root.rstrip('/')}/{key}"

    def _missing(self, key: str) -> StorageFailed:
        """One file that is gone is lost; all of them at once are somewhere else, such as on a disk that is not mounted."""
        if self._files.exists(self._root):
            return FileLost(
                "A stored file is missing.",
                received=self._shown(key),
                expected="the file that was written there",
                next_step="check the disk; the file is computed again where that is possible",
            )
        return StorageFailed(
            "The folder of the artifacts is not there.",
            received=self._shown(key),
            expected="VAEVAL_ARTIFACTS as it was when the file was written, on every machine with a worker",
            next_step="mount it; if the files are gone for good, make an empty folder: what is needed is computed again",
        )

    def _shown(self, key: str) -> str:
        return f"{without_password(self.url).rstrip('/')}/{key}"

    def _troubles(self, verb: str, key: str) -> AbstractContextManager[None]:
        return storage_troubles(verb, self._shown(key), is_folder=self._folder is not None)


def _write_atomically(path: Path, data: bytes) -> None:
    """A reader sees the old file, the new one, or none; never a part, not even after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    _bring_to_disk(path.parent)


def _bring_to_disk(folder: Path) -> None:
    """A rename is on the disk when its folder is."""
    if os.name == "nt":
        return  # folders cannot be opened there, and renames are written through
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
