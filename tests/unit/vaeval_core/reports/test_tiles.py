"""Tiles: whole enlargements, averages, and where each tile is put."""

from __future__ import annotations

import numpy as np
import pytest

from vaeval_core.reports.tiles import as_tiles, mosaic
from vaeval_core.types import Uint8

_RED, _WHITE = (255, 0, 0), (255, 255, 255)


def _pictures(num_pictures: int, height: int, width: int, channels: int = 3) -> Uint8:
    return np.random.Generator(np.random.Philox(5)).integers(
        0, 256, (num_pictures, height, width, channels), dtype=np.uint8
    )


@pytest.mark.parametrize(
    ("side", "shown"), [(8, 72), (28, 84), (32, 64), (64, 64), (96, 96), (128, 64), (256, 64), (1, 72)]
)
def test_tiles_have_about_the_wanted_side(side: int, shown: int) -> None:
    # 72 / side or its inverse, to the nearest whole number.
    assert as_tiles(_pictures(1, side, side), 72).shape == (1, shown, shown, 3)


def test_enlarged_pixels_are_equal_squares() -> None:
    pictures = _pictures(2, 3, 4)
    tiles = as_tiles(pictures, 20)
    assert tiles.shape == (2, 15, 20, 3)
    for row in range(15):
        for column in range(20):
            assert np.array_equal(tiles[:, row, column], pictures[:, row // 5, column // 5])


def test_reduced_pixels_are_means() -> None:
    picture = np.array([[0, 10, 100], [20, 30, 200]], np.uint8).reshape(1, 2, 3, 1)
    # 3 wide to about 1: squares of 3, the second row repeated: (0+10+100 + 2 (20+30+200)) / 9 = 67.8
    assert as_tiles(picture, 1).tolist() == [[[[68, 68, 68]]]]


def test_grey_is_shown_as_grey() -> None:
    tiles = as_tiles(_pictures(1, 2, 2, channels=1), 2)
    assert np.array_equal(tiles[..., 0], tiles[..., 1])
    assert np.array_equal(tiles[..., 0], tiles[..., 2])


def test_tiles_go_row_by_row_with_gaps_between_them() -> None:
    tiles = np.stack([np.full((1, 2, 3), level, np.uint8) for level in (1, 2, 3)])
    sheet = mosaic(tiles, rows=2, columns=2, gap=1, gap_colour=_RED, paper=_WHITE)
    assert sheet[:, :, 1].tolist() == [[1, 1, 0, 2, 2], [0, 0, 0, 0, 0], [3, 3, 0, 255, 255]]
