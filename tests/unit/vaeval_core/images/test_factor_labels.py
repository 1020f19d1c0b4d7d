"""Factors that a file states beside its images, in .npz and in HDF5."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from vaeval_core.errors import ImagesRejected, StorageFailed
from vaeval_core.images.array_file import open_array_file, survey_array_file
from vaeval_core.images.digits import digits_images
from vaeval_core.images.factor_labels import factors_of
from vaeval_core.images.order import image_order
from vaeval_core.testing import ImagesInMemory
from vaeval_core.types import IndexRange, Uint8

Save = Callable[..., Path]


@pytest.fixture(params=["npz", "h5"])
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Save:
    """Write arrays by name: save(images=…, latents_classes=…)."""

    def write(**arrays: NDArray[Any]) -> Path:
        unfinished = tmp_path / f"unfinished.{request.param}"
        if request.param == "npz":
            np.savez(unfinished, **arrays)
        else:
            with h5py.File(unfinished, "w") as file:
                for name, array in arrays.items():
                    texts = array.dtype.kind == "U"
                    file.create_dataset(name, data=array.astype(object) if texts else array)
        # HDF5 writes over no file that a set still reads from.
        return unfinished.rename(tmp_path / f"images.{request.param}")

    return write


def _images(num_images: int = 6) -> Uint8:
    return np.random.Generator(np.random.Philox(3)).integers(0, 256, (num_images, 4, 5, 3), dtype=np.uint8)


def _classes(num_images: int = 6) -> NDArray[np.int64]:
    return np.stack([np.arange(num_images) // 2, np.arange(num_images) % 2], axis=1)


def test_factors_are_in_the_order_in_which_images_are_read(save: Save) -> None:
    images = survey_array_file(save(images=_images(), latents_classes=_classes()))
    factors = factors_of(images)
    assert factors is not None
    order = image_order(6)
    assert np.array_equal(images.read(IndexRange(1, 4), (4, 5, 3), "exact"), _images()[order[1:4]])
    assert np.array_equal(factors.rows(IndexRange(1, 4)), _classes()[order[1:4]])
    assert factors.names == ("factor 0", "factor 1")


def test_factors_may_have_names(save: Save) -> None:
    names = np.array(["hue", "größe"])
    factors = factors_of(survey_array_file(save(images=_images(), latents_classes=_classes(), latents_names=names)))
    assert factors is not None
    assert factors.names == ("hue", "größe")


def test_a_column_that_never_changes_is_no_factor(save: Save) -> None:
    classes = np.insert(_classes(), 0, 4, axis=1)
    factors = factors_of(survey_array_file(save(images=_images(), latents_classes=classes)))
    assert factors is not None
    assert factors.names == ("factor 1", "factor 2")
    assert np.array_equal(factors.classes, _classes()[image_order(6)])
    assert factors_of(survey_array_file(save(images=_images(), latents_classes=classes[:, :1]))) is None


def test_the_names_that_dsprites_uses_are_understood(save: Save) -> None:
    path = save(imgs=_images(), latents_classes=_classes(), latents_values=_classes() * 0.5)
    assert factors_of(survey_array_file(path)) is not None


def test_masks_of_0_and_1_are_refused_because_they_would_be_black(save: Save) -> None:
    path = save(imgs=(_images() > 128).astype(np.uint8), latents_classes=_classes())
    with pytest.raises(ImagesRejected) as caught:
        survey_array_file(path)
    assert caught.value.received == f"{path}: 6 images of pixels 0 and 1"
    assert "white as 255" in str(caught.value.expected)
    assert "multiply the array by 255" in str(caught.value.next_step)


def test_other_factors_are_another_set_and_no_factors_as_well(save: Save) -> None:
    variants: list[dict[str, NDArray[Any]]] = [
        {"latents_classes": _classes()},
        {"latents_classes": _classes()[::-1].copy()},
        {},
    ]
    digests = {survey_array_file(save(images=_images(), **arrays)).digest for arrays in variants}
    assert len(digests) == 3


def test_a_worker_gets_the_factors_that_were_surveyed(save: Save) -> None:
    surveyed = survey_array_file(save(images=_images(), latents_classes=_classes()))
    opened = open_array_file(Path(surveyed.uri), surveyed.digest, surveyed.manifest())
    assert opened.factors is not None
    assert surveyed.factors is not None
    assert np.array_equal(opened.factors.classes, surveyed.factors.classes)


def test_factors_that_changed_since_are_refused(save: Save) -> None:
    path = save(images=_images(), latents_classes=_classes())
    surveyed = survey_array_file(path)
    save(images=_images(), latents_classes=_classes()[::-1].copy())
    with pytest.raises(ImagesRejected) as caught:
        open_array_file(path, surveyed.digest, surveyed.manifest())
    assert str(caught.value.received).startswith(f"{path}: factors with sha256")
    assert str(caught.value.expected).startswith("factors with sha256")


@pytest.mark.parametrize(
    ("classes", "received"),
    [
        (_classes(5), "latents_classes is int64 of shape (5, 2), beside 6 images"),
        (np.arange(6), "latents_classes is int64 of shape (6,), beside 6 images"),
        (_classes() * 0.5, "latents_classes is float64 of shape (6, 2), beside 6 images"),
    ],
    ids=["too few", "a vector", "floats"],
)
def test_factors_that_do_not_fit_the_images_are_refused(save: Save, classes: NDArray[Any], received: str) -> None:
    path = save(images=_images(), latents_classes=classes)
    with pytest.raises(ImagesRejected) as caught:
        survey_array_file(path)
    assert caught.value.received == f"{path}: {received}"
    assert str(caught.value.expected).startswith("integers of shape (6, factors)")


def test_a_name_too_few_is_told(save: Save) -> None:
    path = save(images=_images(), latents_classes=_classes(), latents_names=np.array(["hue"]))
    with pytest.raises(ImagesRejected) as caught:
        survey_array_file(path)
    assert caught.value.received == f"{path}: 1 latents_names for 2 columns of latents_classes"
    assert caught.value.expected == "2 names"


def test_sets_that_know_nothing_of_factors_have_none() -> None:
    assert factors_of(digits_images("test")) is None
    assert factors_of(ImagesInMemory(_images())) is None


# ------------------------------------------------------------------------------------------------------------- HDF5 itself


def _hdf5(path: Path, **arrays: NDArray[Any]) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, chunks=True, compression="gzip")
    return path


@pytest.mark.parametrize("suffix", ["h5", "hdf5"])
def test_hdf5_and_npy_of_the_same_images_are_the_same_set(tmp_path: Path, suffix: str) -> None:
    np.save(tmp_path / "images.npy", _images(300))
    in_hdf5 = survey_array_file(_hdf5(tmp_path / f"images.{suffix}", pictures=_images(300)))
    in_npy = survey_array_file(tmp_path / "images.npy")
    assert in_hdf5.digest == in_npy.digest
    part = IndexRange(250, 290)
    assert np.array_equal(in_hdf5.read(part, (4, 5, 3), "exact"), in_npy.read(part, (4, 5, 3), "exact"))


def test_grey_images_in_hdf5_need_no_channel_axis(tmp_path: Path) -> None:
    images = survey_array_file(_hdf5(tmp_path / "images.h5", images=_images()[..., 0]))
    assert images.read(IndexRange(0, 6), (4, 5, 1), "exact").shape == (6, 4, 5, 1)


@pytest.mark.parametrize("kept", [8, 100, 2000])
def test_a_hdf5_file_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    path = _hdf5(tmp_path / "images.h5", images=_images(200))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ImagesRejected) as caught:
        survey_array_file(path)
    assert str(path) in str(caught.value.received)
    assert "h5py" in str(caught.value.expected)


def test_damaged_images_are_refused_by_a_survey_and_left_to_others_by_a_worker(tmp_path: Path) -> None:
    whole = _hdf5(tmp_path / "whole.h5", images=_images(200))
    surveyed = survey_array_file(whole)
    with h5py.File(whole) as file:
        chunk = file["images"].id.get_chunk_info(0)
    content = bytearray(whole.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path = tmp_path / "damaged.h5"
    path.write_bytes(content)
    with pytest.raises(ImagesRejected) as refused:
        survey_array_file(path)
    assert str(path) in str(refused.value.received)
    assert refused.value.expected == "a file that is whole"
    opened = open_array_file(path, surveyed.digest, surveyed.manifest())
    with pytest.raises(StorageFailed) as failed:
        opened.read(IndexRange(0, 200), (4, 5, 3), "exact")
    assert str(path) in str(failed.value.received)
    assert failed.value.expected


def test_hdf5_without_images_is_refused(tmp_path: Path) -> None:
    path = _hdf5(tmp_path / "images.h5", latents_classes=_classes())
    with pytest.raises(ImagesRejected) as caught:
        survey_array_file(path)
    assert caught.value.received == f"{path} with arrays latents_classes"
    assert "called images" in str(caught.value.expected)


def test_hdf5_of_other_numbers_is_refused_without_reading_them(tmp_path: Path) -> None:
    path = _hdf5(tmp_path / "images.h5", images=np.zeros((2, 4, 4, 3), np.int32))
    with pytest.raises(ImagesRejected) as caught:
        survey_array_file(path)
    assert caught.value.received == f"{path}: int32 of shape (2, 4, 4, 3)"
    assert str(caught.value.expected).startswith("uint8 images")
