"""Which files of a folder are images."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vaeval_core.errors import ImagesRejected, NotFound
from vaeval_core.images.folder_listing import list_images

_NOBODY = 65534


def _touch(root: Path, *paths: str) -> Path:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


def test_images_are_found_at_any_depth_and_sorted_by_path(tmp_path: Path) -> None:
    _touch(tmp_path, "b/2.png", "b/10.jpg", "a.jpeg", "b.png", "b/c/1.png")
    assert list_images(tmp_path) == ("a.jpeg", "b.png", "b/10.jpg", "b/2.png", "b/c/1.png")


def test_the_case_of_a_suffix_does_not_matter(tmp_path: Path) -> None:
    _touch(tmp_path, "a.PNG", "b.JpG", "c.JPEG")
    assert list_images(tmp_path) == ("a.PNG", "b.JpG", "c.JPEG")


def test_other_files_are_left_out(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png", "labels.csv", "b.webp", "png")
    assert list_images(tmp_path) == ("a.png",)


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png", "._a.png", ".thumbnails/a.png", "b/.hidden/c.png")
    assert list_images(tmp_path) == ("a.png",)


def test_a_folder_that_is_called_like_an_image_is_a_folder(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png/b.png")
    assert list_images(tmp_path) == ("a.png/b.png",)


def test_a_link_to_a_file_inside_is_an_image(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    assert list_images(tmp_path) == ("a.png", "b.png")


def test_a_link_to_a_folder_inside_adds_nothing(tmp_path: Path) -> None:
    _touch(tmp_path, "train/a.png")
    (tmp_path / "latest").symlink_to(tmp_path / "train")
    (tmp_path / "train" / "loop").symlink_to(tmp_path)
    assert list_images(tmp_path) == ("train/a.png",)


@pytest.mark.parametrize("target", ["elsewhere/secret.png", "elsewhere"])
def test_a_link_that_leads_out_is_named(tmp_path: Path, target: str) -> None:
    _touch(tmp_path, "elsewhere/secret.png", "photos/a.png")
    link = tmp_path / "photos" / "b.png"
    link.symlink_to(tmp_path / target)
    with pytest.raises(ImagesRejected) as caught:
        list_images(tmp_path / "photos")
    assert caught.value.received == f"{link} → {tmp_path / target}"
    assert caught.value.expected == f"links that stay inside {tmp_path / 'photos'}"
    assert "copy" in str(caught.value.next_step)


def test_a_missing_folder_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        list_images(tmp_path / "phtos")
    assert caught.value.received == str(tmp_path / "phtos")
    assert "folder of PNG or JPEG" in str(caught.value.expected)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = _touch(tmp_path, "a.png") / "a.png"
    with pytest.raises(ImagesRejected) as caught:
        list_images(file)
    assert caught.value.received == str(file)
    assert "a folder" in str(caught.value.expected)
    assert caught.value.next_step == f"--data {tmp_path}"


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImagesRejected) as caught:
        list_images(tmp_path)
    assert caught.value.what == "The image folder is empty."
    assert caught.value.received == str(tmp_path)
    assert ".png, .jpg, .jpeg" in str(caught.value.expected)


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    _touch(tmp_path, "a.webp", "b/c.WEBP", "README", "labels.csv", "d.webp", "e.csv")
    with pytest.raises(ImagesRejected) as caught:
        list_images(tmp_path)
    assert caught.value.received == f"{tmp_path}, with 3 × .webp, 2 × .csv, 1 × no suffix"
    assert caught.value.next_step == "convert them to PNG"


@contextmanager
def _without_root() -> Iterator[None]:
    """Rights are not looked at for the superuser, so become somebody else for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_may_not_be_listed_is_named() -> None:
    # Not below tmp_path: that is closed to the user whom this test turns into.
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        root.chmod(0o755)
        closed = _touch(root, "a.png", "closed/b.png") / "closed"
        closed.chmod(0)
        try:
            with pytest.raises(ImagesRejected) as caught, _without_root():
                list_images(root)
        finally:
            closed.chmod(0o700)
    assert caught.value.received == f"{closed} (Permission denied)"
    assert caught.value.expected == "folders that may be read"
