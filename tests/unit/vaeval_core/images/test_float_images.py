"""Arrays of floats as images: what models see, what feature networks see, and ranges that cannot be right."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from vaeval_core.errors import ImagesRejected
from vaeval_core.images.array_file import open_array_file, survey_array_file
from vaeval_core.images.base import ImageSet
from vaeval_core.images.digits import digits_images
from vaeval_core.images.float_images import FloatImages
from vaeval_core.images.intensities import has_levels, read_intensities
from vaeval_core.images.order import image_order
from vaeval_core.quantisation import to_float
from vaeval_core.types import IndexRange

SHAPE = (4, 5, 1)
ALL = IndexRange(0, 6)


def floats(dtype: type[np.floating] = np.float32) -> NDArray[np.floating]:
    return np.random.default_rng(0).random((6, *SHAPE)).astype(dtype)


SUFFIXES = pytest.mark.parametrize("suffix", ["npy", "npz", "h5"])


def save(path: Path, array: NDArray[np.floating]) -> None:
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, images=array)
    else:
        with h5py.File(path, "w") as file:
            file["images"] = array


def surveyed(folder: Path, array: NDArray[np.floating], suffix: str = "npy") -> FloatImages:
    save(folder / f"images.{suffix}", array)
    images = survey_array_file(folder / f"images.{suffix}")
    assert isinstance(images, FloatImages)
    return images


@SUFFIXES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_models_see_floats_as_they_are_and_feature_networks_see_levels(
    tmp_path: Path, suffix: str, dtype: type[np.floating]
) -> None:
    array = floats(dtype)
    images: ImageSet = surveyed(tmp_path, array, suffix)
    ordered = array[image_order(6)].astype(np.float32)
    read = read_intensities(images, ALL, SHAPE, "exact")
    assert read.dtype == np.float32
    assert np.array_equal(read, ordered)
    assert np.array_equal(images.read(ALL, SHAPE, "exact"), np.rint(ordered * 255).astype(np.uint8))
    assert not has_levels(images)


def test_levels_are_levels_over_255(tmp_path: Path) -> None:
    digits = digits_images("test")
    levels = digits.read(ALL, (8, 8, 1), "exact")
    assert np.array_equal(read_intensities(digits, ALL, (8, 8, 1), "exact"), to_float(levels))
    assert has_levels(digits)


@SUFFIXES
def test_a_worker_opens_the_floats_that_were_surveyed_and_finds_those_that_changed(tmp_path: Path, suffix: str) -> None:
    array = floats()
    images = surveyed(tmp_path, array, suffix)
    path = Path(images.uri)
    opened = open_array_file(path, images.digest, images.manifest())
    assert np.array_equal(opened.read(ALL, SHAPE, "exact"), images.read(ALL, SHAPE, "exact"))
    array[2, 0, 0, 0] += 1e-6
    del opened  # a file that is open for reading cannot be replaced in place
    path.unlink()
    save(path, array)
    with pytest.raises(ImagesRejected, match="image 2: its pixels are others"):
        open_array_file(path, images.digest, images.manifest()).read(ALL, SHAPE, "exact")


@SUFFIXES
@pytest.mark.parametrize(
    ("array", "received", "next_step"),
    [
        (2 * floats() - 1, "values from -0.9", "(images + 1) / 2"),
        (255 * floats(), "to 25", "images / 255"),
        (np.where(floats() > 0.5, np.nan, 0.1).astype(np.float32), "values from nan to nan", ""),
        (5 * floats() - 2, "values from -1.", ""),
    ],
)
def test_floats_in_another_range_are_refused_with_the_line_that_maps_them(
    tmp_path: Path, suffix: str, array: NDArray[np.floating], received: str, next_step: str
) -> None:
    with pytest.raises(ImagesRejected) as caught:
        surveyed(tmp_path, array, suffix)
    assert received in str(caught.value.received)
    assert str(tmp_path) in str(caught.value.received)
    assert "0 for black and 1 for white" in str(caught.value.expected)
    assert next_step in (caught.value.next_step or "")


def test_floats_are_not_resampled(tmp_path: Path) -> None:
    images = surveyed(tmp_path, floats())
    images.check_fit(SHAPE, "exact")
    for shape in ((8, 8, 1), (4, 5, 3)):
        with pytest.raises(ImagesRejected) as caught:
            images.check_fit(shape, "crop-bicubic")
        assert str(caught.value.received) == "images.npy: (4, 5, 1)"
        assert str(caught.value.expected) == str(shape)


def test_the_same_pixels_as_levels_are_another_set(tmp_path: Path) -> None:
    levels = np.random.default_rng(1).integers(0, 256, (6, *SHAPE), dtype=np.uint8)
    as_floats = surveyed(tmp_path, to_float(levels))
    np.save(tmp_path / "levels.npy", levels)
    assert survey_array_file(tmp_path / "levels.npy").digest != as_floats.digest


@pytest.mark.parametrize("has_channels", [True, False])
def test_the_same_floats_are_the_same_set_in_every_kind_of_file(tmp_path: Path, has_channels: bool) -> None:
    array = floats(np.float64)
    sets = [surveyed(tmp_path, array if has_channels else array[..., 0], suffix) for suffix in ("npy", "npz", "h5")]
    assert len({images.digest for images in sets}) == 1


def test_floats_of_hdf5_that_cannot_be_read_on_are_named(tmp_path: Path) -> None:
    path = tmp_path / "images.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=np.random.default_rng(0).random((40, 16, 16, 1)), chunks=(1, 16, 16, 1))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImagesRejected) as caught:
        survey_array_file(path)
    assert str(path) in str(caught.value.received)
