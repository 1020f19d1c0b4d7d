"""The bundled digits: the right pixels, and a split that keeps training and test images apart."""

from __future__ import annotations

import gzip
import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from vaeval_core.errors import ImagesRejected, NotFound, StorageFailed
from vaeval_core.images.digits import digits_images, digits_split
from vaeval_core.images.order import image_order
from vaeval_core.types import IndexRange


@pytest.mark.slow
def test_the_two_splits_are_the_whole_of_what_scikit_learn_loads() -> None:
    from sklearn.datasets import load_digits

    bundle = load_digits()
    everything = sorted((*row.astype(int), label) for row, label in zip(bundle.data, bundle.target, strict=True))
    mine = []
    for split in ("train", "test"):
        images, labels = digits_split(split)
        levels = np.rint(images.reshape(-1, 64) / 255 * 16).astype(int)
        mine += [(*row, label) for row, label in zip(levels, labels, strict=True)]
    # 1797 rows, no two of which are equal: each is in exactly one split.
    assert len(set(everything)) == 1797
    assert sorted(mine) == everything


def test_the_splits_have_1297_and_500_images_of_8_by_8() -> None:
    assert [digits_split(split)[0].shape for split in ("train", "test")] == [(1297, 8, 8, 1), (500, 8, 8, 1)]


def test_the_17_grey_levels_are_spread_over_a_byte() -> None:
    levels = np.unique(digits_split("train")[0])
    # 255 k / 16 for k = 0 … 16, rounded; 127.5 goes to the even 128.
    assert levels.tolist() == [0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223, 239, 255]


def test_every_digit_is_about_a_tenth_of_each_split() -> None:
    for split in ("train", "test"):
        labels = digits_split(split)[1]
        share = len(labels) / 10
        # Four standard deviations of a random draw.
        assert np.abs(np.bincount(labels, minlength=10) - share).max() < 4 * np.sqrt(share * 0.9)


def test_the_shared_arrays_cannot_be_written_to() -> None:
    images, labels = digits_split("train")
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        labels[0] = 0


def test_a_set_is_read_in_the_fixed_order() -> None:
    images = digits_images("test")
    expected = digits_split("test")[0][image_order(500)[10:20]]
    assert np.array_equal(images.read(IndexRange(10, 20), (8, 8, 1), "exact"), expected)


def test_a_set_says_what_it_is() -> None:
    images = digits_images("test")
    assert (images.uri, images.name, len(images), images.manifest(), images.skipped) == (
        "digits:test",
        "digits:test",
        500,
        None,
        (),
    )


def test_the_splits_have_different_digests() -> None:
    assert digits_images("train").digest != digits_images("test").digest


def test_a_model_of_another_size_is_told_at_once() -> None:
    images = digits_images("test")
    images.check_fit((8, 8, 1), "exact")
    images.check_fit((28, 28, 3), "crop-bicubic")
    with pytest.raises(ImagesRejected) as caught:
        images.check_fit((28, 28, 1), "exact")
    assert str(caught.value.received).startswith("digits:test[0] is 8×8; ")
    assert caught.value.expected == "28×28 pixels (width × height)"


@pytest.mark.slow
def test_scikit_learn_itself_is_not_imported() -> None:
    code = (
        "import sys; from vaeval_core.images.digits import digits_split; digits_split('test'); "
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_scikit_learn_there_are_no_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    digits_split.cache_clear()
    with pytest.raises(NotFound) as caught:
        digits_split("test")
    assert caught.value.received == "no package named sklearn"
    assert "scikit-learn" in str(caught.value.expected)
    assert caught.value.next_step == "pip install scikit-learn"


@pytest.mark.parametrize(
    ("content", "received"),
    [
        (None, "No such file or directory"),
        (b"no archive", "Not a gzipped file"),
        (gzip.compress(b"1,2\n3,4\n"), "a table of shape (2, 2)"),
        (gzip.compress(b"1,two\n"), "could not convert string"),
    ],
    # Named: a gzip stream holds the time, so the bytes themselves would give each process another name for this test.
    ids=["missing", "no archive", "another table", "no numbers"],
)
def test_a_digits_file_that_is_another_is_named(
    content: bytes | None, received: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "datasets" / "data" / "digits.csv.gz"
    file.parent.mkdir(parents=True)
    if content is not None:
        file.write_bytes(content)
    package = ModuleSpec("sklearn", None, is_package=True)
    package.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: package)
    digits_split.cache_clear()
    with pytest.raises(StorageFailed) as caught:
        digits_split("test")
    assert str(file) in str(caught.value.received)
    assert received in str(caught.value.received)
    assert caught.value.expected == "1797 rows of 65 numbers"
