"""What is inside a .npy, .npz or HDF5 file: its images, and the factors behind them if it has them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import ImagesRejected, NotFound
from vaeval_core.images.decoding import MAX_PIXELS
from vaeval_core.images.factor_labels import BESIDE_IMAGES, CLASSES_NAME, NAMES_NAME, FactorLabels, factor_labels
from vaeval_core.images.hdf5_rows import Hdf5Rows
from vaeval_core.types import Uint8

_EXPECTED = "uint8 images, 0 to 255, or float32 or float64 in [0, 1], of shape (n, h, w), (n, h, w, 1) or (n, h, w, 3)"
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_ZIP = b"PK"  # an .npz file is a zip archive, an .npy file is not
_HDF5 = b"\x89HDF"
_IMAGES_NAME = "images"

MOST_BYTES_BESIDE = 8 << 10
"""What is known beside an image takes no more: a thousand factors of eight bytes."""


@dataclass(frozen=True, eq=False)
class ArrayContents:
    """What one file holds.

    Attributes:
        images: (n, h, w, c) uint8, float32 or float64.
        factors: In the order of the file; None if it has none.
    """

    images: Uint8 | Hdf5Rows | NDArray[np.floating]
    factors: FactorLabels | None

    @property
    def is_float(self) -> bool:
        """True if these are no levels."""
        return self.images.dtype in _FLOATS

    @property
    def factors_digest(self) -> str | None:
        """sha256 of the factors as hexadecimal digits."""
        return None if self.factors is None else self.factors.digest.hex()


def read_array_file(path: Path) -> ArrayContents:
    """Open the file and find its arrays; images of .npy and HDF5 files are not read yet.

    Raises:
        NotFound: There is no such file.
        ImagesRejected: It cannot be read, or holds no array of images, or factors that do not fit them.
    """
    if not path.exists():
        raise NotFound(
            "There is no such file of images.",
            received=path,
            expected="a .npy, .npz or HDF5 file, or a folder of PNG or JPEG files",
            next_step="check the path given as --data",
        )
    try:
        # Opened here, because NumPy leaves the file of a damaged archive open.
        with path.open("rb") as file:
            begins = file.read(len(_HDF5))
            file.seek(0)
            if begins == _HDF5:
                return _read_hdf5(path)
            if begins.startswith(_ZIP):
                return _read_archive(path, file)
            return ArrayContents(_as_images(path, np.lib.format.open_memmap(path, mode="r")), None)
    except (OSError, EOFError, ValueError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise ImagesRejected(
            "The array file cannot be read.",
            received=f"{path}: {' '.join(str(error).split())}",
            expected=f"a file written by numpy.save, numpy.savez or h5py that holds {_EXPECTED}",
            next_step="write the file again and see that it opens in Python: numpy.load or h5py.File",
        ) from error


def _read_archive(path: Path, file: BinaryIO) -> ArrayContents:
    with np.load(file, allow_pickle=False) as archive:
        members = archive.files
        chosen = _choose(path, members)
        unpacked = {member.filename.removesuffix(".npy"): member.file_size for member in archive.zip.infolist()}
        _require_room(path, unpacked[chosen])
        images = _as_images(path, archive[chosen])
        return ArrayContents(images, _factors(path, unpacked, archive.__getitem__, len(images)))


def _require_room(path: Path, num_bytes: int) -> None:
    """Refuse an archive whose images, unpacked, would fill the memory of this machine: a few kilobytes can hold terabytes."""
    import psutil

    memory = psutil.virtual_memory().total
    if num_bytes > memory / 2:
        raise ImagesRejected(
            "The images of the archive are too large to be unpacked here.",
            received=f"{path}: {num_bytes:,} bytes unpacked",
            expected=f"at most half of the memory of this machine, {memory // 2:,} bytes",
            next_step="save them with numpy.save or in HDF5, which are read piece by piece",
        )


def _read_hdf5(path: Path) -> ArrayContents:
    import h5py

    # Stays open: images are read from it later. A read-only file system cannot be locked, and need not be.
    file = h5py.File(path, "r", locking="best-effort")
    members = [name for name, member in file.items() if isinstance(member, h5py.Dataset)]
    dataset = file[_choose(path, members)]
    _require_images(path, dataset.dtype, dataset.shape)
    images = Hdf5Rows(path, dataset)
    sizes = {name: int(file[name].nbytes) for name in members}
    return ArrayContents(images, _factors(path, sizes, lambda name: file[name][...], len(images)))


def _choose(path: Path, names: Sequence[str]) -> str:
    """Which array holds the images: the one called so, or the only one that is nothing else."""
    candidates = [name for name in names if name not in BESIDE_IMAGES]
    if _IMAGES_NAME in candidates:
        return _IMAGES_NAME
    if len(candidates) == 1:
        return candidates[0]
    raise ImagesRejected(
        "It is not clear which array of the file holds the images.",
        received=f"{path} with arrays {', '.join(names) or '(none)'}",
        expected=f"one array, or one that is called {_IMAGES_NAME}",
        next_step="numpy.savez('images.npz', images=…)",
    )


def _factors(
    path: Path, sizes: Mapping[str, int], read: Callable[[str], NDArray[Any]], num_images: int
) -> FactorLabels | None:
    """Read what stands beside the images; `sizes` are the bytes of each array before it is read."""
    names = sizes.keys()
    if CLASSES_NAME not in names:
        return None
    for name in {CLASSES_NAME, NAMES_NAME} & names:
        if sizes[name] > MOST_BYTES_BESIDE * max(num_images, 1024):
            raise ImagesRejected(
                f"The array {name} is too large to belong to the images beside it.",
                received=f"{path}: {sizes[name]:,} bytes of {name} beside {num_images:,} images",
                expected=f"at most {MOST_BYTES_BESIDE:,} bytes for each image",
                next_step=f"save {name} of these images alone",
            )
    factor_names = None
    if NAMES_NAME in names:
        # HDF5 gives texts as bytes.
        factor_names = [name.decode() if isinstance(name, bytes) else str(name) for name in read(NAMES_NAME).ravel()]
    return factor_labels(read(CLASSES_NAME), factor_names, num_images=num_images, source=str(path))


def _as_images(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    _require_images(path, array.dtype, array.shape)
    return array[..., np.newaxis] if array.ndim == 3 else array


def _require_images(path: Path, dtype: np.dtype[Any], stored: tuple[int, ...]) -> None:
    shape = (*stored, 1) if len(stored) == 3 else stored
    reason = None
    if dtype != np.uint8 and dtype not in _FLOATS:
        reason = "The numbers of an array of images must be uint8, float32 or float64."
    elif 0 in shape:
        reason = "The array holds no images."
    elif len(shape) != 4 or shape[3] not in {1, 3}:
        reason = "The array has no shape of images."
    elif shape[1] * shape[2] > MAX_PIXELS:
        reason = f"The images of the array have more than {MAX_PIXELS:,} pixels each."
    if reason is None:
        return
    raise ImagesRejected(
        reason,
        received=f"{path}: {dtype} of shape {stored}",
        expected=_EXPECTED,
        next_step="numpy.save('images.npy', images.astype('float32'))"
        if dtype.kind == "f"
        else "give the array of the images, as uint8 with channels last",
    )
