"""Arrays of images in .npy and .npz files."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from vaeval_core.errors import ImagesRejected, InvalidInput, NotFound, StorageFailed
from vaeval_core.images import hdf5_rows
from vaeval_core.images.array_file import open_array_file, survey_array_file
from vaeval_core.images.order import image_order
from vaeval_core.types import IndexRange, Uint8


def _images(num_images: int = 6, *, height: int = 4, width: int = 5, channels: int = 3) -> Uint8:
    shape = (num_images, height, width, channels)
    return np.random.Generator(np.random.Philox(3)).integers(0, 256, shape, dtype=np.uint8)


def _saved(tmp_path: Path, array: NDArray[np.generic]) -> Path:
    np.save(tmp_path / "images.npy", array)
    return tmp_path / "images.npy"


def test_images_are_read_in_the_fixed_order(tmp_path: Path) -> None:
    images = _images()
    read = survey_array_file(_saved(tmp_path, images)).read(IndexRange(1, 4), (4, 5, 3), "exact")
    assert np.array_equal(read, images[image_order(6)[1:4]])


def test_grey_images_need_no_channel_axis(tmp_path: Path) -> None:
    images = _images(channels=1)
    with_axis = survey_array_file(_saved(tmp_path, images))
    without = survey_array_file(_saved(tmp_path, images[..., 0]))
    assert with_axis.digest == without.digest
    assert np.array_equal(
        with_axis.read(IndexRange(0, 6), (4, 5, 1), "exact"), without.read(IndexRange(0, 6), (4, 5, 1), "exact")
    )


@pytest.mark.parametrize("names", [("x",), ("images",), ("labels", "images")])
def test_an_archive_of_one_array_or_with_one_called_images_is_read(tmp_path: Path, names: tuple[str, ...]) -> None:
    arrays = {name: np.arange(6) if name == "labels" else _images() for name in names}
    np.savez_compressed(tmp_path / "images.npz", **arrays)
    from_archive = survey_array_file(tmp_path / "images.npz")
    assert from_archive.digest == survey_array_file(_saved(tmp_path, _images())).digest


def test_an_archive_of_several_arrays_asks_which(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", x=_images(), y=_images())
    with pytest.raises(ImagesRejected) as caught:
        survey_array_file(tmp_path / "images.npz")
    assert "arrays x, y" in str(caught.value.received)
    assert "called images" in str(caught.value.expected)


def test_images_are_resized_on_demand(tmp_path: Path) -> None:
    images = np.full((3, 8, 12, 1), 90, np.uint8)
    read = survey_array_file(_saved(tmp_path, images)).read(IndexRange(0, 3), (4, 4, 3), "crop-bicubic")
    assert np.array_equal(read, np.full((3, 4, 4, 3), 90))


def test_another_size_is_refused_at_once(tmp_path: Path) -> None:
    image_set = survey_array_file(_saved(tmp_path, _images()))
    image_set.check_fit((4, 5, 1), "exact")
    image_set.check_fit((9, 9, 1), "crop-bicubic")
    with pytest.raises(ImagesRejected) as caught:
        image_set.check_fit((4, 4, 3), "exact")
    assert caught.value.what == "6 of 6 images have another size than the model takes."
    assert str(caught.value.received).startswith("images.npy[0] is 5×4; ")


def test_the_digest_depends_on_pixels_order_and_shape(tmp_path: Path) -> None:
    images = _images(channels=1)
    other = images.copy()
    other[3, 2, 1, 0] ^= 1
    variants = (images, other, images[::-1], images.reshape(6, 5, 4, 1))
    assert len({survey_array_file(_saved(tmp_path, variant)).digest for variant in variants}) == 4


def test_progress_counts_every_image(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    survey_array_file(_saved(tmp_path, _images(3)), on_progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_a_worker_opens_the_set_that_was_surveyed(tmp_path: Path) -> None:
    path = _saved(tmp_path, _images())
    surveyed = survey_array_file(path)
    opened = open_array_file(Path(surveyed.uri), surveyed.digest, surveyed.manifest())
    assert (opened.uri, opened.name, opened.digest, opened.skipped) == (str(path), "images.npy", surveyed.digest, ())
    assert np.array_equal(
        opened.read(IndexRange(0, 6), (4, 5, 3), "exact"), surveyed.read(IndexRange(0, 6), (4, 5, 3), "exact")
    )


def test_an_image_that_changed_since_is_named_when_it_is_read(tmp_path: Path) -> None:
    images = _images()
    path = _saved(tmp_path, images)
    surveyed = survey_array_file(path)
    images[2, 0, 0, 0] ^= 1
    _saved(tmp_path, images)
    opened = open_array_file(path, surveyed.digest, surveyed.manifest())
    place = image_order(6).tolist().index(2)
    others = [other for other in range(6) if other != place]
    for other in others:
        opened.read(IndexRange(other, other + 1), (4, 5, 3), "exact")
    with pytest.raises(ImagesRejected) as caught:
        opened.read(IndexRange(place, place + 1), (4, 5, 3), "exact")
    assert caught.value.received == f"{path}, image 2: its pixels are others"
    assert "sha256" in str(caught.value.expected)


def test_an_array_of_another_shape_than_before_is_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path, _images())
    surveyed = survey_array_file(path)
    _saved(tmp_path, _images(5))
    with pytest.raises(ImagesRejected) as caught:
        open_array_file(path, surveyed.digest, surveyed.manifest())
    assert caught.value.received == f"{path}: shape (5, 4, 5, 3)"
    assert caught.value.expected == "shape (6, 4, 5, 3)"


@pytest.mark.parametrize(
    ("manifest", "received"),
    [
        (None, "nothing"),
        (b'{"format": "vaeval-array-1"}', "a list without"),
        (b'{"format": "vaeval-array-1", "digests": "?", "shape": []}', "a list without"),
        (b'{"format": "vaeval-array-1", "digests": "", "shape": [6, 4, 5, 3]}', "a list with digest"),
    ],
)
def test_a_list_that_is_not_that_of_the_set_is_refused(tmp_path: Path, manifest: bytes | None, received: str) -> None:
    path = _saved(tmp_path, _images())
    with pytest.raises(StorageFailed) as caught:
        open_array_file(path, survey_array_file(path).digest, manifest)
    assert str(caught.value.received).startswith(received)
    assert str(path) in caught.value.what


@pytest.mark.parametrize(
    ("array", "received"),
    [
        (np.zeros((2, 4, 4, 3), np.float16), "float16 of shape (2, 4, 4, 3)"),
        (np.zeros((2, 4, 4, 3), np.int64), "int64 of shape (2, 4, 4, 3)"),
        (np.zeros((4, 4), np.uint8), "uint8 of shape (4, 4)"),
        (np.zeros((2, 3, 4, 4), np.uint8), "uint8 of shape (2, 3, 4, 4)"),
        (np.zeros((0, 4, 4, 3), np.uint8), "uint8 of shape (0, 4, 4, 3)"),
    ],
)
def test_other_arrays_are_refused_with_what_they_are(tmp_path: Path, array: NDArray[np.generic], received: str) -> None:
    path = _saved(tmp_path, array)
    with pytest.raises(ImagesRejected) as caught:
        survey_array_file(path)
    assert caught.value.received == f"{path}: {received}"
    assert str(caught.value.expected).startswith("uint8 images")


def test_images_beyond_all_sizes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(2, 1 << 14, 1 << 15, 1))  # a hole, not a gigabyte
    with pytest.raises(ImagesRejected, match=r"more than .* pixels each.*uint8 of shape \(2, 16384, 32768, 1\)"):
        survey_array_file(path)


def test_an_archive_that_unpacks_to_more_than_there_is_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "images.npz"
    np.savez_compressed(path, images=np.zeros((3000, 8, 8, 1), np.uint8))
    assert path.stat().st_size < 2000
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=256 << 10))
    with pytest.raises(ImagesRejected) as caught:
        survey_array_file(path)
    assert caught.value.received == f"{path}: 192,128 bytes unpacked"
    assert "131,072 bytes" in str(caught.value.expected)
    assert "numpy.save" in str(caught.value.next_step)


def test_floats_of_another_precision_come_with_the_line_that_converts_them(tmp_path: Path) -> None:
    with pytest.raises(ImagesRejected) as caught:
        survey_array_file(_saved(tmp_path, np.zeros((2, 4, 4, 3), np.float16)))
    assert "astype('float32')" in str(caught.value.next_step)
    assert "float32 or float64 in [0, 1]" in str(caught.value.expected)


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_labels_too_large_for_their_images_are_refused_before_they_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"images.{suffix}"
    images, labels = np.full((10, 8, 8, 1), 200, np.uint8), np.zeros((2_000_000, 5), np.int8)
    if suffix == "npz":
        np.savez_compressed(path, images=images, latents_classes=labels)
    else:
        with h5py.File(path, "w") as file:
            file["images"] = images
            file.create_dataset("latents_classes", data=labels, compression="gzip")
    with pytest.raises(ImagesRejected, match="latents_classes is too large") as caught:
        survey_array_file(path)
    assert "of latents_classes beside 10 images" in str(caught.value.received)
    assert "bytes for each image" in str(caught.value.expected)


def test_large_images_of_hdf5_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "images.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=np.full((6, 50, 40, 3), 200, np.uint8), compression="gzip")
    monkeypatch.setattr(hdf5_rows, "_BYTES_AT_ONCE", 2 * 50 * 40 * 3)
    read: list[int] = []
    original = hdf5_rows.Hdf5Rows._read

    def counted(rows: hdf5_rows.Hdf5Rows, numbers: slice) -> Uint8:
        pixels = original(rows, numbers)
        read.append(len(pixels))
        return pixels

    monkeypatch.setattr(hdf5_rows.Hdf5Rows, "_read", counted)
    survey_array_file(path)
    assert read[-3:] == [2, 2, 2]


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_python_objects_are_never_loaded(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"images.{suffix}"
    objects = np.array([{"a": 1}], dtype=object)
    if suffix == "npy":
        np.save(path, objects, allow_pickle=True)
    else:
        np.savez(path, allow_pickle=True, images=objects)
    with pytest.raises(ImagesRejected) as caught:
        survey_array_file(path)
    assert "bject" in str(caught.value.received)
    assert "uint8" in str(caught.value.expected)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("kept", [0, 5, 100, 300])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str, kept: int) -> None:
    path = tmp_path / f"images.{suffix}"
    if suffix == "npy":
        np.save(path, _images())
    else:
        np.savez(path, images=_images())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ImagesRejected) as caught:
        survey_array_file(path)
    assert str(path) in str(caught.value.received)
    assert "numpy.save" in str(caught.value.expected)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        survey_array_file(tmp_path / "images.npy")
    assert caught.value.received == str(tmp_path / "images.npy")
    assert ".npy, .npz or HDF5" in str(caught.value.expected)


def test_a_worker_that_does_not_see_the_file_says_so_of_its_machine(tmp_path: Path) -> None:
    path = _saved(tmp_path, _images())
    surveyed = survey_array_file(path)
    path.unlink()
    with pytest.raises(StorageFailed) as caught:
        open_array_file(path, surveyed.digest, surveyed.manifest())
    assert caught.value.received == f"{path} (no such file)"
    assert "on every machine with a worker" in str(caught.value.expected)


def test_a_file_that_a_worker_may_not_read_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _saved(tmp_path, _images())
    surveyed = survey_array_file(path)

    def fail(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(StorageFailed) as caught:
        open_array_file(path, surveyed.digest, surveyed.manifest())
    assert caught.value.received == f"{path} (Permission denied)"
    assert caught.value.expected


def test_a_file_that_was_cut_short_since_is_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path, _images())
    surveyed = survey_array_file(path)
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(ImagesRejected) as caught:
        open_array_file(path, surveyed.digest, surveyed.manifest())
    assert str(path) in str(caught.value.received)
    assert "numpy.save" in str(caught.value.expected)


def test_images_past_the_last_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        survey_array_file(_saved(tmp_path, _images())).read(IndexRange(5, 8), (4, 5, 3), "exact")
    assert caught.value.expected == "0 to 5"
