"""The drawn shapes: every combination once, told apart by their pixels, the same on every machine."""

from __future__ import annotations

import itertools
from typing import get_args

import numpy as np
import pytest

from vaeval_core.errors import ImagesRejected, NotFound
from vaeval_core.images.catalogue import open_images, survey_images
from vaeval_core.images.factor_labels import factors_of
from vaeval_core.images.shapes import ROTATIONS, SCALES, Outline, levels, shapes_images, shapes_set
from vaeval_core.types import IndexRange

SIZES = (3, 6, 8, 8, 8)


def test_every_combination_of_factors_is_there_once() -> None:
    _, classes = shapes_set("shapes")
    assert {tuple(row) for row in classes.tolist()} == set(itertools.product(*(range(size) for size in SIZES)))
    assert len(classes) == 9216


def test_no_two_combinations_look_the_same() -> None:
    images, _ = shapes_set("shapes")
    assert len({image.tobytes() for image in images}) == len(images)


def test_the_splits_are_the_whole_and_share_no_image() -> None:
    train, test = (shapes_set(name)[1].tolist() for name in ("shapes:train", "shapes:test"))
    assert (len(train), len(test)) == (7168, 2048)
    assert sorted(train + test) == shapes_set("shapes")[1].tolist()


def test_no_point_is_so_near_to_an_outline_that_rounding_could_move_it() -> None:
    nearest = min(
        np.abs(levels(outline, scale, rotation)).min()
        for outline in get_args(Outline)
        for scale in SCALES
        for rotation in ROTATIONS
    )
    assert nearest > 1e-6


@pytest.mark.parametrize(("outline", "shape"), [("square", 0), ("ellipse", 1)])
def test_areas_are_those_of_the_figures(outline: Outline, shape: int) -> None:
    images, _ = shapes_set("shapes")
    drawn = images.reshape(*SIZES, 32, 32)[shape, :, :, 0, 0].sum(axis=(2, 3)) / 255
    radii = 7.4 * np.array(SCALES)
    area, around = 2 * radii**2, 4 * np.sqrt(2) * radii
    if outline == "ellipse":
        area, around = np.pi * radii**2 / 2, 2 * np.pi * radii * np.sqrt((1 + 1 / 4) / 2)
    # Points stand for squares of ¼ pixel, so an outline is misplaced by half of that at most.
    assert (np.abs(drawn - area[:, np.newaxis]) < around[:, np.newaxis] / 8).all()


def test_x_moves_a_shape_to_the_right_and_y_downward() -> None:
    images, _ = shapes_set("shapes")
    grid = images.reshape(*SIZES, 32, 32)
    first, across, down = grid[2, 3, 1, 0, 0], grid[2, 3, 1, 3, 0], grid[2, 3, 1, 0, 5]
    assert np.array_equal(across[:, 6:], first[:, :-6])
    assert np.array_equal(down[10:], first[:-10])


def test_rotation_goes_counter_clockwise() -> None:
    images, _ = shapes_set("shapes")
    quarter_less = images.reshape(*SIZES, 32, 32)[1, 5, 4, 3, 3].astype(float)  # an ellipse at 45 degrees
    rows, columns = np.nonzero(quarter_less)
    # Rows count downward, so a rise to the right is a negative correlation.
    assert np.corrcoef(rows, columns)[0, 1] < -0.4


def test_a_set_gives_factors_in_the_order_in_which_it_is_read() -> None:
    images = shapes_images("shapes:test")
    factors = factors_of(images)
    assert factors is not None
    assert factors.names == ("shape", "scale", "rotation", "x", "y")
    everything = shapes_set("shapes")[0].reshape(*SIZES, 32, 32, 1)
    read = images.read(IndexRange(40, 60), (32, 32, 1), "exact")
    for image, row in zip(read, factors.rows(IndexRange(40, 60)), strict=True):
        assert np.array_equal(image, everything[tuple(row)])


@pytest.mark.parametrize("name", ["shapes", "shapes:train", "shapes:test"])
def test_a_worker_opens_the_same_shapes(name: str) -> None:
    surveyed = survey_images(name)
    opened = open_images(surveyed.uri, surveyed.digest, surveyed.manifest())
    assert (opened.uri, opened.digest, len(opened)) == (name, surveyed.digest, len(surveyed))


def test_shapes_of_another_version_are_refused() -> None:
    with pytest.raises(ImagesRejected) as caught:
        open_images("shapes", "0" * 64, None)
    assert str(caught.value.received).startswith("shapes with digest ")
    assert caught.value.expected == f"digest {'0' * 64}"
    assert "same version of vaeval" in str(caught.value.next_step)


def test_an_unknown_split_of_the_shapes_gets_the_nearest_one() -> None:
    with pytest.raises(NotFound) as caught:
        survey_images("shapes:tets")
    assert caught.value.received == "shapes:tets"
    assert caught.value.expected == "shapes or shapes:train or shapes:test"
    assert caught.value.next_step == "--data shapes:test"


def test_the_shared_arrays_cannot_be_written_to() -> None:
    for array in shapes_set("shapes:train"):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
