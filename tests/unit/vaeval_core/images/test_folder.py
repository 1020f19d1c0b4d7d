"""A folder as a set of images: what it is known by, how it is read, what a worker notices."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from vaeval_core.errors import ImagesRejected, InvalidInput, StorageFailed
from vaeval_core.images.base import ImageSet
from vaeval_core.images.folder import open_folder, survey_folder
from vaeval_core.images.order import image_order
from vaeval_core.types import IndexRange

SaveImage = Callable[..., Path]
_GREY = (8, 8, 1)


def _levels(images: ImageSet, start: int, stop: int) -> list[int]:
    """Which images were read: their levels, below the white first row."""
    return images.read(IndexRange(start, stop), _GREY, "exact")[:, 1, 0, 0].tolist()


def _damage(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-12])


def test_the_digest_is_that_of_paths_and_contents(photos: Path) -> None:
    lines = [json.dumps([f"{n}.png", hashlib.sha256((photos / f"{n}.png").read_bytes()).hexdigest()]) for n in range(5)]
    expected = hashlib.sha256(("\n".join(lines) + "\n").encode()).hexdigest()
    assert survey_folder(photos).digest == expected


def test_a_copy_elsewhere_is_the_same_set(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "copy")
    assert survey_folder(tmp_path / "copy").digest == survey_folder(photos).digest


def test_another_name_or_content_is_another_set(photos: Path, save_image: SaveImage) -> None:
    before = survey_folder(photos).digest
    (photos / "4.png").rename(photos / "5.png")
    renamed = survey_folder(photos).digest
    save_image("5.png", level=99, mode="L")
    assert len({before, renamed, survey_folder(photos).digest}) == 3


def test_names_that_are_not_unicode_are_taken(photos: Path) -> None:
    (photos / "0.png").rename(photos / os.fsdecode(b"\xff.png"))
    images = survey_folder(photos)
    assert len(open_folder(photos, images.digest, images.manifest()).read(IndexRange(0, 5), _GREY, "exact")) == 5


def test_a_set_says_where_and_what_it_is(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    images = survey_folder(Path("photos"))
    assert (images.uri, images.name, len(images), images.skipped) == (str(photos), "photos", 5, ())


def test_images_are_read_in_the_fixed_order(photos: Path) -> None:
    images = survey_folder(photos)
    assert _levels(images, 0, 5) == [10 * number for number in image_order(5)]


def test_a_part_is_a_part_of_the_whole(photos: Path) -> None:
    images = survey_folder(photos)
    assert _levels(images, 1, 3) == _levels(images, 0, 5)[1:3]


def test_files_of_every_kind_are_read_as_the_model_wants_them(save_image: SaveImage) -> None:
    for name, mode in (("a.png", "RGBA"), ("b.jpg", "L"), ("c.JPEG", "CMYK"), ("d.png", "P"), ("e/f.png", "1")):
        root = save_image(name, level=255, mode=mode, size=(20, 12)).parents[name.count("/")]
    images = survey_folder(root).read(IndexRange(0, 5), (6, 10, 3), "crop-bicubic")
    assert images.shape == (5, 6, 10, 3)
    assert images.dtype == np.uint8
    assert images.min() >= 250  # white, up to what JPEG makes of it


def test_several_threads_read_the_same(photos: Path) -> None:
    images = survey_folder(photos)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: _levels(images, 0, 5), range(8)))
    assert answers == [_levels(images, 0, 5)] * 8


def test_images_past_the_last_are_refused(photos: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        survey_folder(photos).read(IndexRange(3, 6), _GREY, "exact")
    assert caught.value.received == "images 3 to 5"


def test_a_truncated_file_is_named_with_the_option_that_goes_on(photos: Path) -> None:
    _damage(photos / "3.png")
    with pytest.raises(ImagesRejected) as caught:
        survey_folder(photos)
    assert caught.value.what == "1 of 5 image files cannot be read."
    assert str(photos / "3.png") in str(caught.value.received)
    assert "cut short" in str(caught.value.received)
    assert "complete PNG or JPEG files" in str(caught.value.expected)
    assert "--skip-unreadable" in str(caught.value.next_step)


def test_many_unreadable_files_are_counted(photos: Path) -> None:
    for number in range(4):
        (photos / f"{number}.png").write_bytes(b"")
    with pytest.raises(ImagesRejected) as caught:
        survey_folder(photos)
    assert caught.value.what == "4 of 5 image files cannot be read."
    assert str(caught.value.received).endswith(f"{photos / '2.png'}: the file is empty; and 1 more")


def test_unreadable_files_are_left_out_on_demand_and_listed(photos: Path, save_image: SaveImage) -> None:
    _damage(photos / "3.png")
    images = survey_folder(photos, skip_unreadable=True)
    assert images.skipped == ("3.png",)
    (photos / "3.png").unlink()
    assert images.digest == survey_folder(photos).digest
    assert sorted(_levels(images, 0, 4)) == [0, 10, 20, 40]


def test_a_folder_without_any_readable_file_is_refused_in_any_case(photos: Path) -> None:
    for file in photos.iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(ImagesRejected) as caught:
        survey_folder(photos, skip_unreadable=True)
    assert caught.value.what == "5 of 5 image files cannot be read."
    assert caught.value.next_step == "give a folder with readable images"


def test_sizes_are_checked_without_reading_a_file(photos: Path, save_image: SaveImage) -> None:
    save_image("5.png", size=(9, 8), mode="L")
    images = survey_folder(photos)
    shutil.rmtree(photos)
    images.check_fit(_GREY, "crop-bicubic")
    with pytest.raises(ImagesRejected) as caught:
        images.check_fit(_GREY, "exact")
    assert caught.value.received == "5.png is 9×8"


def test_a_worker_opens_the_set_that_was_surveyed(photos: Path) -> None:
    surveyed = survey_folder(photos)
    opened = open_folder(photos, surveyed.digest, surveyed.manifest())
    assert (opened.digest, opened.uri, len(opened)) == (surveyed.digest, surveyed.uri, 5)
    assert _levels(opened, 0, 5) == _levels(surveyed, 0, 5)


def test_a_worker_does_not_miss_files_that_it_does_not_read(photos: Path) -> None:
    surveyed = survey_folder(photos)
    first = image_order(5)[0]
    for number in range(5):
        if number != first:
            (photos / f"{number}.png").unlink()
    assert _levels(open_folder(photos, surveyed.digest, surveyed.manifest()), 0, 1) == [10 * first]


def test_files_added_later_do_not_matter(photos: Path, save_image: SaveImage) -> None:
    surveyed = survey_folder(photos)
    save_image("00.png", level=77, mode="L")
    assert sorted(_levels(surveyed, 0, 5)) == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("is_lost", ["file", "folder"])
def test_what_this_machine_cannot_read_says_nothing_against_the_images(photos: Path, is_lost: str) -> None:
    images = survey_folder(photos)
    if is_lost == "file":
        (photos / "2.png").unlink()
    else:
        photos.rename(photos.with_name("not mounted"))
    with pytest.raises(StorageFailed) as caught:
        images.read(IndexRange(0, 5), _GREY, "exact")
    assert str(photos) in str(caught.value.received)
    assert "No such file or directory" in str(caught.value.received)
    assert "on every machine with a worker" in str(caught.value.expected)
    assert "mounted" in str(caught.value.next_step)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_share_that_fails_says_nothing_against_the_images(
    photos: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    images = survey_folder(photos)

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(StorageFailed) as caught:
        images.read(IndexRange(0, 5), _GREY, "exact")
    assert os.strerror(number) in str(caught.value.received)
    assert caught.value.expected


def test_a_file_that_changed_since_is_named(photos: Path, save_image: SaveImage) -> None:
    images = survey_folder(photos)
    digest = hashlib.sha256((photos / "2.png").read_bytes()).hexdigest()
    save_image("2.png", level=21, mode="L")
    with pytest.raises(ImagesRejected) as caught:
        images.read(IndexRange(0, 5), _GREY, "exact")
    assert caught.value.received == f"{photos / '2.png'}: its content is another"
    assert caught.value.expected == f"a file with sha256 {digest}"
    assert "submit again" in str(caught.value.next_step)


@pytest.mark.parametrize(
    ("manifest", "received"),
    [
        (None, "nothing"),
        (b"{", "a text that is not JSON"),
        (b"[]", "format None"),
        (b'{"format": "vaeval-array-1"}', "format vaeval-array-1"),
        (b'{"format": "vaeval-folder-1"}', "a list without files"),
        (b'{"format": "vaeval-folder-1", "files": [1]}', "a list without files"),
        (b'{"format": "vaeval-folder-1", "files": []}', "a list with digest"),
    ],
)
def test_a_list_that_is_not_that_of_the_set_is_refused(photos: Path, manifest: bytes | None, received: str) -> None:
    digest = survey_folder(photos).digest
    with pytest.raises(StorageFailed) as caught:
        open_folder(photos, digest, manifest)
    assert str(photos) in caught.value.what
    assert str(caught.value.received).startswith(received)
    assert caught.value.expected
    assert "submit" in str(caught.value.next_step)
