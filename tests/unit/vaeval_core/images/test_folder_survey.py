"""The look at every file: what it finds, and what it need not look at again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vaeval_core import file_stamps
from vaeval_core.images import folder_survey
from vaeval_core.images.decoding import read_file
from vaeval_core.images.folder_survey import Survey, survey_files
from vaeval_core.images.survey_cache import ImageFile

SaveImage = Callable[..., Path]
_ALL = ("0.png", "1.png", "2.png", "3.png", "4.png")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file were old enough: the time of change cannot be set back."""
    monkeypatch.setattr(file_stamps, "SETTLED_NANOSECONDS", -(10**15))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read from now on."""
    names: list[str] = []

    def noted(path: Path) -> tuple[bytes, str]:
        names.append(path.name)
        return read_file(path)

    monkeypatch.setattr(folder_survey, "read_file", noted)
    return names


def _spoil(file: Path) -> None:
    """Make the file unreadable without changing its size or its time of modification, as `cp -p` and `rsync -t` would."""
    status = file.stat()
    file.write_bytes(b"x" * status.st_size)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_each_file_has_its_digest_and_size(save_image: SaveImage) -> None:
    file = save_image("cats/a.png", size=(9, 5))
    survey = survey_files(file.parents[1], ("cats/a.png",))
    assert survey == Survey((ImageFile(path="cats/a.png", digest=_digest(file), width=9, height=5),), {})


def test_the_answer_has_the_order_of_the_question(photos: Path) -> None:
    paths = ("3.png", "0.png", "4.png")
    assert tuple(file.path for file in survey_files(photos, paths).files) == paths


def test_damaged_files_are_told_apart_with_their_reasons(photos: Path) -> None:
    (photos / "2.png").write_bytes((photos / "2.png").read_bytes()[:-10])
    (photos / "4.png").unlink()
    survey = survey_files(photos, _ALL)
    assert [file.path for file in survey.files] == ["0.png", "1.png", "3.png"]
    assert list(survey.unreadable) == ["2.png", "4.png"]
    assert "cut short" in survey.unreadable["2.png"]
    assert survey.unreadable["4.png"] == "No such file or directory"


def test_a_link_to_nothing_is_unreadable(photos: Path, tmp_path: Path) -> None:
    (photos / "5.png").symlink_to(photos / "gone.png")
    survey = survey_files(photos, ("5.png",), cache_folder=tmp_path / "cache")
    assert survey.unreadable == {"5.png": "No such file or directory"}


def test_progress_counts_every_file_to_the_last(photos: Path) -> None:
    (photos / "2.png").write_bytes(b"damaged")
    calls: list[tuple[int, int]] = []
    survey_files(photos, _ALL, on_progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


@pytest.mark.usefixtures("settled")
def test_an_unchanged_file_is_not_read_again(photos: Path, tmp_path: Path, read: list[str]) -> None:
    first = survey_files(photos, _ALL, cache_folder=tmp_path / "cache")
    read.clear()
    assert survey_files(photos, _ALL, cache_folder=tmp_path / "cache") == first
    assert read == []


@pytest.mark.usefixtures("settled")
def test_other_bytes_of_the_same_length_and_time_are_noticed(photos: Path, tmp_path: Path) -> None:
    survey_files(photos, _ALL, cache_folder=tmp_path / "cache")
    _spoil(photos / "3.png")
    assert list(survey_files(photos, _ALL, cache_folder=tmp_path / "cache").unreadable) == ["3.png"]


@pytest.mark.usefixtures("settled")
def test_another_file_that_takes_the_place_of_one_is_noticed(photos: Path, tmp_path: Path) -> None:
    survey_files(photos, _ALL, cache_folder=tmp_path / "cache")
    status = (photos / "3.png").stat()
    other = tmp_path / "other"
    other.write_bytes(b"x" * status.st_size)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(photos / "3.png")
    assert list(survey_files(photos, _ALL, cache_folder=tmp_path / "cache").unreadable) == ["3.png"]


@pytest.mark.usefixtures("settled")
def test_files_from_the_cache_count_as_progress(photos: Path, tmp_path: Path) -> None:
    survey_files(photos, _ALL, cache_folder=tmp_path / "cache")
    calls: list[tuple[int, int]] = []
    survey_files(
        photos, _ALL, cache_folder=tmp_path / "cache", on_progress=lambda done, total: calls.append((done, total))
    )
    assert calls[-1] == (5, 5)


@pytest.mark.usefixtures("settled")
def test_a_file_with_another_time_is_read_again(photos: Path, tmp_path: Path) -> None:
    survey_files(photos, _ALL, cache_folder=tmp_path / "cache")
    _spoil(photos / "3.png")
    os.utime(photos / "3.png", ns=(10**18, 10**18 + 1))
    assert list(survey_files(photos, _ALL, cache_folder=tmp_path / "cache").unreadable) == ["3.png"]


@pytest.mark.usefixtures("settled")
def test_a_file_with_another_size_is_read_again(save_image: SaveImage, photos: Path, tmp_path: Path) -> None:
    survey_files(photos, _ALL, cache_folder=tmp_path / "cache")
    file = save_image("3.png", size=(30, 20))
    facts = survey_files(photos, _ALL, cache_folder=tmp_path / "cache").files[3]
    assert (facts.width, facts.height, facts.digest) == (30, 20, _digest(file))


def test_a_file_written_this_moment_is_read_again(photos: Path, tmp_path: Path, read: list[str]) -> None:
    # It could change once more within the tick of the file system's clock, unnoticed.
    survey_files(photos, _ALL, cache_folder=tmp_path / "cache")
    read.clear()
    survey_files(photos, _ALL, cache_folder=tmp_path / "cache")
    assert sorted(read) == list(_ALL)


def test_a_damaged_file_is_read_again_once_it_is_repaired(save_image: SaveImage, photos: Path, tmp_path: Path) -> None:
    _spoil(photos / "3.png")
    assert list(survey_files(photos, _ALL, cache_folder=tmp_path / "cache").unreadable) == ["3.png"]
    save_image("3.png", level=30, mode="L")
    assert not survey_files(photos, _ALL, cache_folder=tmp_path / "cache").unreadable


@pytest.mark.usefixtures("settled")
def test_two_folders_do_not_share_a_cache(save_image: SaveImage, tmp_path: Path) -> None:
    wide, tall = save_image("wide/a.png", size=(9, 1)), save_image("tall/a.png", size=(1, 9))
    for file in (wide, tall):
        survey_files(file.parent, ("a.png",), cache_folder=tmp_path / "cache")
    facts = [survey_files(f.parent, ("a.png",), cache_folder=tmp_path / "cache").files[0] for f in (wide, tall)]
    assert [(file.width, file.height) for file in facts] == [(9, 1), (1, 9)]


@pytest.mark.usefixtures("settled")
def test_what_was_read_before_an_interruption_is_kept(photos: Path, tmp_path: Path, read: list[str]) -> None:
    def stop_at_the_third(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        survey_files(photos, _ALL, cache_folder=tmp_path / "cache", on_progress=stop_at_the_third)
    read.clear()
    survey_files(photos, _ALL, cache_folder=tmp_path / "cache")
    assert len(read) <= 2


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 2}', '{"version": 0, "files": []}', '{"version": 2, "files": [3]}']
)
def test_a_damaged_cache_is_no_cache(photos: Path, tmp_path: Path, content: str) -> None:
    first = survey_files(photos, _ALL, cache_folder=tmp_path / "cache")
    [file] = (tmp_path / "cache").iterdir()
    file.write_text(content)
    assert survey_files(photos, _ALL, cache_folder=tmp_path / "cache") == first


def test_a_cache_that_cannot_be_written_is_done_without(photos: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "cache"
    blocked.write_text("a file where the folder should be")
    assert len(survey_files(photos, _ALL, cache_folder=blocked).files) == 5


@pytest.mark.usefixtures("settled")
def test_the_cache_folder_holds_one_file_per_root_and_nothing_half_written(photos: Path, tmp_path: Path) -> None:
    for _ in range(2):
        survey_files(photos, _ALL, cache_folder=tmp_path / "cache")
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".json"]
