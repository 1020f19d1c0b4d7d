"""The handwritten digits that scikit-learn ships: 1,797 real grey images of 8×8 pixels, at hand without a download.

`digits:train` (1,297 images) is what the demo trains on, `digits:test` (500) what it is evaluated on. The file lists
the digits writer by writer, so the split is drawn at random, once and for all: the first 1,297 places of a Philox
permutation are the training images.

The data file is opened where the package lies; scikit-learn itself (a second of imports) is not loaded.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import zlib
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import NotFound, StorageFailed
from vaeval_core.images.array_images import ArrayImages, digest_each
from vaeval_core.images.order import philox_permutation
from vaeval_core.types import Uint8

DigitsSplit = Literal["train", "test"]

SCHEME = "digits:"
"""What the URIs of these sets begin with."""

NUM_TRAINING_IMAGES = 1297
"""The rest, 500, is for testing."""

_SPLIT_KEY = int.from_bytes(b"digits-split-1", "big")
_NUM_IMAGES = 1797
_SIDE = 8
_WHITE = 16  # grey levels of the file are 0 … 16


def digits_images(split: DigitsSplit) -> ArrayImages:
    """One split as a set of images.

    Raises:
        NotFound: scikit-learn is not installed.
        StorageFailed: Its data file is not the one that is expected.
    """
    images, _ = digits_split(split)
    name = f"{SCHEME}{split}"
    return ArrayImages(uri=name, name=name, images=images, digests=digest_each(images))


@cache
def digits_split(split: DigitsSplit) -> tuple[Uint8, NDArray[np.int64]]:
    """Images (n, 8, 8, 1) uint8 and labels (n,) 0 … 9 of one split, in the order of the file; read-only.

    The 17 grey levels of the file are spread over 0 … 255 and rounded.

    Raises:
        NotFound: scikit-learn is not installed.
        StorageFailed: Its data file is not the one that is expected.
    """
    table = _read_table()
    order = philox_permutation(_NUM_IMAGES, key=_SPLIT_KEY)
    rows = np.sort(order[:NUM_TRAINING_IMAGES] if split == "train" else order[NUM_TRAINING_IMAGES:])
    images = np.rint(table[rows, :-1] * (255 / _WHITE)).astype(np.uint8).reshape(-1, _SIDE, _SIDE, 1)
    labels = table[rows, -1].astype(np.int64)
    images.flags.writeable = labels.flags.writeable = False
    return images, labels


def _read_table() -> NDArray[np.float64]:
    """The file: one row an image, its 64 grey levels row by row, then the label."""
    package = importlib.util.find_spec("sklearn")
    folders = package.submodule_search_locations if package is not None else None
    if not folders:
        raise NotFound(
            "The bundled digits come with scikit-learn, which is not installed.",
            received="no package named sklearn",
            expected="scikit-learn in this Python environment",
            next_step="pip install scikit-learn",
        )
    path = Path(folders[0], "datasets", "data", "digits.csv.gz")
    try:
        table = np.loadtxt(io.BytesIO(gzip.decompress(path.read_bytes())), delimiter=",", dtype=np.float64)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _unexpected_file(path, str(error)) from error
    if table.shape != (_NUM_IMAGES, _SIDE * _SIDE + 1):
        raise _unexpected_file(path, f"a table of shape {table.shape}")
    return table


def _unexpected_file(path: Path, received: str) -> StorageFailed:
    return StorageFailed(
        "The digits file of scikit-learn cannot be used.",
        received=f"{path}: {received}",
        expected=f"{_NUM_IMAGES} rows of {_SIDE * _SIDE + 1} numbers",
        next_step="pip install --force-reinstall scikit-learn",
    )
