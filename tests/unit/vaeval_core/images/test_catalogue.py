"""What a `--data` argument may be, and that a worker opens the very same set."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from vaeval_core import file_stamps
from vaeval_core.errors import ImagesRejected, NotFound
from vaeval_core.images.array_images import ArrayImages
from vaeval_core.images.base import ImageSet
from vaeval_core.images.catalogue import open_images, survey_images
from vaeval_core.images.folder import FolderImages
from vaeval_core.types import IndexRange


@pytest.fixture(params=["digits:test", "folder", "array", "hdf5"])
def argument(request: pytest.FixtureRequest, photos: Path, tmp_path: Path) -> str:
    """One `--data` argument of each kind; all hold at least five grey images of 8×8."""
    if request.param == "folder":
        return str(photos)
    if request.param == "hdf5":
        with h5py.File(tmp_path / "images.h5", "w") as file:
            file["images"] = np.arange(5 * 64, dtype=np.uint8).reshape(5, 8, 8)
        return str(tmp_path / "images.h5")
    if request.param == "array":
        np.save(tmp_path / "images.npy", np.arange(5 * 64, dtype=np.uint8).reshape(5, 8, 8))
        return str(tmp_path / "images.npy")
    return str(request.param)


def test_a_worker_reads_what_was_surveyed(argument: str) -> None:
    surveyed: ImageSet = survey_images(argument)
    opened = open_images(surveyed.uri, surveyed.digest, surveyed.manifest())
    assert opened.digest == surveyed.digest
    first = IndexRange(0, 5)
    assert np.array_equal(opened.read(first, (8, 8, 1), "exact"), surveyed.read(first, (8, 8, 1), "exact"))


def test_every_kind_of_set_says_whether_a_model_fits(argument: str) -> None:
    survey_images(argument).check_fit((8, 8, 3), "exact")
    with pytest.raises(ImagesRejected):
        survey_images(argument).check_fit((8, 9, 3), "exact")


def test_options_reach_the_survey_of_a_folder(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_stamps, "SETTLED_NANOSECONDS", -(10**15))  # as if every file were old enough
    (photos / "3.png").write_bytes(b"damaged")
    calls: list[tuple[int, int]] = []
    images = survey_images(
        str(photos),
        skip_unreadable=True,
        cache_folder=tmp_path / "cache",
        on_progress=lambda done, total: calls.append((done, total)),
    )
    assert images.skipped == ("3.png",)
    assert calls[-1] == (5, 5)
    assert list((tmp_path / "cache").iterdir())


def test_the_suffix_of_an_array_may_be_written_in_capitals(tmp_path: Path) -> None:
    with (tmp_path / "IMAGES.NPY").open("wb") as file:
        np.save(file, np.zeros((2, 8, 8), np.uint8))
    assert isinstance(survey_images(str(tmp_path / "IMAGES.NPY")), ArrayImages)


def test_a_folder_may_be_called_like_an_array(photos: Path) -> None:
    folder = photos.rename(photos.with_name("photos.npy"))
    images = survey_images(str(folder))
    assert isinstance(images, FolderImages)
    assert isinstance(open_images(images.uri, images.digest, images.manifest()), FolderImages)


def test_the_home_folder_is_understood(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos.parent))
    assert survey_images("~/photos").uri == str(photos)


@pytest.mark.parametrize(("argument", "closest"), [("digits:tset", "digits:test"), ("digits:training", "digits:train")])
def test_an_unknown_split_gets_the_nearest_one(argument: str, closest: str) -> None:
    with pytest.raises(NotFound) as caught:
        survey_images(argument)
    assert caught.value.received == argument
    assert caught.value.expected == "digits:train or digits:test"
    assert caught.value.next_step == f"--data {closest}"


def test_digits_other_than_those_submitted_are_refused() -> None:
    with pytest.raises(ImagesRejected) as caught:
        open_images("digits:test", "0" * 64, None)
    assert "digits:test with digest " in str(caught.value.received)
    assert caught.value.expected == f"digest {'0' * 64}"


def test_a_missing_path_is_not_found(tmp_path: Path) -> None:
    for name in ("photos", "images.npy"):
        with pytest.raises(NotFound) as caught:
            survey_images(str(tmp_path / name))
        assert caught.value.received == str(tmp_path / name)
        assert caught.value.expected
